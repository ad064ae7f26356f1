//! Live channels: an open client receives each new count of a dataset as a server-sent event
//! (`docs/protocol.md` section 13.5). Every check that a channel passes is in [`open`], in order.
//!
//! Live channels show state; they are not effects. A channel that missed a change catches up from the
//! dataset's head, which it reads on opening and with every heartbeat. So nothing is stored for it, and
//! commits of other processes are shown too, a heartbeat late.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carryall_core::caller::Caller;
use carryall_core::ids::{DatasetName, SyncCount};
use carryall_core::model::DatasetRef;
use carryall_core::time::UnixMillis;
use carryall_wire::codec::{self, Rejection};
use carryall_wire::effects::change_notice::ChangeNotice;
use carryall_wire::spec::{Access, Method, Service};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::app::App;
use crate::failure::Failure;
use crate::metrics::{LIVE_CHANNEL, ServerLimit};
use crate::ops::access::{Subject, authorise};
use crate::ops::call::Call;
use crate::request::authenticate::authenticate;
use crate::request::cors;
use crate::request::exchange::{Arrival, Exchange};
use crate::source::Source;
use crate::state::live_channels::TooMany;
use crate::stop::told_to_stop;

/// The time after which a browser reconnects when a channel ends, in milliseconds.
const RETRY_MILLIS: u32 = 2000;
/// The time after which a new channel first reads the store again.
const FIRST_BEAT: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: &str = "last-event-id";

/// The body of a channel's answer.
pub type LiveBody = UnsyncBoxBody<Bytes, Infallible>;

/// An open channel, unsubscribed on drop.
struct Channel {
    app: Arc<App>,
    at: DatasetRef,
    source: Source,
    /// `None` only during the drop.
    counts: Option<broadcast::Receiver<SyncCount>>,
    stop: watch::Receiver<bool>,
    heartbeat: Interval,
    /// The count that the client knows.
    told: SyncCount,
    /// The caller who opened it.
    caller: Caller,
    /// The expiry time of the caller's credentials.
    expires: Option<UnixMillis>,
    first: Option<Bytes>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        // The receiver is dropped first: an entry without receivers means that no channel listens.
        self.counts = None;
        self.app.state.live().unsubscribe(&self.at, self.source);
        self.app.metrics.effects.live_channel_closed();
    }
}

/// Opens the channel that `head` requests, or returns why it is refused.
pub async fn open(
    app: &Arc<App>,
    head: &Parts,
    arrival: Arrival,
    stop: watch::Receiver<bool>,
    exchange: &mut Exchange,
) -> Result<Response<LiveBody>, Failure> {
    let now = app.clock.now();
    exchange.label = LIVE_CHANNEL;
    let changes = codec::changes(head.uri.path()).ok_or(Rejection::UnknownPath)??;
    if head.method != http::Method::GET {
        return Err(Rejection::MethodNotAllowed { allow: Method::Get.as_str() }.into());
    }
    let signed = authenticate(&app.trust, &app.config, head, Method::Get, Service::Sync, now).await?;
    let expires = signed.expires();
    let caller = signed.verify(&[])?;
    exchange.caller = Some(crate::request::authenticate::describe(&caller));
    authorise(Access::Either, Some(&caller), Subject::of(&changes))?;
    let known = known_count(&head.headers, head.uri.query().unwrap_or_default())?;
    DatasetName::parse(&changes.dataset_name)?;
    let at = dataset(app, caller.clone(), now, arrival, &changes).await?;

    let source = Source::of(arrival.client);
    let counts = app.state.live().subscribe(&at, source).map_err(|too_many| match too_many {
        TooMany::InAll => Failure::Overloaded(ServerLimit::LiveSubscribers),
        TooMany::Of(holder) => Failure::OverShare(ServerLimit::LiveSubscribers, holder),
    })?;
    app.metrics.effects.live_channel_opened();
    let mut heartbeat = interval(Duration::from_secs(app.config.live.heartbeat_seconds.get().into()));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A commit in flight during the subscription may not have been announced, so check the head early.
    heartbeat.reset_after(FIRST_BEAT.min(heartbeat.period()));
    let (app, counts) = (Arc::clone(app), Some(counts));
    let mut channel = Channel {
        app,
        at,
        source,
        counts,
        stop,
        heartbeat,
        told: SyncCount::ZERO,
        caller,
        expires,
        first: None,
    };
    channel.begin(known).await?;
    Ok(answer(channel, &exchange.request_id, &head.headers))
}

/// The count that the client knows. A browser that reconnects names the last one that it received.
fn known_count(headers: &HeaderMap, query: &str) -> Result<Option<SyncCount>, Failure> {
    let told = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
    match told {
        Some(count) => Ok(Some(SyncCount(count))),
        None => Ok(codec::last_sync_count(query)?.map(SyncCount)),
    }
}

async fn dataset(
    app: &App,
    caller: Caller,
    now: UnixMillis,
    arrival: Arrival,
    changes: &codec::Changes<'_>,
) -> Result<DatasetRef, Failure> {
    let source = Source::of(arrival.client);
    let holding = app.capacity.admit(Some(&caller), source, app.capacity.patience()).await?;
    let call = Call::new(app, Some(caller), now, source, holding);
    call.dataset(changes).await
}

fn answer(channel: Channel, request_id: &str, request: &HeaderMap) -> Response<LiveBody> {
    let app = Arc::clone(&channel.app);
    let frames = stream::unfold(channel, |mut channel| async {
        let frame = channel.next().await?;
        Some((Ok(Frame::data(frame)), channel))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    cors::expose(&app.config.cors_allowed_origins, request, headers);
    response
}

impl Channel {
    /// Prepares the first block to send: the reconnection time, and the present count unless the client knows
    /// it.
    async fn begin(&mut self, known: Option<SyncCount>) -> Result<(), Failure> {
        let count = self.app.state.reads().head(&self.at).await?.effective().sync_count;
        let mut first = format!("retry: {RETRY_MILLIS}\n\n");
        if known.map_or(count > SyncCount::ZERO, |known| count > known) {
            first.push_str(&self.event(count));
        }
        self.told = count;
        self.first = Some(Bytes::from(first));
        Ok(())
    }

    fn event(&self, count: SyncCount) -> String {
        self.app.metrics.effects.live_notice();
        let DatasetRef { owner, name } = &self.at;
        let notice =
            ChangeNotice::new(owner.pool.id.as_str(), owner.identity.as_str(), name.as_str(), count.0);
        // The members are plain text, which always has a JSON form.
        let json = serde_json::to_string(&notice).unwrap_or_default();
        format!("id: {count}\ndata: {json}\n\n")
    }

    /// The next block to send; `None` ends the channel.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let counts = self.counts.as_mut()?;
            let count = tokio::select! {
                () = told_to_stop(&mut self.stop) => return None,
                told = counts.recv() => match told {
                    // A busy dataset must not keep a channel open beyond its credentials.
                    Ok(_) if self.expired() => return None,
                    Ok(count) => count,
                    // The client is too slow for each count; the newest suffices.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.newest().await?,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => {
                    let count = self.newest().await?;
                    if count <= self.told {
                        return Some(Bytes::from_static(b":\n\n"));
                    }
                    count
                }
            };
            if count > self.told {
                self.told = count;
                return Some(Bytes::from(self.event(count)));
            }
        }
    }

    fn expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= self.app.clock.now())
    }

    /// The dataset's present count. `None` if the client may no longer know it, because the credentials have
    /// expired or the pool or the developer's key is gone, or if the store does not answer.
    async fn newest(&self) -> Option<SyncCount> {
        if self.expired() {
            return None;
        }
        if !self.app.trust.still_stands(&self.caller).await.ok()? {
            return None;
        }
        let pool = &self.at.owner.pool;
        let stands = self.app.state.pool(&pool.id).await.ok()?.is_some_and(|found| found.at == *pool);
        if !stands {
            return None;
        }
        Some(self.app.state.reads().head(&self.at).await.ok()?.effective().sync_count)
    }
}
