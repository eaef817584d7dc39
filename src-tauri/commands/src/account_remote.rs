//! Logging in to a manager somewhere else: what stands behind an address, and the profile for it.

use client::{Client, Credentials, Discovered, Doorway, LoggedIn, Login, Network};
use protocol::version::ApiVersion;
use secrecy::SecretString;
use settings::{Config, KeychainKind as Kind, LOCAL_PROFILE, Profile as Saved};

use crate::account::account;
use crate::context::{Context, secret_name, store};
use crate::types::{
    AccessMode, Account, Failure, FailureCode, LoginRemote, LoginWith, ManagerFind, ManagerFound,
    Tag,
};

/// Where an account without one is looked for.
const USUAL_DOMAIN: &str = "default";

pub(crate) async fn find(context: &Context, request: ManagerFind) -> Result<ManagerFound, Failure> {
    let found = client::discover(&request.address, &network(context).await?).await?;
    Ok(ManagerFound {
        endpoint: found.endpoint,
        mode: match found.doorway {
            Doorway::Manager => AccessMode::Api,
            Doorway::WebServer => AccessMode::Session,
        },
        manager_version: found.announcement.manager,
        api_version: found.announcement.version.to_string(),
        newer: found.announcement.version > ApiVersion::CURRENT,
        ours: found.announcement.gangway.is_some(),
    })
}

pub(crate) async fn login(context: &Context, request: LoginRemote) -> Result<Account, Failure> {
    let found = client::discover(&request.address, &network(context).await?).await?;
    if let Some(passphrase) = request.passphrase {
        context.keychain().unlock(SecretString::from(passphrase));
    }
    let anonymous = Client::behind(found.doorway, &found.endpoint, None)?;
    let logged_in = log_in(anonymous.through(network(context).await?), request.with).await?;
    let client = Client::behind(
        found.doorway,
        &found.endpoint,
        Some(logged_in.credentials.clone()),
    )?
    .through(network(context).await?);
    client.announcement().await?;
    // Whoever comes with a keypair has shown nothing before this.
    let owner = client.owner().await?;
    let (access_key, secret) = match logged_in.credentials {
        Credentials::Keypair(keypair) => (keypair.access_key, keypair.secret_key),
        Credentials::WebSession(session) => (session.access_key, session.id),
    };
    let name = match request.profile {
        Some(name) => usable(&name)?.to_owned(),
        None => profile_for(&context.config()?, &found, &owner.email)?,
    };
    let before = context.config()?.profile(&name)?.unwrap_or_default();
    let kind = request.keychain.map_or(before.keychain, Kind::from);
    context
        .keychain()
        .set(store(kind), &secret_name(&name), secret)
        .await?;
    let saved = Saved {
        endpoint: Some(found.endpoint),
        mode: match found.doorway {
            Doorway::Manager => settings::AccessMode::Api,
            Doorway::WebServer => settings::AccessMode::Session,
        },
        keychain: kind,
        account: Some(settings::Account {
            access_key,
            project: owner.project().unwrap_or_default().to_owned(),
            username: owner.username.unwrap_or_else(|| owner.email.clone()),
            email: owner.email,
            role: owner.role,
            domain: owner.domain_name,
            login: crate::logins::fresh(),
        }),
        ..before
    };
    Config::update(context.paths(), |config| {
        config.set_profile(&name, &saved)?;
        config.set_current(&name);
        Ok::<_, Failure>(())
    })?;
    context.forget_client(&name);
    context.changed(Tag::Profile, None);
    context.changed(Tag::Session, None);
    account(context, &name).await
}

/// The way to other managers, as the settings have it.
async fn network(context: &Context) -> Result<Network, Failure> {
    crate::network::of(context, &context.config()?.preferences()?).await
}

async fn log_in(anonymous: Client, with: LoginWith) -> Result<LoggedIn, Failure> {
    match with {
        LoginWith::Password {
            username,
            password,
            otp,
            domain,
            force,
            new_password,
        } => {
            let login = Login {
                domain: domain.unwrap_or_else(|| USUAL_DOMAIN.to_owned()),
                username,
                password: SecretString::from(password),
                otp,
                force,
            };
            let Some(new) = new_password else {
                return Ok(anonymous.log_in(&login).await?);
            };
            acceptable(&new)?;
            let new = SecretString::from(new);
            let renewed = anonymous.renew_password(&login, &new).await;
            let login = Login {
                password: new,
                ..login
            };
            match (renewed, anonymous.log_in(&login).await) {
                // The old one is wrong, and the new one is not the password already, as it is
                // when only a one-time password was missing the last time.
                (Err(error), Err(second)) if second.status() == Some(401) => Err(error.into()),
                (Err(error), _) if error.status() != Some(401) => Err(error.into()),
                (_, logged_in) => Ok(logged_in?),
            }
        }
        LoginWith::Keypair { .. } if anonymous.doorway() == Doorway::WebServer => {
            Err(Failure::new(
                FailureCode::InvalidInput,
                "this is a web server, which takes passwords and no keypairs",
            )
            .hint(
                "log in by e-mail address and password, or give the address of the manager itself",
            ))
        }
        LoginWith::Keypair {
            access_key,
            secret_key,
        } => Ok(LoggedIn {
            credentials: Credentials::Keypair(client::Keypair {
                access_key: access_key.trim().to_owned(),
                secret_key: SecretString::from(secret_key.trim()),
            }),
            role: String::new(),
        }),
    }
}

/// The rule of Backend.AI's own programs; a manager may have one of its own beside it.
fn acceptable(password: &str) -> Result<(), Failure> {
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let fits = password.chars().count() >= 8
        && has(char::is_alphabetic)
        && has(|c| c.is_ascii_digit())
        && has(|c| !c.is_alphanumeric() && !c.is_whitespace());
    match fits {
        true => Ok(()),
        false => Err(Failure::new(
            FailureCode::PasswordWeak,
            "the new password needs 8 characters or more, with a letter, a digit and a symbol",
        )),
    }
}

/// The local profile stays what it is; a name is a key of the configuration file.
fn usable(name: &str) -> Result<&str, Failure> {
    let name = name.trim();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name == LOCAL_PROFILE || name.is_empty() || !name.chars().all(fits) {
        return Err(Failure::new(
            FailureCode::InvalidInput,
            format!("\"{name}\" can't be the name of a profile for another manager"),
        )
        .hint("letters, digits and - _ . @ are allowed; \"local\" is this computer"));
    }
    Ok(name)
}

/// The profile of this account on this manager, or a new name: the host's, and with the user's
/// where another account has that already.
fn profile_for(config: &Config, found: &Discovered, email: &str) -> Result<String, Failure> {
    let host = found.host();
    let user = email.replace(|c: char| !c.is_alphanumeric() && !"-_.@".contains(c), "-");
    for name in [host.clone(), format!("{user}@{host}")] {
        let Some(known) = config.profile(&name)? else {
            return Ok(name);
        };
        let same_user = known.account.is_none_or(|account| account.email == email);
        if known.endpoint.as_ref() == Some(&found.endpoint) && same_user {
            return Ok(name);
        }
    }
    let taken = config.profile_names().len();
    Ok(format!("{user}@{host}-{taken}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_password_keeps_to_the_rule() {
        for weak in [
            "",
            "short1!",
            "no-digits-here",
            "n0symbols",
            "12345678!",
            "spaces 123",
        ] {
            assert!(acceptable(weak).is_err(), "{weak}");
        }
        for fine in ["battery-1", "비밀번호입니다1!", "Tr0ub4dor&3"] {
            assert!(acceptable(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn the_name_of_this_computer_is_not_given_away() {
        for wrong in ["", "local", "a b", "x/y", "\"", "new\nline"] {
            assert!(usable(wrong).is_err(), "{wrong}");
        }
        assert_eq!(usable(" lab.example.com ").ok(), Some("lab.example.com"));
    }
}
