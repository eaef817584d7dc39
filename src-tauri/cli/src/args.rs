//! What can be typed. Nouns have their verbs in their own files.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::account::{KeypairVerb, LoginArgs, ProfileVerb};
use crate::app::AppVerb;
use crate::engine::EngineVerb;
use crate::folder::FolderVerb;
use crate::history::HistoryVerb;
use crate::image::{ImageVerb, RegistryVerb};
use crate::session::SessionVerb;
use crate::ssh::{SshConfigVerb, SshKeyVerb};
use crate::transfer::{CpArgs, TransferVerb};
use crate::tunnel::{ProxyVerb, TunnelVerb};
use crate::ui::UiArgs;

/// Computing sessions, their apps and their files, from a terminal.
#[derive(Debug, Parser)]
#[command(
    name = "gangway",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
#[command(
    after_help = "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 not logged in or \
    not allowed, 5 manager or session unreachable, 6 conflict, limit or quota."
)]
pub(crate) struct Arguments {
    /// Profile to use; by default the one used last
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Print JSON: one document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but what was asked for
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Answer yes to every question
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The engine of this computer
    Engine {
        #[command(subcommand)]
        verb: EngineVerb,
    },
    /// Log in; without an address, to this computer
    Login(LoginArgs),
    /// Log out and forget the keys
    Logout,
    /// Show who is logged in
    Whoami,
    /// Managers and accounts that are remembered
    Profile {
        #[command(subcommand)]
        verb: ProfileVerb,
    },
    /// The own keypair, for other clients of the manager
    Keypair {
        #[command(subcommand)]
        verb: KeypairVerb,
    },
    /// Sessions
    Session {
        #[command(subcommand)]
        verb: SessionVerb,
    },
    /// Apps of a session
    App {
        #[command(subcommand)]
        verb: AppVerb,
    },
    /// Ports of this computer that lead into sessions
    Tunnel {
        #[command(subcommand)]
        verb: TunnelVerb,
    },
    /// The process that owns tunnels and transfers when the app does not run
    Proxy {
        #[command(subcommand)]
        verb: ProxyVerb,
    },
    /// Copy files between this computer, sessions (S:/path) and data folders (folder://NAME/path)
    Cp(CpArgs),
    /// Files on their way
    Transfer {
        #[command(subcommand)]
        verb: TransferVerb,
    },
    /// The whole user interface in the own browser
    Ui(UiArgs),
    /// Work in a session with the system's own ssh
    Ssh {
        /// Name or id of the session, or a start of one
        session: String,
        /// Command to run instead of a shell
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Connect standard input and output to a session's SSH server (for ProxyCommand)
    SshProxy {
        /// Name or id of the session, or a start of one
        session: String,
    },
    /// Let the system's own ssh find sessions by name
    SshConfig {
        #[command(subcommand)]
        verb: SshConfigVerb,
    },
    /// The account's own SSH key pair, for all new sessions
    SshKey {
        #[command(subcommand)]
        verb: SshKeyVerb,
    },
    /// Data folders
    Folder {
        #[command(subcommand)]
        verb: FolderVerb,
    },
    /// Environments that sessions start from
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Registries that images come from
    Registry {
        #[command(subcommand)]
        verb: RegistryVerb,
    },
    /// Recent launches
    History {
        #[command(subcommand)]
        verb: HistoryVerb,
    },
    /// Check this computer, the engine, the keychain and the manager
    Doctor,
    /// Show where things are kept
    Paths,
    /// Show the version
    Version,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Call a command of the table with JSON
    Call {
        /// Name of the command (`session.list`)
        command: String,
        /// Its payload
        payload: Option<String>,
    },
}
