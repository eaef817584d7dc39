//! `gangway ssh` and `ssh-config`: the system's own `ssh`.

use std::process::ExitCode;

use clap::Subcommand;
use commands::types::{
    Failure, FailureCode, Nothing, SessionRef, SshConfigStatus, SshInfo, SshKeypair, SshKeypairUse,
};

use crate::Program;
use crate::output::pairs;

#[derive(Debug, Subcommand)]
pub(crate) enum SshConfigVerb {
    /// Show what `ssh` needs for a session, or whether our file is included
    Show {
        /// Name or id of the session, or a start of one
        session: Option<String>,
    },
    /// Include our file in ~/.ssh/config
    Install,
    /// Give ~/.ssh/config back as it was
    Remove,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SshKeyVerb {
    /// Show the public half
    Show,
    /// Have the manager make a new pair
    Generate,
    /// Have new sessions use a key of this computer, which is sent to the manager
    Use {
        /// File of the private key, without a passphrase
        file: String,
    },
}

pub(crate) async fn key(program: &Program, verb: SshKeyVerb) -> Result<(), Failure> {
    let pair: SshKeypair = match verb {
        SshKeyVerb::Show => program.table.ask("ssh.keypair", &Nothing {}).await?,
        SshKeyVerb::Generate => {
            let name = "ssh.keypair_generate";
            program.table.ask(name, &Nothing {}).await?
        }
        SshKeyVerb::Use { file } => {
            let request = SshKeypairUse { file };
            program.table.ask("ssh.keypair_use", &request).await?
        }
    };
    program.output.answer(&pair, |pair| match &pair.public_key {
        Some(key) => key.clone(),
        None => "Each session has a key pair of its own.".to_owned(),
    });
    Ok(())
}

pub(crate) async fn run(
    program: &Program,
    session: &str,
    command: Vec<String>,
) -> Result<ExitCode, Failure> {
    let words = program.table.ssh_command(session).await?;
    Err(become_ssh(words, command))
}

#[cfg(unix)]
fn become_ssh(words: Vec<String>, command: Vec<String>) -> Failure {
    use std::os::unix::process::CommandExt;
    let mut words = words.into_iter().chain(command);
    let ssh = words.next().unwrap_or_default();
    let error = std::process::Command::new(ssh).args(words).exec();
    Failure::new(FailureCode::ProgramMissing, format!("ssh: {error}"))
        .hint("install the package openssh-client")
}

#[cfg(not(unix))]
fn become_ssh(words: Vec<String>, command: Vec<String>) -> Failure {
    let mut words = words.into_iter().chain(command);
    let ssh = words.next().unwrap_or_default();
    match std::process::Command::new(ssh).args(words).status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(255)),
        Err(error) => Failure::new(FailureCode::ProgramMissing, format!("ssh: {error}")),
    }
}

pub(crate) async fn config(program: &Program, verb: SshConfigVerb) -> Result<(), Failure> {
    let status: SshConfigStatus = match verb {
        SshConfigVerb::Show {
            session: Some(session),
        } => {
            let info: SshInfo = program
                .table
                .ask("ssh.info", &SessionRef { session })
                .await?;
            program
                .output
                .answer(&info, |info| info.config_block.clone());
            return Ok(());
        }
        SshConfigVerb::Show { session: None } => {
            program.table.ask("ssh.config_status", &Nothing {}).await?
        }
        SshConfigVerb::Install => program.table.ask("ssh.config_install", &Nothing {}).await?,
        SshConfigVerb::Remove => program.table.ask("ssh.config_remove", &Nothing {}).await?,
    };
    program.output.answer(&status, |status| {
        pairs([
            (
                "Installed",
                if status.installed { "yes" } else { "no" }.to_owned(),
            ),
            ("File", status.config_path.clone()),
            ("Ours", status.include_path.clone()),
            ("Line", status.block.clone()),
        ])
    });
    Ok(())
}
