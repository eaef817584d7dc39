//! Passwords at rest: Argon2id with a salt of their own.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::RngCore;

use crate::error::Problem;

/// What OWASP recommends: 19 MiB, two passes, one lane. Part of the stored form's name, so that
/// other parameters get another name.
const SCHEME: &str = "argon2id-19456-2-1";
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

type Key = [u8; 32];

/// The stored form of a password: `scheme$salt$hash`.
pub(crate) async fn hash(password: String) -> Result<String, Problem> {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let derived = tokio::task::spawn_blocking(move || derive(&password, &salt)).await;
    let Ok(Some(key)) = derived else {
        return Err(Problem::internal("The password could not be stored."));
    };
    Ok(format!(
        "{SCHEME}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(key)
    ))
}

/// Whether `password` is the one that was stored. Takes as long when nothing was.
pub(crate) async fn verify(password: String, stored: Option<String>) -> bool {
    let checked = tokio::task::spawn_blocking(move || {
        let parsed = stored.as_deref().and_then(parse);
        let salt = parsed.as_ref().map_or(&[0; 16][..], |(salt, _)| salt);
        let derived = derive(&password, salt);
        match (derived, &parsed) {
            (Some(derived), Some((_, key))) => same(&derived, key),
            _ => false,
        }
    });
    checked.await.unwrap_or(false)
}

fn parse(stored: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = stored.split_once('$')?;
    let (salt, key) = rest.split_once('$')?;
    let decode = |text| STANDARD_NO_PAD.decode(text).ok();
    (scheme == SCHEME).then_some((decode(salt)?, decode(key)?))
}

fn derive(password: &str, salt: &[u8]) -> Option<Key> {
    let mut key = Key::default();
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(key.len())).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut key)
        .ok()?;
    Some(key)
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}
