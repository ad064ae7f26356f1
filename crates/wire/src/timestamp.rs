//! Points in time on the wire: epoch seconds in JSON, ISO 8601 in XML, milliseconds in memory.
//!
//! The formats are in `docs/protocol.md` section 2.4. No clock is read here.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The message for a date sent as a string. Clients of the service know this text.
pub const STRING_DATE_MESSAGE: &str =
    "class java.lang.String can not be converted to milliseconds since epoch";

/// 0001-01-01T00:00:00.000Z.
const MIN_UNIX_MILLISECONDS: i64 = -62_135_596_800_000;

/// 9999-12-31T23:59:59.999Z.
const MAX_UNIX_MILLISECONDS: i64 = 253_402_300_799_999;

const DAY_SECONDS: i64 = 86_400;

/// A point in time in milliseconds since 1970, within the years 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Converts milliseconds since 1970, clamped to the years 1 to 9999.
    pub const fn from_unix_milliseconds(milliseconds: i64) -> Self {
        if milliseconds < MIN_UNIX_MILLISECONDS {
            Self(MIN_UNIX_MILLISECONDS)
        } else if milliseconds > MAX_UNIX_MILLISECONDS {
            Self(MAX_UNIX_MILLISECONDS)
        } else {
            Self(milliseconds)
        }
    }

    /// Milliseconds since 1970.
    pub const fn unix_milliseconds(self) -> i64 {
        self.0
    }

    /// Formats the time as `2014-10-04T20:00:06Z`, with three fractional digits if there are milliseconds.
    pub fn to_iso8601(self) -> String {
        let seconds = self.0.div_euclid(1000);
        let milliseconds = self.0.rem_euclid(1000);
        let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let whole = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if milliseconds == 0 { format!("{whole}Z") } else { format!("{whole}.{milliseconds:03}Z") }
    }

    /// Parses the format of [`Self::to_iso8601`].
    pub fn from_iso8601(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z')?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let milliseconds = match fraction.len() {
            1 => number(fraction)? * 100,
            3 => number(fraction)?,
            _ => return None,
        };
        let (date, time) = whole.split_once('T')?;
        let (year, month_day) = date.split_once('-')?;
        let (month, day) = month_day.split_once('-')?;
        let (hour, minute_second) = time.split_once(':')?;
        let (minute, second) = minute_second.split_once(':')?;
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
        if !(1..=9999).contains(&year) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return None;
        }
        let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second;
        Some(Self(seconds * 1000 + milliseconds))
    }
}

fn number(digits: &str) -> Option<i64> {
    if digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The Gregorian date of a day counted from 1970-01-01. Years begin in March here, so that the leap day is
/// the last day of its year and month lengths follow a fixed pattern; 719,468 days lie between 0000-03-01 and
/// 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl Serialize for Timestamp {
    #[expect(clippy::cast_precision_loss, reason = "the range is below 2^53 milliseconds")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // An `f64` holds 15 decimal digits exactly, and twelve digits of seconds plus three of milliseconds
        // are 15. The serializer prints the shortest text that reads back, so it prints the exact decimal.
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EpochSeconds)
    }
}

struct EpochSeconds;

impl EpochSeconds {
    fn checked<E: Error>(milliseconds: Option<i64>) -> Result<Timestamp, E> {
        milliseconds
            .filter(|milliseconds| (MIN_UNIX_MILLISECONDS..=MAX_UNIX_MILLISECONDS).contains(milliseconds))
            .map(Timestamp)
            .ok_or_else(|| E::custom("a date must lie within the years 1 to 9999, in seconds since 1970"))
    }
}

impl Visitor<'_> for EpochSeconds {
    type Value = Timestamp;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("seconds since 1970")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Timestamp, E> {
        Self::checked(seconds.checked_mul(1000))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Timestamp, E> {
        Self::checked(i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000)))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast saturates, and what saturates is out of range"
    )]
    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Timestamp, E> {
        if !seconds.is_finite() {
            return Err(E::invalid_value(Unexpected::Float(seconds), &self));
        }
        Self::checked(Some((seconds * 1000.0).round() as i64))
    }

    fn visit_str<E: Error>(self, _text: &str) -> Result<Timestamp, E> {
        Err(E::custom(STRING_DATE_MESSAGE))
    }
}

/// Serde functions for members that are ISO 8601 text, the format of dates in XML.
pub(crate) mod iso8601 {
    use super::{Deserialize, Deserializer, Error, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn serialize<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&timestamp.to_iso8601())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::from_iso8601(&text).ok_or_else(|| D::Error::custom("not an ISO 8601 time in UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<i64, String> {
        serde_json::from_str::<Timestamp>(json)
            .map(Timestamp::unix_milliseconds)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn integers_decimals_and_e_notation_are_the_same_date() {
        assert_eq!(read("1412974057"), Ok(1_412_974_057_000));
        assert_eq!(read("1412974057.151"), Ok(1_412_974_057_151));
        assert_eq!(read("1.412974057151E9"), Ok(1_412_974_057_151));
        assert_eq!(read("-1.5"), Ok(-1_500));
        assert_eq!(read("0"), Ok(0));
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_rounded_to_the_nearest() {
        assert_eq!(read("1412974057.937999"), Ok(1_412_974_057_938));
    }

    #[test]
    fn dates_outside_four_digit_years_are_refused() {
        assert_eq!(read("-62135596800"), Ok(MIN_UNIX_MILLISECONDS));
        assert_eq!(read("253402300799.999"), Ok(MAX_UNIX_MILLISECONDS));
        for json in
            ["-62135596801", "253402300800", "1e300", "-1e300", "9223372036854775807", "18446744073709551615"]
        {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_string_is_refused_with_the_text_that_the_service_is_known_for() {
        let error = read("\"2014-10-10T20:47:37Z\"").expect_err("a string is not a date");
        assert!(error.starts_with(STRING_DATE_MESSAGE), "{error}");
        assert!(read("true").is_err());
        assert!(read("null").is_err());
    }

    #[test]
    fn dates_are_written_as_plain_decimals_that_read_back_exactly() {
        for milliseconds in [0, 1, -1, 1_412_974_057_151, MIN_UNIX_MILLISECONDS, MAX_UNIX_MILLISECONDS] {
            let json = serde_json::to_string(&Timestamp(milliseconds)).expect("a number");
            assert!(!json.contains(['e', 'E', '"']), "{json}");
            assert_eq!(read(&json), Ok(milliseconds));
        }
        assert_eq!(serde_json::to_string(&Timestamp(1_412_974_057_151)).expect("a number"), "1412974057.151");
    }

    #[test]
    fn iso_8601_is_written_and_read_over_leap_days_and_ends_of_centuries() {
        let known = [
            ("1970-01-01T00:00:00Z", 0),
            ("2014-10-04T20:00:06Z", 1_412_452_806_000),
            ("2000-02-29T23:59:59Z", 951_868_799_000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000),
            ("0001-01-01T00:00:00Z", MIN_UNIX_MILLISECONDS),
            ("9999-12-31T23:59:59.999Z", MAX_UNIX_MILLISECONDS),
        ];
        for (text, milliseconds) in known {
            assert_eq!(Timestamp(milliseconds).to_iso8601(), text);
            assert_eq!(Timestamp::from_iso8601(text), Some(Timestamp(milliseconds)));
        }
    }

    #[test]
    fn iso_8601_that_is_no_date_is_refused() {
        for text in [
            "",
            "Z",
            "2014-10-04",
            "2014-10-04T20:00:06",
            "2014-02-29T00:00:00Z",
            "2014-13-01T00:00:00Z",
            "2014-10-04T24:00:00Z",
            "2014-10-04T20:00:06.1234Z",
            "+014-10-04T20:00:06Z",
            "20145-10-04T20:00:06Z",
        ] {
            assert_eq!(Timestamp::from_iso8601(text), None, "{text}");
        }
    }

    #[test]
    fn milliseconds_outside_the_range_become_the_nearest_inside() {
        assert_eq!(Timestamp::from_unix_milliseconds(i64::MAX).unix_milliseconds(), MAX_UNIX_MILLISECONDS);
        assert_eq!(Timestamp::from_unix_milliseconds(i64::MIN).unix_milliseconds(), MIN_UNIX_MILLISECONDS);
    }
}
