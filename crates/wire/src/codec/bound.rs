//! The members that travel outside the body: in path, query and headers.
//!
//! The rules are in `docs/protocol.md` section 2.1. Values are texts here; the input's own reader parses
//! numbers.

use std::borrow::Cow;
use std::marker::PhantomData;

use http::HeaderMap;
use serde::de::{Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

use super::percent;
use super::rejection::{Rejection, echo};
use crate::spec::{Bind, Source};

/// A label of the path with its decoded value.
pub(super) type Label<'r> = (&'static str, Cow<'r, str>);

/// The bound members of one request.
pub(super) struct Bound<'r> {
    binds: &'static [Bind],
    values: Vec<BoundValue<'r>>,
}

/// A bound member with its text.
pub(super) struct BoundValue<'r> {
    bind: &'static Bind,
    text: Cow<'r, str>,
}

impl<'r> Bound<'r> {
    /// Returns no bound members, as in every dialect but REST.
    pub(super) const fn none() -> Self {
        Self { binds: &[], values: Vec::new() }
    }

    /// Collects the bound members of a request. Other query names, such as those of a presigned signature,
    /// are ignored.
    pub(super) fn collect(
        binds: &'static [Bind],
        labels: &'r [Label<'r>],
        query: &'r str,
        headers: &'r HeaderMap,
    ) -> Result<Self, Rejection> {
        let mut bound = Self { binds, values: Vec::with_capacity(binds.len()) };
        for bind in binds {
            let text = match bind.from {
                Source::Label => {
                    labels.iter().find(|(name, _)| *name == bind.member).map(|(_, text)| &**text)
                }
                Source::Header(name) => {
                    headers.get(name).and_then(|value| str::from_utf8(value.as_bytes()).ok())
                }
                Source::Query(_) => None,
            };
            bound.values.extend(text.map(|text| BoundValue { bind, text: Cow::Borrowed(text) }));
        }
        for (name, value) in percent::pairs(query) {
            bound.add_query_member(name, value)?;
        }
        Ok(bound)
    }

    fn add_query_member(&mut self, name: &str, value: &'r str) -> Result<(), Rejection> {
        // A name that cannot be decoded is the name of no member.
        let Some(decoded) = percent::decode_plus(name) else { return Ok(()) };
        let named = |bind: &&Bind| matches!(bind.from, Source::Query(name) if name == decoded);
        let Some(bind) = self.binds.iter().find(named) else { return Ok(()) };
        let name = bind.wire_name();
        if self.values.iter().any(|value| std::ptr::eq(value.bind, bind)) {
            return Err(Rejection::QueryDuplicate { name });
        }
        let text = percent::decode_plus(value).ok_or(Rejection::QueryEncoding { name })?;
        self.values.push(BoundValue { bind, text });
        Ok(())
    }

    /// The members that are present.
    pub(super) fn values(&self) -> &[BoundValue<'r>] {
        &self.values
    }

    /// True if a member is bound, so that the body's value for it is ignored, even if the bound value is
    /// absent.
    pub(super) fn binds(&self, member: &str) -> bool {
        self.binds.iter().any(|bind| bind.member == member)
    }
}

impl<'r> BoundValue<'r> {
    /// The member's name in the input.
    pub(super) const fn member(&self) -> &'static str {
        self.bind.member
    }

    /// A deserializer of the text, for the input's reader.
    pub(super) fn deserializer<E>(&'r self) -> TextDeserializer<'r, E> {
        TextDeserializer { text: &self.text, error: PhantomData }
    }

    /// The rejection of a text that the input's reader refused. Only numbers can be refused.
    pub(super) fn rejection(&self) -> Rejection {
        Rejection::QueryNumber { name: self.bind.wire_name(), value: echo(&self.text) }
    }
}

/// A deserializer of a text that is present, for optional types too.
pub(super) struct TextDeserializer<'r, E> {
    text: &'r str,
    error: PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for TextDeserializer<'_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_str(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
