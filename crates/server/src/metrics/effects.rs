//! Metrics of effects: deliveries of the outbox, sync triggers, live channels. No label has an id.

use carryall_core::outbox::{Event, Part, Sink};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeliveryLabels {
    sink: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TriggerLabel {
    outcome: &'static str,
}

/// The kind of an event of the outbox, by its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A change for a stream.
    Stream,
    /// A dataset of a bulk publication, for a stream.
    Bulk,
    /// A notice for a device.
    Device,
}

impl Delivery {
    /// The kind of `event`.
    pub fn of(event: &Event) -> Self {
        match (&event.lane.sink, event.position.part) {
            (Sink::Stream, Part::Change) => Self::Stream,
            (Sink::Stream, Part::Bulk) | (Sink::Publication, Part::Change | Part::Bulk) => Self::Bulk,
            (Sink::Device(_), Part::Change | Part::Bulk) => Self::Device,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Bulk => "bulk",
            Self::Device => "device",
        }
    }
}

/// The metrics of effects.
#[derive(Default)]
pub struct EffectMetrics {
    deliveries: Family<DeliveryLabels, Counter>,
    deliveries_in_flight: Gauge,
    outbox_lag_milliseconds: Gauge,
    devices_disabled: Counter,
    datasets_published: Counter,
    triggers: Family<TriggerLabel, Counter>,
    live_channels: Gauge,
    live_notices: Counter,
}

impl EffectMetrics {
    /// Registers all metrics, at zero, on the page of `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let of = Self::default();
        let help = "Events of the outbox by sink and outcome";
        registry.register("deliveries", help, of.deliveries.clone());
        let help = "Lanes of the outbox with a delivery in progress";
        registry.register("deliveries_in_flight", help, of.deliveries_in_flight.clone());
        let help = "Time for which the longest waiting lane of the outbox had been due at the last scan";
        registry.register("outbox_lag_milliseconds", help, of.outbox_lag_milliseconds.clone());
        let help = "Devices that the push service reported as gone";
        registry.register("devices_disabled", help, of.devices_disabled.clone());
        let help = "Datasets sent by bulk publications";
        registry.register("bulk_publish_datasets", help, of.datasets_published.clone());
        registry.register("trigger_calls", "Calls of sync triggers by outcome", of.triggers.clone());
        registry.register("live_channels", "Live channels that are open", of.live_channels.clone());
        registry.register("live_notices", "Notices sent over live channels", of.live_notices.clone());
        of
    }

    fn delivery(&self, delivery: Delivery, outcome: &'static str) {
        self.deliveries.get_or_create_owned(&DeliveryLabels { sink: delivery.label(), outcome }).inc();
    }

    /// Counts a delivered event.
    pub fn delivered(&self, delivery: Delivery) {
        self.delivery(delivery, "delivered");
    }

    /// Counts an event that no one waits for.
    pub fn delivery_dropped(&self, delivery: Delivery) {
        self.delivery(delivery, "dropped");
    }

    /// Counts a delivery that must be retried.
    pub fn delivery_failed(&self, delivery: Delivery) {
        self.delivery(delivery, "failed");
    }

    /// Counts an event that was parked.
    pub fn delivery_parked(&self, delivery: Delivery) {
        self.delivery(delivery, "parked");
    }

    /// Sets the number of lanes with a delivery in progress.
    pub fn deliveries_in_flight(&self, lanes: usize) {
        self.deliveries_in_flight.set(i64::try_from(lanes).unwrap_or(i64::MAX));
    }

    /// Sets the time for which the longest waiting lane has been due, in milliseconds.
    pub fn outbox_lag(&self, milliseconds: i64) {
        self.outbox_lag_milliseconds.set(milliseconds);
    }

    /// Counts a device that is gone.
    pub fn device_disabled(&self) {
        self.devices_disabled.inc();
    }

    /// Counts datasets that a bulk publication sent.
    pub fn datasets_published(&self, datasets: usize) {
        self.datasets_published.inc_by(datasets as u64);
    }

    /// Counts a call of a sync trigger.
    pub fn trigger_called(&self, outcome: &'static str) {
        self.triggers.get_or_create_owned(&TriggerLabel { outcome }).inc();
    }

    /// Counts a live channel that was opened.
    pub fn live_channel_opened(&self) {
        self.live_channels.inc();
    }

    /// Stops counting a closed live channel.
    pub fn live_channel_closed(&self) {
        self.live_channels.dec();
    }

    /// Counts a notice over a live channel.
    pub fn live_notice(&self) {
        self.live_notices.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn deliveries_are_counted_by_destination_and_outcome() {
        let metrics = Metrics::new();
        metrics.effects.delivered(Delivery::Stream);
        metrics.effects.delivery_parked(Delivery::Device);
        metrics.effects.trigger_called("ok");
        let page = metrics.page(&[]).unwrap();
        for line in [
            r#"carryall_deliveries_total{sink="stream",outcome="delivered"} 1"#,
            r#"carryall_deliveries_total{sink="device",outcome="parked"} 1"#,
            r#"carryall_trigger_calls_total{outcome="ok"} 1"#,
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }
}
