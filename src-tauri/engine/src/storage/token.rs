//! The tokens that let a client move one file without signing each piece (protocol page "Virtual
//! folders" §4.1): HS256 JWTs, opaque to clients.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a token is good for, in seconds: a day, as in the storage proxy.
pub(crate) const LIFE: i64 = 24 * 60 * 60;

/// What one token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Transfer {
    /// Sending one file.
    Upload {
        /// The folder.
        vfid: Uuid,
        /// Where the file comes to lie in it.
        relpath: String,
        /// Its size in bytes.
        size: u64,
        /// The number of this upload.
        session: Uuid,
    },
    /// Fetching one file, or one directory as an archive.
    Download {
        /// The folder.
        vfid: Uuid,
        /// What to fetch.
        relpath: String,
        /// Whether a directory may be fetched.
        archive: bool,
    },
    /// Fetching several files as one archive.
    Archive {
        /// The folder.
        vfid: Uuid,
        /// What to fetch.
        files: Vec<String>,
        /// What the archive is called, if the client said.
        filename: Option<String>,
    },
}

/// Why a token was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not ours, changed on the way, or not a token at all.
    #[error("the token is not valid")]
    Invalid,
    /// Too old.
    #[error("the token has expired; ask for a new one")]
    Expired,
    /// Making one failed, which the algorithm gives no reason for.
    #[error("the token could not be made")]
    Unmade,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    transfer: Transfer,
    exp: i64,
}

/// Makes and reads tokens with the engine's own secret.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Tokens {
    /// With a secret of at least 32 random bytes.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// Makes a token that is good from `now` (seconds since 1970) for [`LIFE`] seconds.
    pub(crate) fn issue(&self, transfer: Transfer, now: i64) -> Result<String, TokenError> {
        let claims = Claims {
            transfer,
            exp: now + LIFE,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| TokenError::Unmade)
    }

    /// Reads a token at the time `now`, seconds since 1970.
    pub(crate) fn read(&self, token: &str, now: i64) -> Result<Transfer, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked below against the caller's clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?
            .claims;
        if claims.exp < now {
            Err(TokenError::Expired)
        } else {
            Ok(claims.transfer)
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload() -> Transfer {
        Transfer::Upload {
            vfid: Uuid::from_u128(1),
            relpath: "a/b".to_owned(),
            size: 12,
            session: Uuid::from_u128(2),
        }
    }

    #[test]
    fn reads_what_it_made_until_it_is_old() {
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.issue(upload(), 1000).unwrap();
        assert_eq!(tokens.read(&token, 1000 + LIFE), Ok(upload()));
        assert_eq!(tokens.read(&token, 1001 + LIFE), Err(TokenError::Expired));
    }

    #[test]
    fn refuses_what_others_made() {
        let tokens = Tokens::new(&[7; 32]);
        let foreign = Tokens::new(&[8; 32]).issue(upload(), 1000).unwrap();
        assert_eq!(tokens.read(&foreign, 1000), Err(TokenError::Invalid));
        let own = tokens.issue(upload(), 1000).unwrap();
        let (head, rest) = own.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        // The same signature over other claims, and no signature at all.
        for forged in [
            format!("{head}.eyJvcCI6ImRvd25sb2FkIn0.{signature}"),
            format!("{head}.{rest}x"),
            "x".to_owned(),
        ] {
            assert_eq!(
                tokens.read(&forged, 1000),
                Err(TokenError::Invalid),
                "{forged}"
            );
        }
    }
}
