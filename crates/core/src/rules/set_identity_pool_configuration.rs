//! SetIdentityPoolConfiguration: checks push and stream settings, and merges them into those of the pool
//! (`docs/protocol.md` section 9.1).

use crate::model::{CognitoStreams, Pool, PushSync, StreamingStatus};
use crate::violation::{Constraint, Violation};

const ROLE_ARN_PATTERN: &str = r"arn:aws:iam::\d+:role/.*";
const ROLE_ARN_CHARS_MIN: usize = 20;
const ROLE_ARN_CHARS_MAX: usize = 2048;
const APPLICATION_ARN_PATTERN: &str = r"arn:aws:sns:[-0-9a-z]+:\d+:app/[A-Z_]+/[a-zA-Z0-9_.-]+";
const STREAM_NAME_CHARS_MAX: usize = 128;
/// Platform applications of one pool. Each platform has a production and a sandbox form, and apps have
/// versions.
const APPLICATION_ARNS_COUNT_MAX: usize = 100;

/// A block of settings in a request: omitted, empty, or set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block<T> {
    /// The request omits the block, which stays unchanged.
    Unchanged,
    /// The request has the block without members, which removes it.
    Removed,
    /// The request sets the block.
    Set(T),
}

/// Checks push settings as received.
pub fn push(application_arns: Vec<String>, role_arn: Option<String>) -> Result<Block<PushSync>, Violation> {
    if application_arns.is_empty() && role_arn.is_none() {
        return Ok(Block::Removed);
    }
    if application_arns.len() > APPLICATION_ARNS_COUNT_MAX {
        let constraint = Constraint::LengthMax(APPLICATION_ARNS_COUNT_MAX as u64);
        return Err(Violation::new("pushSync.applicationArns", application_arns.len(), constraint));
    }
    for (index, arn) in application_arns.iter().enumerate() {
        if !is_application_arn(arn) {
            let member = format!("pushSync.applicationArns.{}.member", index + 1);
            return Err(Violation::new(member, arn, Constraint::Pattern(APPLICATION_ARN_PATTERN)));
        }
    }
    check_role_arn("pushSync.roleArn", role_arn.as_deref())?;
    Ok(Block::Set(PushSync { application_arns, role_arn }))
}

/// Checks stream settings as received.
pub fn streams(
    stream_name: Option<String>,
    role_arn: Option<String>,
    status: Option<&str>,
) -> Result<Block<CognitoStreams>, Violation> {
    if stream_name.is_none() && role_arn.is_none() && status.is_none() {
        return Ok(Block::Removed);
    }
    if let Some(name) = &stream_name {
        let member = "cognitoStreams.streamName";
        if name.is_empty() {
            return Err(Violation::new(member, name, Constraint::LengthMin(1)));
        }
        if name.chars().count() > STREAM_NAME_CHARS_MAX {
            return Err(Violation::new(member, name, Constraint::LengthMax(STREAM_NAME_CHARS_MAX as u64)));
        }
    }
    check_role_arn("cognitoStreams.roleArn", role_arn.as_deref())?;
    let status = match status {
        None => None,
        Some("ENABLED") => Some(StreamingStatus::Enabled),
        Some("DISABLED") => Some(StreamingStatus::Disabled),
        Some(other) => {
            let constraint = Constraint::Enum(&["ENABLED", "DISABLED"]);
            return Err(Violation::new("cognitoStreams.streamingStatus", other, constraint));
        }
    };
    // An earlier error of the stream is cleared; the server will find it again if it persists.
    Ok(Block::Set(CognitoStreams { stream_name, role_arn, status, disabled_reason: None }))
}

/// Merges both blocks into the settings of `pool`.
pub fn apply(pool: &mut Pool, push: Block<PushSync>, streams: Block<CognitoStreams>) {
    lay_over(&mut pool.push, push);
    lay_over(&mut pool.streams, streams);
}

/// Records an error of the stream of `pool`, and switches streaming off unless `keep_on`. Does nothing if the
/// pool has no stream.
pub fn note_stream_trouble(pool: &mut Pool, reason: String, keep_on: bool) {
    if let Some(streams) = &mut pool.streams {
        streams.disabled_reason = Some(reason);
        if !keep_on {
            streams.status = Some(StreamingStatus::Disabled);
        }
    }
}

fn lay_over<T>(current: &mut Option<T>, block: Block<T>) {
    match block {
        Block::Unchanged => {}
        Block::Removed => *current = None,
        Block::Set(value) => *current = Some(value),
    }
}

/// Checks the ARN of a role, if given.
pub fn check_role_arn(member: &str, arn: Option<&str>) -> Result<(), Violation> {
    let Some(arn) = arn else { return Ok(()) };
    let chars = arn.chars().count();
    let constraint = if chars < ROLE_ARN_CHARS_MIN {
        Constraint::LengthMin(ROLE_ARN_CHARS_MIN as u64)
    } else if chars > ROLE_ARN_CHARS_MAX {
        Constraint::LengthMax(ROLE_ARN_CHARS_MAX as u64)
    } else if !is_role_arn(arn) {
        Constraint::Pattern(ROLE_ARN_PATTERN)
    } else {
        return Ok(());
    };
    Err(Violation::new(member, arn, constraint))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_role_arn(arn: &str) -> bool {
    let Some((account, role)) = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    is_digits(account) && role.starts_with("role/") && !role.contains(['\n', '\r'])
}

fn is_application_arn(arn: &str) -> bool {
    let Some(rest) = arn.strip_prefix("arn:aws:sns:") else { return false };
    let mut parts = rest.splitn(3, ':');
    let (Some(region), Some(account), Some(resource)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let mut path = resource.splitn(3, '/');
    let (Some("app"), Some(platform), Some(name)) = (path.next(), path.next(), path.next()) else {
        return false;
    };
    let all = |text: &str, allowed: fn(u8) -> bool| !text.is_empty() && text.bytes().all(allowed);
    all(region, |b| b == b'-' || b.is_ascii_digit() || b.is_ascii_lowercase())
        && is_digits(account)
        && all(platform, |b| b == b'_' || b.is_ascii_uppercase())
        && all(name, |b| matches!(b, b'_' | b'.' | b'-') || b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_block_removes_and_a_filled_one_sets() {
        assert_eq!(push(vec![], None), Ok(Block::Removed));
        assert_eq!(streams(None, None, None), Ok(Block::Removed));
        let arn = "arn:aws:sns:us-east-1:000000000000:app/GCM/notes-1".to_owned();
        let set = Block::Set(PushSync { application_arns: vec![arn.clone()], role_arn: None });
        assert_eq!(push(vec![arn], None), Ok(set));
    }

    #[test]
    fn arns_follow_the_published_patterns() {
        assert!(is_role_arn("arn:aws:iam::000000000000:role/some/path"));
        for bad in ["arn:aws:iam::x:role/a", "arn:aws:iam::0:user/a", "arn:aws:iam:::role/a", "role/a"] {
            assert!(!is_role_arn(bad), "{bad}");
        }
        assert!(is_application_arn("arn:aws:sns:eu-west-1:1:app/APNS_SANDBOX/a.b-c_d"));
        for bad in [
            "arn:aws:sns:eu-west-1:1:app/apns/a",
            "arn:aws:sns:eu-west-1:1:app/GCM/",
            "arn:aws:sns:eu-west-1:1:endpoint/GCM/a",
            "arn:aws:sns::1:app/GCM/a",
            "arn:aws:sns:eu-west-1:1:app/GCM/a/b",
        ] {
            assert!(!is_application_arn(bad), "{bad}");
        }
    }

    #[test]
    fn violations_name_the_member_within_its_block() {
        let bad = push(vec!["x".into()], None).unwrap_err();
        assert_eq!(bad.member, "pushSync.applicationArns.1.member");
        let bad = streams(Some("s".into()), Some("short".into()), None).unwrap_err();
        assert_eq!(
            (bad.member.as_str(), bad.constraint),
            ("cognitoStreams.roleArn", Constraint::LengthMin(20))
        );
        let bad = streams(None, None, Some("ON")).unwrap_err();
        assert_eq!(bad.member, "cognitoStreams.streamingStatus");
    }
}
