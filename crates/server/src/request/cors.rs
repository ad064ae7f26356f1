//! Cross-origin requests of browsers: preflights, and the headers of an answer that scripts may read
//! (`docs/protocol.md` section 2.6).

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use crate::config::AllowedOrigins;

/// The response headers that an SDK in a browser must be able to read.
const EXPOSED: HeaderValue = HeaderValue::from_static("x-amzn-ErrorType, x-amzn-RequestId, Date");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
/// The time for which a browser may keep the answer to a preflight: a day, in seconds.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// True if a request is a browser's preflight.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight. An origin that is not allowed gets no permission, and the browser then blocks the
/// request.
pub fn preflight(allowed: &AllowedOrigins, request: &HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if allow_origin(allowed, request, headers) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        // SDKs sign additional headers. Any requested header is allowed, since none carries rights.
        if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    response
}

/// Allows a script of an allowed origin to read an answer.
pub fn expose(allowed: &AllowedOrigins, request: &HeaderMap, headers: &mut HeaderMap) {
    if allow_origin(allowed, request, headers) {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

fn allow_origin(allowed: &AllowedOrigins, request: &HeaderMap, headers: &mut HeaderMap) -> bool {
    if let AllowedOrigins::List(_) = allowed {
        // Set without an origin too: a cache must not serve that answer to a page that may read its own.
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = request.get(ORIGIN) else { return false };
    match allowed {
        AllowedOrigins::Any => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            true
        }
        AllowedOrigins::List(origins) => {
            let known = origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
            if known {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
            known
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("authorization,x-amz-date"));
        headers
    }

    #[test]
    fn any_origin_may_send_the_headers_it_asks_for() {
        let response = preflight(&AllowedOrigins::Any, &from("https://app.example"));
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "authorization,x-amz-date");
    }

    #[test]
    fn a_list_admits_its_own_origins_only() {
        let list = AllowedOrigins::List(vec!["https://app.example".to_owned()]);
        let known = preflight(&list, &from("https://app.example"));
        assert_eq!(known.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        let unknown = preflight(&list, &from("https://evil.example"));
        assert!(!unknown.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!unknown.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        let mut headers = HeaderMap::new();
        expose(&list, &from("https://evil.example"), &mut headers);
        assert!(!headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
    }

    #[test]
    fn with_a_list_an_answer_varies_by_origin_even_for_a_request_without_one() {
        let list = AllowedOrigins::List(vec!["https://app.example".to_owned()]);
        let mut headers = HeaderMap::new();
        expose(&list, &HeaderMap::new(), &mut headers);
        assert_eq!(headers[VARY], "Origin");
        assert!(!headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
    }

    #[test]
    fn a_call_without_an_origin_is_no_browsers() {
        let mut headers = HeaderMap::new();
        expose(&AllowedOrigins::Any, &HeaderMap::new(), &mut headers);
        assert!(headers.is_empty());
    }
}
