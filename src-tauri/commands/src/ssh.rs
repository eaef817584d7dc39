//! The system's own `ssh`: keys, known hosts and our part of its configuration.

use std::path::PathBuf;

use ::ssh::client::config::{ConfigFile, Entry, Part, Status};
use ::ssh::client::{KnownHosts, PublicKey};
use client::protocol::api::gangway::capability;
use client::protocol::name::check_session;
use client::protocol::session::SessionStatus;
use client::{Client, SessionRow};
use settings::{Config, Program};
use uuid::Uuid;

use crate::context::Context;
use crate::failure::io;
use crate::links;
use crate::session::find_running;
use crate::types::{Failure, Nothing, SessionRef, SshConfigStatus, SshInfo};

pub(crate) async fn info(context: &Context, request: SessionRef) -> Result<SshInfo, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let entry = prepare(context, &client, &row).await?;
    entry.check()?;
    refresh_config(context, &client).await;
    let key_path = key_file(context, row.session_id).display().to_string();
    let installed = is_installed(context)?;
    // Another profile may have a session of that name.
    let known = match installed {
        true => config_file(context)?.name_of(&row.session_id.to_string())?,
        false => None,
    };
    let host = known.unwrap_or_else(|| entry.host.clone());
    Ok(SshInfo {
        command: if installed {
            format!("ssh {host}")
        } else {
            shell_words::join(arguments(&entry))
        },
        host,
        user: entry.user.clone(),
        config_block: entry.text()?,
        key_path,
    })
}

/// The system's `ssh` with all that it needs to reach a session, ready for more arguments.
pub(crate) async fn command(context: &Context, session: &str) -> Result<Vec<String>, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, session).await?;
    let entry = prepare(context, &client, &row).await?;
    entry.check()?;
    Ok(arguments(&entry))
}

fn arguments(entry: &Entry) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    let mut option = |text: String| words.extend(["-o".to_owned(), text]);
    option(format!(
        "ProxyCommand={}",
        shell_words::join(&entry.proxy_command)
    ));
    if let Some(key) = &entry.identity_file {
        option(format!("IdentityFile=\"{}\"", key.display()));
        option("IdentitiesOnly=yes".to_owned());
    }
    option(format!(
        "UserKnownHostsFile=\"{}\"",
        entry.known_hosts_file.display()
    ));
    if let Some(alias) = &entry.host_key_alias {
        option(format!("HostKeyAlias={alias}"));
    }
    option("StrictHostKeyChecking=yes".to_owned());
    // Whatever the name is, it is no option.
    words.extend(["--".to_owned(), format!("{}@{}", entry.user, entry.host)]);
    words
}

/// Writes the session's key and host key to where `ssh` reads them.
async fn prepare(context: &Context, client: &Client, row: &SessionRow) -> Result<Entry, Failure> {
    let id = row.session_id;
    let path = key_file(context, id);
    if !path.exists() {
        links::private_key(client, id).await?.write(&path)?;
    }
    let hosts = KnownHosts::new(links::known_hosts_file(context));
    let mut user = "work".to_owned();
    if client.has(capability::SSH_INFO).await? {
        let info = client.ssh_info(&id.to_string()).await?;
        hosts.set(&id.to_string(), &PublicKey::parse(&info.host_key)?)?;
        user = info.user;
    } else if hosts.get(&id.to_string())?.is_none() {
        // Other managers do not tell. The system's `ssh` is to know the very key that our own
        // connections know, so one of ours goes first and notes it.
        context.links().connect(context, client, id).await?;
    }
    entry(context, row, user)
}

fn entry(context: &Context, row: &SessionRow, user: String) -> Result<Entry, Failure> {
    let id = row.session_id;
    // A name that no session may have could be a pattern, and lead other hosts of the user's here.
    let host = match check_session(&row.name) {
        Ok(()) => row.name.clone(),
        Err(_) => id.to_string(),
    };
    Ok(Entry {
        host,
        user,
        proxy_command: proxy_command(context, &id.to_string())?,
        identity_file: Some(key_file(context, id)),
        known_hosts_file: links::known_hosts_file(context),
        host_key_alias: Some(id.to_string()),
    })
}

fn proxy_command(context: &Context, session: &str) -> Result<Vec<String>, Failure> {
    let program = settings::find(Program::Cli)?;
    let profile = context.profile_name()?;
    let mut words = Vec::new();
    if let Some(home) = std::env::var_os("GANGWAY_HOME").filter(|home| !home.is_empty()) {
        let home = std::path::absolute(&home).map_err(|error| io(&error, &home.display()))?;
        words.extend(["env".to_owned(), format!("GANGWAY_HOME={}", home.display())]);
    }
    words.push(program.display().to_string());
    // Said for this computer as well: without it, it would be the profile that is in use then.
    words.extend(["--profile".to_owned(), profile]);
    words.extend(["ssh-proxy".to_owned(), session.to_owned()]);
    Ok(words)
}

fn key_file(context: &Context, session: Uuid) -> PathBuf {
    context
        .paths()
        .ssh_dir()
        .join("keys")
        .join(session.to_string())
}

fn config_file(context: &Context) -> Result<ConfigFile, Failure> {
    Ok(ConfigFile::new(
        user_config()?,
        context.paths().ssh_dir().join("config"),
    ))
}

/// Whether the system's own `ssh` knows sessions by name.
pub(crate) fn is_installed(context: &Context) -> Result<bool, Failure> {
    Ok(config_file(context)?.status()? == Status::Installed)
}

fn user_config() -> Result<PathBuf, Failure> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    Ok(home
        .ok_or(settings::Error::NoHome)?
        .join(".ssh")
        .join("config"))
}

pub(crate) async fn config_status(
    context: &Context,
    _: Nothing,
) -> Result<SshConfigStatus, Failure> {
    let file = config_file(context)?;
    let include = file.include_path().display().to_string();
    Ok(SshConfigStatus {
        installed: file.status()? == Status::Installed,
        config_path: user_config()?.display().to_string(),
        block: format!("Include \"{include}\""),
        include_path: include,
    })
}

pub(crate) async fn config_install(
    context: &Context,
    _: Nothing,
) -> Result<SshConfigStatus, Failure> {
    let client = context.client().await?;
    let entries = entries(context, &client).await?;
    let profiles = Config::load(context.paths())?.profile_names();
    config_file(context)?.install(Part {
        profile: &context.profile_name()?,
        entries: &entries,
        profiles: &profiles,
    })?;
    config_status(context, Nothing {}).await
}

pub(crate) async fn config_remove(
    context: &Context,
    _: Nothing,
) -> Result<SshConfigStatus, Failure> {
    config_file(context)?.remove()?;
    config_status(context, Nothing {}).await
}

async fn entries(context: &Context, client: &Client) -> Result<Vec<Entry>, Failure> {
    let running = [SessionStatus::Running, SessionStatus::RunningDegraded];
    let mut entries = Vec::new();
    for row in client.sessions(&running).await? {
        match prepare(context, client, &row).await {
            Ok(entry) => entries.push(entry),
            // One session out of reach must not take the names of the others away.
            Err(failure) => tracing::warn!(%failure, session = row.name, "not in ssh's file"),
        }
    }
    Ok(entries)
}

/// Brings our file up to date after sessions came or went, if the user wants it at all. Failing
/// to do so fails nothing else.
pub(crate) async fn refresh_config(context: &Context, client: &Client) {
    let refreshed = async {
        let file = config_file(context)?;
        if file.status()? != Status::Absent {
            let entries = entries(context, client).await?;
            let profiles = Config::load(context.paths())?.profile_names();
            file.write_include(Part {
                profile: &context.profile_name()?,
                entries: &entries,
                profiles: &profiles,
            })?;
        }
        Ok::<_, Failure>(())
    };
    if let Err(failure) = refreshed.await {
        tracing::warn!(%failure, "the ssh configuration could not be brought up to date");
    }
}

/// Removes what a session that has ended leaves behind for `ssh`.
pub(crate) fn forget_session(context: &Context, session: Uuid) {
    let _ = std::fs::remove_file(key_file(context, session));
    let hosts = KnownHosts::new(links::known_hosts_file(context));
    if let Err(error) = hosts.remove(&session.to_string()) {
        tracing::warn!(%error, "a known host could not be removed");
    }
}

/// The common case asks the manager nothing beforehand: the name goes straight into the address
/// of the stream. Only when the manager does not know it, it may be the start of one.
pub(crate) async fn stream(
    context: &Context,
    session: &str,
) -> Result<client::ServiceStream, Failure> {
    let client = context.client().await?;
    let options = client::StartOptions::default();
    match client
        .connect_service(session, links::SSH_SERVICE, &options)
        .await
    {
        Ok(stream) => Ok(stream),
        Err(error) if error.is_not_found() => {
            let row = find_running(&client, session).await?;
            let id = row.session_id.to_string();
            Ok(client
                .connect_service(&id, links::SSH_SERVICE, &options)
                .await?)
        }
        Err(error) => Err(error.into()),
    }
}
