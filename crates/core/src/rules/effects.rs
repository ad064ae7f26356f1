//! The effects of a change of a dataset: one event for the pool's stream, and one for each device that is to
//! be notified (`docs/protocol.md` sections 9.4 and 13.1).

use crate::changes::{Changes, Expect, Write};
use crate::devices::Devices;
use crate::ids::{DeviceId, SyncCount, Version};
use crate::model::{DatasetRef, Pool, PoolRef, Record};
use crate::outbox::{Event, EventBody, LaneRef, Position, Sink};
use crate::time::UnixMillis;

/// The effects that the pool of a dataset is configured for. Without any, a change writes nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects {
    stream: bool,
    devices: Option<Devices>,
    /// The settings on which this is based. Every change expects them: a change that was decided before the
    /// pool got a stream or push must not be made, without an event, after a bulk publication has passed its
    /// dataset or a device has subscribed.
    settings: (PoolRef, Version),
}

/// A change of a dataset.
#[derive(Clone, Copy, Debug)]
pub enum Happened<'a> {
    /// An update wrote these records.
    Updated(&'a [Record]),
    /// The dataset was deleted.
    Deleted,
}

impl Effects {
    /// True if changes in `pool` are sent to devices; only then are the devices worth loading.
    pub fn has_push(pool: &Pool) -> bool {
        pool.push.as_ref().is_some_and(|push| !push.application_arns.is_empty())
    }

    /// The effects of changes in `pool`; `devices` are those of the dataset's owner, if [`Self::has_push`]
    /// required them.
    pub fn of(pool: &Pool, devices: Option<Devices>) -> Self {
        let stream = pool.streams.as_ref().is_some_and(|streams| streams.enabled_stream().is_some());
        let settings = (pool.at.clone(), pool.version);
        Self { stream, devices: devices.filter(|_| Self::has_push(pool)), settings }
    }

    /// True if a change has no effects at all.
    pub fn is_none(&self) -> bool {
        !self.stream && self.devices.is_none()
    }

    /// The same effects while the pool's outbox is full.
    #[must_use]
    pub fn held_back(self) -> Self {
        Self { stream: false, devices: None, ..self }
    }

    /// The same effects for an owner whose devices are removed too, and need no notice.
    #[must_use]
    pub fn without_devices(self) -> Self {
        Self { devices: None, ..self }
    }

    /// Adds to `changes`, which bring `at` to `sync_count`, the events of that change. `writer` is the device
    /// that made the change, and gets no notice.
    pub fn announce(
        &self,
        changes: &mut Changes,
        at: &DatasetRef,
        sync_count: SyncCount,
        now: UnixMillis,
        happened: Happened<'_>,
        writer: Option<&DeviceId>,
    ) {
        let append = |changes: &mut Changes, sink, body| {
            let lane = LaneRef { dataset: at.clone(), sink };
            let position = Position::change(sync_count);
            changes.write.push(Write::AppendEvent(Event { lane, position, at: now, body }));
        };
        if self.stream {
            let body = match happened {
                Happened::Updated(records) => EventBody::Updated(records.to_vec()),
                Happened::Deleted => EventBody::Deleted,
            };
            append(changes, Sink::Stream, body);
        }
        let (pool, version) = &self.settings;
        expect_once(changes, Expect::PoolVersion(pool.clone(), *version));
        let Some(devices) = &self.devices else { return };
        for device in devices.listeners(&at.name, writer) {
            append(changes, Sink::Device(device.id.clone()), EventBody::Notice);
        }
        // A device that subscribes meanwhile has to be notified too.
        expect_once(changes, Expect::Devices(at.owner.clone(), devices.version));
    }
}

fn expect_once(changes: &mut Changes, expected: Expect) {
    if !changes.expect.contains(&expected) {
        changes.expect.push(expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DatasetName;
    use crate::rules::samples;

    fn sinks(changes: &Changes) -> Vec<Sink> {
        let sink = |write: &Write| match write {
            Write::AppendEvent(event) => Some(event.lane.sink.clone()),
            _ => None,
        };
        changes.write.iter().filter_map(sink).collect()
    }

    fn announced(effects: &Effects, name: &str, writer: Option<&DeviceId>) -> Changes {
        let mut changes = Changes::default();
        let at = DatasetRef { name: DatasetName::parse(name).unwrap(), ..samples::dataset() };
        effects.announce(&mut changes, &at, SyncCount(3), UnixMillis(9), Happened::Deleted, writer);
        changes
    }

    #[test]
    fn a_pool_that_is_set_up_for_nothing_causes_no_events() {
        let pool = samples::pool();
        let devices = samples::devices(&["a"], "prefs");
        assert!(!Effects::has_push(&pool));
        let changes = announced(&Effects::of(&pool, Some(devices)), "prefs", None);
        // A stream or push that the pool gets meanwhile must be noticed.
        let expect = vec![Expect::PoolVersion(pool.at, pool.version)];
        assert_eq!(changes, Changes { expect, write: Vec::new() });
    }

    #[test]
    fn a_stream_that_is_switched_off_gets_nothing() {
        let mut pool = samples::streaming(samples::pool());
        assert_eq!(sinks(&announced(&Effects::of(&pool, None), "prefs", None)), [Sink::Stream]);
        if let Some(streams) = &mut pool.streams {
            streams.status = Some(crate::model::StreamingStatus::Disabled);
        }
        let off = announced(&Effects::of(&pool, None), "prefs", None);
        assert_eq!(sinks(&off), []);
        // A stream that is switched on meanwhile must be noticed.
        assert_eq!(off.expect, [Expect::PoolVersion(pool.at.clone(), pool.version)]);
    }

    #[test]
    fn a_full_outbox_holds_everything_back() {
        let pool = samples::pushing(samples::streaming(samples::pool()));
        let effects = Effects::of(&pool, Some(samples::devices(&["a"], "prefs")));
        assert!(!effects.is_none());
        assert_eq!(sinks(&announced(&effects.clone().without_devices(), "prefs", None)), [Sink::Stream]);
        assert_eq!(sinks(&announced(&effects.held_back(), "prefs", None)), []);
    }

    #[test]
    fn every_subscribed_device_but_the_writers_is_told() {
        let pool = samples::pushing(samples::pool());
        let mut devices = samples::devices(&["a", "b", "c"], "prefs");
        devices.version = Version(4);
        devices.devices[2].enabled = false;
        let effects = Effects::of(&pool, Some(devices));
        let (a, b) = (DeviceId::parse("a").unwrap(), DeviceId::parse("b").unwrap());
        let told = announced(&effects, "prefs", Some(&a));
        assert_eq!(sinks(&told), [Sink::Device(b.clone())], "the writer's and the dead one get no notice");
        assert_eq!(sinks(&announced(&effects, "prefs", None)), [Sink::Device(a), Sink::Device(b)]);
        let other = announced(&effects, "other", None);
        assert_eq!(sinks(&other), [], "nobody subscribed to this one");
        assert!(other.expect.contains(&Expect::Devices(samples::dataset().owner, Version(4))));
    }
}
