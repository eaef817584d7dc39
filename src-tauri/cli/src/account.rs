//! `gangway login`, `logout`, `whoami`, `profile`, `keypair`.

use clap::{Args, Subcommand, ValueEnum};
use commands::types::{
    Account, Failure, FailureCode, KeychainKind, Keypair, KeypairShow, LoginLocal, Nothing,
    ProfileList, ProfileRef,
};

use crate::Program;
use crate::ask;
use crate::output::{grid, pairs};

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Where to keep the secret key (remembered with the profile)
    #[arg(long, value_enum)]
    keychain: Option<Keychain>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keychain {
    /// The operating system's keychain
    System,
    /// An encrypted file, opened by a passphrase
    File,
    /// Nowhere: it is asked for again
    Memory,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileVerb {
    /// List them
    Ls,
    /// Use another one from now on
    Use {
        /// Its name
        name: String,
    },
    /// Forget one and its keys
    Rm {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeypairVerb {
    /// Show it
    Show {
        /// Also the secret key
        #[arg(long)]
        secret: bool,
    },
}

pub(crate) async fn login(program: &Program, args: LoginArgs) -> Result<(), Failure> {
    let keychain = args.keychain.map(|kind| match kind {
        Keychain::System => KeychainKind::System,
        Keychain::File => KeychainKind::File,
        Keychain::Memory => KeychainKind::Memory,
    });
    let mut request = LoginLocal {
        keychain,
        passphrase: None,
    };
    let account: Account = match program.table.ask("login.local", &request).await {
        Err(failure) if failure.code == FailureCode::PassphraseNeeded => {
            let new = !program.table.paths().secrets_file().exists();
            request.passphrase = Some(ask::passphrase(new)?);
            program.table.ask("login.local", &request).await?
        }
        answer => answer?,
    };
    program.output.answer(&account, |account| {
        format!(
            "Logged in as {} on this computer ({}).",
            account.email, account.endpoint
        )
    });
    Ok(())
}

pub(crate) async fn logout(program: &Program) -> Result<(), Failure> {
    let done: Nothing = program.table.ask("logout", &Nothing {}).await?;
    program.output.answer(&done, |_| "Logged out.".to_owned());
    Ok(())
}

pub(crate) async fn whoami(program: &Program) -> Result<(), Failure> {
    let account: Account = program.table.ask("whoami", &Nothing {}).await?;
    program.output.answer(&account, |account| {
        pairs([
            ("User", account.email.clone()),
            ("Role", word(&account.role)),
            ("Profile", account.profile.clone()),
            ("Manager", account.endpoint.clone()),
            (
                "Version",
                account.manager_version.clone().unwrap_or_default(),
            ),
            ("Domain", account.domain.clone()),
            ("Project", account.project.clone()),
            ("Access key", account.access_key.clone()),
            ("Keychain", word(&account.keychain)),
        ])
    });
    Ok(())
}

pub(crate) async fn profile(program: &Program, verb: ProfileVerb) -> Result<(), Failure> {
    let list: ProfileList = match verb {
        ProfileVerb::Ls => program.table.ask("profile.list", &Nothing {}).await?,
        ProfileVerb::Use { name } => {
            program
                .table
                .ask("profile.use", &ProfileRef { name })
                .await?
        }
        ProfileVerb::Rm { name } => {
            ask::confirm(
                program,
                &format!("Forget the profile \"{name}\" and its keys?"),
                serde_json::Value::Null,
            )?;
            program
                .table
                .ask("profile.remove", &ProfileRef { name })
                .await?
        }
    };
    program.output.answer(&list, |list| {
        let row = |profile: &commands::types::Profile| {
            [
                if profile.current { "*" } else { "" }.to_owned(),
                profile.name.clone(),
                profile.email.clone().unwrap_or_default(),
                profile
                    .endpoint
                    .clone()
                    .unwrap_or_else(|| profile.title.clone()),
            ]
        };
        grid(
            ["", "PROFILE", "USER", "MANAGER"],
            list.profiles.iter().map(row),
        )
    });
    Ok(())
}

pub(crate) async fn keypair(program: &Program, verb: KeypairVerb) -> Result<(), Failure> {
    let KeypairVerb::Show { secret } = verb;
    let keypair: Keypair = program
        .table
        .ask("keypair.show", &KeypairShow { secret })
        .await?;
    program.output.answer(&keypair, |keypair| {
        pairs([
            ("Access key", keypair.access_key.clone()),
            ("Secret key", keypair.secret_key.clone().unwrap_or_default()),
        ])
    });
    Ok(())
}

/// A value of an enumeration as it stands in JSON.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
