//! Records and listings as JSON, written straight into a buffer or only measured. Both come from one description of
//! the answer, so that a page can be cut, and memory for it reserved, before it is encoded.
//!
//! The bytes are those of `serde_json`; a property test compares the two.

use std::io;

use serde::Serialize;

use crate::timestamp::Timestamp;

/// A receiver of JSON: a buffer, or a count of bytes.
pub trait Sink {
    /// Takes JSON as it is.
    fn raw(&mut self, json: &str);

    /// Takes a text, in quotation marks and with its escapes.
    fn text(&mut self, text: &str);

    /// Takes a whole number.
    fn number(&mut self, number: u64);

    /// Takes a text, or `null`.
    fn optional_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    /// Takes `true` or `false`.
    fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// Takes a date: seconds with one to three decimals.
    fn date(&mut self, date: Timestamp) {
        let milliseconds = date.unix_milliseconds();
        if milliseconds < 0 {
            self.raw("-");
        }
        self.number(milliseconds.unsigned_abs() / 1000);
        self.raw(".");
        let fraction = milliseconds.unsigned_abs() % 1000;
        let (hundreds, rest) = (fraction / 100, fraction % 100);
        self.number(hundreds);
        if rest > 0 {
            self.number(rest / 10);
        }
        if !rest.is_multiple_of(10) {
            self.number(rest % 10);
        }
    }

    /// Takes a list. `write` writes one entry.
    fn list<T>(&mut self, entries: &[T], write: impl Fn(&mut Self, &T))
    where
        Self: Sized,
    {
        self.raw("[");
        for (position, entry) in entries.iter().enumerate() {
            if position > 0 {
                self.raw(",");
            }
            write(self, entry);
        }
        self.raw("]");
    }
}

impl Sink for Vec<u8> {
    fn raw(&mut self, json: &str) {
        self.extend_from_slice(json.as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.push(b'"');
        if needs_escapes(text.as_bytes()) {
            push_escaped(text, self);
        } else {
            self.extend_from_slice(text.as_bytes());
        }
        self.push(b'"');
    }

    fn number(&mut self, number: u64) {
        self.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// A count of the bytes that JSON takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(usize);

impl Size {
    /// The number of bytes that `write` writes.
    pub fn of(write: impl FnOnce(&mut Self)) -> usize {
        let mut size = Self::default();
        write(&mut size);
        size.0
    }

    /// The size of `value` as `serde_json` writes it, in bytes.
    pub fn of_value(value: &impl Serialize) -> Result<usize, serde_json::Error> {
        let mut size = Self::default();
        serde_json::to_writer(&mut size, value)?;
        Ok(size.0)
    }

    /// The size of a text with its quotation marks and escapes, in bytes.
    pub fn of_text(text: &str) -> usize {
        Self::of(|size| size.text(text))
    }
}

impl io::Write for Size {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        self.0 += json.len();
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Size {
    fn raw(&mut self, json: &str) {
        self.0 += json.len();
    }

    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.0 += 2 + text.len() + if needs_escapes(bytes) { escapes(bytes) } else { 0 };
    }

    fn number(&mut self, number: u64) {
        self.0 += number.checked_ilog10().map_or(1, |log| log as usize + 1);
    }
}

/// Writes a record of a listing or an update.
pub fn record(
    sink: &mut impl Sink,
    key: &str,
    value: Option<&str>,
    sync_count: u64,
    last_modified: Timestamp,
    last_modified_by: Option<&str>,
    device_last_modified: Timestamp,
) {
    sink.raw(r#"{"Key":"#);
    sink.text(key);
    sink.raw(r#","Value":"#);
    sink.optional_text(value);
    sink.raw(r#","SyncCount":"#);
    sink.number(sync_count);
    sink.raw(r#","LastModifiedDate":"#);
    sink.date(last_modified);
    sink.raw(r#","LastModifiedBy":"#);
    sink.optional_text(last_modified_by);
    sink.raw(r#","DeviceLastModifiedDate":"#);
    sink.date(device_last_modified);
    sink.raw("}");
}

/// The number of bytes that are examined together: few enough that the count of their escapes fits a byte
/// (32 × 5 = 160).
const CHUNK_BYTES: usize = 32;

/// True if any byte of a text is written as an escape. Most texts need none.
fn needs_escapes(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<CHUNK_BYTES>();
    // Without branches inside a chunk, so that the compiler can vectorise it.
    let any_is_escaped =
        |chunk: &[u8; CHUNK_BYTES]| chunk.iter().fold(0, |any, byte| any | is_escaped(*byte)) > 0;
    let mut padded = [b' '; CHUNK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    chunks.iter().any(any_is_escaped) || any_is_escaped(&padded)
}

/// 1 if a byte is written as an escape, and 0 otherwise.
fn is_escaped(byte: u8) -> u8 {
    u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
}

/// The number of bytes that escapes add.
fn escapes(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks::<CHUNK_BYTES>();
    let of = |bytes: &[u8]| usize::from(bytes.iter().map(|byte| extra_bytes(*byte)).sum::<u8>());
    chunks.iter().map(|chunk| of(chunk)).sum::<usize>() + of(rest)
}

/// The number of bytes that the escape of a byte adds: `\"` is one byte more, `\u0001` five. It has no branches, so
/// that the compiler can vectorise it.
fn extra_bytes(byte: u8) -> u8 {
    let named = short_escape(byte).is_some();
    5 * u8::from(byte < 0x20 && !named) + u8::from(named)
}

/// The letter of a byte that has an escape of two characters.
const fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

fn push_escaped(text: &str, out: &mut Vec<u8>) {
    const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in text.bytes() {
        if let Some(letter) = short_escape(byte) {
            out.extend_from_slice(&[b'\\', letter]);
        } else if is_escaped(byte) > 0 {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 0x0f));
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX_DIGITS[high], HEX_DIGITS[low]]);
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use crate::codec::{Dialect, Wrapping, encode};
    use crate::ops::sync::{ListRecords, UpdateRecords, list_records, update_records};
    use crate::shapes::Record;
    use crate::spec::Operation;
    use crate::timestamp::Timestamp;

    use super::Size;

    /// Texts around the size of a chunk, with every kind of character that JSON escapes differently.
    fn text() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            (0_u32..0x80).prop_map(|code| char::from_u32(code).unwrap_or('a')),
            Just('"'),
            Just('\\'),
            any::<char>(),
            Just('a'),
        ];
        prop::collection::vec(character, 0..100).prop_map(String::from_iter)
    }

    fn date() -> impl Strategy<Value = Timestamp> {
        let milliseconds = prop_oneof![
            any::<i64>(),
            -10_000_i64..10_000,
            (-200_000_000_i64..200_000_000).prop_map(|tenths| tenths * 100),
            1_300_000_000_000_i64..1_900_000_000_000,
        ];
        milliseconds.prop_map(Timestamp::from_unix_milliseconds)
    }

    fn record() -> impl Strategy<Value = Record> {
        let by = prop::option::of(text().prop_map(Arc::from));
        (text(), prop::option::of(text()), any::<u64>(), date(), by, date()).prop_map(
            |(key, value, sync_count, last_modified_date, last_modified_by, device_last_modified_date)| {
                Record {
                    key: key.into(),
                    value,
                    sync_count,
                    last_modified_date,
                    last_modified_by,
                    device_last_modified_date,
                }
            },
        )
    }

    fn listing() -> impl Strategy<Value = list_records::Output> {
        let flags = (any::<bool>(), any::<bool>());
        let names = prop::collection::vec(text(), 0..3);
        let counts = (any::<u64>(), 0_u64..20);
        let tokens = (prop::option::of(text()), prop::option::of(text()), text());
        (prop::collection::vec(record(), 0..4), counts, tokens, names, flags).prop_map(
            |(records, counts, tokens, merged_dataset_names, flags)| list_records::Output {
                records,
                next_token: tokens.0,
                count: counts.1,
                dataset_sync_count: counts.0,
                last_modified_by: tokens.1,
                merged_dataset_names,
                dataset_exists: flags.0,
                dataset_deleted_after_requested_sync_count: flags.1,
                sync_session_token: tokens.2,
            },
        )
    }

    /// The body of an answer, after a check that its buffer has no spare capacity.
    fn encoded<O: Operation>(dialect: Dialect, output: &O::Output) -> Vec<u8> {
        let json_bytes = O::json_bytes(output);
        let body = encode::<O>(dialect, "id", output, json_bytes).expect("writable").body;
        assert_eq!(body.capacity(), body.len(), "the encoder reserved what it needed");
        body
    }

    /// Compares both encodings with that of `serde_json`.
    fn is_as_serde_writes<O: Operation>(output: &O::Output) {
        let expected = serde_json::to_string(output).expect("writable");
        let bare = encoded::<O>(Dialect::Rest, output);
        assert_eq!(str::from_utf8(&bare), Ok(&*expected));
        assert_eq!(O::json_bytes(output), Some(bare.len()));
        let sealed = encoded::<O>(Dialect::Rpc(Wrapping::Enveloped), output);
        let kind = format!("com.amazonaws.cognito.sync.model#{}Response", O::SPEC.name.as_str());
        let members = expected.strip_prefix('{').expect("an object");
        let expected = format!(r#"{{"Output":{{"__type":"{kind}",{members},"Version":"1.0"}}"#);
        assert_eq!(str::from_utf8(&sealed), Ok(&*expected));
    }

    proptest! {
        #[test]
        fn answers_are_as_serde_json_writes_them_in_a_buffer_of_their_size(listing in listing()) {
            is_as_serde_writes::<ListRecords>(&listing);
            is_as_serde_writes::<UpdateRecords>(&update_records::Output { records: listing.records });
        }
    }

    #[test]
    fn a_text_of_control_characters_takes_six_times_its_length() {
        assert_eq!(Size::of_text(&"\u{1}".repeat(1000)), 6002);
        assert_eq!(Size::of_text(&"\"\n".repeat(500)), 2002);
        assert_eq!(Size::of_text(&"é".repeat(500)), 1002);
        assert_eq!(Size::of_text(""), 2);
    }
}
