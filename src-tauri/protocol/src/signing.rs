//! Request signing, HMAC in seven lines (protocol page "Authentication" §2).

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp, Zoned};
use sha2::Sha256;

/// How far the clocks of client and manager may differ, either way.
pub const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// The content type that is signed when a request has none.
pub const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// The SHA-256 of nothing: since v4.20181215 the body is never part of the signature.
const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What goes into a signature.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Path and query exactly as on the request line, percent-encoded.
    pub target: &'a str,
    /// The value of `Host`: host, or host:port.
    pub authority: &'a str,
    /// The text of `Date` or `X-BackendAI-Date`, as sent.
    pub date: &'a str,
    /// `type/subtype`, parameters are left out by [`content_type`].
    pub content_type: &'a str,
    /// The text of `X-BackendAI-Version`, as sent.
    pub version: &'a str,
}

impl Request<'_> {
    fn canonical(&self) -> String {
        let Self {
            method,
            target,
            authority,
            date,
            content_type,
            version,
        } = self;
        format!(
            "{method}\n{target}\n{date}\nhost:{authority}\ncontent-type:{}\n\
             x-backendai-version:{version}\n{EMPTY_BODY}",
            self::content_type(content_type),
        )
    }
}

/// The part of a `Content-Type` that is signed: lower case, without parameters.
pub fn content_type(value: &str) -> String {
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The date can't be read.
    #[error("the date of the request can't be read")]
    Date,
    /// The date is more than [`MAX_CLOCK_SKEW`] away from the clock of the manager.
    #[error("the clocks of client and manager differ by more than 15 minutes")]
    Skew,
    /// The signature is another one.
    #[error("the signature does not match")]
    Mismatch,
}

fn hmac(key: &[u8], text: &str) -> Hmac<Sha256> {
    // HMAC takes a key of any length, and an empty key is still a key; it can't fail.
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC accepts keys of every length"),
    };
    mac.update(text.as_bytes());
    mac
}

fn mac(request: &Request<'_>, secret_key: &str, day: &str) -> Hmac<Sha256> {
    let by_day = hmac(secret_key.as_bytes(), day).finalize().into_bytes();
    let by_host = hmac(&by_day, request.authority).finalize().into_bytes();
    hmac(&by_host, &request.canonical())
}

/// The hexadecimal signature of `request`, or [`SignatureError::Date`] when its date can't be read.
pub fn sign(request: &Request<'_>, secret_key: &str) -> Result<String, SignatureError> {
    let date = parse_date(request.date).ok_or(SignatureError::Date)?;
    Ok(hex::encode(
        mac(request, secret_key, &day(&date))
            .finalize()
            .into_bytes(),
    ))
}

/// The value of `Authorization` for `request`.
pub fn authorization(
    request: &Request<'_>,
    access_key: &str,
    secret_key: &str,
) -> Result<String, SignatureError> {
    let signature = sign(request, secret_key)?;
    Ok(format!(
        "BackendAI signMethod=HMAC-SHA256, credential={access_key}:{signature}"
    ))
}

/// Checks that the date of a request is close to `now`. Comes before the signature.
pub fn check_date(date: &str, now: Timestamp) -> Result<(), SignatureError> {
    let date = parse_date(date).ok_or(SignatureError::Date)?;
    if now.duration_since(date.timestamp()).abs() > MAX_CLOCK_SKEW {
        return Err(SignatureError::Skew);
    }
    Ok(())
}

/// Checks a hexadecimal signature, in constant time.
pub fn verify(
    request: &Request<'_>,
    secret_key: &str,
    signature: &str,
) -> Result<(), SignatureError> {
    let date = parse_date(request.date).ok_or(SignatureError::Date)?;
    let given = hex::decode(signature).map_err(|_| SignatureError::Mismatch)?;
    mac(request, secret_key, &day(&date))
        .verify_slice(&given)
        .map_err(|_| SignatureError::Mismatch)
}

/// The calendar day that the key is made of: in the date's own time zone, as the manager does.
fn day(date: &Zoned) -> String {
    date.strftime("%Y%m%d").to_string()
}

/// Reads a date as clients send it: ISO 8601 (without an offset it means UTC) or RFC 822.
pub fn parse_date(text: &str) -> Option<Zoned> {
    let text = text.trim();
    let offset = jiff::fmt::temporal::DateTimeParser::new()
        .parse_pieces(text)
        .ok()
        .and_then(|pieces| pieces.to_numeric_offset());
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        let zone = jiff::tz::TimeZone::fixed(offset.unwrap_or(jiff::tz::Offset::UTC));
        return Some(timestamp.to_zoned(zone));
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        return civil.to_zoned(jiff::tz::TimeZone::UTC).ok();
    }
    jiff::fmt::rfc2822::parse(text).ok()
}

/// The `Authorization` header of a signed request, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Whose signature it is.
    pub access_key: &'a str,
    /// Hexadecimal.
    pub signature: &'a str,
}

impl<'a> Credential<'a> {
    /// Reads `BackendAI signMethod=HMAC-SHA256, credential=KEY:SIGNATURE`; the old word `Sorna`
    /// counts too. Other sign methods are not taken.
    pub fn parse(header: &'a str) -> Option<Self> {
        let (word, parameters) = header.trim().split_once(' ')?;
        if word != "BackendAI" && word != "Sorna" {
            return None;
        }
        let mut method = None;
        let mut credential = None;
        for parameter in parameters.split(',') {
            match parameter.trim().split_once('=')? {
                ("signMethod", value) => method = Some(value),
                ("credential", value) => credential = Some(value),
                _ => {}
            }
        }
        if !method?.eq_ignore_ascii_case("HMAC-SHA256") {
            return None;
        }
        let (access_key, signature) = credential?.split_once(':')?;
        Some(Self {
            access_key,
            signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn vector(n: usize) -> (Request<'static>, &'static str) {
        let row = |method, authority, target, date, content_type, version| Request {
            method,
            target,
            authority,
            date,
            content_type,
            version,
        };
        [
            (
                row(
                    "GET",
                    "127.0.0.1:8081",
                    "/auth/test",
                    "2026-08-23T01:02:03.456789+00:00",
                    "application/octet-stream",
                    "v9.20250722",
                ),
                "d6a7b4d22a7cf7ca23d7c1dc8dcfa41b147a8f3d07c63b89d16a372f9150af4f",
            ),
            (
                row(
                    "GET",
                    "api.backend.ai",
                    "/session/_/match?id=abc",
                    "2026-08-23T01:02:03+00:00",
                    "text/plain",
                    "v9.20250722",
                ),
                "40e08e4e4c97a02d23c9e35f4ebeb988797f3e7de910efa17e866a062d5f69cf",
            ),
            (
                row(
                    "POST",
                    "127.0.0.1:8081",
                    "/admin/gql",
                    "2026-08-23T01:02:03.456789+00:00",
                    "application/json",
                    "v9.20250722",
                ),
                "bf405f649b2c4716c0052e374cfbf4e23bf279f9084534297e5740ea8e33ebbc",
            ),
            (
                row(
                    "POST",
                    "api.backend.ai",
                    "/session/mysess/upload",
                    "2024-02-29T23:59:59.000001+00:00",
                    "multipart/form-data; boundary=x",
                    "v6.20220615",
                ),
                "f240b483b8229bef7e03f948b80a8db2c9fb1487ca65ccead0039433c72b4e4e",
            ),
            (
                row(
                    "GET",
                    "api.backend.ai:8443",
                    "/stream/session/my-sess/tcpproxy?app=sshd&port=2200",
                    "2026-08-23T01:02:03+00:00",
                    "application/octet-stream",
                    "v9.20250722",
                ),
                "63417fc21a5c5e6140f0db4fe5537dc247148cf9cec0868a8b53a4389c2915f8",
            ),
        ][n]
    }

    #[test]
    fn the_protocols_own_vectors() {
        for n in 0..5 {
            let (request, signature) = vector(n);
            assert_eq!(
                sign(&request, SECRET_KEY).as_deref(),
                Ok(signature),
                "vector {}",
                n + 1
            );
            assert_eq!(verify(&request, SECRET_KEY, signature), Ok(()));
            let other = Request {
                target: "/other",
                ..request
            };
            assert_eq!(
                verify(&other, SECRET_KEY, signature),
                Err(SignatureError::Mismatch)
            );
            assert_eq!(
                verify(&request, "x", signature),
                Err(SignatureError::Mismatch)
            );
        }
    }

    #[test]
    fn the_header_comes_apart_again() {
        let (request, signature) = vector(0);
        let header = authorization(&request, ACCESS_KEY, SECRET_KEY).unwrap();
        let credential = Credential::parse(&header);
        assert_eq!(
            credential,
            Some(Credential {
                access_key: ACCESS_KEY,
                signature
            })
        );
        for wrong in [
            "",
            "Bearer x",
            "BackendAI credential=a:b",
            "BackendAI signMethod=HMAC-MD5, credential=a:b",
            "BackendAI signMethod=HMAC-SHA256, credential=ab",
        ] {
            assert_eq!(Credential::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_may_be_a_quarter_of_an_hour_off() {
        let now: Timestamp = "2026-08-23T01:02:03Z".parse().unwrap();
        for date in [
            "2026-08-23T01:02:03.456789+00:00",
            "2026-08-23T01:16:00Z",
            "2026-08-23T00:48:00",
            "2026-08-23T10:02:03+09:00",
            "Sun, 23 Aug 2026 01:02:03 GMT",
        ] {
            assert_eq!(check_date(date, now), Ok(()), "{date}");
        }
        assert_eq!(
            check_date("2026-08-23T01:18:00Z", now),
            Err(SignatureError::Skew)
        );
        assert_eq!(
            check_date("2026-08-22T01:02:03Z", now),
            Err(SignatureError::Skew)
        );
        assert_eq!(check_date("yesterday", now), Err(SignatureError::Date));
    }

    #[test]
    fn the_day_is_that_of_the_dates_own_zone() {
        let date = parse_date("2026-08-23T01:02:03+09:00").unwrap();
        assert_eq!(day(&date), "20260823");
        assert_eq!(date.timestamp().to_string(), "2026-08-22T16:02:03Z");
    }
}
