//! This computer: the program, its paths, settings, checks, and what the host opens.

use std::path::{Path, PathBuf};

use client::protocol::version::ApiVersion;
use settings::Config;

use crate::browser;
use crate::context::Context;
use crate::types::{
    AppInfo, Failure, FailureCode, Nothing, OpenUrl, PathsShown, RevealPath, SessionRef, Settings,
    Tag, UpdateStatus,
};

pub(crate) async fn info(_: &Context, _: Nothing) -> Result<AppInfo, Failure> {
    Ok(AppInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: ApiVersion::CURRENT.to_string(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

pub(crate) async fn paths(context: &Context, _: Nothing) -> Result<PathsShown, Failure> {
    let paths = context.paths();
    let text = |path: &Path| path.display().to_string();
    Ok(PathsShown {
        config: text(&paths.config_file()),
        state: text(&paths.state_dir),
        logs: text(&paths.logs_dir()),
        engine: text(&paths.engine_dir),
        runtime: text(&paths.runtime_dir),
    })
}

pub(crate) async fn get_settings(context: &Context, _: Nothing) -> Result<Settings, Failure> {
    Ok(crate::network::shown(context.config()?.preferences()?))
}

pub(crate) async fn set_settings(
    context: &Context,
    mut settings: Settings,
) -> Result<Settings, Failure> {
    let bad = |message: String| Err(Failure::new(FailureCode::InvalidInput, message));
    if settings
        .preferred_ssh_port
        .is_some_and(|port| !(1025..=65534).contains(&port))
    {
        return bad("the SSH port has to be between 1025 and 65534".to_owned());
    }
    if let Some(Err(piece)) = settings.port_pool.as_deref().map(tunnel::parse_pool) {
        return bad(format!(
            "\"{piece}\" is no port between 1025 and 65534, nor a range"
        ));
    }
    crate::app_launch::check(&settings)?;
    crate::network::settle(context, &mut settings).await?;
    Config::update(context.paths(), |config| config.set_preferences(&settings))?;
    // Connections are made anew in the way that is now wanted.
    context.forget_clients();
    context.changed(Tag::Settings, None);
    Ok(settings)
}

pub(crate) async fn open_url(context: &Context, request: OpenUrl) -> Result<Nothing, Failure> {
    browser::open(context, &request.url)?;
    Ok(Nothing {})
}

/// The page has shown the whole address and asked; what a session prints can't open anything by
/// itself.
pub(crate) async fn open_link(context: &Context, request: OpenUrl) -> Result<Nothing, Failure> {
    let scheme = request.url.split_once("://").map(|(scheme, _)| scheme);
    let plain = !request
        .url
        .chars()
        .any(|one| one.is_control() || one == ' ');
    if !matches!(scheme, Some("http" | "https")) || !plain {
        let message = "only web addresses are opened";
        return Err(Failure::new(FailureCode::InvalidInput, message));
    }
    context.host().open_link(&request.url)?;
    Ok(Nothing {})
}

pub(crate) async fn reveal(context: &Context, request: RevealPath) -> Result<Nothing, Failure> {
    let path = PathBuf::from(&request.path);
    if !path.is_absolute() || !path.exists() {
        let message = format!("there is no file {}", request.path);
        return Err(Failure::new(FailureCode::FileNotFound, message));
    }
    context.host().reveal(&path)?;
    Ok(Nothing {})
}

/// Terminal programs in the order of how likely they are what the user is used to, with the
/// option after which a command stands.
const TERMINALS: [(&str, &str); 7] = [
    ("x-terminal-emulator", "-e"),
    ("gnome-terminal", "--"),
    ("konsole", "-e"),
    ("xfce4-terminal", "-x"),
    ("kitty", "--"),
    ("alacritty", "-e"),
    ("xterm", "-e"),
];

pub(crate) async fn open_terminal(
    context: &Context,
    request: SessionRef,
) -> Result<Nothing, Failure> {
    let words = crate::ssh::command(context, &request.session).await?;
    in_terminal(&words)?;
    Ok(Nothing {})
}

/// Starts a command in a window of the user's terminal program.
fn in_terminal(words: &[String]) -> Result<(), Failure> {
    for (program, option) in TERMINALS {
        let Some(path) = on_path(program) else {
            continue;
        };
        match start(std::process::Command::new(path).arg(option).args(words)) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::debug!(%error, program, "terminal"),
        }
    }
    Err(
        Failure::new(FailureCode::ProgramMissing, "no terminal program was found")
            .hint("install one (xterm, gnome-terminal, …) or use the terminal in this window"),
    )
}

fn start(command: &mut std::process::Command) -> std::io::Result<()> {
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    // Somebody has to take note of its end.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Editors without a window of their own.
const IN_TERMINAL: [&str; 9] = [
    "vi", "vim", "nvim", "nano", "hx", "micro", "joe", "ne", "kak",
];

/// Opens a file with the editor of the settings.
pub(crate) fn start_editor(
    program: &str,
    arguments: &[String],
    file: &Path,
) -> Result<(), Failure> {
    let name = Path::new(program).file_name().unwrap_or_default();
    if IN_TERMINAL.iter().any(|editor| name == *editor) {
        let mut words = vec![program.to_owned()];
        words.extend_from_slice(arguments);
        words.push(file.display().to_string());
        return in_terminal(&words);
    }
    start(
        std::process::Command::new(program)
            .args(arguments)
            .arg(file),
    )
    .map_err(|error| {
        Failure::new(FailureCode::ProgramMissing, format!("{program}: {error}"))
            .hint("choose another editor in the settings")
    })
}

pub(crate) async fn check_update(context: &Context, _: Nothing) -> Result<UpdateStatus, Failure> {
    context.host().check_update().await
}

pub(crate) async fn install_update(context: &Context, _: Nothing) -> Result<Nothing, Failure> {
    context.host().install_update().await?;
    Ok(Nothing {})
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
