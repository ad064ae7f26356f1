//! The checks of a signature that need neither key nor body: its scope, and its time compared with a clock
//! that the caller reads (`docs/protocol.md` section 4.2).

use std::fmt;

use super::presented::Presented;
use super::scope::AmzDate;
use super::{Form, Trouble};

/// The region and the service that a request's scope must name.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The region of this server.
    pub region: &'a str,
    /// The signing name of the service that the request is for.
    pub service: &'a str,
}

/// Authentication whose scope and time have been checked; its signature has yet to be verified.
#[derive(Debug)]
pub struct InScope<'a> {
    pub(crate) presented: Presented<'a>,
}

impl<'a> InScope<'a> {
    /// The authentication that the request presented.
    pub fn presented(&self) -> &Presented<'a> {
        &self.presented
    }
}

impl<'a> Presented<'a> {
    /// Checks region, service, day and time, before any body is read (`docs/protocol.md` section 4.2).
    ///
    /// `now_millis` is the server's clock in milliseconds since 1970. The time of a header signature may
    /// differ from it by `skew_seconds_max` in either direction. A presigned query may start that far in the
    /// future and ends with its own expiry.
    pub fn check_scope_and_clock(
        self,
        expected: &Expected<'_>,
        now_millis: i64,
        skew_seconds_max: u32,
    ) -> Result<InScope<'a>, Trouble> {
        let scope = &self.scope;
        if scope.region != expected.region {
            return Err(Trouble::mismatch(format!(
                "Credential should be scoped to a valid region, not '{}'. This server's region is '{}'.",
                scope.region, expected.region
            )));
        }
        if scope.service != expected.service {
            return Err(Trouble::mismatch(format!(
                "Credential should be scoped to correct service: '{}', not '{}'.",
                expected.service, scope.service
            )));
        }
        if scope.day != self.requested_at.day() {
            return Err(Trouble::mismatch(format!(
                "Date in Credential scope does not match the day of the request: '{}' != '{}', from '{}'.",
                scope.day,
                self.requested_at.day(),
                self.requested_at.as_str()
            )));
        }
        check_clock(&self.requested_at, self.form, now_millis, skew_seconds_max)?;
        Ok(InScope { presented: self })
    }
}

fn check_clock(
    requested_at: &AmzDate,
    form: Form,
    now_millis: i64,
    skew_seconds_max: u32,
) -> Result<(), Trouble> {
    let now = now_millis.div_euclid(1_000);
    let requested = requested_at.unix_seconds();
    let skew = i64::from(skew_seconds_max);
    let age_seconds_max = match form {
        Form::Header => skew,
        Form::Query { expires_seconds } => i64::from(expires_seconds),
    };
    let (requested_text, now_text) = (requested_at.as_str(), DateText(now));
    if requested < now.saturating_sub(age_seconds_max) {
        return Err(Trouble::clock(format!(
            "Signature expired: {requested_text} is now earlier than {} ({now_text} - {}.)",
            DateText(now.saturating_sub(age_seconds_max)),
            SpanText(age_seconds_max)
        )));
    }
    if requested > now.saturating_add(skew) {
        return Err(Trouble::clock(format!(
            "Signature not yet current: {requested_text} is still later than {} ({now_text} + {}.)",
            DateText(now.saturating_add(skew)),
            SpanText(skew)
        )));
    }
    Ok(())
}

/// A time in a message; outside the years of [`AmzDate`], the bare number of seconds.
struct DateText(i64);

impl fmt::Display for DateText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match AmzDate::from_unix_seconds(self.0) {
            Some(date) => formatter.write_str(date.as_str()),
            None => write!(formatter, "{}", self.0),
        }
    }
}

/// A time span in a message: in minutes as the service writes it, in seconds if it is not a whole number of
/// minutes.
struct SpanText(i64);

impl fmt::Display for SpanText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 60 == 0 {
            write!(formatter, "{} min", self.0 / 60)
        } else {
            write!(formatter, "{} sec", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(form: Form, now_seconds: i64) -> Result<(), Trouble> {
        let requested_at = AmzDate::parse("20260131T120000Z").unwrap();
        check_clock(&requested_at, form, (requested_at.unix_seconds() + now_seconds) * 1_000 + 999, 300)
    }

    #[test]
    fn a_header_signature_is_good_for_the_skew_to_either_side() {
        for now in [-300, 0, 300] {
            assert_eq!(clock(Form::Header, now), Ok(()));
        }
        assert_eq!(
            clock(Form::Header, 301).unwrap_err(),
            Trouble::clock(
                "Signature expired: 20260131T120000Z is now earlier than 20260131T120001Z \
                 (20260131T120501Z - 5 min.)"
            )
        );
        assert_eq!(
            clock(Form::Header, -301).unwrap_err(),
            Trouble::clock(
                "Signature not yet current: 20260131T120000Z is still later than 20260131T115959Z \
                 (20260131T115459Z + 5 min.)"
            )
        );
    }

    #[test]
    fn a_presigned_query_lives_from_its_date_to_its_expiry() {
        let form = Form::Query { expires_seconds: 7 };
        for now in [-300, 0, 7] {
            assert_eq!(clock(form, now), Ok(()));
        }
        assert!(clock(form, 8).unwrap_err().message().ends_with("(20260131T120008Z - 7 sec.)"));
        assert!(clock(form, -301).unwrap_err().message().starts_with("Signature not yet current: "));
    }

    #[test]
    fn a_clock_far_outside_the_calendar_is_refused_without_overflow() {
        let requested_at = AmzDate::parse("20260131T120000Z").unwrap();
        for (now_millis, start) in
            [(i64::MAX, "Signature expired: "), (i64::MIN, "Signature not yet current: ")]
        {
            let trouble = check_clock(&requested_at, Form::Header, now_millis, u32::MAX).unwrap_err();
            assert!(trouble.message().starts_with(start), "{trouble}");
        }
    }
}
