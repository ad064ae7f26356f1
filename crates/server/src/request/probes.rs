//! Answers without a signature and outside the API: liveness, readiness and metrics (`docs/protocol.md`
//! section 1.5).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::app::App;

/// The unsigned requests outside the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Liveness: the process runs.
    Live,
    /// Readiness: the store answers and accepts writes.
    Ready,
    /// The metrics page.
    Metrics,
}

impl Probe {
    /// The methods that probes accept, as an `Allow` header has them.
    pub const ALLOW: &str = "GET, HEAD";

    /// The probe that a request asks for; `None` for requests to the API.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        Self::at(path)
    }

    /// The probe with this path.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/health/live" => Some(Self::Live),
            "/health/ready" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }
}

/// Answers a probe.
pub async fn answer(app: &App, probe: Probe) -> Response<Full<Bytes>> {
    match probe {
        Probe::Live => health(StatusCode::OK, &json!({ "status": "live" })),
        Probe::Ready => match app.state.readiness().await {
            Ok(()) => health(StatusCode::OK, &json!({ "status": "ready" })),
            Err(reason) => {
                let body = json!({ "status": "not ready", "reason": reason });
                health(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
        },
        Probe::Metrics => metrics(app),
    }
}

fn metrics(app: &App) -> Response<Full<Bytes>> {
    let figures = [app.capacity.figures().to_vec(), app.state.figures()].concat();
    match app.metrics.page(&figures) {
        Ok(page) => plain(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", page),
        Err(error) => {
            tracing::error!(%error, "the metrics page could not be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new())
        }
    }
}

fn health(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    plain(status, "application/json", body.to_string())
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_the_three_paths_is_a_probe() {
        assert_eq!(Probe::of(&Method::GET, "/health/live"), Some(Probe::Live));
        assert_eq!(Probe::of(&Method::HEAD, "/health/ready"), Some(Probe::Ready));
        assert_eq!(Probe::of(&Method::GET, "/metrics"), Some(Probe::Metrics));
        assert_eq!(Probe::of(&Method::POST, "/health/live"), None);
        assert_eq!(Probe::of(&Method::GET, "/health/live/"), None);
    }
}
