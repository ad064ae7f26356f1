//! The destinations of effects, as plain values that the reader of the settings has already checked.

use std::num::NonZeroU32;
use std::path::PathBuf;

use http::Uri;
use secrecy::SecretString;

/// The settings of [`crate::Outbound`].
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// The server's region, used where a name does not contain a region.
    pub region: String,
    /// The bucket for stream payloads that are too large for the stream.
    pub large_objects: Option<LargeObjectSettings>,
    /// Streams that are not in Kinesis.
    pub streams: Vec<Route<StreamDestination>>,
    /// Platform applications that are not in SNS.
    pub pushes: Vec<Route<HttpDestination>>,
    /// Functions that are not in Lambda.
    pub triggers: Vec<Route<HttpDestination>>,
}

/// A bucket and its use.
#[derive(Clone, Debug)]
pub struct LargeObjectSettings {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix of every key; may be empty.
    pub key_prefix: String,
    /// The lifetime of a presigned URL. S3 accepts at most seven days.
    pub url_seconds: u32,
}

/// Sends matching effects to a self-hosted destination. The first matching route wins; effects without a
/// route go to AWS.
#[derive(Clone, Debug)]
pub struct Route<D> {
    /// The pool to match; `None` matches any.
    pub pool: Option<String>,
    /// The name of the stream, application (ARN) or function (ARN) to match, exactly as the pool's
    /// configuration spells it; `None` matches any.
    pub name: Option<String>,
    /// The destination.
    pub destination: D,
}

impl<D> Route<D> {
    /// True if this route matches what `pool` calls `name`.
    pub(crate) fn takes(&self, pool: &str, name: &str) -> bool {
        self.pool.as_deref().is_none_or(|only| only == pool)
            && self.name.as_deref().is_none_or(|only| only == name)
    }
}

/// The destination of a stream that is not in Kinesis.
#[derive(Clone, Debug)]
pub enum StreamDestination {
    /// Each message is one signed HTTP request.
    Http(HttpDestination),
    /// Each message is one line of a file.
    File(FileDestination),
}

/// A self-hosted HTTP endpoint, and the secret that signs requests to it.
#[derive(Clone, Debug)]
pub struct HttpDestination {
    pub(crate) url: Uri,
    pub(crate) secret: SecretString,
}

impl HttpDestination {
    /// Checks the URL: `http` or `https`, with a host, without user and password.
    pub fn new(url: &str, secret: SecretString) -> Result<Self, String> {
        let url: Uri = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err("its scheme is neither http nor https".to_owned());
        }
        let authority = url.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("it holds a user or password; requests are signed with the secret instead".to_owned());
        }
        if url.host().unwrap_or_default().is_empty() {
            return Err("it names no host".to_owned());
        }
        Ok(Self { url, secret })
    }

    /// Scheme, host and port, for causes: paths and queries of such URLs may be secret.
    pub(crate) fn origin(&self) -> String {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.url.scheme_str().unwrap_or_default())
    }
}

/// A file of newline-delimited JSON, rotated by size. All routes to one path share one writer, which uses the
/// sizes of the first route.
#[derive(Clone, Debug)]
pub struct FileDestination {
    /// The path of the current file, whose directory must exist. Rotated files are beside it as `PATH.1`, the
    /// newest, to `PATH.files_max`.
    pub path: PathBuf,
    /// The size beyond which a file is rotated. A single larger line gets a file to itself.
    pub file_bytes_max: u64,
    /// The number of rotated files to keep. Older ones are removed, whether they have been read or not.
    pub files_max: NonZeroU32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        HttpDestination::new(url, "secret".into()).unwrap_err()
    }

    #[test]
    fn a_url_needs_http_and_a_host_and_has_no_password() {
        assert!(HttpDestination::new("https://hooks.example.org:8443/in?a=b", "secret".into()).is_ok());
        assert!(refusal("ftp://hooks.example.org/").contains("scheme"));
        assert!(refusal("/in").contains("scheme"));
        assert!(refusal("https://me:word@hooks.example.org/").contains("password"));
        assert!(refusal("not a url").contains("no URL"));
    }

    #[test]
    fn an_origin_leaves_path_and_query_out() {
        let destination =
            HttpDestination::new("https://hooks.example.org:8443/T0/B0?t=1", "secret".into()).unwrap();
        assert_eq!(destination.origin(), "https://hooks.example.org:8443");
    }

    #[test]
    fn a_route_takes_what_it_names_and_any_of_what_it_does_not() {
        let route = |pool: Option<&str>, name: Option<&str>| Route {
            pool: pool.map(str::to_owned),
            name: name.map(str::to_owned),
            destination: (),
        };
        assert!(route(Some("p"), None).takes("p", "any"));
        assert!(route(None, Some("n")).takes("any", "n"));
        assert!(!route(Some("p"), Some("n")).takes("p", "other"));
        assert!(!route(Some("p"), Some("n")).takes("other", "n"));
    }
}
