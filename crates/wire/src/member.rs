//! Readers for members that serde by itself would read too leniently or too strictly.
//!
//! The rules are in `docs/protocol.md` section 2.2. Constraints on the values are not checked here.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::limits::{Limit, too_many_entries};

/// The largest magnitude up to which an `f64` holds every integer, 2^53.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads an integer: a number in any notation as long as its value is integral, or a text. Queries and forms
/// carry numbers as text, and the RPC form accepts that too.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Integer>::deserialize(deserializer)?.map(|Integer(value)| value))
}

/// Reads a structure, which must be an object; serde would also accept an array.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// Reads a list of at most `L::ENTRIES_MAX` entries.
pub(crate) fn list<'de, L, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    L: Limit,
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_option(List::<L, _, _>::new(|entry: T| entry))
}

/// Reads a list of structures, by the rules of [`list`] and [`object`].
pub(crate) fn objects<'de, L, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    L: Limit,
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_option(List::<L, _, _>::new(|Object(entry): Object<T>| entry))
}

/// Reads a map of at most `L::ENTRIES_MAX` entries in which no key occurs twice; serde would keep the last.
pub(crate) fn map<'de, L, D, T>(deserializer: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    L: Limit,
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_option(Map::<L, _, _>::new(|entry: T| entry))
}

/// Reads a map of structures, by the rules of [`map`] and [`object`].
pub(crate) fn object_map<'de, L, D, T>(deserializer: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    L: Limit,
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_option(Map::<L, _, _>::new(|Object(entry): Object<T>| entry))
}

struct Integer(i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntegerVisitor)
    }
}

struct IntegerVisitor;

impl Visitor<'_> for IntegerVisitor {
    type Value = Integer;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an integer")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Integer, E> {
        Ok(Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Integer, E> {
        i64::try_from(value).map(Integer).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    #[expect(clippy::cast_possible_truncation, reason = "integral and within 2^53, so the cast is exact")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Integer, E> {
        if value.fract() == 0.0 && value.abs() <= EXACT_INTEGER_MAX {
            Ok(Integer(value as i64))
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Integer, E> {
        // The standard parser also reads a plus sign, which in a query string is an encoded space.
        let plain = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(value) if plain => Ok(Integer(value)),
            _ => Err(E::custom("not an integer")),
        }
    }
}

/// A structure that must be an object on the wire.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Reads a list under the limit `L`, or nothing from null. Each entry is read as an `R`, which `keep`
/// converts.
struct List<L, R, K> {
    keep: K,
    entry: PhantomData<(L, R)>,
}

impl<L, R, K> List<L, R, K> {
    const fn new(keep: K) -> Self {
        Self { keep, entry: PhantomData }
    }
}

impl<'de, L: Limit, R: Deserialize<'de>, T, K: Fn(R) -> T> Visitor<'de> for List<L, R, K> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element::<R>()? {
            if entries.len() == L::ENTRIES_MAX {
                return Err(A::Error::custom(too_many_entries::<L>()));
            }
            entries.push((self.keep)(entry));
        }
        Ok(Some(entries))
    }
}

/// Reads a map under the limit `L`, or nothing from null. Each entry is read as an `R`, which `keep`
/// converts.
struct Map<L, R, K> {
    keep: K,
    entry: PhantomData<(L, R)>,
}

impl<L, R, K> Map<L, R, K> {
    const fn new(keep: K) -> Self {
        Self { keep, entry: PhantomData }
    }
}

impl<'de, L: Limit, R: Deserialize<'de>, T, K: Fn(R) -> T> Visitor<'de> for Map<L, R, K> {
    type Value = Option<BTreeMap<String, T>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, entry)) = map.next_entry::<String, R>()? {
            if entries.len() == L::ENTRIES_MAX {
                return Err(A::Error::custom(too_many_entries::<L>()));
            }
            if entries.insert(key, (self.keep)(entry)).is_some() {
                return Err(A::Error::custom("a key occurs twice in a map"));
            }
        }
        Ok(Some(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Logins;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Sample {
        #[serde(deserialize_with = "integer")]
        count: Option<i64>,
        #[serde(deserialize_with = "objects::<Logins, _, _>")]
        pairs: Option<Vec<Pair>>,
        #[serde(deserialize_with = "object")]
        pair: Option<Pair>,
        #[serde(deserialize_with = "map::<Logins, _, _>")]
        names: Option<BTreeMap<String, String>>,
        #[serde(deserialize_with = "object_map::<Logins, _, _>")]
        by_name: Option<BTreeMap<String, Pair>>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Pair {
        left: i64,
        right: i64,
    }

    fn count(json: &str) -> Result<Option<i64>, serde_json::Error> {
        serde_json::from_str::<Sample>(&format!("{{\"count\":{json}}}")).map(|sample| sample.count)
    }

    #[test]
    fn an_integer_may_come_in_any_notation_that_is_integral() {
        for (json, value) in [
            ("3", 3),
            ("3.0", 3),
            ("3e2", 300),
            ("1.5E1", 15),
            ("-0", 0),
            ("\"3\"", 3),
            ("\"-7\"", -7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(count(json).expect(json), Some(value), "{json}");
        }
        assert_eq!(count("null").expect("null is absent"), None);
    }

    #[test]
    fn what_is_no_integer_is_refused() {
        for json in [
            "3.5",
            "1e400",
            "9223372036854775808",
            "1e18",
            "true",
            "[]",
            "{}",
            "\"\"",
            "\"abc\"",
            "\"inf\"",
            "\"NaN\"",
            "\"3.5\"",
            "\" 3\"",
            "\"3e\"",
            "\"٣\"",
            "\"0x10\"",
            "\"99999999999999999999\"",
        ] {
            assert!(count(json).is_err(), "{json}");
        }
    }

    #[test]
    fn structures_are_read_from_objects_alone() {
        let sample: Sample = serde_json::from_str(
            r#"{"pair":{"left":1,"right":2},"pairs":[{"left":3,"right":4}],"by_name":{"a":{"left":5,"right":6}}}"#,
        )
        .expect("objects");
        assert_eq!(sample.pair, Some(Pair { left: 1, right: 2 }));
        assert_eq!(sample.pairs, Some(vec![Pair { left: 3, right: 4 }]));
        assert_eq!(sample.by_name.expect("given")["a"], Pair { left: 5, right: 6 });
        for json in
            [r#"{"pair":[1,2]}"#, r#"{"pairs":[[1,2]]}"#, r#"{"pairs":[null]}"#, r#"{"by_name":{"a":[1,2]}}"#]
        {
            assert!(serde_json::from_str::<Sample>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_map_refuses_a_key_that_comes_twice() {
        let sample: Sample = serde_json::from_str(r#"{"names":{"a":"1","b":"2"}}"#).expect("distinct keys");
        assert_eq!(sample.names.expect("given").len(), 2);
        assert!(serde_json::from_str::<Sample>(r#"{"names":{"a":"1","a":"2"}}"#).is_err());
        assert!(serde_json::from_str::<Sample>(r#"{"names":{"a":null}}"#).is_err());
    }
}
