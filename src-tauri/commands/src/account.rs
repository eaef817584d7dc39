//! Profiles, login, keychain.

use secrecy::{ExposeSecret, SecretString};
use settings::{Config, KeychainKind as Kind, LOCAL_PROFILE, Profile as Saved};

use crate::context::{Context, secret_name, store};
use crate::failure::not_logged_in;
use crate::types::{
    Account, Failure, FailureCode, KeychainKind, KeychainState, KeychainStatus, Keypair,
    KeypairShow, LoginLocal, Nothing, Profile, ProfileList, ProfileRef, Role, Tag,
};

impl From<KeychainKind> for Kind {
    fn from(kind: KeychainKind) -> Self {
        match kind {
            KeychainKind::System => Self::System,
            KeychainKind::File => Self::File,
            KeychainKind::Memory => Self::Memory,
        }
    }
}

impl From<Kind> for KeychainKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::System => Self::System,
            Kind::File => Self::File,
            Kind::Memory => Self::Memory,
        }
    }
}

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<ProfileList, Failure> {
    let config = context.config()?;
    let current = context.profile_name()?;
    let mut profiles = Vec::new();
    for name in config.profile_names() {
        let Some(saved) = config.profile(&name)? else {
            continue;
        };
        profiles.push(Profile {
            title: saved.title.unwrap_or_else(|| match name.as_str() {
                LOCAL_PROFILE => "This computer".to_owned(),
                other => other.to_owned(),
            }),
            endpoint: saved.endpoint,
            logged_in: saved.account.is_some(),
            current: name == current,
            email: saved.account.map(|account| account.email),
            name,
        });
    }
    Ok(ProfileList { profiles })
}

pub(crate) async fn use_profile(
    context: &Context,
    request: ProfileRef,
) -> Result<ProfileList, Failure> {
    context.profile(&request.name)?;
    Config::update(context.paths(), |config| {
        config.set_current(&request.name);
        Ok::<_, Failure>(())
    })?;
    context.changed(Tag::Profile, None);
    context.changed(Tag::Session, None);
    list(context, Nothing {}).await
}

pub(crate) async fn remove(context: &Context, request: ProfileRef) -> Result<ProfileList, Failure> {
    let saved = context.profile(&request.name)?;
    if saved.account.is_some() {
        end_login(context, &request.name, &saved).await;
        context
            .keychain()
            .remove(store(saved.keychain), &secret_name(&request.name))
            .await?;
    }
    context.forget_client(&request.name);
    Config::update(context.paths(), |config| {
        config.remove_profile(&request.name);
        Ok::<_, Failure>(())
    })?;
    context.changed(Tag::Profile, None);
    list(context, Nothing {}).await
}

pub(crate) async fn login_local(
    context: &Context,
    request: LoginLocal,
) -> Result<Account, Failure> {
    let before = context.profile(LOCAL_PROFILE)?;
    let kind = request.keychain.map_or(before.keychain, Kind::from);
    if let Some(passphrase) = request.passphrase {
        context.keychain().unlock(SecretString::from(passphrase));
    }
    let engine = context.engine();
    engine.ensure(&context.engine_launch()?).await?;
    context.changed(Tag::Engine, None);
    let login = engine.login().await?;
    let secret = SecretString::from(login.secret_key);
    context
        .keychain()
        .set(store(kind), &secret_name(LOCAL_PROFILE), secret)
        .await?;
    let saved = Saved {
        keychain: kind,
        account: Some(settings::Account {
            access_key: login.access_key,
            email: login.email,
            username: login.username,
            role: login.role,
            domain: login.domain,
            project: login.project,
            login: crate::logins::fresh(),
        }),
        ..before
    };
    Config::update(context.paths(), |config| {
        config.set_profile(LOCAL_PROFILE, &saved)?;
        config.set_current(LOCAL_PROFILE);
        Ok::<_, Failure>(())
    })?;
    context.forget_client(LOCAL_PROFILE);
    context.changed(Tag::Profile, None);
    context.changed(Tag::Session, None);
    account(context, LOCAL_PROFILE).await
}

pub(crate) async fn logout(context: &Context, _: Nothing) -> Result<Nothing, Failure> {
    let name = context.profile_name()?;
    let mut saved = context.profile(&name)?;
    if saved.account.is_none() {
        return Err(not_logged_in(&name));
    }
    end_login(context, &name, &saved).await;
    saved.account = None;
    // A keychain that is gone must not keep anybody logged in.
    if let Err(error) = context
        .keychain()
        .remove(store(saved.keychain), &secret_name(&name))
        .await
    {
        tracing::warn!(%error, "the secret could not be removed from the keychain");
    }
    context.forget_client(&name);
    Config::update(context.paths(), |config| config.set_profile(&name, &saved))?;
    context.changed(Tag::Profile, None);
    context.changed(Tag::Session, None);
    Ok(Nothing {})
}

/// Ends a login that a web server keeps. A manager that can't be reached must not keep anybody
/// logged in.
async fn end_login(context: &Context, name: &str, saved: &Saved) {
    if saved.mode == settings::AccessMode::Session
        && let Ok(client) = context.client_of(name).await
        && let Err(error) = client.log_out().await
    {
        tracing::warn!(%error, "the web server was not told of the logout");
    }
}

pub(crate) async fn whoami(context: &Context, _: Nothing) -> Result<Account, Failure> {
    account(context, &context.profile_name()?).await
}

pub(crate) async fn account(context: &Context, name: &str) -> Result<Account, Failure> {
    let saved = context.profile(name)?;
    let account = saved.account.ok_or_else(|| not_logged_in(name))?;
    let role = serde_json::from_value(account.role.clone().into()).unwrap_or(Role::User);
    // Who is logged in is known without the manager; its version is not.
    let (endpoint, manager_version) = match context.client_of(name).await {
        Ok(client) => {
            let version = client
                .announcement()
                .await
                .ok()
                .map(|found| found.manager.clone());
            (client.endpoint().to_owned(), version)
        }
        Err(failure) if failure.code == FailureCode::NotLoggedIn => return Err(failure),
        Err(_) => {
            let last = context.engine().beacon().map(|beacon| beacon.endpoint);
            (saved.endpoint.or(last).unwrap_or_default(), None)
        }
    };
    Ok(Account {
        profile: name.to_owned(),
        email: account.email,
        username: account.username,
        role,
        access_key: account.access_key,
        domain: account.domain,
        project: account.project,
        endpoint,
        manager_version,
        keychain: saved.keychain.into(),
    })
}

pub(crate) async fn keychain_status(
    context: &Context,
    _: Nothing,
) -> Result<KeychainStatus, Failure> {
    let kind = context.profile(&context.profile_name()?)?.keychain;
    let status = context.keychain().status(store(kind)).await;
    Ok(KeychainStatus {
        store: kind.into(),
        state: match status.state {
            keychain::State::Ready => KeychainState::Ready,
            keychain::State::Locked => KeychainState::Locked,
            keychain::State::Absent => KeychainState::Absent,
        },
        detail: status.detail,
    })
}

pub(crate) async fn keypair(context: &Context, request: KeypairShow) -> Result<Keypair, Failure> {
    let name = context.profile_name()?;
    let saved = context.profile(&name)?;
    let account = saved.account.ok_or_else(|| not_logged_in(&name))?;
    if !request.secret {
        return Ok(Keypair {
            access_key: account.access_key,
            secret_key: None,
        });
    }
    let kept = context
        .keychain()
        .get(store(saved.keychain), &secret_name(&name))
        .await;
    let secret = match kept {
        Ok(Some(secret)) => secret.expose_secret().to_owned(),
        // For this computer the keychain holds only a copy.
        _ if name == LOCAL_PROFILE => context.engine().login().await?.secret_key,
        Ok(None) => return Err(not_logged_in(&name)),
        Err(error) => return Err(error.into()),
    };
    Ok(Keypair {
        access_key: account.access_key,
        secret_key: Some(secret),
    })
}
