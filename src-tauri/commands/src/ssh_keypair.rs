//! The account's own SSH key pair, which the manager puts into every new session.

use std::path::{Path, PathBuf};

use ::ssh::client::PrivateKey;
use secrecy::SecretString;

use crate::context::Context;
use crate::failure::io;
use crate::types::{Failure, FailureCode, Nothing, SshKeypair, SshKeypairUse};

/// No key is longer; whatever is, is no key.
const LONGEST_KEY: u64 = 64 * 1024;

pub(crate) async fn show(context: &Context, _: Nothing) -> Result<SshKeypair, Failure> {
    let public_key = context.client().await?.ssh_public_key().await?;
    Ok(SshKeypair { public_key })
}

pub(crate) async fn generate(context: &Context, _: Nothing) -> Result<SshKeypair, Failure> {
    let public_key = context.client().await?.new_ssh_keypair().await?;
    Ok(SshKeypair {
        public_key: Some(public_key),
    })
}

pub(crate) async fn take(context: &Context, request: SshKeypairUse) -> Result<SshKeypair, Failure> {
    let path = absolute(&request.file)?;
    let failed = |error: std::io::Error| io(&error, &path.display());
    let length = std::fs::metadata(&path).map_err(failed)?.len();
    let not_a_key = |reason: &str| {
        let message = format!("{} can't be used: {reason}", path.display());
        Failure::new(FailureCode::InvalidInput, message)
            .hint("name a private key in OpenSSH's form that has no passphrase")
    };
    if length > LONGEST_KEY {
        return Err(not_a_key("it is no key"));
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let key = PrivateKey::parse(&text).map_err(|error| not_a_key(&error.to_string()))?;
    let public = key.public().line();
    let client = context.client().await?;
    let public_key = client
        .set_ssh_keypair(&public, &SecretString::from(text))
        .await?;
    Ok(SshKeypair {
        public_key: Some(public_key),
    })
}

/// As a person names a file: from the root, or from the home with `~/`.
fn absolute(file: &str) -> Result<PathBuf, Failure> {
    let home = || std::env::home_dir().ok_or(settings::Error::NoHome);
    let path = match file.strip_prefix("~/") {
        Some(rest) => home()?.join(rest),
        None => PathBuf::from(file),
    };
    match path.is_absolute() {
        true => Ok(path),
        false => std::path::absolute(Path::new(file)).map_err(|error| io(&error, &file)),
    }
}
