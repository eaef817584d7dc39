//! Tokens that a web server signs with its user's own secret key (HS256).

use jiff::Timestamp;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("not a token")]
    Malformed,
    #[error("only HS256 is accepted")]
    Algorithm,
    #[error("the signature does not match")]
    Signature,
    #[error("the token has expired")]
    Expired,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Self::Algorithm,
            _ => Self::Malformed,
        }
    }
}

#[derive(Deserialize, Clone)]
struct Claims {
    exp: i64,
    access_key: String,
}

/// Whose token it says it is. Nothing is verified yet: the key is needed first.
pub(super) fn access_key(token: &str) -> Result<String, Refused> {
    Ok(jsonwebtoken::dangerous::insecure_decode::<Claims>(token)?
        .claims
        .access_key)
}

/// Checks the signature with the secret key, then the life of the token.
pub(super) fn verify(token: &str, secret_key: &str, now: Timestamp) -> Result<(), Refused> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The engine's own clock decides, below.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret_key.as_bytes());
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)?.claims;
    if claims.exp <= now.as_second() {
        return Err(Refused::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3ODc0NDUxMjMsImlhdCI6MTc4NzQ0NDIyMywiYWNjZXNzX2tleSI6IkFLSUFJT1NGT0ROTjdFWEFNUExFIiwicm9sZSI6InVzZXIifQ.VQB5EBVV-UFL3FTUl7ZwBsps8a6whw50anl0s3ZZYO0";

    #[test]
    fn the_protocols_own_vector() {
        let inside = Timestamp::from_second(1_787_445_000).unwrap();
        let after = Timestamp::from_second(1_787_445_123).unwrap();
        assert_eq!(access_key(TOKEN).as_deref(), Ok("AKIAIOSFODNN7EXAMPLE"));
        assert_eq!(verify(TOKEN, SECRET, inside), Ok(()));
        assert_eq!(verify(TOKEN, SECRET, after), Err(Refused::Expired));
        assert_eq!(verify(TOKEN, "other", inside), Err(Refused::Signature));
        assert_eq!(verify("a.b", SECRET, inside), Err(Refused::Malformed));
    }
}
