//! A check of everything that a pool's settings name. It tests the whole chain of each effect, from the role
//! to the platform application, stream or function, and reports errors in plain words.

use std::pin::Pin;
use std::time::Duration;

use carryall_core::model::Pool;
use carryall_core::rules::set_cognito_events::SYNC_TRIGGER;
use carryall_outbound::{Finding, Outbound};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::app::App;

/// The time limit of all checks of one pool, in seconds: less than an operator command waits for a server.
const CHECK_SECONDS_MAX: u64 = 45;

/// Checks every effect for which `pool` is configured, all at the same time; empty if there is none.
pub async fn check(outbound: &Outbound, pool: &Pool) -> Vec<Finding> {
    let id = pool.at.id.as_str();
    let mut checks: Vec<Pin<Box<dyn Future<Output = Vec<Finding>> + Send>>> = Vec::new();
    if let Some(push) = &pool.push {
        for arn in &push.application_arns {
            let port = outbound.push(id, arn, push.role_arn.as_deref());
            checks.push(in_time(format!("push {arn}"), async move { port.check().await }));
        }
    }
    if let Some(streams) = &pool.streams {
        let trouble = streams.disabled_reason.clone();
        let finding = trouble.map(|trouble| Finding { what: "stream".to_owned(), trouble: Some(trouble) });
        checks.push(Box::pin(std::future::ready(finding.into_iter().collect())));
        if let Some(name) = &streams.stream_name {
            let port = outbound.stream(id, name, streams.role_arn.as_deref());
            if port.message_bytes_max().is_some()
                && let Some(bucket) = outbound.large_objects(streams.role_arn.as_deref())
            {
                checks.push(in_time("large objects".to_owned(), async move { bucket.check().await }));
            }
            checks.push(in_time(format!("stream {name}"), async move { port.check().await }));
        }
    }
    if let Some(function) = pool.events.get(SYNC_TRIGGER) {
        let port = outbound.trigger(id, function);
        checks.push(in_time(format!("{SYNC_TRIGGER} {function}"), async move { port.check().await }));
    }
    join_all(checks).await.into_iter().flatten().collect()
}

/// The findings of one effect, each prefixed with the effect's name, or one finding that there was no answer
/// in time.
fn in_time(
    effect: String,
    check: impl Future<Output = Vec<Finding>> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Vec<Finding>> + Send>> {
    Box::pin(async move {
        let Ok(findings) = timeout(Duration::from_secs(CHECK_SECONDS_MAX), check).await else {
            let trouble = Some(format!("no answer within {CHECK_SECONDS_MAX} s"));
            return vec![Finding { what: effect, trouble }];
        };
        let named = |finding: Finding| Finding { what: format!("{effect}: {}", finding.what), ..finding };
        findings.into_iter().map(named).collect()
    })
}

/// Checks every effect of `pool` in the background, and logs a warning for each error. The check is skipped
/// if too many are in progress; `carryall pool check` repeats it.
pub fn check_in_background(app: &App, pool: Pool) {
    if pool.push.is_none() && pool.streams.is_none() && pool.events.is_empty() {
        return;
    }
    let Some(permit) = app.capacity.check_pool() else { return };
    let outbound = app.outbound.clone();
    tokio::spawn(async move {
        let _permit = permit;
        for Finding { what, trouble } in check(&outbound, &pool).await {
            if let Some(trouble) = trouble {
                tracing::warn!(pool = %pool.at.id, what, trouble, "a setting of the pool cannot be used");
            }
        }
    });
}
