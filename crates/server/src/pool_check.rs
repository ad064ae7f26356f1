//! Whether what a pool's settings name can be reached: tries the whole chain of each effect, from the role to the
//! platform application, stream or function, and says in plain words what is wrong.

use carryall_core::model::Pool;
use carryall_core::rules::set_cognito_events::SYNC_TRIGGER;
use carryall_outbound::{Finding, Outbound};

/// Tries every effect that `pool` is set up for; empty if there is none.
pub async fn check(outbound: &Outbound, pool: &Pool) -> Vec<Finding> {
    let id = pool.at.id.as_str();
    let mut findings = Vec::new();
    if let Some(push) = &pool.push {
        for arn in &push.application_arns {
            let port = outbound.push(id, arn, push.role_arn.as_deref());
            findings.extend(named(&format!("push {arn}"), port.check().await));
        }
    }
    if let Some(streams) = &pool.streams {
        match streams.enabled_stream() {
            Some(_) => findings.extend(note(streams.disabled_reason.as_deref())),
            None => findings.push(switched_off(streams.disabled_reason.as_deref())),
        }
        if let Some(name) = &streams.stream_name {
            let port = outbound.stream(id, name, streams.role_arn.as_deref());
            findings.extend(named(&format!("stream {name}"), port.check().await));
            if port.message_bytes_max().is_some()
                && let Some(bucket) = outbound.large_objects(streams.role_arn.as_deref())
            {
                findings.extend(named("large objects", bucket.check().await));
            }
        }
    }
    if let Some(function) = pool.events.get(SYNC_TRIGGER) {
        let port = outbound.trigger(id, function);
        findings.extend(named(&format!("{SYNC_TRIGGER} {function}"), port.check().await));
    }
    findings
}

/// Findings of one effect, each with the effect's name before it.
fn named(effect: &str, findings: Vec<Finding>) -> impl Iterator<Item = Finding> {
    findings
        .into_iter()
        .map(move |finding| Finding { what: format!("{effect}: {}", finding.what), ..finding })
}

fn switched_off(reason: Option<&str>) -> Finding {
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    Finding { what: "streaming is enabled".to_owned(), trouble: Some(format!("it is not{reason}")) }
}

fn note(reason: Option<&str>) -> Option<Finding> {
    let trouble = Some(reason?.to_owned());
    Some(Finding { what: "every change was streamed".to_owned(), trouble })
}

/// Tries every effect of `pool` without keeping anybody waiting, and warns in the log of what cannot be reached.
pub fn check_in_background(outbound: &Outbound, pool: Pool) {
    if pool.push.is_none() && pool.streams.is_none() && pool.events.is_empty() {
        return;
    }
    let outbound = outbound.clone();
    tokio::spawn(async move {
        for Finding { what, trouble } in check(&outbound, &pool).await {
            if let Some(trouble) = trouble {
                tracing::warn!(pool = %pool.at.id, what, trouble, "a setting of the pool cannot be used");
            }
        }
    });
}
