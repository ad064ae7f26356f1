//! The banner that is printed when the server is ready: every address, the place of the data, and lines to
//! paste. It is plain text on standard output; the log goes to standard error.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::trust::root_key::RootKey;

/// The contents of the banner.
pub struct Banner<'a> {
    /// The address on which the server listens.
    pub address: SocketAddr,
    /// True if it speaks TLS.
    pub tls: bool,
    /// The store's setting.
    pub store: String,
    /// The data directory, if there is one.
    pub data_dir: Option<&'a Path>,
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account_id: &'a str,
    /// The root key.
    pub root: &'a RootKey,
    /// True if this start generated its secret, which is therefore shown.
    pub root_is_new: bool,
    /// The name by which the program was called.
    pub program: &'a str,
}

/// The beginning of every URL of a server at `address`.
pub fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{address}", if tls { "https" } else { "http" })
}

/// The address under which this machine reaches a server that listens on `address`.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Quotes `text` as one word of a shell's command line.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The environment variables that point AWS clients at the server, in the order in which they are printed.
pub fn environment(url: &str, region: &str, root: &RootKey) -> Vec<(&'static str, SecretString)> {
    vec![
        ("AWS_ENDPOINT_URL_COGNITO_SYNC", url.into()),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", url.into()),
        ("AWS_ENDPOINT_URL_STS", url.into()),
        ("AWS_DEFAULT_REGION", region.into()),
        ("AWS_REGION", region.into()),
        ("AWS_ACCESS_KEY_ID", root.access_key_id.as_str().into()),
        ("AWS_SECRET_ACCESS_KEY", root.secret.clone()),
    ]
}

impl Banner<'_> {
    /// The banner's text.
    pub fn text(&self) -> String {
        let (listening, reachable) = (url(self.address, self.tls), url(reachable(self.address), self.tls));
        let mut text = format!("carryall {}\nlistening on {listening}\n\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<18} {value}");
        };
        for service in ["Cognito Sync", "Cognito Identity", "STS"] {
            line(service, &reachable);
        }
        line("health", &format!("{reachable}/health/live  {reachable}/health/ready"));
        line("metrics", &format!("{reachable}/metrics"));
        match self.data_dir {
            Some(dir) => line("data", &dir.display().to_string()),
            None => line("data", &format!("{} (gone when the server stops)", self.store)),
        }
        line("region, account", &format!("{}, {}", self.region, self.account_id));
        line("root key", self.root.access_key_id.as_str());
        text.push('\n');
        text.push_str(&self.lines_to_paste(&reachable));
        text
    }

    fn lines_to_paste(&self, url: &str) -> String {
        let mut text = String::new();
        if self.root_is_new {
            let kept = match self.data_dir {
                Some(dir) => format!("kept in {}", crate::cli::data_dir::credentials_path(dir).display()),
                None => "kept nowhere".to_owned(),
            };
            let _ = writeln!(text, "The root key is new; its secret is shown this once and {kept}.");
            text.push_str("Paste for the AWS CLI and SDKs:\n\n");
            for (name, value) in environment(url, self.region, self.root) {
                let _ = writeln!(text, "  export {name}={}", quote(value.expose_secret()));
            }
        } else if let Some(dir) = self.data_dir {
            text.push_str("Paste for the AWS CLI and SDKs:\n\n");
            let store = quote(&format!("embedded:{}", dir.display()));
            let (program, listen, region) = (quote(self.program), self.address, self.region);
            let _ = writeln!(
                text,
                "  eval \"$({program} env --store {store} --listen {listen} --region {region})\""
            );
        } else {
            text.push_str("Paste for the AWS CLI, with the root key in its usual variables:\n\n");
            for name in ["COGNITO_SYNC", "COGNITO_IDENTITY", "STS"] {
                let _ = writeln!(text, "  export AWS_ENDPOINT_URL_{name}={}", quote(url));
            }
        }
        text.push_str(
            "  aws cognito-identity create-identity-pool --identity-pool-name demo \
             --allow-unauthenticated-identities\n  aws cognito-sync list-identity-pool-usage\n",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn text(address: &str, dir: Option<&Path>, root: &RootKey, root_is_new: bool) -> String {
        Banner {
            address: address.parse().unwrap(),
            tls: false,
            store: "memory:".to_owned(),
            data_dir: dir,
            region: "us-east-1",
            account_id: "000000000000",
            root,
            root_is_new,
            program: "carryall",
        }
        .text()
    }

    #[test]
    fn a_new_secret_is_shown_and_an_old_one_is_not() {
        let root = RootKey::generate(&Clock::system());
        let secret = root.secret.expose_secret();
        let dir = Some(Path::new("/data"));
        assert!(text("127.0.0.1:1", dir, &root, true).contains(secret));
        for dir in [dir, None] {
            let text = text("127.0.0.1:1", dir, &root, false);
            assert!(!text.contains(secret) && text.contains(root.access_key_id.as_str()));
        }
    }

    #[test]
    fn the_line_that_programs_look_for_names_the_bound_address() {
        let text = text("0.0.0.0:7962", None, &RootKey::generate(&Clock::system()), true);
        assert!(text.lines().any(|line| line == "listening on http://0.0.0.0:7962"), "{text}");
        assert!(text.contains("AWS_ENDPOINT_URL_STS='http://127.0.0.1:7962'"), "{text}");
    }

    #[test]
    fn quoted_text_means_itself_to_a_shell() {
        for hard in ["plain", "it's", "$HOME `x` \"y\" \\z", ""] {
            let command = format!("printf %s {}", quote(hard));
            let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), hard);
        }
    }
}
