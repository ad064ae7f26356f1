//! Settings as an operator writes them: a TOML file, which environment variables and flags override.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use carryall_store::StoreOptions;
use serde::Deserialize;

use super::destinations::{BucketSettings, DestinationSettings};
use super::error::ConfigError;
use super::limits::{LimitSettings, at_least_one, share_of_source};

/// The settings as written in a configuration file. Every key has a default, and an unknown key is an error.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `IP:PORT` to listen on.
    pub listen: String,
    /// The store's kind and place.
    pub store: String,
    /// The region of new ids and of signature scopes.
    pub region: String,
    /// The account id of the installation.
    pub account_id: String,
    /// The log filter; see [`crate::logging::filter`].
    pub log: String,
    /// True if developers may call UpdateRecords.
    pub allow_developer_updates: bool,
    /// The same as `limits.clock_skew_seconds_max`, and preferred if both are set.
    pub clock_skew_seconds_max: Option<u32>,
    /// Limits of data and of work.
    pub limits: LimitSettings,
    /// Memory and disk of the embedded store.
    pub embedded: EmbeddedSettings,
    /// Certificate files.
    pub tls: Option<TlsFiles>,
    /// Cross-origin requests of browsers.
    pub cors: CorsSettings,
    /// Proxies in front of the server.
    pub proxies: ProxySettings,
    /// Deliveries of effects: their number at a time, and their retries.
    pub outbox: OutboxSettings,
    /// Calls of the sync trigger.
    pub trigger: TriggerSettings,
    /// Live channels.
    pub live: LiveSettings,
    /// The bucket for stream payloads that are too large for the stream.
    pub large_objects: Option<BucketSettings>,
    /// Streams that are not in Kinesis.
    pub stream_destinations: Vec<DestinationSettings>,
    /// Functions that are not in Lambda.
    pub trigger_destinations: Vec<DestinationSettings>,
    /// Platform applications that are not in SNS.
    pub push_destinations: Vec<DestinationSettings>,
    /// Pools that must exist when the server is ready, and their settings.
    pub pools: Vec<PoolSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7962".to_owned(),
            store: "embedded:./carryall-data".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            log: "info".to_owned(),
            allow_developer_updates: false,
            clock_skew_seconds_max: None,
            limits: LimitSettings::default(),
            embedded: EmbeddedSettings::default(),
            tls: None,
            cors: CorsSettings::default(),
            proxies: ProxySettings::default(),
            outbox: OutboxSettings::default(),
            trigger: TriggerSettings::default(),
            live: LiveSettings::default(),
            large_objects: None,
            stream_destinations: Vec::new(),
            trigger_destinations: Vec::new(),
            push_destinations: Vec::new(),
            pools: Vec::new(),
        }
    }
}

/// The table `[embedded]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are those of the configuration file")]
pub struct EmbeddedSettings {
    /// See [`StoreOptions::cache_bytes_max`].
    pub cache_bytes_max: u64,
    /// See [`StoreOptions::journal_bytes_max`].
    pub journal_bytes_max: u64,
    /// See [`StoreOptions::heads_entries_max`].
    pub heads_entries_max: usize,
    /// See [`StoreOptions::commits_waiting_max`].
    pub commits_waiting_max: usize,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        let options = StoreOptions::default();
        Self {
            cache_bytes_max: options.cache_bytes_max,
            journal_bytes_max: options.journal_bytes_max,
            heads_entries_max: options.heads_entries_max,
            commits_waiting_max: options.commits_waiting_max,
        }
    }
}

impl EmbeddedSettings {
    /// The options of the store.
    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            cache_bytes_max: self.cache_bytes_max,
            journal_bytes_max: self.journal_bytes_max,
            heads_entries_max: self.heads_entries_max,
            commits_waiting_max: self.commits_waiting_max,
        }
    }
}

/// The table `[tls]`: PEM files, read again on SIGHUP.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, followed by the certificates of its issuers.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The table `[cors]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct CorsSettings {
    /// The origins whose pages may call; `*` allows any.
    pub allowed_origins: Vec<String>,
}

impl Default for CorsSettings {
    fn default() -> Self {
        Self { allowed_origins: vec!["*".to_owned()] }
    }
}

/// The table `[proxies]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct ProxySettings {
    /// The networks of the proxies that may name the client of a request.
    pub trusted: Vec<String>,
}

/// The table `[outbox]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxSettings {
    /// The number of lanes with deliveries at a time.
    pub deliveries_in_flight_max: NonZeroU32,
    /// The number of them of one pool.
    pub deliveries_per_pool_max: NonZeroU32,
    /// The time after which a lane of a node that may have died is taken over.
    pub lease_seconds: NonZeroU32,
    /// Failed deliveries of one event before it is parked.
    pub attempts_max: NonZeroU32,
    /// The longest pause between two deliveries.
    pub backoff_seconds_max: NonZeroU32,
    /// The number of events of one pool that may wait. While it is reached, changes are stored and cause no
    /// events.
    pub events_per_pool_max: u64,
    /// The bytes of keys and values in waiting events of one pool; the same applies.
    pub bytes_per_pool_max: u64,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            deliveries_in_flight_max: at_least_one(512),
            deliveries_per_pool_max: at_least_one(32),
            lease_seconds: at_least_one(60),
            attempts_max: at_least_one(100),
            backoff_seconds_max: at_least_one(300),
            events_per_pool_max: 1_000_000,
            bytes_per_pool_max: 4 * 1024 * 1024 * 1024,
        }
    }
}

/// The table `[trigger]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerSettings {
    /// The time limit of one call of a function.
    pub milliseconds_max: NonZeroU32,
    /// Calls of one function at a time; more are refused as throttled.
    pub calls_per_function_max: NonZeroU32,
}

impl Default for TriggerSettings {
    fn default() -> Self {
        Self { milliseconds_max: at_least_one(5000), calls_per_function_max: at_least_one(64) }
    }
}

/// The table `[live]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct LiveSettings {
    /// Channels that are open at a time.
    pub subscribers_max: NonZeroU32,
    /// Channels of one identity that are open at a time.
    pub subscribers_per_identity_max: NonZeroU32,
    /// Channels of one source that are open at a time; a quarter of all unless set.
    pub subscribers_per_source_max: Option<NonZeroU32>,
    /// The pause between two heartbeats on a channel without news.
    pub heartbeat_seconds: NonZeroU32,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            subscribers_max: at_least_one(1024),
            subscribers_per_identity_max: at_least_one(16),
            subscribers_per_source_max: None,
            heartbeat_seconds: at_least_one(15),
        }
    }
}

impl LiveSettings {
    /// Channels of one source that are open at a time.
    pub fn subscribers_per_source_max(&self) -> u32 {
        share_of_source(self.subscribers_per_source_max, self.subscribers_max)
    }
}

/// The `push_sync` of one of the `[[pools]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PushSyncSettings {
    /// See `PushSync.ApplicationArns`.
    pub application_arns: Vec<String>,
    /// See `PushSync.RoleArn`.
    pub role_arn: Option<String>,
}

/// The `cognito_streams` of one of the `[[pools]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CognitoStreamsSettings {
    /// See `CognitoStreams.StreamName`.
    pub stream_name: String,
    /// See `CognitoStreams.RoleArn`.
    pub role_arn: Option<String>,
    /// See `CognitoStreams.StreamingStatus`.
    #[serde(default = "enabled_by_default")]
    pub streaming_status: String,
}

fn enabled_by_default() -> String {
    "ENABLED".to_owned()
}

/// An entry of `[[pools]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PoolSettings {
    /// The pool's id.
    pub id: String,
    /// The pool's name.
    pub name: String,
    /// True if the pool issues identities without a login.
    #[serde(default = "guests_by_default")]
    pub allow_guests: bool,
    /// The push settings. If stated, they are set at every start.
    pub push_sync: Option<PushSyncSettings>,
    /// The stream settings, with the same effect.
    pub cognito_streams: Option<CognitoStreamsSettings>,
    /// The functions by event, with the same effect.
    pub events: Option<BTreeMap<String, String>>,
}

fn guests_by_default() -> bool {
    true
}

/// The settings from flags and environment, which override the file; `None` where neither sets one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// See [`Settings::listen`].
    pub listen: Option<String>,
    /// See [`Settings::store`].
    pub store: Option<String>,
    /// See [`Settings::region`].
    pub region: Option<String>,
    /// See [`Settings::account_id`].
    pub account_id: Option<String>,
    /// See [`Settings::log`].
    pub log: Option<String>,
}

impl Settings {
    /// Reads the file at `path`, whose settings replace defaults.
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("configuration file {}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let why = error.message().replace('\n', " ");
            ConfigError(format!("configuration file {}, line {line}: {why}", path.display()))
        })
    }

    /// The settings, overridden by flags and environment.
    #[must_use]
    pub fn overridden(self, over: Overrides) -> Self {
        Self {
            listen: over.listen.unwrap_or(self.listen),
            store: over.store.unwrap_or(self.store),
            region: over.region.unwrap_or(self.region),
            account_id: over.account_id.unwrap_or(self.account_id),
            log: over.log.unwrap_or(self.log),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_is_commented_out_in_the_documentation_is_known() {
        let text = include_str!("../../config.default.toml");
        let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#: ")).collect();
        assert!(!shown.is_empty());
        let settings: Settings = toml::from_str(&shown.join("\n")).unwrap();
        assert!(settings.tls.is_some());
        assert_eq!(settings.pools.len(), 1);
        assert!(settings.pools[0].push_sync.is_some() && settings.pools[0].cognito_streams.is_some());
        assert_eq!(settings.stream_destinations.len(), 2);
        assert!(settings.large_objects.is_some());
    }

    #[test]
    fn an_unknown_key_is_refused_at_every_level() {
        for toml in [
            "listn = 'x'",
            "[limits]\nbody_bytes = 1",
            "[tls]\ncert='a'\nkey='b'\nca='c'",
            "[cors]\norigins=[]",
        ] {
            assert!(toml::from_str::<Settings>(toml).is_err(), "{toml}");
        }
    }

    #[test]
    fn a_broken_file_is_named_with_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "region = 'eu-west-1'\nlistne = 'x'\n").unwrap();
        let message = Settings::read(Some(file.path())).unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("listne"), "{message}");
        assert!(message.contains(file.path().to_str().unwrap()), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn flags_and_environment_win_over_the_file() {
        let file = Settings { region: "eu-west-1".to_owned(), log: "warn".to_owned(), ..Settings::default() };
        let over = Overrides { region: Some("eu-north-1".to_owned()), ..Overrides::default() };
        let merged = file.overridden(over);
        assert_eq!((merged.region.as_str(), merged.log.as_str()), ("eu-north-1", "warn"));
    }
}
