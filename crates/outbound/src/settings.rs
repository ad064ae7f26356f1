//! Where effects go: plain values that whoever reads the settings has already checked.

use std::num::NonZeroU32;
use std::path::PathBuf;

use http::Uri;
use secrecy::SecretString;

/// Everything that [`crate::Outbound`] is told.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// The server's region, for whatever does not name its own.
    pub region: String,
    /// The bucket for stream payloads that are too large for the stream.
    pub large_objects: Option<LargeObjectSettings>,
    /// Streams that do not go to Kinesis.
    pub streams: Vec<Route<StreamDestination>>,
    /// Platform applications that are not at SNS.
    pub pushes: Vec<Route<HttpDestination>>,
    /// Functions that are not at Lambda.
    pub triggers: Vec<Route<HttpDestination>>,
}

/// A bucket and how it is used.
#[derive(Clone, Debug)]
pub struct LargeObjectSettings {
    /// The bucket's name.
    pub bucket: String,
    /// What every key begins with; may be empty.
    pub key_prefix: String,
    /// How long a presigned URL is good for. S3 takes at most seven days.
    pub url_seconds: u32,
}

/// Sends what matches to a destination of one's own. The first route that matches wins; what matches none goes to AWS.
#[derive(Clone, Debug)]
pub struct Route<D> {
    /// Only this pool; `None` is any.
    pub pool: Option<String>,
    /// Only this name, of a stream, application (ARN) or function (ARN), exactly as the pool's configuration spells
    /// it; `None` is any.
    pub name: Option<String>,
    /// Where it goes.
    pub destination: D,
}

impl<D> Route<D> {
    /// Whether this route takes what `pool` calls `name`.
    pub(crate) fn takes(&self, pool: &str, name: &str) -> bool {
        self.pool.as_deref().is_none_or(|only| only == pool)
            && self.name.as_deref().is_none_or(|only| only == name)
    }
}

/// Where a stream goes that does not go to Kinesis.
#[derive(Clone, Debug)]
pub enum StreamDestination {
    /// Each message is one signed HTTP request.
    Http(HttpDestination),
    /// Each message is one line of a file.
    File(FileDestination),
}

/// An HTTP endpoint of one's own and the secret that requests to it are signed with.
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

    /// Scheme, host and port alone, for causes: paths and queries of such URLs may be secrets.
    pub(crate) fn origin(&self) -> String {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.url.scheme_str().unwrap_or_default())
    }
}

/// A file of newline-delimited JSON with rotation by size. All routes of one path share one writer, which goes by the
/// sizes of the first of them.
#[derive(Clone, Debug)]
pub struct FileDestination {
    /// The current file; its directory has to exist. Rotated ones stand beside it as `PATH.1`, the newest, to
    /// `PATH.files_max`.
    pub path: PathBuf,
    /// The size beyond which a file is rotated. A single larger line gets a file of its own.
    pub file_bytes_max: u64,
    /// How many rotated files are kept; the oldest beyond is removed, whether somebody has read it or not.
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
