//! The border: one line for each command. From it come the dispatcher, the TypeScript map, the
//! terminal's `call` and the reference page; what is not here can't be called from anywhere.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::Context;
use crate::types::*;

/// What a command does to the world; decides what has to be confirmed, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Reads.
    Read,
    /// Changes what can be changed back.
    Change,
    /// Loses something for good.
    Destroy,
    /// Reaches out of the program: files, programs and settings of this computer.
    Host,
}

impl Effect {
    /// Its name in the generated TypeScript and in the reference page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
            Self::Destroy => "destroy",
            Self::Host => "host",
        }
    }
}

/// From where a command may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The window of the desktop app.
    Window,
    /// A browser, through the loopback bridge.
    Http,
    /// The terminal.
    Cli,
    /// Another program of the same user, through the owner-only socket.
    Socket,
}

/// Surfaces that have a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surfaces(&'static [Surface]);

impl Surfaces {
    /// Whether `surface` has the command.
    #[must_use]
    pub fn has(self, surface: Surface) -> bool {
        self.0.contains(&surface)
    }
}

const ALL: Surfaces = Surfaces(&[
    Surface::Window,
    Surface::Http,
    Surface::Cli,
    Surface::Socket,
]);
/// Surfaces without a web view: secrets may pass.
const TERMINAL: Surfaces = Surfaces(&[Surface::Cli, Surface::Socket]);
const WINDOW: Surfaces = Surfaces(&[Surface::Window]);
const PAGES: Surfaces = Surfaces(&[Surface::Window, Surface::Http]);

/// Which process has to run a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one that was asked.
    Here,
    /// The proxy host: it alone writes tunnels and transfers.
    ProxyHost,
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its name: `noun.verb`.
    pub name: &'static str,
    /// What it does to the world.
    pub effect: Effect,
    /// From where it may be called.
    pub surfaces: Surfaces,
    /// Which process has to run it.
    pub place: Place,
    /// What it shows (a read) or changes (all others).
    pub tags: &'static [Tag],
}

/// One stream.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// From where it may be opened.
    pub surfaces: Surfaces,
    /// Which process has to run it.
    pub place: Place,
    /// Whether messages after the first are bytes.
    pub binary: bool,
}

macro_rules! table {
    (
        commands { $($name:literal $request:ty => $response:ty, $effect:ident, $surfaces:ident, $place:ident, [$($tag:ident),*] => $handler:path;)* }
        streams { $($stream:literal $open:ty => $message:ty, $stream_surfaces:ident, $stream_place:ident, $binary:literal;)* }
    ) => {
        /// Every command.
        pub const COMMANDS: &[Command] = &[
            $(Command {
                name: $name,
                effect: Effect::$effect,
                surfaces: $surfaces,
                place: Place::$place,
                tags: &[$(Tag::$tag),*],
            }),*
        ];

        /// Every stream.
        pub const STREAMS: &[Stream] = &[
            $(Stream {
                name: $stream,
                surfaces: $stream_surfaces,
                place: Place::$stream_place,
                binary: $binary,
            }),*
        ];

        /// Runs the command called `name`, wherever that is allowed.
        pub(crate) async fn run(
            context: &Context,
            name: &str,
            payload: Value,
        ) -> Result<Value, Failure> {
            match name {
                $($name => {
                    let request: $request = parse(name, payload)?;
                    let answer: Result<$response, Failure> =
                        Box::pin($handler(context, request)).await;
                    answer.and_then(|answer| encode(&answer))
                })*
                other => Err(unknown(other)),
            }
        }

        /// Calls `visit` with the name, request and response of every command.
        pub(crate) fn each_command_type(visit: &mut impl crate::bindings::Visit) {
            $(visit.command::<$request, $response>($name);)*
        }

        /// Calls `visit` with the name, request and message of every stream.
        pub(crate) fn each_stream_type(visit: &mut impl crate::bindings::Visit) {
            $(visit.stream::<$open, $message>($stream);)*
        }
    };
}

table! {
    commands {
        "app.last_end" Nothing => LastEndShown, Read, WINDOW, Here, [] => crate::leave::last_end;
        "app.forget_last_end" Nothing => LastEndShown, Change, WINDOW, Here, [] => crate::leave::forget_last_end;
        "app.leaving" Nothing => Leaving, Read, WINDOW, Here, [] => crate::leave::leaving;
        "app.leave" Leave => Leaving, Host, WINDOW, Here, [] => crate::leave::leave;
        "app.info" Nothing => AppInfo, Read, ALL, Here, [] => crate::system::info;
        "paths.show" Nothing => PathsShown, Read, ALL, Here, [] => crate::system::paths;
        "doctor.run" Nothing => CheckList, Read, ALL, Here, [] => crate::doctor::run;
        "settings.get" Nothing => Settings, Read, ALL, Here, [Settings] => crate::system::get_settings;
        "network.certificate" CertificateOf => CertificateShown, Read, ALL, Here, [] => crate::certificate::look;
        "network.test" NetworkTest => NetworkTested, Read, ALL, Here, [] => crate::network::test;
        "settings.set" Settings => Settings, Change, ALL, Here, [Settings] => crate::system::set_settings;

        "profile.list" Nothing => ProfileList, Read, ALL, Here, [Profile] => crate::account::list;
        "profile.use" ProfileRef => ProfileList, Change, ALL, Here, [Profile] => crate::account::use_profile;
        "profile.remove" ProfileRef => ProfileList, Destroy, ALL, Here, [Profile] => crate::account::remove;
        "manager.find" ManagerFind => ManagerFound, Read, ALL, Here, [] => crate::account_remote::find;
        "login.remote" LoginRemote => Account, Change, ALL, Here, [Profile, Session] => crate::account_remote::login;
        "login.local" LoginLocal => Account, Change, ALL, Here, [Profile, Engine, Session] => crate::account::login_local;
        "logout" Nothing => Nothing, Change, ALL, Here, [Profile, Session] => crate::account::logout;
        "whoami" Nothing => Account, Read, ALL, Here, [Profile] => crate::account::whoami;
        "keychain.status" Nothing => KeychainStatus, Read, ALL, Here, [Profile] => crate::account::keychain_status;
        "keypair.show" KeypairShow => Keypair, Read, TERMINAL, Here, [Profile] => crate::account::keypair;

        "engine.status" Nothing => EngineStatus, Read, ALL, Here, [Engine] => crate::engine::status;
        "engine.start" Nothing => EngineStatus, Host, ALL, Here, [Engine] => crate::engine::start;
        "engine.stop" Nothing => EngineStatus, Host, ALL, Here, [Engine] => crate::engine::stop;

        "session.list" SessionListRequest => SessionList, Read, ALL, Here, [Session] => crate::session::list;
        "session.show" SessionRef => Session, Read, ALL, Here, [Session] => crate::session::show;
        "session.launch" LaunchRequest => Session, Change, ALL, Here, [Session, History] => crate::session::launch;
        "session.rename" SessionRename => Session, Change, ALL, Here, [Session] => crate::session::rename;
        "session.restart" SessionRef => Session, Destroy, ALL, Here, [Session] => crate::session::restart;
        "session.interrupt" SessionInterrupt => Nothing, Change, ALL, Here, [] => crate::session::interrupt;
        "session.terminate" SessionTerminate => Session, Destroy, ALL, Here, [Session] => crate::session::terminate;
        "session.unsaved" SessionRef => Unsaved, Read, ALL, Here, [Session] => crate::session::unsaved;
        "session.save" SessionSave => Saved, Change, ALL, Here, [Folder] => crate::session::save;
        "session.logs" SessionLogsRequest => SessionLogs, Read, ALL, Here, [Session] => crate::session::logs;
        "session.save_log" SaveLog => SavedLog, Host, ALL, Here, [] => crate::session::save_log;
        "session.stats" SessionRef => Stats, Read, ALL, Here, [Session] => crate::session::stats;
        "session.exec" SessionExec => ExecResult, Change, ALL, Here, [] => crate::session::exec;
        "session.wait" SessionWait => Session, Read, ALL, Here, [Session] => crate::session::wait;

        "app.list" SessionRef => AppList, Read, ALL, Here, [Session] => crate::app::list;
        "app.share" AppShare => SharedApp, Change, ALL, Here, [] => crate::app::share;
        "app.open" AppOpen => OpenedApp, Change, ALL, ProxyHost, [Tunnel] => crate::tunnel::app::open;
        "app.stop" AppRef => Nothing, Change, ALL, Here, [Session] => crate::app_launch::stop;
        "tunnel.list" Nothing => TunnelList, Read, ALL, ProxyHost, [Tunnel] => crate::tunnel::list;
        "tunnel.open" TunnelOpen => Tunnel, Change, ALL, ProxyHost, [Tunnel] => crate::tunnel::open;
        "tunnel.close" TunnelRef => Nothing, Change, ALL, ProxyHost, [Tunnel] => crate::tunnel::close;
        "tunnel.keep" TunnelKeep => Tunnel, Change, ALL, ProxyHost, [Tunnel] => crate::tunnel::keep;
        "tunnel.address" TunnelRef => TunnelAddress, Read, ALL, ProxyHost, [] => crate::tunnel::address;
        "tunnel.report" TunnelRef => TunnelReport, Read, ALL, ProxyHost, [Tunnel] => crate::failed_launch::report;
        "tunnel.failures" Nothing => FailedLaunchList, Read, ALL, Here, [Tunnel] => crate::failed_launch::list;
        "tunnel.forget_failures" Nothing => FailedLaunchList, Change, ALL, Here, [Tunnel] => crate::failed_launch::forget;
        "tunnel.ports" SessionRef => SessionPortList, Read, ALL, ProxyHost, [Tunnel] => crate::tunnel::ports::list;
        "tunnel.close_all" Nothing => Nothing, Change, ALL, ProxyHost, [Tunnel] => crate::tunnel::close_all;

        "tunnel.at_login" Nothing => TunnelsAtLogin, Read, ALL, Here, [Tunnel] => crate::tunnel::at_login::show;
        "tunnel.set_at_login" SetTunnelsAtLogin => TunnelsAtLogin, Host, ALL, Here, [Tunnel] => crate::tunnel::at_login::set;
        "proxy.status" Nothing => ProxyStatus, Read, TERMINAL, Here, [Tunnel, Transfer] => crate::tunnel::proxy_status;

        "transfer.list" Nothing => TransferList, Read, ALL, ProxyHost, [Transfer] => crate::transfer::list;
        "transfer.start" TransferStart => TransferList, Change, ALL, ProxyHost, [Transfer] => crate::transfer::start;
        "transfer.pause" TransferRef => Transfer, Change, ALL, ProxyHost, [Transfer] => crate::transfer::pause;
        "transfer.resume" TransferRef => Transfer, Change, ALL, ProxyHost, [Transfer] => crate::transfer::resume;
        "transfer.cancel" TransferRef => Transfer, Change, ALL, ProxyHost, [Transfer] => crate::transfer::cancel;
        "transfer.retry" TransferRef => Transfer, Change, ALL, ProxyHost, [Transfer] => crate::transfer::retry;
        "transfer.resolve" TransferResolve => Transfer, Change, ALL, ProxyHost, [Transfer] => crate::transfer::resolve;
        "transfer.reorder" TransferReorder => TransferList, Change, ALL, ProxyHost, [Transfer] => crate::transfer::reorder;
        "transfer.options" Nothing => TransferOptions, Read, ALL, ProxyHost, [Transfer] => crate::transfer::options;
        "transfer.set_options" TransferOptions => TransferOptions, Change, ALL, ProxyHost, [Transfer] => crate::transfer::set_options;
        "transfer.clear" Nothing => Nothing, Change, ALL, ProxyHost, [Transfer] => crate::transfer::clear;

        "file.list" FileRef => FileListing, Read, ALL, Here, [File] => crate::file::list;
        "file.view" FileRef => FileView, Read, ALL, Here, [File] => crate::file::view::view;
        "file.create" FileRef => Nothing, Change, ALL, Here, [File] => crate::file::view::create;
        "file.mkdir" FileRef => Nothing, Change, ALL, Here, [File] => crate::file::mkdir;
        "file.rename" FileRename => Nothing, Change, ALL, Here, [File] => crate::file::rename;
        "file.set_mode" FileMode => Nothing, Change, ALL, Here, [File] => crate::file::view::set_mode;
        "file.remove" FileRemove => Nothing, Destroy, ALL, Here, [File] => crate::file::remove;
        "file.edits" Nothing => FileEditList, Read, PAGES, Here, [File] => crate::file::edit::list;
        "file.edit" FileRef => FileEditList, Host, PAGES, Here, [File] => crate::file::edit::open;
        "file.edit_resolve" FileEditResolve => FileEditList, Destroy, PAGES, Here, [File] => crate::file::edit::resolve;
        "file.edit_close" FileEditRef => FileEditList, Change, PAGES, Here, [File] => crate::file::edit::close;
        "file.drag_out" FileDragOut => FileDraggedOut, Host, WINDOW, Here, [Transfer] => crate::file::drag::out;
        "file.places" Nothing => PlaceList, Read, ALL, Here, [] => crate::file::places;

        "folder.list" FolderListRequest => FolderList, Read, ALL, Here, [Folder] => crate::folder::list;
        "folder.create" FolderCreate => Folder, Change, ALL, Here, [Folder] => crate::folder::create;
        "folder.show" FolderRef => Folder, Read, ALL, Here, [Folder] => crate::folder::show;
        "folder.rename" FolderRename => Folder, Change, ALL, Here, [Folder] => crate::folder::rename;
        "folder.remove" FolderRef => Nothing, Destroy, ALL, Here, [Folder] => crate::folder::remove;
        "folder.restore" FolderRef => Nothing, Change, ALL, Here, [Folder] => crate::folder::restore;
        "folder.purge" FolderRef => Nothing, Destroy, ALL, Here, [Folder] => crate::folder::purge;

        "environment.list" Nothing => EnvironmentList, Read, ALL, Here, [] => crate::environment::list;
        "image.list" Nothing => ImageList, Read, ALL, Here, [] => crate::image::list;
        "image.alias" ImageAlias => Nothing, Change, ALL, Here, [] => crate::image_store::alias;
        "image.remove" ImageRef => Nothing, Destroy, ALL, Here, [] => crate::image_store::remove;
        "registry.list" Nothing => RegistryList, Read, ALL, Here, [] => crate::image_store::registries;
        "registry.add" RegistryAdd => Registry, Change, ALL, Here, [] => crate::image_store::add_registry;
        "registry.remove" RegistryRef => Nothing, Destroy, ALL, Here, [] => crate::image_store::remove_registry;
        "resource.limits" LimitsRequest => Limits, Read, ALL, Here, [Session] => crate::image::limits;

        "history.list" Nothing => LaunchList, Read, ALL, Here, [History] => crate::history::list;
        "history.pin" LaunchRef => LaunchList, Change, ALL, Here, [History] => crate::history::pin;
        "history.unpin" LaunchRef => LaunchList, Change, ALL, Here, [History] => crate::history::unpin;
        "history.rename" LaunchRename => LaunchList, Change, ALL, Here, [History] => crate::history::rename;
        "history.remove" LaunchRef => LaunchList, Change, ALL, Here, [History] => crate::history::remove;
        "history.clear" Nothing => LaunchList, Change, ALL, Here, [History] => crate::history::clear;
        "history.relaunch" Relaunch => Session, Change, ALL, Here, [Session, History] => crate::history::relaunch;

        "ssh.info" SessionRef => SshInfo, Read, ALL, Here, [] => crate::ssh::info;
        "ssh.config_status" Nothing => SshConfigStatus, Read, ALL, Here, [Settings] => crate::ssh::config_status;
        "ssh.config_install" Nothing => SshConfigStatus, Host, ALL, Here, [Settings] => crate::ssh::config_install;
        "ssh.config_remove" Nothing => SshConfigStatus, Host, ALL, Here, [Settings] => crate::ssh::config_remove;
        "ssh.keypair" Nothing => SshKeypair, Read, ALL, Here, [Profile] => crate::ssh_keypair::show;
        "ssh.keypair_generate" Nothing => SshKeypair, Destroy, ALL, Here, [Profile] => crate::ssh_keypair::generate;
        "ssh.keypair_use" SshKeypairUse => SshKeypair, Host, ALL, Here, [Profile] => crate::ssh_keypair::take;
        "ssh.editors" Nothing => EditorList, Read, ALL, Here, [Settings] => crate::editor::list;
        "host.open_editor" OpenEditor => Nothing, Host, ALL, Here, [] => crate::editor::open_in;
        "host.open_vscode" SessionRef => Nothing, Host, ALL, Here, [] => crate::editor::open;
        "host.open_url" OpenUrl => Nothing, Host, PAGES, Here, [] => crate::system::open_url;
        "host.open_link" OpenUrl => Nothing, Host, PAGES, Here, [] => crate::system::open_link;
        "host.reveal" RevealPath => Nothing, Host, PAGES, Here, [] => crate::system::reveal;
        "host.open_terminal" SessionRef => Nothing, Host, PAGES, Here, [] => crate::system::open_terminal;

        "terminal.list" SessionRef => TerminalList, Read, PAGES, Here, [Session] => crate::terminal::list;
        "terminal.write" TerminalWrite => Nothing, Change, PAGES, Here, [] => crate::terminal::write;
        "terminal.resize" TerminalResize => Nothing, Change, PAGES, Here, [] => crate::terminal::resize;
        "terminal.close" TerminalRef => Nothing, Change, PAGES, Here, [] => crate::terminal::close;

        "update.check" Nothing => UpdateStatus, Read, WINDOW, Here, [] => crate::system::check_update;
        "update.install" Nothing => Nothing, Host, WINDOW, Here, [] => crate::system::install_update;
    }
    streams {
        "events" Nothing => Changed, ALL, Here, false;
        "terminal.open" TerminalOpen => TerminalOpened, PAGES, Here, true;
        "session.log_follow" SessionRef => LogText, ALL, Here, false;
        "file.search" FileSearch => FilesFound, ALL, Here, false;
        "app.install" AppInstall => InstallProgress, ALL, Here, false;
        "app.launch" AppLaunch => AppProgress, ALL, Here, false;
        "image.pull" ImageRef => TaskProgress, ALL, Here, false;
        "image.import" ImageImport => TaskProgress, TERMINAL, Here, false;
        "image.rescan" ImageRescan => TaskProgress, ALL, Here, false;
        "session.commit" SessionCommit => TaskProgress, ALL, Here, false;
        "folder.clone" FolderClone => TaskProgress, ALL, Here, false;
    }
}

/// A payload that is left out means `{}`.
pub(crate) fn parse<T: DeserializeOwned>(name: &str, payload: Value) -> Result<T, Failure> {
    let payload = if payload.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        payload
    };
    serde_json::from_value(payload)
        .map_err(|error| Failure::new(FailureCode::InvalidInput, format!("{name}: {error}")))
}

pub(crate) fn encode<T: Serialize>(answer: &T) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| Failure::new(FailureCode::Internal, error))
}

pub(crate) fn unknown(name: &str) -> Failure {
    Failure::new(
        FailureCode::UnknownCommand,
        format!("there is no command \"{name}\""),
    )
}

/// The command called `name`.
#[must_use]
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// The stream called `name`.
#[must_use]
pub fn stream(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<_> = COMMANDS
            .iter()
            .map(|c| c.name)
            .chain(STREAMS.iter().map(|s| s.name))
            .collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn no_web_view_can_ask_for_a_secret() {
        let keypair = command("keypair.show").expect("in the table");
        assert!(!keypair.surfaces.has(Surface::Window) && !keypair.surfaces.has(Surface::Http));
        assert!(keypair.surfaces.has(Surface::Cli) && keypair.surfaces.has(Surface::Socket));
    }
}
