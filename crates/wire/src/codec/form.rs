//! The query protocol of STS: a form that names its action, with lists spelled `Member.member.1.Sub`.
//!
//! The rules are in `docs/protocol.md` section 1.4. Answers are XML, see [`super::xml`].

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::rejection::{Rejection, echo};
use super::{json, percent};
use crate::spec::{OperationName, SETTINGS_BODY_BYTES_MAX, Service};

/// The largest form that is read before its action is known.
pub const FORM_BODY_BYTES_MAX: u32 = SETTINGS_BODY_BYTES_MAX;

/// The API version that forms name.
pub(super) const VERSION: &str = "2011-06-15";

/// The content type of a form.
pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// The largest number of members of a form; the largest input needs 18.
const MEMBERS_COUNT_MAX: usize = 256;

/// The largest number of parts of a name; the deepest input needs four.
const NAME_PARTS_MAX: usize = 8;

/// Returns the operation that a form names.
pub(super) fn operation(body: &[u8]) -> Result<OperationName, Rejection> {
    let members = parse(body)?;
    let text = |name| members.get(name).and_then(Value::as_str);
    let (action, version) = (text("Action").unwrap_or_default(), text("Version").unwrap_or(VERSION));
    OperationName::parse(Service::Sts, action)
        .filter(|_| version == VERSION)
        .ok_or_else(|| Rejection::UnknownAction { action: echo(action), version: echo(version) })
}

/// Decodes an input from a form.
pub(super) fn members<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    json::members_of(parse(body)?)
}

fn malformed(message: &str) -> Rejection {
    Rejection::BodyMalformed { message: echo(message) }
}

/// Parses a form into the tree that its dotted names describe.
fn parse(body: &[u8]) -> Result<Map<String, Value>, Rejection> {
    let text = std::str::from_utf8(body).map_err(|_| Rejection::BodyNotUtf8)?;
    let mut members = Map::new();
    for (count, (name, value)) in (1..).zip(percent::pairs(text.trim_ascii_end())) {
        if count > MEMBERS_COUNT_MAX {
            return Err(malformed(&format!("A form has at most {MEMBERS_COUNT_MAX} members.")));
        }
        let name =
            percent::decode_plus(name).ok_or_else(|| malformed("A name is not percent-encoded UTF-8."))?;
        let value = percent::decode_plus(value).ok_or_else(|| {
            malformed(&format!("The value of '{}' is not percent-encoded UTF-8.", echo(&name)))
        })?;
        if name.split('.').count() > NAME_PARTS_MAX {
            return Err(malformed("A name has too many parts."));
        }
        insert(&mut members, &name, value.into_owned()).ok_or_else(|| {
            malformed(&format!("'{}' occurs twice, or also with parts behind it.", echo(&name)))
        })?;
    }
    members.into_iter().map(|(name, value)| Ok((name, with_lists(value)?))).collect()
}

/// Inserts a value at its dotted name; `None` if the name is taken.
fn insert(members: &mut Map<String, Value>, name: &str, value: String) -> Option<()> {
    let Some((first, rest)) = name.split_once('.') else {
        let Entry::Vacant(vacant) = members.entry(name) else { return None };
        vacant.insert(Value::String(value));
        return Some(());
    };
    let inner = members.entry(first).or_insert_with(|| Value::Object(Map::new()));
    insert(inner.as_object_mut()?, rest, value)
}

/// Converts every object whose members are all numbered parts under `member` to a list in the order of the
/// numbers.
fn with_lists(value: Value) -> Result<Value, Rejection> {
    let Value::Object(mut members) = value else { return Ok(value) };
    if members.len() != 1 || !members.get("member").is_some_and(Value::is_object) {
        return members.into_iter().map(|(name, value)| Ok((name, with_lists(value)?))).collect();
    }
    let Some(Value::Object(items)) = members.remove("member") else { return Ok(Value::Object(members)) };
    let mut numbered = BTreeMap::new();
    for (number, item) in items {
        let number: u32 = number.parse().map_err(|_| malformed("A list must be numbered."))?;
        if numbered.insert(number, with_lists(item)?).is_some() {
            return Err(malformed("A list has a number twice."));
        }
    }
    Ok(numbered.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sts::assume_role_with_web_identity::Input;
    use crate::shapes::Empty;

    const HEAD: &str = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15";

    fn read(rest: &str) -> Result<Input, Rejection> {
        members(format!("{HEAD}&{rest}").as_bytes())
    }

    #[test]
    fn texts_numbers_and_lists_are_read_as_clients_send_them() {
        let input = read(
            "RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fguest&RoleSessionName=web+identity%2B1&WebIdentityToken=a.b.c\
             &DurationSeconds=3600&PolicyArns.member.10.arn=ten&PolicyArns.member.2.arn=two",
        )
        .expect("a form");
        assert_eq!(input.role_arn.as_deref(), Some("arn:aws:iam::000000000000:role/guest"));
        assert_eq!(input.role_session_name.as_deref(), Some("web identity+1"));
        assert_eq!(input.web_identity_token.expect("a token").expose(), "a.b.c");
        assert_eq!(input.duration_seconds, Some(3600));
        let policies = input.policy_arns.expect("policies");
        let names: Vec<_> = policies.iter().filter_map(|policy| policy.arn.as_deref()).collect();
        assert_eq!(names, ["two", "ten"]);
        assert_eq!(input.policy, None);
    }

    #[test]
    fn unknown_members_and_a_line_end_behind_the_form_are_ignored() {
        assert_eq!(read("Other=1&Other2.member.1=2\r\n").expect("a form").role_arn, None);
        assert_eq!(members::<Empty>(b"Action=GetCallerIdentity&Version=2011-06-15\n"), Ok(Empty {}));
    }

    #[test]
    fn broken_forms_are_refused() {
        for rest in [
            "RoleArn=a&RoleArn=a",
            "RoleArn=a&RoleArn.member.1=a",
            "RoleArn.member.1=a",
            "RoleArn=%ff",
            "RoleArn=%4",
            "%ff=a",
            "DurationSeconds=soon",
            "DurationSeconds=",
            "PolicyArns=a",
            "PolicyArns.member.x.arn=a",
            "PolicyArns.member.1=a",
            "PolicyArns.member.1.arn=a&PolicyArns.member.01.arn=b",
            "PolicyArns.other.1.arn=a",
            "PolicyArns.member.1.arn=a&PolicyArns.2=b",
            "a.b.c.d.e.f.g.h.i=1",
        ] {
            assert!(read(rest).is_err(), "{rest}");
        }
        assert_eq!(members::<Input>(b"Action=\xff").map(|_| ()), Err(Rejection::BodyNotUtf8));
    }

    #[test]
    fn a_form_with_more_members_than_any_action_has_is_refused() {
        let others =
            |count: usize| (0..count).map(|number| format!("Other{number}=1")).collect::<Vec<_>>().join("&");
        assert!(read(&others(254)).is_ok());
        assert_eq!(read(&others(255)).expect_err("too many").to_string(), "A form has at most 256 members.");
    }

    #[test]
    fn a_number_that_is_none_is_refused_by_its_name() {
        let rejection = read("DurationSeconds=soon").expect_err("no number");
        assert_eq!(rejection.to_string(), "'DurationSeconds': not an integer");
    }

    #[test]
    fn a_rejection_never_repeats_a_token() {
        let rejection = read("WebIdentityToken=hush&WebIdentityToken=hush").expect_err("twice");
        assert!(!rejection.to_string().contains("hush"), "{rejection}");
    }
}
