//! Signatures for hand-written requests, made by the AWS SDK's signer, so that the project's own code never
//! computes a signature that the server verifies.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;

use crate::caller::Caller;
use crate::http::Request;

/// The parameters of one signature.
#[derive(Clone, Debug)]
pub struct Signing<'a> {
    caller: &'a Caller,
    service: &'a str,
    region: &'a str,
    at: SystemTime,
    content_hash: bool,
    method: Option<&'a str>,
}

impl<'a> Signing<'a> {
    /// By this caller for this service, now, in `us-east-1`.
    pub fn by(caller: &'a Caller, service: &'a str) -> Self {
        Self { caller, service, region: "us-east-1", at: now(), content_hash: false, method: None }
    }

    /// With another region in the scope.
    #[must_use]
    pub fn region(mut self, region: &'a str) -> Self {
        self.region = region;
        self
    }

    /// As of a clock that is off by this many seconds.
    #[must_use]
    pub fn off_by_seconds(mut self, seconds: i64) -> Self {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        self.at = if seconds < 0 { self.at - distance } else { self.at + distance };
        self
    }

    /// With the `x-amz-content-sha256` header.
    #[must_use]
    pub fn content_hash(mut self) -> Self {
        self.content_hash = true;
        self
    }

    /// As if the request had this method.
    #[must_use]
    pub fn method(mut self, method: &'a str) -> Self {
        self.method = Some(method);
        self
    }

    /// Signs by headers; every header that the request has so far is covered.
    pub fn headers(&self, request: Request, host: SocketAddr) -> Request {
        let mut settings = SigningSettings::default();
        if self.content_hash || self.is_for_s3() {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let signed = self.sign(settings, &request, host);
        signed.headers().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Signs by query parameters, for a request that is sent within `seconds`.
    pub fn query(&self, mut request: Request, host: SocketAddr, seconds: u64) -> Request {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(seconds));
        let signed = self.sign(settings, &request, host);
        for (name, value) in signed.params() {
            let separator = if request.target.contains('?') { '&' } else { '?' };
            request.target.push(separator);
            request.target.extend([name, "=", &crate::percent::encoded(value)]);
        }
        request
    }

    /// True for S3, which signs the path unencoded, requires the hash of the body, and leaves the body out of
    /// presigned URLs.
    fn is_for_s3(&self) -> bool {
        self.service == "s3"
    }

    fn sign(
        &self,
        mut settings: SigningSettings,
        request: &Request,
        host: SocketAddr,
    ) -> SigningInstructions {
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let mut body = SignableBody::Bytes(&request.body);
        if self.is_for_s3() {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            if settings.signature_location == SignatureLocation::QueryParams {
                body = SignableBody::UnsignedPayload;
            }
        }
        let identity = Credentials::new(
            &self.caller.access_key_id,
            &self.caller.secret_access_key,
            self.caller.session_token.clone(),
            None,
            "acceptance",
        )
        .into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.at)
            .settings(settings)
            .build()
            .expect("all signing parameters are given")
            .into();
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let method = self.method.unwrap_or(&request.method);
        let uri = format!("http://{host}{}", request.target);
        let signable =
            SignableRequest::new(method, uri, headers, body).expect("a request that can be signed");
        sign(signable, &parameters).expect("sign the request").into_parts().0
    }
}

#[expect(clippy::disallowed_methods, reason = "a client's signature carries the client's own clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
