//! The way to managers: a proxy, and certificates beside the system's.

use std::path::Path;
use std::time::Instant;

use client::{Client, Fingerprint, Network, Pins};
use keychain::{State, Store};
use secrecy::{ExposeSecret, SecretString};
use settings::KeychainKind;
use url::Url;

use crate::context::{Context, store};
use crate::failure::io;
use crate::types::{Failure, FailureCode, NetworkTest, NetworkTested, Settings};

/// Under this name the keychain has the proxy's password.
const PASSWORD: &str = "network:proxy";

/// How managers are reached by the user's settings.
pub(crate) async fn of(context: &Context, settings: &Settings) -> Result<Network, Failure> {
    let mut network = network(settings)?;
    if let (Some(proxy), Some(kind)) = (&network.proxy, settings.proxy_keychain)
        && let Some(password) = context.kept_secret(kind.into(), PASSWORD).await?
    {
        network.proxy = Some(with_password(proxy, &password));
    }
    Ok(network)
}

/// Brings settings into the form in which they are written: they have to make sense, and a password
/// of the proxy goes into the keychain of the profile that is in use.
pub(crate) async fn settle(context: &Context, settings: &mut Settings) -> Result<(), Failure> {
    network(settings)?.check()?;
    let before: Settings = context.config()?.preferences()?;
    let (old, old_password) = split(before.proxy.as_deref().unwrap_or_default());
    let (proxy, password) = split(settings.proxy.as_deref().unwrap_or_default());
    // One that was written into the file by hand is shown to nobody, so it comes back without.
    let password = password.or_else(|| old_password.filter(|_| proxy == old));
    settings.proxy = Some(proxy.clone()).filter(|proxy| !proxy.is_empty());
    if let Some(password) = password {
        let kind = keychain_for(context).await?;
        let keychain = context.keychain();
        keychain.set(store(kind), PASSWORD, password).await?;
        settings.proxy_keychain = Some(kind.into());
    } else if proxy == old {
        settings.proxy_keychain = before.proxy_keychain;
    } else {
        settings.proxy_keychain = None;
        if let Some(kind) = before.proxy_keychain {
            let removed = context
                .keychain()
                .remove(store(kind.into()), PASSWORD)
                .await;
            // It is of no use any more, wherever it lies.
            if let Err(error) = removed {
                tracing::warn!(%error, "the old proxy's password stays in the keychain");
            }
        }
    }
    Ok(())
}

/// The keychain of the profile that is in use; before the first login the system's, where it can be
/// used, else the encrypted file.
async fn keychain_for(context: &Context) -> Result<KeychainKind, Failure> {
    let profile = context.profile(&context.profile_name()?)?;
    if profile.account.is_some() {
        return Ok(profile.keychain);
    }
    let system = context.keychain().status(Store::System).await;
    Ok(match system.state {
        State::Ready => KeychainKind::System,
        State::Locked | State::Absent => KeychainKind::File,
    })
}

/// Settings as they may be shown.
pub(crate) fn shown(mut settings: Settings) -> Settings {
    settings.proxy = settings.proxy.map(|proxy| split(&proxy).0);
    settings
}

fn network(settings: &Settings) -> Result<Network, Failure> {
    let given = |text: &Option<String>| {
        text.as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let certificates = match given(&settings.ca_file) {
        Some(file) => {
            let path = Path::new(&file);
            Some(std::fs::read(path).map_err(|error| io(&error, &path.display()))?)
        }
        None => None,
    };
    Ok(Network {
        proxy: given(&settings.proxy),
        no_proxy: given(&settings.no_proxy),
        certificates,
        pins: pins(settings)?,
    })
}

/// # Errors
/// [`FailureCode::InvalidInput`] for what is no fingerprint.
fn pins(settings: &Settings) -> Result<Pins, Failure> {
    let pinned = settings.trusted_certificates.iter().map(|kept| {
        let fingerprint: Fingerprint = kept.fingerprint.parse()?;
        Ok((kept.host.clone(), fingerprint))
    });
    pinned.collect()
}

/// An address without its password, and the password as it stands there.
fn split(proxy: &str) -> (String, Option<SecretString>) {
    let proxy = proxy.trim();
    let Ok(mut url) = Url::parse(proxy) else {
        // Whatever it is: what may hold a password is not handed on.
        return (proxy.to_owned(), None);
    };
    let Some(password) = url.password().map(SecretString::from) else {
        return (proxy.to_owned(), None);
    };
    // It has a host, or it would have no password.
    let _ = url.set_password(None);
    let text = url.as_str().trim_end_matches('/').to_owned();
    (text, Some(password))
}

fn with_password(proxy: &str, password: &SecretString) -> String {
    let Ok(mut url) = Url::parse(proxy) else {
        return proxy.to_owned();
    };
    // As it was taken out: in the spelling of addresses.
    let _ = url.set_password(Some(password.expose_secret()));
    url.into()
}

/// Asks a manager who it is, in the way that is to be tested.
pub(crate) async fn test(
    context: &Context,
    request: NetworkTest,
) -> Result<NetworkTested, Failure> {
    let endpoint = match request.endpoint.filter(|it| !it.trim().is_empty()) {
        Some(endpoint) => endpoint,
        None => {
            let profile = context.profile(&context.profile_name()?)?;
            profile.endpoint.ok_or_else(|| {
                let message = "this computer's engine is reached without a proxy";
                Failure::new(FailureCode::InvalidInput, message)
                    .hint("name the address of a manager to test the way to it")
            })?
        }
    };
    let kept: Settings = context.config()?.preferences()?;
    let wanted = Settings {
        proxy: request.proxy,
        no_proxy: request.no_proxy,
        ca_file: request.ca_file,
        ..kept.clone()
    };
    // The password belongs to the proxy for which it was given.
    let same =
        wanted.proxy.as_deref().map(split).map(|it| it.0) == kept.proxy.map(|it| split(&it).0);
    let way = match same {
        true => of(context, &wanted).await?,
        false => network(&wanted)?,
    };
    way.check()?;
    let client = Client::new(&endpoint, None)?.through(way);
    let started = Instant::now();
    let found = client.announcement().await?;
    Ok(NetworkTested {
        manager: found.manager.clone(),
        took_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
        endpoint: client.endpoint().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_and_put_back() {
        for (whole, rest, password) in [
            (
                "http://me:s3cret@proxy:3128",
                "http://me@proxy:3128",
                Some("s3cret"),
            ),
            (
                "socks5h://me:a%40b@proxy:1080",
                "socks5h://me@proxy:1080",
                Some("a%40b"),
            ),
            ("http://proxy:3128", "http://proxy:3128", None),
            ("", "", None),
        ] {
            let (found, secret) = split(whole);
            assert_eq!(found, rest);
            assert_eq!(secret.as_ref().map(|it| it.expose_secret()), password);
            if let Some(secret) = secret {
                let back = with_password(&found, &secret);
                assert_eq!(back.trim_end_matches('/'), whole);
            }
        }
    }
}
