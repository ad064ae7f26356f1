//! Routing: the operation of a request, from its head (method, raw path and headers).
//!
//! The rules are in `docs/protocol.md` sections 1.1 to 1.5 and 2.1. Only a form must be read before its
//! operation is known. Signatures are not checked here. The path is used raw, because signatures cover it
//! raw.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, TRANSFER_ENCODING};

use super::bound::Label;
use super::form;
use super::percent;
use super::rejection::Rejection;
use super::{Dialect, Wrapping};
use crate::names::Names;
use crate::spec::{Method, OPERATIONS, OperationName, Service, Spec};

/// The largest number of segments of a path in the table.
const SEGMENTS_MAX: usize = 8;

/// The destination of a request.
#[derive(Debug)]
pub enum Routed<'r> {
    /// An operation that the head names.
    Operation(Route<'r>),
    /// An operation of STS that the body names.
    Form(Form<'r>),
}

impl Routed<'_> {
    /// The dialect of the answer, as far as it is known.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Operation(route) => route.dialect,
            Self::Form(form) => form.dialect(),
        }
    }

    /// The service that the signature must be for.
    pub const fn service(&self) -> Service {
        match self {
            Self::Operation(route) => route.dialect.service(),
            Self::Form(_) => Service::Sts,
        }
    }

    /// The method that was signed.
    pub const fn method(&self) -> Method {
        match self {
            Self::Operation(route) => route.method,
            Self::Form(_) => Method::Post,
        }
    }

    /// The largest accepted body, in bytes.
    pub const fn body_bytes_max(&self) -> u32 {
        match self {
            Self::Operation(route) => route.operation.spec().body_bytes_max,
            Self::Form(_) => form::FORM_BODY_BYTES_MAX,
        }
    }
}

/// A request whose operation is known.
#[derive(Debug)]
pub struct Route<'r> {
    /// The operation.
    pub operation: OperationName,
    /// The dialect of the request; for RPC, [`super::decode()`] finds the wrapping.
    pub dialect: Dialect,
    /// The effective, signed method, which may come from an override header.
    pub method: Method,
    pub(super) labels: Vec<Label<'r>>,
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
}

/// The names in the path, known before the body is read. Other dialects have none there.
impl Names for Route<'_> {
    fn pool(&self) -> Option<&str> {
        self.label("IdentityPoolId")
    }

    fn identity(&self) -> Option<&str> {
        self.label("IdentityId")
    }

    fn dataset(&self) -> Option<&str> {
        self.label("DatasetName")
    }
}

impl Route<'_> {
    /// The operation's row in the table.
    pub const fn spec(&self) -> &'static Spec {
        self.operation.spec()
    }

    /// The decoded value of a path label, by the member's name. Other dialects have no labels.
    pub fn label(&self, member: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| *name == member).map(|(_, value)| &**value)
    }
}

/// A `POST /` without a target, whose body may be a form.
#[derive(Debug)]
pub struct Form<'r> {
    query: &'r str,
    headers: &'r HeaderMap,
    is_declared: bool,
}

impl<'r> Form<'r> {
    /// The dialect of the answer while the body is unknown.
    pub const fn dialect(&self) -> Dialect {
        if self.is_declared { Dialect::Query } else { Dialect::Rest }
    }

    /// Returns the route to the operation that the body names.
    pub fn resolve(self, body: &[u8]) -> Result<Route<'r>, Refused> {
        if !self.is_declared && !body.starts_with(b"Action=") {
            return Err(Refused { dialect: Dialect::Rest, rejection: Rejection::NoTarget });
        }
        let dialect = Dialect::Query;
        let operation = form::operation(body).map_err(|rejection| Refused { dialect, rejection })?;
        Ok(Route {
            operation,
            dialect,
            method: Method::Post,
            labels: Vec::new(),
            query: self.query,
            headers: self.headers,
        })
    }
}

/// A request without a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The dialect of the answer.
    pub dialect: Dialect,
    /// The reason.
    pub rejection: Rejection,
}

/// A path of the table with its operations.
struct PathPattern {
    segments: Vec<Segment>,
    specs: Vec<&'static Spec>,
    allow: String,
}

enum Segment {
    Literal(&'static str),
    Label(&'static str),
}

static PATH_PATTERNS: LazyLock<Vec<PathPattern>> = LazyLock::new(|| {
    let mut patterns: Vec<PathPattern> = Vec::new();
    let rest = OPERATIONS.iter().copied().filter(|spec| spec.service == Service::Sync);
    for spec in rest {
        match patterns.iter_mut().find(|pattern| pattern.specs.iter().any(|known| known.path == spec.path)) {
            Some(pattern) => {
                pattern.specs.push(spec);
                pattern.allow = format!("{}, {}", pattern.allow, spec.method.as_str());
            }
            None => patterns.push(PathPattern {
                segments: spec.path.split('/').skip(1).map(segment).collect(),
                specs: vec![spec],
                allow: spec.method.as_str().to_owned(),
            }),
        }
    }
    patterns
});

fn segment(text: &'static str) -> Segment {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(label) => Segment::Label(label),
        None => Segment::Literal(text),
    }
}

/// Routes a request. `path` and `query` are undecoded; the query is without its question mark.
pub fn route<'r>(
    method: &str,
    path: &'r str,
    query: Option<&'r str>,
    headers: &'r HeaderMap,
) -> Result<Routed<'r>, Refused> {
    let query = query.unwrap_or_default();
    if headers.contains_key(TRANSFER_ENCODING) && !is_chunked_alone(headers) {
        return Err(Refused { dialect: Dialect::Rest, rejection: Rejection::TransferCoding });
    }
    if path == "/" {
        return front_door(method, query, headers);
    }
    rest(method, path, query, headers)
        .map(Routed::Operation)
        .map_err(|rejection| Refused { dialect: Dialect::Rest, rejection })
}

/// True if the body has no transfer coding but `chunked`. The HTTP library removes `chunked`, the last
/// coding, and would hand over the remaining ones as if they were the body.
fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let only = codings.next().filter(|_| codings.next().is_none());
    only.is_some_and(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Routes `POST /`: the RPC form, Cognito Identity, or a form.
fn front_door<'r>(method: &str, query: &'r str, headers: &'r HeaderMap) -> Result<Routed<'r>, Refused> {
    if method != Method::Post.as_str() {
        let rejection = Rejection::MethodNotAllowed { allow: Method::Post.as_str() };
        return Err(Refused { dialect: Dialect::Rest, rejection });
    }
    let Some(target) = headers.get("x-amz-target") else {
        return Ok(Routed::Form(Form { query, headers, is_declared: is_form(headers) }));
    };
    let target = target.to_str().unwrap_or_default();
    for dialect in [Dialect::Rpc(Wrapping::Bare), Dialect::Json] {
        let service = dialect.service();
        let Some(name) = service.target_prefix().and_then(|prefix| target.strip_prefix(prefix)) else {
            continue;
        };
        let operation = OperationName::parse(service, name)
            .ok_or(Refused { dialect, rejection: Rejection::UnknownTarget })?;
        let labels = Vec::new();
        return Ok(Routed::Operation(Route {
            operation,
            dialect,
            method: Method::Post,
            labels,
            query,
            headers,
        }));
    }
    Err(Refused { dialect: Dialect::Rest, rejection: Rejection::UnknownTarget })
}

fn is_form(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(form::CONTENT_TYPE)
}

fn rest<'r>(
    method: &str,
    path: &'r str,
    query: &'r str,
    headers: &'r HeaderMap,
) -> Result<Route<'r>, Rejection> {
    let (segments, count) = segments(path)?;
    let pattern = segments
        .get(..count)
        .and_then(|segments| PATH_PATTERNS.iter().find(|pattern| pattern.matches(segments)))
        .ok_or(Rejection::UnknownPath)?;
    let labels = pattern.labels(&segments)?;
    let not_allowed = Rejection::MethodNotAllowed { allow: &pattern.allow };
    let Some(method) = effective_method(method, headers) else { return Err(not_allowed) };
    let spec = pattern.specs.iter().find(|spec| spec.method == method).ok_or(not_allowed)?;
    Ok(Route { operation: spec.name, dialect: Dialect::Rest, method, labels, query, headers })
}

/// The method by which a request is routed and signed. Old Unity clients send `POST` and name `DELETE` in a
/// header, which they also sign; the header has no other use (`docs/protocol.md` section 1.1). `None` for any
/// other override, for two overrides that differ, and for a method that no operation has.
fn effective_method(method: &str, headers: &HeaderMap) -> Option<Method> {
    let method = Method::parse(method)?;
    let mut overrides = headers.get_all("x-http-method-override").iter().peekable();
    if method != Method::Post || overrides.peek().is_none() {
        return Some(method);
    }
    let delete = Method::Delete;
    overrides.all(|named| named.as_bytes() == delete.as_str().as_bytes()).then_some(delete)
}

/// Splits a path before it is decoded, so that an encoded slash is part of a value. The count may exceed the
/// array's length, in which case no operation has the path.
fn segments(path: &str) -> Result<([&str; SEGMENTS_MAX], usize), Rejection> {
    let mut segments = [""; SEGMENTS_MAX];
    let mut count = 0;
    for segment in path.strip_prefix('/').ok_or(Rejection::UnknownPath)?.split('/') {
        let decoded = percent::decode(segment).ok_or(Rejection::PathEncoding)?;
        if matches!(&*decoded, "" | "." | "..") {
            return Err(Rejection::PathSegment);
        }
        if let Some(place) = segments.get_mut(count) {
            *place = segment;
        }
        count += 1;
    }
    Ok((segments, count))
}

impl PathPattern {
    fn matches(&self, segments: &[&str]) -> bool {
        self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(|(expected, segment)| match expected {
                Segment::Literal(literal) => literal == segment,
                Segment::Label(_) => true,
            })
    }

    fn labels<'r>(&self, segments: &[&'r str]) -> Result<Vec<(&'static str, Cow<'r, str>)>, Rejection> {
        let mut labels = Vec::with_capacity(4);
        for (expected, segment) in self.segments.iter().zip(segments) {
            if let Segment::Label(name) = expected {
                labels.push((*name, percent::decode(segment).ok_or(Rejection::PathEncoding)?));
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const POOL: &str = "us-east-1%3A01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn rejected(method: &str, path: &str, with: &[(&'static str, &str)]) -> Refused {
        route(method, path, None, &headers(with)).expect_err(path)
    }

    fn operation(
        method: &str,
        path: &str,
        with: &[(&'static str, &str)],
    ) -> (OperationName, Method, Dialect) {
        match route(method, path, None, &headers(with)).expect(path) {
            Routed::Operation(route) => (route.operation, route.method, route.dialect),
            Routed::Form(_) => panic!("{path} led to a form"),
        }
    }

    #[test]
    fn every_row_of_the_table_is_reached_by_its_own_path() {
        for spec in OPERATIONS.iter().filter(|spec| spec.service == Service::Sync) {
            let path = spec.path.replace(['{', '}'], "");
            assert_eq!(operation(spec.method.as_str(), &path, &[]), (spec.name, spec.method, Dialect::Rest));
        }
    }

    #[test]
    fn labels_are_decoded_after_the_path_was_split() {
        let headers = HeaderMap::new();
        let path = "/identitypools/us-east-1%3A01/identities/us-east-1:02/datasets/a%2Fb%2E";
        let Routed::Operation(route) = route("GET", path, None, &headers).expect("a dataset") else {
            panic!("no form");
        };
        assert_eq!(route.operation, OperationName::DescribeDataset);
        assert_eq!(route.label("IdentityPoolId"), Some("us-east-1:01"));
        assert_eq!(route.label("IdentityId"), Some("us-east-1:02"));
        assert_eq!(route.label("DatasetName"), Some("a/b."));
        assert_eq!(route.label("DeviceId"), None);
    }

    #[test]
    fn empty_and_dot_segments_are_refused_wherever_they_stand() {
        for path in [
            "//",
            "/identitypools/",
            "/identitypools//events",
            "/identitypools/./events",
            "/identitypools/../events",
            "/identitypools/%2e/events",
            "/identitypools/%2E%2e/events",
            "/identitypools/.%2e/events",
            "/a/b/c/d/e/f/g/h/i//",
            "/unknown/..",
        ] {
            assert_eq!(rejected("GET", path, &[]).rejection, Rejection::PathSegment, "{path}");
        }
        assert_eq!(operation("GET", "/identitypools/.../events", &[]).0, OperationName::GetCognitoEvents);
    }

    #[test]
    fn segments_that_are_no_percent_encoded_utf8_are_refused() {
        for path in ["/identitypools/%ff/events", "/identitypools/%4/events", "/identitypools/a%", "/%zz"] {
            assert_eq!(rejected("GET", path, &[]).rejection, Rejection::PathEncoding, "{path}");
        }
    }

    #[test]
    fn an_unknown_path_is_404_in_the_form_of_sync() {
        for path in [
            "*",
            "",
            "/identitypool",
            "/IdentityPools",
            "/identitypoolsx/a",
            "/identitypools/a/other",
            "/a/b/c/d/e/f/g/h/i",
            "/%69dentitypools",
            "/identitypools/p/identities/i/datasets/d/subscriptions/x/y",
        ] {
            let refused = rejected("GET", path, &[]);
            assert_eq!(
                refused,
                Refused { dialect: Dialect::Rest, rejection: Rejection::UnknownPath },
                "{path}"
            );
            assert_eq!(refused.rejection.fault(Service::Sync).kind.status(Service::Sync), 404);
        }
    }

    #[test]
    fn a_known_path_with_another_method_is_405_and_says_which_it_takes() {
        let dataset = format!("/identitypools/{POOL}/identities/{POOL}/datasets/d");
        for method in ["PUT", "HEAD", "PATCH", "get", "TRACE"] {
            let rejection = rejected(method, &dataset, &[]).rejection;
            assert_eq!(rejection.allow(), Some("DELETE, GET, POST"));
            assert_eq!(rejection.fault(Service::Sync).kind.status(Service::Sync), 405);
            assert_eq!(rejection.fault(Service::Sync).kind.name(Service::Sync), "UnknownOperationException");
        }
        assert_eq!(rejected("POST", "/identitypools", &[]).rejection.allow(), Some("GET"));
        assert_eq!(rejected("GET", "/", &[]).rejection.allow(), Some("POST"));
    }

    #[test]
    fn an_override_header_turns_a_post_into_what_it_says() {
        let dataset = format!("/identitypools/{POOL}/identities/{POOL}/datasets/d");
        let with = [("x-http-method-override", "DELETE")];
        assert_eq!(operation("POST", &dataset, &with).0, OperationName::DeleteDataset);
        assert_eq!(operation("POST", &dataset, &with).1, Method::Delete);
        assert_eq!(operation("POST", &dataset, &[]).0, OperationName::UpdateRecords);
        assert_eq!(operation("GET", &dataset, &with).0, OperationName::DescribeDataset);
        let twice = [with[0], with[0]];
        assert_eq!(operation("POST", &dataset, &twice).0, OperationName::DeleteDataset);
    }

    #[test]
    fn an_override_header_takes_delete_alone_and_two_that_differ_are_refused() {
        let dataset = format!("/identitypools/{POOL}/identities/{POOL}/datasets/d");
        let header = "x-http-method-override";
        for values in [
            &["GET"][..],
            &["POST"],
            &["PUT"],
            &["delete"],
            &[""],
            &["DELETE", "GET"],
            &["GET", "DELETE"],
            &["DELETE,DELETE"],
        ] {
            let with: Vec<_> = values.iter().map(|value| (header, *value)).collect();
            let refused = rejected("POST", &dataset, &with);
            assert!(refused.rejection.allow().is_some(), "{values:?}");
        }
    }

    #[test]
    fn a_transfer_coding_below_chunked_is_refused_on_every_path() {
        for path in ["/", "/identitypools", "/unknown"] {
            for codings in
                [&["gzip, chunked"][..], &["identity, chunked"], &["gzip", "chunked"], &["identity"], &[""]]
            {
                let with: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
                let refused = rejected("POST", path, &with);
                assert_eq!(refused.rejection, Rejection::TransferCoding, "{codings:?}");
            }
        }
        let dataset = format!("/identitypools/{POOL}/identities/{POOL}/datasets/d");
        let with = [("transfer-encoding", " Chunked ")];
        assert_eq!(operation("POST", &dataset, &with).0, OperationName::UpdateRecords);
    }

    #[test]
    fn targets_lead_to_sync_and_to_identity() {
        let sync = [("x-amz-target", "com.amazonaws.cognito.sync.model.AWSCognitoSyncService.ListRecords")];
        let expected = (OperationName::ListRecords, Method::Post, Dialect::Rpc(Wrapping::Bare));
        assert_eq!(operation("POST", "/", &sync), expected);
        let identity = [("x-amz-target", "AWSCognitoIdentityService.GetId")];
        assert_eq!(operation("POST", "/", &identity), (OperationName::GetId, Method::Post, Dialect::Json));
    }

    #[test]
    fn a_target_does_not_reach_into_another_service_and_unbuilt_operations_are_unknown() {
        for (target, dialect) in [
            ("AWSCognitoIdentityService.ListRecords", Dialect::Json),
            ("AWSCognitoIdentityService.UnlinkIdentity", Dialect::Json),
            ("AWSCognitoIdentityService.", Dialect::Json),
            ("com.amazonaws.cognito.sync.model.AWSCognitoSyncService.GetId", Dialect::Rpc(Wrapping::Bare)),
            (
                "com.amazonaws.cognito.sync.model.AWSCognitoSyncService.listRecords",
                Dialect::Rpc(Wrapping::Bare),
            ),
            ("DynamoDB_20120810.GetItem", Dialect::Rest),
            ("", Dialect::Rest),
        ] {
            let refused = rejected("POST", "/", &[("x-amz-target", target)]);
            assert_eq!(refused, Refused { dialect, rejection: Rejection::UnknownTarget }, "{target}");
        }
    }

    fn form(headers: &HeaderMap) -> Form<'_> {
        match route("POST", "/", None, headers).expect("the front door") {
            Routed::Form(form) => form,
            Routed::Operation(_) => panic!("no target, no operation"),
        }
    }

    #[test]
    fn a_form_is_known_by_its_content_type_or_by_how_it_begins() {
        let body = b"Action=GetCallerIdentity&Version=2011-06-15";
        for with in [
            &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")][..],
            &[("content-type", "Application/X-WWW-Form-Urlencoded")],
            &[("content-type", "text/plain")],
            &[],
        ] {
            let headers = headers(with);
            let route = form(&headers).resolve(body).expect("an action");
            assert_eq!((route.operation, route.dialect), (OperationName::GetCallerIdentity, Dialect::Query));
        }
    }

    #[test]
    fn a_post_without_target_or_form_is_refused_in_the_form_of_sync() {
        for body in [&b"{}"[..], b"", b"Version=2011-06-15&Action=GetCallerIdentity"] {
            let headers = HeaderMap::new();
            let refused = form(&headers).resolve(body).expect_err("no form");
            assert_eq!(refused, Refused { dialect: Dialect::Rest, rejection: Rejection::NoTarget });
        }
    }

    #[test]
    fn an_unknown_action_or_version_is_refused_in_xml() {
        for body in [
            &b"Action=GetSessionToken"[..],
            b"Action=GetId",
            b"Version=2011-06-15",
            b"Action.member.1=GetCallerIdentity",
            b"Action=GetCallerIdentity&Version=2010-05-08",
        ] {
            let headers = headers(&[("content-type", "application/x-www-form-urlencoded")]);
            let refused = form(&headers).resolve(body).expect_err("unknown");
            assert_eq!(refused.dialect, Dialect::Query);
            assert_eq!(
                refused.rejection.fault(Service::Sync).kind,
                crate::fault::FaultKind::UnknownOperation
            );
        }
    }

    #[test]
    fn a_route_says_for_which_service_and_method_its_signature_must_be() {
        let headers = HeaderMap::new();
        let routed = route("POST", "/", None, &headers).expect("the front door");
        assert_eq!((routed.service(), routed.method()), (Service::Sts, Method::Post));
        assert_eq!(routed.body_bytes_max(), form::FORM_BODY_BYTES_MAX);
        let routed = route("GET", "/identitypools", None, &headers).expect("a list");
        assert_eq!((routed.service(), routed.method()), (Service::Sync, Method::Get));
    }
}
