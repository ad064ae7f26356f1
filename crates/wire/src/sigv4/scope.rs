//! Signing times and credential scopes: when, where and for which service a signature was made (`docs/protocol.md`
//! section 4.2).

use std::borrow::Cow;
use std::fmt;
use std::time::UNIX_EPOCH;

use super::SCOPE_END;

const SECONDS_PER_DAY: i64 = 86_400;
/// 9999-12-31T23:59:59Z, the last second with a four-digit year.
const UNIX_SECONDS_MAX: i64 = 253_402_300_799;

/// A time to the second, from 1970 to 9999, with its basic ISO 8601 text: `20260131T235959Z`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AmzDate {
    text: [u8; 16],
    unix_seconds: i64,
}

impl AmzDate {
    /// Parses exactly the form `YYYYMMDDThhmmssZ`; `None` for everything else, including days that do not
    /// exist.
    pub fn parse(text: &str) -> Option<Self> {
        let text: [u8; 16] = text.as_bytes().try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            text[from..to].iter().try_fold(0_i64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        let days = days_of_date(year, month, day);
        if year < 1970 || date_of_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59
        {
            return None;
        }
        Some(Self { text, unix_seconds: days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second })
    }

    /// Parses the value of a `Date` header: one of the three forms of RFC 7231, or the basic ISO form.
    pub fn parse_date_header(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
            Self::from_unix_seconds(i64::try_from(since.as_secs()).ok()?)
        })
    }

    /// The time that many seconds after 1970; `None` outside the years 1970 to 9999.
    pub fn from_unix_seconds(unix_seconds: i64) -> Option<Self> {
        if !(0..=UNIX_SECONDS_MAX).contains(&unix_seconds) {
            return None;
        }
        let (year, month, day) = date_of_days(unix_seconds / SECONDS_PER_DAY);
        let second_of_day = unix_seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
        Some(Self { text: text.into_bytes().try_into().ok()?, unix_seconds })
    }

    /// The whole text, `YYYYMMDDThhmmssZ`.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The day alone, `YYYYMMDD`.
    pub fn day(&self) -> &str {
        str::from_utf8(&self.text[..8]).unwrap_or_default()
    }

    /// Seconds since 1970.
    pub fn unix_seconds(&self) -> i64 {
        self.unix_seconds
    }
}

impl fmt::Debug for AmzDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The number of days since 1970-01-01 in the proleptic Gregorian calendar, counted in 400-year cycles of
/// years that start in March, so that the leap day comes last.
fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let cycle = march_year.div_euclid(400);
    let year_of_cycle = march_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

/// The year, month and day of a number of days since 1970-01-01; the inverse of [`days_of_date`].
fn date_of_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The scope of a signing key: day, region and service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The day, `YYYYMMDD`.
    pub day: Cow<'a, str>,
    /// The region.
    pub region: Cow<'a, str>,
    /// The service's signing name.
    pub service: Cow<'a, str>,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.day, &self.region, &self.service] {
            formatter.write_str(part)?;
            formatter.write_str("/")?;
        }
        formatter.write_str(SCOPE_END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_to_the_second() {
        for (text, unix_seconds) in [
            ("19700101T000000Z", 0),
            ("20150830T123600Z", 1_440_938_160),
            ("20240229T235959Z", 1_709_251_199),
            ("20000301T000000Z", 951_868_800),
            ("99991231T235959Z", UNIX_SECONDS_MAX),
        ] {
            let date = AmzDate::parse(text).unwrap();
            assert_eq!(date.unix_seconds(), unix_seconds, "{text}");
            assert_eq!(AmzDate::from_unix_seconds(unix_seconds).unwrap().as_str(), text);
        }
    }

    #[test]
    fn days_and_hours_that_do_not_exist_are_refused() {
        for text in [
            "20230229T000000Z",
            "21000229T000000Z",
            "20230431T000000Z",
            "20231301T000000Z",
            "20230001T000000Z",
            "20230100T000000Z",
            "20230101T240000Z",
            "20230101T006000Z",
            "20230101T000060Z",
            "19691231T235959Z",
            "2023-01-01T000000",
            "20230101 000000Z",
            "20230101T000000z",
            "20230101T00000+Z",
            "",
            "20230101T000000ZZ",
        ] {
            assert_eq!(AmzDate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_without_a_four_digit_year_are_refused() {
        assert_eq!(AmzDate::from_unix_seconds(-1), None);
        assert_eq!(AmzDate::from_unix_seconds(UNIX_SECONDS_MAX + 1), None);
        assert_eq!(AmzDate::from_unix_seconds(i64::MAX), None);
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_calendar() {
        for days in 0..146_097 {
            let (year, month, day) = date_of_days(days);
            assert_eq!(days_of_date(year, month, day), days);
        }
    }

    #[test]
    fn the_date_header_is_read_in_its_own_form_and_in_the_basic_one() {
        let expected = AmzDate::parse("19941106T084937Z");
        assert_eq!(AmzDate::parse_date_header("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(AmzDate::parse_date_header("19941106T084937Z"), expected);
        assert_eq!(AmzDate::parse_date_header("yesterday"), None);
    }
}
