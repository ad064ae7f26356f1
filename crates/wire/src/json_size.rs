//! The sizes of values as JSON, in bytes, computed without writing them: one pass over each text, and no
//! allocation. A page of records is cut, and memory for an answer is reserved, before the answer is encoded.
//!
//! The sizes are exact for [`crate::codec::encode`]; a property test compares the two.

use crate::timestamp::Timestamp;

/// The JSON of a record in a listing or an update, without its six values.
const RECORD_MEMBERS: &str =
    r#"{"Key":,"Value":,"SyncCount":,"LastModifiedDate":,"LastModifiedBy":,"DeviceLastModifiedDate":}"#;

/// `null`.
const NULL_BYTES: usize = 4;

/// The number of bytes of a text that are examined together: few enough that the count of their escapes fits
/// a byte (32 × 5 = 160).
const CHUNK_BYTES: usize = 32;

/// The size of a record in the `Records` of a listing or an update, in bytes, without a comma.
pub fn record(
    key: &str,
    value: Option<&str>,
    sync_count: u64,
    last_modified: Timestamp,
    last_modified_by: Option<&str>,
    device_last_modified: Timestamp,
) -> usize {
    RECORD_MEMBERS.len()
        + text(key)
        + optional_text(value)
        + number(sync_count)
        + date(last_modified)
        + optional_text(last_modified_by)
        + date(device_last_modified)
}

/// The size of a text with its quotation marks and escapes, in bytes.
pub fn text(text: &str) -> usize {
    let (chunks, rest) = text.as_bytes().as_chunks::<CHUNK_BYTES>();
    let mut padded = [b' '; CHUNK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    let escaped = chunks.iter().chain([&padded]).filter(|chunk| needs_escapes(chunk));
    2 + text.len() + escaped.map(|chunk| usize::from(escapes(chunk))).sum::<usize>()
}

/// True if any byte is written as an escape. Most texts need none, and this is a third of the work of counting
/// them. It has no branches, so that the compiler can vectorise it.
fn needs_escapes(bytes: &[u8; CHUNK_BYTES]) -> bool {
    let is_escaped = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    bytes.iter().fold(0, |any, byte| any | is_escaped(*byte)) != 0
}

/// The number of bytes that escapes add. It has no branches, so that the compiler can vectorise it.
fn escapes(bytes: &[u8; CHUNK_BYTES]) -> u8 {
    let extra = |byte: u8| {
        let named = matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c);
        let control = byte < 0x20;
        // `\"` is one byte more, `\u0001` five.
        5 * u8::from(control && !named) + u8::from(named)
    };
    bytes.iter().map(|byte| extra(*byte)).sum()
}

pub(crate) fn optional_text(value: Option<&str>) -> usize {
    value.map_or(NULL_BYTES, text)
}

pub(crate) const fn number(number: u64) -> usize {
    match number.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

pub(crate) const fn boolean(value: bool) -> usize {
    if value { 4 } else { 5 }
}

/// The size of a date: seconds with one to three decimals.
fn date(date: Timestamp) -> usize {
    let milliseconds = date.unix_milliseconds();
    let fraction = milliseconds.unsigned_abs() % 1000;
    let decimals = match fraction {
        _ if fraction.is_multiple_of(100) => 1,
        _ if fraction.is_multiple_of(10) => 2,
        _ => 3,
    };
    usize::from(milliseconds < 0) + number(milliseconds.unsigned_abs() / 1000) + 1 + decimals
}

/// The size of a list, from the sizes of its entries.
pub(crate) fn list(entries: impl ExactSizeIterator<Item = usize>) -> usize {
    let commas = entries.len().saturating_sub(1);
    2 + commas + entries.sum::<usize>()
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

    /// The encoded size of `output`, after a check that the buffer has no spare capacity.
    fn encoded<O: Operation>(dialect: Dialect, output: &O::Output) -> usize {
        let body = encode::<O>(dialect, "id", output).expect("writable").body;
        assert_eq!(body.capacity(), body.len(), "the encoder reserved what it needed");
        body.len()
    }

    proptest! {
        #[test]
        fn sizes_are_those_that_the_encoder_writes(listing in listing()) {
            for record in &listing.records {
                prop_assert_eq!(record.json_bytes(), serde_json::to_vec(record).expect("writable").len());
            }
            prop_assert_eq!(listing.json_bytes(), encoded::<ListRecords>(Dialect::Rest, &listing));
            encoded::<ListRecords>(Dialect::Rpc(Wrapping::Enveloped), &listing);
            let update = update_records::Output { records: listing.records };
            prop_assert_eq!(update.json_bytes(), encoded::<UpdateRecords>(Dialect::Rest, &update));
            encoded::<UpdateRecords>(Dialect::Rpc(Wrapping::Enveloped), &update);
        }
    }

    #[test]
    fn a_text_of_control_characters_takes_six_times_its_length() {
        assert_eq!(super::text(&"\u{1}".repeat(1000)), 6002);
        assert_eq!(super::text(&"\"\n".repeat(500)), 2002);
        assert_eq!(super::text(&"é".repeat(500)), 1002);
        assert_eq!(super::text(""), 2);
    }
}
