//! Finds and parses the authentication of a request: the `Authorization` header or the presigned query
//! (`docs/protocol.md` sections 4.3 and 4.4). Only the form is checked here; scope, clock and signature are
//! checked later.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, DATE, HOST};
use http::{HeaderMap, HeaderName};

use super::canonical::{decoded_bytes, is_named, query_members};
use super::presented::Presented;
use super::scope::{AmzDate, Scope};
use super::signed_headers::check_signed_headers;
use super::{
    ACCESS_KEY_ID_BYTES_MAX, ALGORITHM, AUTHORIZATION_BYTES_MAX, Form, PRESIGNED_EXPIRES_SECONDS_MAX,
    QUERY_MEMBERS_COUNT_MAX, SCOPE_END, SCOPE_PART_BYTES_MAX, SESSION_TOKEN_BYTES_MAX, SignedParts, Trouble,
    X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN,
};

/// Parses the authentication of a request; `None` if it has none.
///
/// The error is [`Trouble::Malformed`] for authentication that cannot be read, for a header together with a
/// presigned query, and for a scheme other than `AWS4-HMAC-SHA256`. It is [`Trouble::Mismatch`] if a header
/// that must be signed is not.
pub fn parse<'a>(parts: &SignedParts<'a>) -> Result<Option<Presented<'a>>, Trouble> {
    let query = QueryFields::read(parts.raw_query.unwrap_or_default())?;
    let header = single(parts.headers, &AUTHORIZATION)?;
    let presented = match (header, query.is_presigned()) {
        (None, false) => return Ok(None),
        (Some(_), true) => {
            return Err(Trouble::malformed(
                "Authentication is given both in the Authorization header and in the query; send one of them.",
            ));
        }
        (Some(value), false) => from_header(parts, value)?,
        (None, true) => from_query(parts, query)?,
    };
    single(parts.headers, &HOST)?;
    check_signed_headers(parts.headers, &presented.signed_headers)?;
    Ok(Some(presented))
}

fn from_header<'a>(parts: &SignedParts<'a>, value: &'a str) -> Result<Presented<'a>, Trouble> {
    if value.len() > AUTHORIZATION_BYTES_MAX {
        return Err(too_long("The Authorization header", value.len(), AUTHORIZATION_BYTES_MAX));
    }
    let AuthorizationFields { credential, signed_headers, signature } = AuthorizationFields::read(value)?;
    let (access_key_id, scope) = read_credential(Cow::Borrowed(credential))?;
    let amz_date = single(parts.headers, &X_AMZ_DATE)?;
    let requested_at = match amz_date {
        Some(text) => AmzDate::parse(text),
        None => match single(parts.headers, &DATE)? {
            Some(text) => AmzDate::parse_date_header(text),
            None => {
                return Err(Trouble::malformed("The request needs an 'X-Amz-Date' or a 'Date' header."));
            }
        },
    };
    let Some(requested_at) = requested_at else {
        return Err(Trouble::malformed("Date must be in ISO-8601 basic form, for example 20260131T235959Z."));
    };
    Ok(Presented {
        parts: *parts,
        form: Form::Header,
        access_key_id,
        scope,
        signed_headers: Cow::Borrowed(signed_headers),
        signature: Cow::Borrowed(signature),
        requested_at,
        session_token: read_token(single(parts.headers, &X_AMZ_SECURITY_TOKEN)?.map(Cow::Borrowed))?,
        content_sha256: read_content_sha256(
            single(parts.headers, &X_AMZ_CONTENT_SHA256)?.map(Cow::Borrowed),
        )?,
    })
}

fn from_query<'a>(parts: &SignedParts<'a>, query: QueryFields<'a>) -> Result<Presented<'a>, Trouble> {
    let algorithm = required_member("X-Amz-Algorithm", query.algorithm)?;
    if algorithm != ALGORITHM {
        return Err(Trouble::malformed(format!("'X-Amz-Algorithm' must be '{ALGORITHM}'.")));
    }
    let (access_key_id, scope) = read_credential(required_member("X-Amz-Credential", query.credential)?)?;
    let date = required_member("X-Amz-Date", query.date)?;
    let Some(requested_at) = AmzDate::parse(&date) else {
        return Err(Trouble::malformed(
            "'X-Amz-Date' must be in ISO-8601 basic form, for example 20260131T235959Z.",
        ));
    };
    let expires_seconds = read_expires(&required_member("X-Amz-Expires", query.expires)?)?;
    let token = match (query.token, single(parts.headers, &X_AMZ_SECURITY_TOKEN)?) {
        (Some(_), Some(_)) => {
            return Err(Trouble::malformed(
                "'X-Amz-Security-Token' is given both as a header and in the query.",
            ));
        }
        (from_query, from_header) => from_query.or(from_header.map(Cow::Borrowed)),
    };
    let content_sha256 = match (query.content_sha256, single(parts.headers, &X_AMZ_CONTENT_SHA256)?) {
        (Some(_), Some(_)) => {
            return Err(Trouble::malformed(
                "'X-Amz-Content-Sha256' is given both as a header and in the query.",
            ));
        }
        (from_query, from_header) => from_query.or(from_header.map(Cow::Borrowed)),
    };
    Ok(Presented {
        parts: *parts,
        form: Form::Query { expires_seconds },
        access_key_id,
        scope,
        signed_headers: required_member("X-Amz-SignedHeaders", query.signed_headers)?,
        signature: required_member("X-Amz-Signature", query.signature)?,
        requested_at,
        session_token: read_token(token)?,
        content_sha256: read_content_sha256(content_sha256)?,
    })
}

/// The three components of an `Authorization` header, each present once and not empty.
struct AuthorizationFields<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> AuthorizationFields<'a> {
    fn read(value: &'a str) -> Result<Self, Trouble> {
        let (scheme, components) = value.trim().split_once([' ', '\t']).unwrap_or((value.trim(), ""));
        if scheme != ALGORITHM {
            return Err(Trouble::malformed(format!(
                "The Authorization header must start with '{ALGORITHM}'."
            )));
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for component in components.split(',').map(str::trim) {
            let (name, value) = component.split_once('=').unwrap_or((component, ""));
            let field = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(Trouble::malformed(
                        "The Authorization header holds a component other than 'Credential', 'SignedHeaders' and \
                         'Signature'.",
                    ));
                }
            };
            if field.replace(value).is_some() {
                return Err(Trouble::malformed(format!("The Authorization header repeats '{name}'.")));
            }
        }
        let required = |name: &str, field: Option<&'a str>| {
            field.filter(|value| !value.is_empty()).ok_or_else(|| {
                Trouble::malformed(format!("Authorization header requires '{name}' parameter."))
            })
        };
        Ok(Self {
            credential: required("Credential", credential)?,
            signed_headers: required("SignedHeaders", signed_headers)?,
            signature: required("Signature", signature)?,
        })
    }
}

/// The decoded values of the query members that presigning uses.
#[derive(Default)]
struct QueryFields<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    token: Option<Cow<'a, str>>,
    content_sha256: Option<Cow<'a, str>>,
}

impl<'a> QueryFields<'a> {
    fn read(raw_query: &'a str) -> Result<Self, Trouble> {
        let mut fields = Self::default();
        for (position, (raw_name, raw_value)) in query_members(raw_query).enumerate() {
            if position >= QUERY_MEMBERS_COUNT_MAX {
                return Err(Trouble::malformed(format!(
                    "The query has more than {QUERY_MEMBERS_COUNT_MAX} members."
                )));
            }
            let Some((name, field)) = fields.field_mut(raw_name) else { continue };
            let Some(value) = decoded_text(raw_value) else {
                return Err(Trouble::malformed(format!("The value of '{name}' in the query is not UTF-8.")));
            };
            if field.replace(value).is_some() {
                return Err(Trouble::malformed(format!("The query repeats '{name}'.")));
            }
        }
        Ok(fields)
    }

    fn field_mut(&mut self, raw_name: &str) -> Option<(&'static str, &mut Option<Cow<'a, str>>)> {
        [
            ("X-Amz-Algorithm", &mut self.algorithm),
            ("X-Amz-Credential", &mut self.credential),
            ("X-Amz-Date", &mut self.date),
            ("X-Amz-Expires", &mut self.expires),
            ("X-Amz-SignedHeaders", &mut self.signed_headers),
            ("X-Amz-Signature", &mut self.signature),
            ("X-Amz-Security-Token", &mut self.token),
            ("X-Amz-Content-Sha256", &mut self.content_sha256),
        ]
        .into_iter()
        .find(|(name, _)| is_named(raw_name, name))
    }

    fn is_presigned(&self) -> bool {
        self.algorithm.is_some() || self.credential.is_some() || self.signature.is_some()
    }
}

fn decoded_text(raw: &str) -> Option<Cow<'_, str>> {
    if raw.contains(['%', '+']) {
        String::from_utf8(decoded_bytes(raw).collect()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(raw))
    }
}

fn required_member<'a>(name: &str, value: Option<Cow<'a, str>>) -> Result<Cow<'a, str>, Trouble> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Trouble::malformed(format!("A presigned query requires '{name}'.")))
}

/// The only value of a header, if it has one. A header that is sent twice or is not visible ASCII is refused.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Trouble> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Trouble::malformed(format!("The '{name}' header is given more than once.")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(Trouble::malformed(format!("The '{name}' header must be ASCII text."))),
    }
}

fn read_credential(credential: Cow<'_, str>) -> Result<(Cow<'_, str>, Scope<'_>), Trouble> {
    match credential {
        Cow::Borrowed(text) => {
            let [id, day, region, service] = split_credential(text)?;
            Ok((id.into(), Scope { day: day.into(), region: region.into(), service: service.into() }))
        }
        Cow::Owned(text) => {
            let [id, day, region, service] = split_credential(&text)?.map(|part| Cow::Owned(part.to_owned()));
            Ok((id, Scope { day, region, service }))
        }
    }
}

fn split_credential(text: &str) -> Result<[&str; 4], Trouble> {
    let mut parts = text.split('/');
    let five = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    let ([Some(id), Some(day), Some(region), Some(service), Some(SCOPE_END)], None) = (five, parts.next())
    else {
        return Err(Trouble::malformed(format!(
            "Credential must have exactly 5 slash-delimited elements, keyid/date/region/service/{SCOPE_END}."
        )));
    };
    if id.len() > ACCESS_KEY_ID_BYTES_MAX {
        return Err(too_long("The access key id", id.len(), ACCESS_KEY_ID_BYTES_MAX));
    }
    if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Trouble::malformed("The date in Credential must have the form YYYYMMDD."));
    }
    for (name, part) in [("region", region), ("service", service)] {
        if part.len() > SCOPE_PART_BYTES_MAX {
            return Err(too_long(&format!("The {name} in Credential"), part.len(), SCOPE_PART_BYTES_MAX));
        }
    }
    for part in [id, region, service] {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Trouble::malformed(
                "Each element of Credential must be visible ASCII, and not empty.",
            ));
        }
    }
    Ok([id, day, region, service])
}

fn read_expires(text: &str) -> Result<u32, Trouble> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|seconds| digits && (1..=PRESIGNED_EXPIRES_SECONDS_MAX).contains(seconds))
        .ok_or_else(|| {
            Trouble::malformed(format!(
                "'X-Amz-Expires' must be a whole number of seconds from 1 to {PRESIGNED_EXPIRES_SECONDS_MAX}."
            ))
        })
}

fn read_token(token: Option<Cow<'_, str>>) -> Result<Option<Cow<'_, str>>, Trouble> {
    match token {
        Some(token) if token.is_empty() => Err(Trouble::malformed("'X-Amz-Security-Token' is empty.")),
        Some(token) if token.len() > SESSION_TOKEN_BYTES_MAX => {
            Err(too_long("'X-Amz-Security-Token'", token.len(), SESSION_TOKEN_BYTES_MAX))
        }
        other => Ok(other),
    }
}

/// Checks the form of a claimed body hash; its value is compared once the body has arrived. An unsigned or
/// piecewise signed body is refused, because such a signature proves nothing about the bytes to store.
fn read_content_sha256(value: Option<Cow<'_, str>>) -> Result<Option<Cow<'_, str>>, Trouble> {
    let is_hash =
        |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match value {
        Some(text) if !is_hash(&text) => Err(Trouble::malformed(
            "'X-Amz-Content-Sha256' must be the SHA-256 of the body in 64 lower-case hexadecimal digits; unsigned \
             and streamed payloads are not accepted.",
        )),
        other => Ok(other),
    }
}

fn too_long(what: &str, bytes: usize, bytes_max: usize) -> Trouble {
    Trouble::malformed(format!("{what} has {bytes} bytes; the limit is {bytes_max}."))
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
