//! Decoding of an input from a JSON object, overlaid with the members that travelled outside the body.
//!
//! Members are passed to the input's reader one by one, so no tree is built in between. The rules are in
//! `docs/protocol.md` section 2.2.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

use memchr::{memchr, memchr2_iter};
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::bound::{Bound, BoundValue};
use super::rejection::{JSON_DEPTH_MAX, Rejection, echo};
use crate::limits;
use crate::spec::Operation;
use crate::timestamp::STRING_DATE_MESSAGE;

/// The bytes reserved for an answer of unknown size.
pub(super) const SMALL_ANSWER_BYTES: usize = 128;

/// Returns a body as text after checking, in ignored members too, that it is UTF-8, not too deep and free of
/// unpaired surrogates. An empty body stands for an empty object.
pub(super) fn text(body: &[u8]) -> Result<&str, Rejection> {
    if body.is_empty() {
        return Ok("{}");
    }
    let text = std::str::from_utf8(body).map_err(|_| Rejection::BodyNotUtf8)?;
    if is_too_deep(body) {
        return Err(Rejection::BodyTooDeep);
    }
    if has_unpaired_surrogate(text) {
        return Err(Rejection::BodyUnpairedSurrogate);
    }
    Ok(text)
}

/// True if some `\uD800` to `\uDBFF` has no `\uDC00` to `\uDFFF` right after it, or one of these stands
/// alone. The parser finds this only in strings that it builds, and it builds none for an ignored member.
fn has_unpaired_surrogate(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, escape)) =
        memchr(b'\\', rest.as_bytes()).and_then(|start| rest.split_at_checked(start))
    {
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (None, _) => 2,
            (Some(Surrogate::Leading), Some(Surrogate::Trailing)) => 12,
            (Some(Surrogate::Leading | Surrogate::Trailing), _) => return true,
        };
        // An escape of a character beyond one byte is invalid, which the parser reports.
        rest = escape.get(length..).unwrap_or_default();
    }
    false
}

enum Surrogate {
    Leading,
    Trailing,
}

/// The half of a surrogate pair that the text begins with, as an escape.
fn surrogate(text: &str) -> Option<Surrogate> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Surrogate::Leading),
        0xdc00..=0xdfff => Some(Surrogate::Trailing),
        _ => None,
    }
}

/// True if a body nests too deep. Counting brackets is cheap and decides nearly every body; only a body with
/// many brackets is scanned. Broken JSON may be misjudged either way; the parser refuses it in any case.
fn is_too_deep(body: &[u8]) -> bool {
    let opening = memchr2_iter(b'{', b'[', body).take(JSON_DEPTH_MAX + 1).count();
    if opening <= JSON_DEPTH_MAX {
        return false;
    }
    let mut depth = 0_usize;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => while bytes.next().is_some_and(|byte| skip_in_string(*byte, &mut bytes)) {},
            _ => {}
        }
    }
    false
}

/// True if the string continues after this byte; a backslash also consumes the byte after it.
fn skip_in_string(byte: u8, bytes: &mut std::slice::Iter<'_, u8>) -> bool {
    if byte == b'\\' {
        bytes.next();
    }
    byte != b'"'
}

/// Decodes an input from text: first the bound members, then those members of the body whose names are not
/// bound.
pub(super) fn members<T: DeserializeOwned>(text: &str, bound: &Bound<'_>) -> Result<T, Rejection> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    read(bound, |visitor| {
        let input = deserializer.deserialize_map(visitor)?;
        deserializer.end().map(|()| input)
    })
}

/// Decodes an input from a tree that was converted from a syntax other than JSON.
pub(super) fn members_of<T: DeserializeOwned>(tree: Map<String, Value>) -> Result<T, Rejection> {
    read(&Bound::none(), |visitor| Value::Object(tree).deserialize_map(visitor))
}

/// Encodes an output; if its size is known, into a buffer of exactly that size.
pub(super) fn written<O: Operation>(
    output: &O::Output,
    json_bytes: Option<usize>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(json_bytes.unwrap_or(SMALL_ANSWER_BYTES));
    O::write_json(output, &mut bytes)?;
    Ok(bytes)
}

fn read<'b, T>(
    bound: &'b Bound<'b>,
    deserialize: impl FnOnce(InputVisitor<'_, T>) -> Result<T, serde_json::Error>,
) -> Result<T, Rejection> {
    let progress = Progress::default();
    deserialize(InputVisitor { bound, progress: &progress, input: PhantomData }).map_err(|error| {
        if let Some(value) = progress.refused.get() {
            return value.rejection();
        }
        malformed(&error, &progress.member.borrow())
    })
}

/// The rejection for a parser's error. A value of the wrong type is not repeated: it may be a token in the
/// wrong member, and messages are logged.
pub(super) fn malformed(error: &serde_json::Error, member: &str) -> Rejection {
    let message = error.to_string();
    if message.starts_with(limits::VIOLATION) {
        // The parser's position adds nothing to the member's name.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        return Rejection::TooManyEntries { message };
    }
    // Clients know this text as it is, without the parser's position.
    if message.starts_with(STRING_DATE_MESSAGE) {
        return Rejection::BodyMalformed { message: STRING_DATE_MESSAGE.to_owned() };
    }
    let message =
        match message.strip_prefix("invalid type: string \"").and_then(|rest| rest.rsplit_once("\", ")) {
            Some((_value, expected)) => format!("invalid type: string, {expected}"),
            None => message,
        };
    let message =
        if error.is_data() && !member.is_empty() { format!("'{member}': {message}") } else { message };
    Rejection::BodyMalformed { message: echo(&message) }
}

/// The progress of reading, for the error text if it fails.
#[derive(Default)]
struct Progress<'b> {
    /// The bound member whose text was refused.
    refused: Cell<Option<&'b BoundValue<'b>>>,
    /// The member of the body that was read last.
    member: RefCell<String>,
}

struct InputVisitor<'b, T> {
    bound: &'b Bound<'b>,
    progress: &'b Progress<'b>,
    input: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for InputVisitor<'_, T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, body: A) -> Result<T, A::Error> {
        let (bound, progress) = (self.bound, self.progress);
        let chained = Chained { values: bound.values().iter(), next: None, bound, progress, body };
        T::deserialize(MapAccessDeserializer::new(chained))
    }
}

/// The bound members followed by those of the body.
struct Chained<'b, A> {
    values: std::slice::Iter<'b, BoundValue<'b>>,
    next: Option<&'b BoundValue<'b>>,
    bound: &'b Bound<'b>,
    progress: &'b Progress<'b>,
    body: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Chained<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.next = self.values.next();
        if let Some(value) = self.next {
            return seed.deserialize(BorrowedStrDeserializer::new(value.member())).map(Some);
        }
        let mut seed = seed;
        loop {
            match self.body.next_key_seed(UnboundKey { bound: self.bound, progress: self.progress, seed })? {
                None => return Ok(None),
                Some(Key::Unbound(key)) => return Ok(Some(key)),
                Some(Key::Bound(unused)) => {
                    self.body.next_value::<IgnoredAny>()?;
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        let Some(value) = self.next else { return self.body.next_value_seed(seed) };
        seed.deserialize(value.deserializer()).inspect_err(|_| self.progress.refused.set(Some(value)))
    }
}

/// A key of the body, which is passed on unless a bound member has its name.
struct UnboundKey<'b, K> {
    bound: &'b Bound<'b>,
    progress: &'b Progress<'b>,
    seed: K,
}

enum Key<V, K> {
    Unbound(V),
    Bound(K),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for UnboundKey<'_, K> {
    type Value = Key<K::Value, K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for UnboundKey<'_, K> {
    type Value = Key<K::Value, K>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.bound.binds(name) {
            Ok(Key::Bound(self.seed))
        } else {
            name.clone_into(&mut self.progress.member.borrow_mut());
            self.seed.deserialize(StrDeserializer::new(name)).map(Key::Unbound)
        }
    }
}
