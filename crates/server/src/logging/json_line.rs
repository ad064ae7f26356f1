//! An event as one line of JSON: its time, its level, its fields in order, and the target that it comes from.
//!
//! Every request writes such a line, so the line is written into one buffer. The formatter of `tracing_subscriber`
//! writes each of its pieces through five adaptors, at two and a half times the cost.

use std::fmt::{self, Write};

use carryall_wire::json_text::Sink;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The bytes reserved for a line: those of a request without a reason.
const LINE_BYTES: usize = 384;

/// The formatter of lines.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        // An event of the `log` crate has its level and target among its fields.
        let of_log = event.normalized_metadata();
        let metadata = of_log.as_ref().unwrap_or_else(|| event.metadata());

        let mut line = Line(Vec::with_capacity(LINE_BYTES));
        line.0.raw("{");
        line.text("timestamp", &time);
        line.text("level", metadata.level().as_str());
        event.record(&mut line);
        line.text("target", metadata.target());
        line.0.raw("}\n");
        writer.write_str(str::from_utf8(&line.0).map_err(|_| fmt::Error)?)
    }
}

struct Line(Vec<u8>);

impl Line {
    fn name(&mut self, name: &str) {
        if self.0.len() > "{".len() {
            self.0.raw(",");
        }
        self.0.text(name.strip_prefix("r#").unwrap_or(name));
        self.0.raw(":");
    }

    fn text(&mut self, name: &str, text: &str) {
        // The metadata of the `log` crate's events is in the line already.
        if !name.starts_with("log.") {
            self.name(name);
            self.0.text(text);
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.text(field.name(), text);
    }

    fn record_u64(&mut self, field: &Field, number: u64) {
        if !field.name().starts_with("log.") {
            self.name(field.name());
            self.0.number(number);
        }
    }

    fn record_i64(&mut self, field: &Field, number: i64) {
        self.name(field.name());
        if number < 0 {
            self.0.raw("-");
        }
        self.0.number(number.unsigned_abs());
    }

    fn record_f64(&mut self, field: &Field, number: f64) {
        self.name(field.name());
        self.0.raw(&if number.is_finite() { number.to_string() } else { "null".to_owned() });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field.name());
        self.0.boolean(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.text(field.name(), &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_log::log::{Level, Record};
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::captured::Captured;
    use super::*;

    /// The lines that `log` writes, as JSON without the time.
    fn lines(log: impl FnOnce()) -> Vec<serde_json::Value> {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer =
            tracing_subscriber::fmt::layer().event_format(JsonLine).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = captured.text();
        let without_time = |line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert_eq!(time.as_str().unwrap().len(), "2026-01-31T12:00:00.000000Z".len());
            line
        };
        text.lines().map(without_time).collect()
    }

    #[test]
    fn a_line_has_every_field_in_its_type() {
        let (peer, reason) = ("127.0.0.1:80", "two\nlines, a \"quote\" and a \\");
        let lines = lines(|| {
            tracing::info!(peer = %peer, reason, status = 200_u16, offset = -3_i64, share = 0.5, whole = true, "request");
            tracing::error!(r#type = ?Some(1), ratio = f64::NAN, "{} of {}", 1, 2);
        });
        let target = "carryall::logging::json_line::tests";
        assert_eq!(
            lines,
            [
                serde_json::json!({
                    "level": "INFO", "message": "request", "peer": peer, "reason": reason, "status": 200,
                    "offset": -3, "share": 0.5, "whole": true, "target": target,
                }),
                serde_json::json!({
                    "level": "ERROR", "message": "1 of 2", "type": "Some(1)", "ratio": null, "target": target,
                }),
            ]
        );
    }

    #[test]
    fn an_event_of_the_log_crate_has_its_own_level_and_target_and_no_more() {
        let lines = lines(|| {
            let record = Record::builder()
                .args(format_args!("flushed"))
                .level(Level::Warn)
                .target("fjall::journal")
                .module_path(Some("fjall::journal"))
                .file(Some("journal.rs"))
                .line(Some(7))
                .build();
            tracing_log::format_trace(&record).unwrap();
        });
        let expected = serde_json::json!({"level": "WARN", "message": "flushed", "target": "fjall::journal"});
        assert_eq!(lines, [expected]);
    }
}
