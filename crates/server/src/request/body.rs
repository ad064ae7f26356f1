//! Reading a request's body: refused before it is read when it says that it is too large, cut off when it turns out
//! to be, and within one memory budget for all requests together.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use carryall_wire::codec::Routed;
use carryall_wire::spec::RECORDS_BODY_BYTES_MAX;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::SemaphorePermit;

use crate::app::App;
use crate::config::Config;
use crate::failure::Failure;
use crate::metrics::{Counted, ServerLimit};

/// What one permit of the memory budget stands for.
const PERMIT_BYTES: usize = 1024;

/// A body, and its share of the memory budget for as long as it is held.
pub struct Read<'a> {
    bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
    _counted: Counted<'a>,
}

impl std::ops::Deref for Read<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The largest body that a request may bring: the setting where whole datasets travel, the operation's own limit
/// elsewhere.
pub fn bytes_max(config: &Config, routed: &Routed<'_>) -> usize {
    let modelled = routed.body_bytes_max();
    if modelled == RECORDS_BODY_BYTES_MAX {
        return config.body_bytes_max;
    }
    config.body_bytes_max.min(modelled as usize)
}

/// Reads a body of at most `bytes_max` bytes.
pub async fn read<'a, B>(
    app: &'a App,
    headers: &HeaderMap,
    mut body: B,
    bytes_max: usize,
) -> Result<Read<'a>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(Failure::BodyTooLarge { bytes_max });
    }
    if body.is_end_stream() {
        return Ok(Read { bytes: Bytes::new(), _share: None, _counted: app.metrics.body(0) });
    }
    let seconds_max = app.config.request_seconds_max;
    let whole = Duration::from_secs(seconds_max.into());
    tokio::time::timeout(whole, collect(app, &mut body, bytes_max))
        .await
        .map_err(|_| Failure::BodyTooSlow { seconds_max })?
}

async fn collect<'a, B>(app: &'a App, body: &mut B, bytes_max: usize) -> Result<Read<'a>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut share: Option<SemaphorePermit<'a>> = None;
    let mut paid_bytes = 0;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::BodyBroken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let total_bytes = first.len() + rest.len() + data.len();
        if total_bytes > bytes_max {
            return Err(Failure::BodyTooLarge { bytes_max });
        }
        // Memory is paid for as it arrives, so that a sender who announces much and sends nothing holds nothing.
        while paid_bytes < total_bytes {
            let permits = (total_bytes - paid_bytes).div_ceil(PERMIT_BYTES);
            let permits = u32::try_from(permits).unwrap_or(u32::MAX);
            let more = app
                .body_kilobytes
                .try_acquire_many(permits)
                .map_err(|_| Failure::Overloaded(ServerLimit::BodiesInFlightBytes))?;
            paid_bytes += permits as usize * PERMIT_BYTES;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
        }
        // Most bodies are one frame, which need not be copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Read { _counted: app.metrics.body(bytes.len()), bytes, _share: share })
}
