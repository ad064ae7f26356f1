//! Settings for self-hosted destinations: streams, triggers and pushes that bypass AWS.

use std::num::NonZeroU32;
use std::path::PathBuf;

use carryall_core::ids::PoolId;
use carryall_outbound::{
    FileDestination, HttpDestination, LargeObjectSettings, OutboundSettings, Route, StreamDestination,
};
use secrecy::SecretString;
use serde::Deserialize;

use super::error::{ConfigError, refuse};

/// The longest lifetime of a presigned URL, in seconds: S3's limit of seven days.
const URL_SECONDS_MAX: u32 = 604_800;
/// The shortest secret for signing requests, in bytes.
const SECRET_BYTES_MIN: usize = 16;

/// An entry of `[[stream_destinations]]`, `[[trigger_destinations]]` or `[[push_destinations]]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct DestinationSettings {
    /// The name of the stream, function or platform application in a pool's settings.
    pub name: Option<String>,
    /// The id of the pool whose streams, functions or applications match.
    pub pool: Option<String>,
    /// The URL that requests are posted to.
    pub url: Option<String>,
    /// The environment variable with the secret that signs requests.
    pub secret_env: Option<String>,
    /// The file with the secret that signs requests.
    pub secret_file: Option<PathBuf>,
    /// The file to which lines are appended; for streams only.
    pub file: Option<PathBuf>,
    /// The size at which the file is rotated.
    pub file_bytes_max: Option<u64>,
    /// The number of rotated files that are kept.
    pub files_max: Option<NonZeroU32>,
}

/// The table `[large_objects]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct BucketSettings {
    /// The S3 bucket.
    pub bucket: String,
    /// The prefix of every key in it.
    #[serde(default = "key_prefix_by_default")]
    pub key_prefix: String,
    /// The lifetime of the URLs in stream records.
    #[serde(default = "url_seconds_by_default")]
    pub url_seconds: u32,
}

fn key_prefix_by_default() -> String {
    "carryall/".to_owned()
}

fn url_seconds_by_default() -> u32 {
    86_400
}

/// The default size at which a stream's file is rotated: 64 MiB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const FILES_MAX: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// Checks all destinations, and reads their secrets.
pub(super) fn check(
    region: &str,
    streams: Vec<DestinationSettings>,
    triggers: Vec<DestinationSettings>,
    pushes: Vec<DestinationSettings>,
    large_objects: Option<BucketSettings>,
) -> Result<OutboundSettings, ConfigError> {
    let large_objects = large_objects.map(bucket).transpose()?;
    Ok(OutboundSettings {
        region: region.to_owned(),
        large_objects,
        streams: routes("stream_destinations", streams, stream)?,
        triggers: routes("trigger_destinations", triggers, http)?,
        pushes: routes("push_destinations", pushes, http)?,
    })
}

fn bucket(settings: BucketSettings) -> Result<LargeObjectSettings, ConfigError> {
    if settings.bucket.is_empty() {
        return Err(refuse("large_objects.bucket", "it is empty"));
    }
    if settings.url_seconds == 0 || settings.url_seconds > URL_SECONDS_MAX {
        let why = format!("{} is not from 1 to {URL_SECONDS_MAX}", settings.url_seconds);
        return Err(refuse("large_objects.url_seconds", why));
    }
    Ok(LargeObjectSettings {
        bucket: settings.bucket,
        key_prefix: settings.key_prefix,
        url_seconds: settings.url_seconds,
    })
}

fn routes<D>(
    table: &str,
    all: Vec<DestinationSettings>,
    destination: impl Fn(&DestinationSettings) -> Result<D, String>,
) -> Result<Vec<Route<D>>, ConfigError> {
    let route = |settings: DestinationSettings| {
        let refused = |why: String| refuse(table, why);
        if settings.name.is_none() && settings.pool.is_none() {
            return Err(refused("it has neither a name nor a pool to match".to_owned()));
        }
        if let Some(pool) = &settings.pool {
            PoolId::parse(pool).map_err(|why| refused(why.to_string()))?;
        }
        let led_by = settings.name.as_deref().or(settings.pool.as_deref()).unwrap_or_default();
        let destination = destination(&settings).map_err(|why| refused(format!("'{led_by}': {why}")))?;
        Ok(Route { pool: settings.pool, name: settings.name, destination })
    };
    all.into_iter().map(route).collect()
}

fn stream(settings: &DestinationSettings) -> Result<StreamDestination, String> {
    let Some(path) = &settings.file else { return http(settings).map(StreamDestination::Http) };
    if settings.url.is_some() || settings.secret_env.is_some() || settings.secret_file.is_some() {
        return Err("a file takes no url and no secret".to_owned());
    }
    let file_bytes_max = settings.file_bytes_max.unwrap_or(FILE_BYTES_MAX);
    let files_max = settings.files_max.unwrap_or(FILES_MAX);
    Ok(StreamDestination::File(FileDestination { path: path.clone(), file_bytes_max, files_max }))
}

fn http(settings: &DestinationSettings) -> Result<HttpDestination, String> {
    if settings.file.is_some() || settings.file_bytes_max.is_some() || settings.files_max.is_some() {
        return Err("only a stream can go to a file".to_owned());
    }
    let url = settings.url.as_deref().ok_or("it needs a url")?;
    HttpDestination::new(url, secret(settings)?)
}

fn secret(settings: &DestinationSettings) -> Result<SecretString, String> {
    let secret = match (&settings.secret_env, &settings.secret_file) {
        (Some(name), None) => {
            std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
        }
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err("it needs a secret_env or a secret_file to sign requests with".to_owned());
        }
    };
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("its secret is shorter than {SECRET_BYTES_MIN} bytes"));
    }
    Ok(SecretString::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(streams: &str) -> Result<OutboundSettings, ConfigError> {
        #[derive(Deserialize)]
        struct Table {
            stream_destinations: Vec<DestinationSettings>,
        }
        let table: Table = toml::from_str(streams).unwrap();
        check("us-east-1", table.stream_destinations, Vec::new(), Vec::new(), None)
    }

    #[test]
    fn a_file_and_an_endpoint_are_told_apart() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "0123456789abcdef\n").unwrap();
        let settings = checked(&format!(
            "[[stream_destinations]]\nname = 'a'\nfile = 'a.ndjson'\n\
             [[stream_destinations]]\npool = 'us-east-1:0'\nurl = 'http://127.0.0.1:1/x'\nsecret_file = '{}'\n",
            secret.path().display()
        ))
        .unwrap();
        assert!(matches!(settings.streams[0].destination, StreamDestination::File(_)));
        assert!(matches!(settings.streams[1].destination, StreamDestination::Http(_)));
        assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_name() {
        for (toml, hint) in [
            ("file = 'a'", "neither a name nor a pool"),
            ("name = 'n'", "needs a url"),
            ("name = 'n'\nurl = 'http://h/'", "needs a secret_env"),
            ("name = 'n'\nurl = 'http://h/'\nsecret_env = 'CARRYALL_NO_SUCH'", "CARRYALL_NO_SUCH is not set"),
            ("name = 'n'\nfile = 'a'\nurl = 'http://h/'", "takes no url"),
            ("pool = 'x'\nfile = 'a'", "identityPoolId"),
        ] {
            let message = checked(&format!("[[stream_destinations]]\n{toml}")).unwrap_err().to_string();
            assert!(message.contains(hint) && message.contains("stream_destinations"), "{toml}: {message}");
        }
    }
}
