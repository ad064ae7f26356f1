//! Settings: as an operator writes them ([`Settings`]) and as the program uses them ([`Config`], checked
//! once). This room does not use the data directory; the command line reads the keys that are kept there.

mod destinations;
mod error;
mod limits;
mod secrets;
mod settings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use carryall_core::ids::PoolId;
use carryall_core::limits::Limits;
use carryall_core::model::{CognitoStreams, PushSync};
use carryall_core::rules::outbox::{self, Patience};
use carryall_core::rules::set_identity_pool_configuration::{self, Block};
use carryall_core::rules::{set_cognito_events, set_identity_pool};
use carryall_core::time::UnixMillis;
use carryall_outbound::OutboundSettings;
use carryall_store::{StoreOptions, StoreUrl};
use carryall_wire::limits::{AnsweredRecords, Limit, RecordPatches};

pub use self::error::ConfigError;
use self::error::refuse;
use self::limits::least_budget_bytes;
pub use self::limits::{LimitSettings, SMALL_BYTES_MAX, reserve_bytes};
pub use self::secrets::Secrets;
use self::settings::{EmbeddedSettings, OutboxSettings, PoolSettings, ProxySettings};
pub use self::settings::{LiveSettings, Overrides, Settings, TlsFiles, TriggerSettings};
use crate::source::{Network, TrustedProxies};

/// The longest region name, in characters: a new identity id is `region:` and a UUID, 55 characters at most.
const REGION_CHARS_MAX: usize = 18;
/// The smallest limit on a request's head; the HTTP library does not accept a smaller buffer.
const HEADER_BYTES_MIN: usize = 8192;
/// The largest limit on a record's key, in bytes: it is part of a key of the embedded engine, which can hold
/// 65,535.
const KEY_BYTES_MAX: u64 = 32 * 1024;
/// The smallest limit on a page of a listing, in bytes: the reserve for small answers.
const PAGE_BYTES_MIN: u64 = 64 * 1024;
/// The largest limit on records of a dataset: a function of SyncTrigger answers them all, with those of the update.
const RECORDS_PER_DATASET_MAX: u64 = (AnsweredRecords::ENTRIES_MAX - RecordPatches::ENTRIES_MAX) as u64;
/// The shortest lease of a lane, in seconds: a delivery that outlived its lease would be made twice.
const LEASE_SECONDS_MIN: u32 = 30;

/// The checked settings, as the rest of the program reads them.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on; port 0 means a free one.
    pub listen: SocketAddr,
    /// The store's kind and place.
    pub store: StoreUrl,
    /// Memory and disk of the embedded store.
    pub store_options: StoreOptions,
    /// The region of new ids and of signature scopes.
    pub region: String,
    /// The account, 12 digits.
    pub account_id: String,
    /// The directives of the log filter.
    pub log: String,
    /// Bounds on data and on work: the table as it is set.
    pub limits: LimitSettings,
    /// The limits that the rules apply.
    pub rules: Limits,
    /// True if developers may call UpdateRecords.
    pub allow_developer_updates: bool,
    /// The origins whose pages may call from a browser.
    pub cors_allowed_origins: AllowedOrigins,
    /// The proxies that are trusted to name the client's address.
    pub trusted_proxies: TrustedProxies,
    /// Certificate files; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The settings of the outbox.
    pub outbox: OutboxSettings,
    /// The settings of the sync trigger.
    pub trigger: TriggerSettings,
    /// The settings of live channels.
    pub live: LiveSettings,
    /// The destinations of effects.
    pub outbound: OutboundSettings,
    /// The pools that must exist when the server is ready.
    pub pools: Vec<PoolSeed>,
}

/// The origins from which browsers may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every origin.
    Any,
    /// These origins, compared as text.
    List(Vec<String>),
}

/// A pool that must exist when the server is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSeed {
    /// The pool's id, of this installation's region.
    pub id: PoolId,
    /// The pool's name.
    pub name: String,
    /// True if the pool issues identities without a login.
    pub allow_guests: bool,
    /// The push settings, if stated.
    pub push: Block<PushSync>,
    /// The stream settings, if stated.
    pub streams: Block<CognitoStreams>,
    /// The functions by event, if stated.
    pub events: Option<BTreeMap<String, String>>,
}

impl Config {
    /// Checks `settings`.
    pub fn check(settings: Settings) -> Result<Self, ConfigError> {
        let mut limits = settings.limits;
        limits.clock_skew_seconds_max =
            settings.clock_skew_seconds_max.unwrap_or(limits.clock_skew_seconds_max);
        check_region(&settings.region)?;
        if settings.account_id.len() != 12 || !settings.account_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse("account_id", format_args!("'{}' is not 12 digits", settings.account_id)));
        }
        if let Err(error) = crate::logging::filter(&settings.log) {
            return Err(refuse("log", format_args!("'{}': {error}", settings.log)));
        }
        check_sizes(&limits, &settings.embedded)?;
        check_distinct(&settings.pools)?;
        check_outbox(&settings.outbox)?;
        let outbound = destinations::check(
            &settings.region,
            settings.stream_destinations,
            settings.trigger_destinations,
            settings.push_destinations,
            settings.large_objects,
        )?;
        let seeds = settings.pools.into_iter().map(|pool| PoolSeed::check(pool, &settings.region));
        Ok(Self {
            listen: settings.listen.parse().map_err(|_| {
                refuse("listen", format_args!("'{}' is not IP:PORT, as in 127.0.0.1:7962", settings.listen))
            })?,
            store: settings.store.parse().map_err(|error| refuse("store", error))?,
            store_options: settings.embedded.options(),
            log: settings.log,
            rules: limits.of_the_rules(),
            limits,
            allow_developer_updates: settings.allow_developer_updates,
            cors_allowed_origins: AllowedOrigins::of(settings.cors.allowed_origins),
            trusted_proxies: trusted_proxies(&settings.proxies)?,
            tls: settings.tls,
            outbox: settings.outbox,
            trigger: settings.trigger,
            live: settings.live,
            outbound,
            pools: seeds.collect::<Result<_, _>>()?,
            region: settings.region,
            account_id: settings.account_id,
        })
    }

    /// The data directory, if the store has one.
    pub fn data_dir(&self) -> Option<&Path> {
        match &self.store {
            StoreUrl::Embedded(dir) => Some(dir),
            StoreUrl::Memory | StoreUrl::Postgres => None,
        }
    }
}

fn check_region(region: &str) -> Result<(), ConfigError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if region.is_empty() || region.len() > REGION_CHARS_MAX || !region.bytes().all(word) {
        let why =
            format!("'{region}' is not 1 to {REGION_CHARS_MAX} letters, digits, hyphens or underscores");
        return Err(refuse("region", why));
    }
    Ok(())
}

fn check_sizes(limits: &LimitSettings, embedded: &EmbeddedSettings) -> Result<(), ConfigError> {
    let at_least = |name: &str, value: u64, min: u64| {
        if value < min { Err(refuse(name, format_args!("{value} is less than {min}"))) } else { Ok(()) }
    };
    at_least("limits.header_bytes_max", limits.header_bytes_max as u64, HEADER_BYTES_MIN as u64)?;
    let at_most = |name: &str, value: u64, max: u64| {
        if value > max { Err(refuse(name, format_args!("{value} is more than {max}"))) } else { Ok(()) }
    };
    let body_bytes_max = limits.body_bytes_max as u64;
    at_least("limits.body_bytes_max", body_bytes_max, 1)?;
    at_least("limits.datasets_per_identity_max", limits.datasets_per_identity_max.into(), 1)?;
    let records_max = limits.records_per_dataset_max.into();
    at_least("limits.records_per_dataset_max", records_max, 1)?;
    at_most("limits.records_per_dataset_max", records_max, RECORDS_PER_DATASET_MAX)?;
    at_least("limits.dataset_bytes_max", limits.dataset_bytes_max, 1)?;
    at_least("limits.key_bytes_max", limits.key_bytes_max as u64, 1)?;
    at_most("limits.key_bytes_max", limits.key_bytes_max as u64, KEY_BYTES_MAX)?;
    // A value larger than a body can never arrive.
    at_most("limits.value_bytes_max", limits.value_bytes_max as u64, body_bytes_max)?;
    // A body that can never be admitted would wait for ever.
    let bodies_bytes_min = least_budget_bytes(limits.body_bytes_max) as u64;
    at_least(
        "limits.bodies_in_flight_bytes_max",
        limits.bodies_in_flight_bytes_max as u64,
        bodies_bytes_min,
    )?;
    at_least("limits.page_bytes_max", limits.page_bytes_max as u64, PAGE_BYTES_MIN)?;
    // One answer is built while another is written.
    let answers_bytes_min = least_budget_bytes(limits.answer_bytes_max().saturating_mul(2)) as u64;
    at_least(
        "limits.answers_in_flight_bytes_max",
        limits.answers_in_flight_bytes_max as u64,
        answers_bytes_min,
    )?;
    at_least("embedded.journal_bytes_max", embedded.journal_bytes_max, StoreOptions::JOURNAL_BYTES_MIN)?;
    at_least("embedded.heads_entries_max", embedded.heads_entries_max as u64, 1)?;
    at_least("embedded.commits_waiting_max", embedded.commits_waiting_max as u64, 1)
}

fn trusted_proxies(proxies: &ProxySettings) -> Result<TrustedProxies, ConfigError> {
    let networks = proxies.trusted.iter().map(|network| network.parse::<Network>());
    let networks: Result<Vec<Network>, String> = networks.collect();
    Ok(TrustedProxies::new(networks.map_err(|why| refuse("proxies.trusted", why))?))
}

fn check_outbox(outbox: &OutboxSettings) -> Result<(), ConfigError> {
    let lease_seconds = outbox.lease_seconds.get();
    if lease_seconds < LEASE_SECONDS_MIN {
        let why =
            format!("{lease_seconds} is less than {LEASE_SECONDS_MIN}, the time that one delivery may take");
        return Err(refuse("outbox.lease_seconds", why));
    }
    Ok(())
}

fn check_distinct(pools: &[PoolSettings]) -> Result<(), ConfigError> {
    let mut seen = std::collections::HashSet::new();
    match pools.iter().find(|pool| !seen.insert(&pool.id)) {
        Some(twice) => Err(refuse("pools", format_args!("{} is listed twice", twice.id))),
        None => Ok(()),
    }
}

impl AllowedOrigins {
    fn of(origins: Vec<String>) -> Self {
        if origins.iter().any(|origin| origin == "*") { Self::Any } else { Self::List(origins) }
    }
}

impl PoolSeed {
    /// Checks id and name; the id must be of `region`.
    pub fn check(pool: PoolSettings, region: &str) -> Result<Self, ConfigError> {
        let id = PoolId::parse(&pool.id).map_err(|why| refuse("pools", why))?;
        check_pool_region(&id, region).map_err(|why| refuse("pools", why))?;
        let settings = set_identity_pool::Settings { name: pool.name.clone(), ..Default::default() };
        settings.check().map_err(|why| refuse("pools", why))?;
        let refused = |why| refuse("pools", why);
        let push = pool.push_sync.map_or(Ok(Block::Unchanged), |push| {
            set_identity_pool_configuration::push(push.application_arns, push.role_arn)
        });
        let streams = pool.cognito_streams.map_or(Ok(Block::Unchanged), |streams| {
            let status = Some(streams.streaming_status.as_str());
            set_identity_pool_configuration::streams(Some(streams.stream_name), streams.role_arn, status)
        });
        if let Some(events) = &pool.events {
            set_cognito_events::apply(&mut BTreeMap::new(), events).map_err(refused)?;
        }
        Ok(Self {
            id,
            name: pool.name,
            allow_guests: pool.allow_guests,
            push: push.map_err(refused)?,
            streams: streams.map_err(refused)?,
            events: pool.events,
        })
    }
}

impl OutboxSettings {
    /// The retry policy of deliveries.
    pub fn patience(&self) -> Patience {
        Patience {
            attempts_max: self.attempts_max.get(),
            backoff_seconds_max: self.backoff_seconds_max.get(),
        }
    }

    /// The latest moment to which a lane can have been put off by `now`.
    pub fn latest_due(&self, now: UnixMillis) -> UnixMillis {
        outbox::latest_due(now, self.lease_seconds.get(), self.patience())
    }
}

/// Refuses a pool id of another region: clients take the region of their signatures from it.
pub fn check_pool_region(id: &PoolId, region: &str) -> Result<(), String> {
    let of = id.region();
    if of == region {
        return Ok(());
    }
    Err(format!(
        "pool {id} is of region {of}, and this server is of region {region}; to serve it, set the region with \
         --region {of}, CARRYALL_REGION={of} or region = \"{of}\" in the configuration file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(toml: &str) -> String {
        Config::check(toml::from_str(toml).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn the_documented_configuration_is_the_default() {
        let documented: Settings = toml::from_str(include_str!("../../config.default.toml")).unwrap();
        assert_eq!(documented, Settings::default());
        assert!(Config::check(documented).is_ok());
    }

    #[test]
    fn the_clock_skew_may_stand_among_the_limits_or_alone() {
        for toml in ["clock_skew_seconds_max = 7", "[limits]\nclock_skew_seconds_max = 7"] {
            let config = Config::check(toml::from_str(toml).unwrap()).unwrap();
            assert_eq!(config.limits.clock_skew_seconds_max, 7, "{toml}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        for (toml, name) in [
            ("listen = 'localhost'", "listen"),
            ("store = 'data'", "store"),
            ("region = 'us east'", "region"),
            ("region = 'a-region-name-far-too-long'", "region"),
            ("account_id = '123'", "account_id"),
            ("log = 'carryall=loud'", "log"),
            ("[limits]\nheader_bytes_max = 100", "header_bytes_max"),
            ("[limits]\nbodies_in_flight_bytes_max = 100", "bodies_in_flight_bytes_max"),
            ("[embedded]\njournal_bytes_max = 1", "journal_bytes_max"),
            ("[[pools]]\nid = 'x'\nname = 'n'", "identityPoolId"),
            ("[[pools]]\nid = 'us-east-1:0'\nname = ''", "identityPoolName"),
        ] {
            let message = refused(toml);
            assert!(message.contains(name), "{toml}: {message}");
        }
    }

    #[test]
    fn a_memory_budget_without_room_for_one_item_beside_its_reserve_is_refused() {
        for (setting, bytes_min) in
            [("bodies_in_flight_bytes_max", 11_184_811), ("answers_in_flight_bytes_max", 22_369_622)]
        {
            let message = refused(&format!("[limits]\n{setting} = {}", bytes_min - 1));
            let why = format!("limits.{setting}: {} is less than {bytes_min}", bytes_min - 1);
            assert!(message.contains(&why), "{message}");
            let least = format!("[limits]\n{setting} = {bytes_min}");
            assert!(Config::check(toml::from_str(&least).unwrap()).is_ok(), "{least}");
        }
    }

    #[test]
    fn a_limit_on_records_that_no_answer_of_a_trigger_could_hold_is_refused() {
        let with = |records: u32| format!("[limits]\nrecords_per_dataset_max = {records}");
        let message = refused(&with(49_153));
        assert!(message.contains("limits.records_per_dataset_max: 49153 is more than 49152"), "{message}");
        assert!(Config::check(toml::from_str(&with(49_152)).unwrap()).is_ok());
    }

    #[test]
    fn a_pool_of_another_region_is_refused_with_the_way_to_set_the_region() {
        let message = refused("[[pools]]\nid = 'eu-west-1:0'\nname = 'n'");
        assert!(message.contains("--region eu-west-1"), "{message}");
    }

    #[test]
    fn any_origin_wins_over_a_list() {
        let config =
            Config::check(toml::from_str("[cors]\nallowed_origins = ['https://a', '*']").unwrap()).unwrap();
        assert_eq!(config.cors_allowed_origins, AllowedOrigins::Any);
    }
}
