//! A home of its own for each test: folders, display, session bus, keyring.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Running, finish, program, run};

/// How the desktop's keyring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyring {
    /// Open, as after a login to a desktop.
    Unlocked,
    /// There, and nobody unlocks it.
    Locked,
    /// Not there: no session bus.
    Absent,
}

/// A computer's user who has never started Gangway.
///
/// Programs started with [`Home::command`] see this home and nothing of the real one. Sessions and
/// the engine end with this value.
#[derive(Debug)]
pub struct Home {
    // Dropped in this order: first what runs, then the folders.
    services: Vec<Running>,
    variables: Vec<(OsString, OsString)>,
    /// Who runs the programs, when it is not who runs the test.
    user: Option<u32>,
    folder: TempDir,
    /// Its user's account, where it needs one.
    account: Option<Account>,
    /// One desktop at a time in each test program: several web views that start at once on two
    /// cores keep each other waiting for longer than any test does.
    turn: Option<MutexGuard<'static, ()>>,
}

static DESKTOP: Mutex<()> = Mutex::new(());

/// A user id that nobody has, for what root must not do.
const ORDINARY: u32 = 54_321;
/// One that has an account while a test needs it: only accounts have ids set aside.
const WITH_IDS: u32 = 54_322;
const ACCOUNT: &str = "gangway-test";
/// The ids that are set aside for it.
const SET_ASIDE: &str = "1342177280-1342242815";

/// An account of this computer, made by root for a test; gone with this value.
#[derive(Debug)]
struct Account;

impl Account {
    fn make() -> Result<Self> {
        // One that an ended test has left is made anew.
        drop(Self);
        let id = WITH_IDS.to_string();
        run(Command::new("useradd").args([
            "--uid",
            &id,
            "--user-group",
            "--no-create-home",
            "--no-log-init",
            // None but those that follow.
            "--key",
            "SUB_UID_COUNT=0",
            "--key",
            "SUB_GID_COUNT=0",
            ACCOUNT,
        ]))?;
        let account = Self;
        run(Command::new("usermod").args([
            "--add-subuids",
            SET_ASIDE,
            "--add-subgids",
            SET_ASIDE,
            ACCOUNT,
        ]))?;
        Ok(account)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // Forced: a process of the test may be ending just now.
        let _ = Command::new("userdel").args(["--force", ACCOUNT]).output();
    }
}

impl Home {
    /// Folders only: no display, no session bus.
    ///
    /// # Errors
    /// When the folders can't be made.
    pub fn new() -> Result<Self> {
        // A short path: Unix sockets in it must not be longer than 108 bytes.
        let folder = tempfile::Builder::new().prefix("gw-").tempdir_in("/tmp")?;
        let mut home = Self {
            services: Vec::new(),
            variables: Vec::new(),
            user: None,
            folder,
            account: None,
            turn: None,
        };
        for name in ["home", "run", "gangway", "bin"] {
            fs::create_dir(home.path(name))?;
        }
        fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o700))?;
        let mut path = OsString::from(home.path("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in [
            ("HOME", home.path("home").into_os_string()),
            ("XDG_RUNTIME_DIR", home.path("run").into_os_string()),
            ("GANGWAY_HOME", home.path("gangway").into_os_string()),
            ("GANGWAY_MULTI_INSTANCE", "1".into()),
            ("PATH", path),
            ("LANG", "C.UTF-8".into()),
        ] {
            home.set(name, value);
        }
        home.browser_shim()?;
        Ok(home)
    }

    /// A desktop: a virtual display, a session bus and an unlocked keyring.
    ///
    /// # Errors
    /// When one of these programs is missing or does not start.
    pub fn desktop() -> Result<Self> {
        Self::desktop_with(Keyring::Unlocked)
    }

    /// A desktop whose keyring is as told.
    ///
    /// # Errors
    /// When one of the programs is missing or does not start.
    pub fn desktop_with(keyring: Keyring) -> Result<Self> {
        Self::desktop_of(keyring, 1280, 800)
    }

    /// The same with a display of another size, in pixels.
    ///
    /// # Errors
    /// As [`Home::desktop`].
    pub fn desktop_of(keyring: Keyring, width: u32, height: u32) -> Result<Self> {
        let turn = DESKTOP.lock().unwrap_or_else(PoisonError::into_inner);
        let mut home = Self::new()?;
        home.turn = Some(turn);
        home.calm_desktop()?;
        home.start_display(width, height)?;
        match keyring {
            Keyring::Unlocked => {
                home.start_bus()?;
                home.unlock_keyring()?;
            }
            Keyring::Locked => {
                home.start_bus()?;
                home.lock_keyring()?;
            }
            Keyring::Absent => {}
        }
        Ok(home)
    }

    /// The home of an ordinary user, also when root runs the test; its programs are copies that
    /// this user can reach.
    ///
    /// # Errors
    /// When the folders can't be made or the programs can't be copied.
    pub fn of_ordinary_user() -> Result<Self> {
        Self::of_user(ORDINARY)
    }

    /// The same of a user for whom the system has set ids aside, as it does for people. When an
    /// ordinary user runs the test it is that one, with what is set aside.
    ///
    /// # Errors
    /// As [`Home::of_ordinary_user`], or when the account can't be made.
    pub fn of_user_with_ids() -> Result<Self> {
        let account = nix::unistd::geteuid().is_root().then(Account::make);
        let mut home = Self::of_user(WITH_IDS)?;
        home.account = account.transpose()?;
        Ok(home)
    }

    fn of_user(user: u32) -> Result<Self> {
        let mut home = Self::new()?;
        if !nix::unistd::geteuid().is_root() {
            return Ok(home);
        }
        home.user = Some(user);
        let programs = home.path("programs");
        fs::create_dir(&programs)?;
        for name in ["gangway", "gangway-engine", "gangway-runner"] {
            fs::copy(program(name), programs.join(name)).with_context(|| name.to_owned())?;
        }
        run(Command::new("chown")
            .args(["-R", &format!("{user}:{user}")])
            .arg(home.path("")))?;
        Ok(home)
    }

    /// One of our programs, as this home's user can reach it.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        match self.user {
            Some(_) => self.path("programs").join(name),
            None => program(name),
        }
    }

    /// A path in the home's own folder: `home`, `run`, `gangway`, `bin`, or below.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets a variable for every program started from now on.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.variables.push((name.into(), value.into()));
    }

    /// A program that lives in this home.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for name in [
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "DBUS_SESSION_BUS_ADDRESS",
            "XAUTHORITY",
        ] {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("XDG_") || text.starts_with("GANGWAY_") {
                command.env_remove(&name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.path("home"));
        if let Some(user) = self.user {
            // As root this also leaves all other groups.
            command.uid(user).gid(user);
        }
        command
    }

    /// `gangway` with these arguments and `--json`; its answer.
    ///
    /// # Errors
    /// When it fails, or prints no JSON.
    pub fn gangway(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let text = run(self
            .command(self.program("gangway"))
            // First: what follows `--` belongs to somebody else.
            .arg("--json")
            .args(arguments))?;
        serde_json::from_str(&text).with_context(|| format!("gangway {arguments:?} printed {text}"))
    }

    /// The name of the display that programs of this home use.
    #[must_use]
    pub fn display(&self) -> String {
        self.variable("DISPLAY")
    }

    /// The address of the session bus that programs of this home use.
    #[must_use]
    pub fn bus(&self) -> String {
        self.variable("DBUS_SESSION_BUS_ADDRESS")
    }

    fn variable(&self, wanted: &str) -> String {
        // The last one counts.
        let found = self.variables.iter().rfind(|(name, _)| name == wanted);
        found
            .map(|(_, value)| value.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Lets the next program be the only one of its kind, as it is outside of tests.
    pub fn single_instance(&mut self) {
        self.variables
            .retain(|(name, _)| name != "GANGWAY_MULTI_INSTANCE");
    }

    /// The last address that a program opened in "the user's browser".
    #[must_use]
    pub fn opened_in_browser(&self) -> Option<String> {
        let text = fs::read_to_string(self.path("opened-urls")).ok()?;
        text.lines().last().map(str::to_owned)
    }

    /// Processes of this home whose program has this name, whoever has started them.
    #[must_use]
    pub fn processes(&self, program: &str) -> Vec<u32> {
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let home = format!("GANGWAY_HOME={}", self.path("gangway").display());
        all.filter_map(Result::ok)
            .filter(|process| {
                let file = fs::read_link(process.path().join("exe")).unwrap_or_default();
                // The kernel marks a program whose file was replaced.
                let name = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let environment = fs::read(process.path().join("environ")).unwrap_or_default();
                name.trim_end_matches(" (deleted)") == program
                    && environment
                        .split(|byte| *byte == 0)
                        .any(|it| it == home.as_bytes())
            })
            .filter_map(|process| process.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// There is no browser that could be asked what it opened, so one is put first in PATH that
    /// writes it down.
    fn browser_shim(&self) -> Result<()> {
        let file = self.path("bin/xdg-open");
        let list = self.path("opened-urls");
        fs::write(
            &file,
            format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >> '{}'\n", list.display()),
        )?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// A user who wants no animations: a click then never meets a button that is on its way.
    fn calm_desktop(&self) -> Result<()> {
        let folder = self.path("home/.config/gtk-3.0");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("settings.ini"),
            "[Settings]\ngtk-enable-animations=0\n",
        )?;
        Ok(())
    }

    fn start_display(&mut self, width: u32, height: u32) -> Result<()> {
        let mut command = Command::new("Xvfb");
        command
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                &format!("{width}x{height}x24"),
                "-nolisten",
                "tcp",
            ])
            .stderr(Stdio::null());
        let number = self.service(&mut command)?;
        ensure!(!number.is_empty(), "Xvfb opened no display");
        self.set("DISPLAY", format!(":{number}"));
        Ok(())
    }

    /// The display goes away with all that is shown on it, and there is another one.
    ///
    /// # Errors
    /// When the home is no desktop, or the other one does not start.
    pub fn change_display(&mut self) -> Result<()> {
        ensure!(self.turn.is_some(), "there is no display");
        // It was started first of all services.
        drop(self.services.remove(0));
        self.start_display(1280, 800)?;
        // What ends last is started first.
        self.services.rotate_right(1);
        Ok(())
    }

    /// Starts a session bus of the home's own.
    ///
    /// # Errors
    /// When dbus-daemon is missing or does not start.
    pub fn start_bus(&mut self) -> Result<()> {
        let mut command = self.command("dbus-daemon");
        command.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
        let address = self.service(command.stderr(Stdio::null()))?;
        ensure!(!address.is_empty(), "dbus-daemon printed no address");
        self.set("DBUS_SESSION_BUS_ADDRESS", address);
        Ok(())
    }

    /// The daemon without a password: what is to be kept has to wait for one, and there is nobody
    /// to give it.
    fn lock_keyring(&mut self) -> Result<()> {
        let mut command = self.command("gnome-keyring-daemon");
        command
            .args(["--foreground", "--components=secrets"])
            .env_remove("DISPLAY")
            .stderr(Stdio::null());
        self.service(&mut command)?;
        Ok(())
    }

    fn unlock_keyring(&mut self) -> Result<()> {
        let mut command = self.command("gnome-keyring-daemon");
        command
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut daemon = Running::start(&mut command)?;
        // The password of a keyring that is made now and deleted with this home.
        let mut input = daemon.child().stdin.take().context("stdin")?;
        input.write_all(b"only-for-this-test")?;
        drop(input);
        // It prints where its sockets are when it is ready.
        let mut line = String::new();
        BufReader::new(daemon.child().stdout.take().context("stdout")?).read_line(&mut line)?;
        self.services.push(daemon);
        Ok(())
    }

    /// Starts a program that goes on running, and returns its first line.
    fn service(&mut self, command: &mut Command) -> Result<String> {
        let mut service = Running::start(command.stdout(Stdio::piped()))?;
        let mut line = String::new();
        BufReader::new(service.child().stdout.take().context("stdout")?).read_line(&mut line)?;
        self.services.push(service);
        Ok(line.trim().to_owned())
    }

    /// Ends sessions and engine, which outlive the programs that started them.
    fn end_engine(&self) {
        if !self.path("gangway/data/engine/engine.json").exists() {
            return;
        }
        if let Ok(sessions) = self.gangway(&["session", "ls"]) {
            let list = sessions
                .as_array()
                .or_else(|| sessions["sessions"].as_array());
            for id in list
                .into_iter()
                .flatten()
                .filter_map(|session| session["id"].as_str())
            {
                let mut rm = self.command(self.program("gangway"));
                let _ = finish(rm.args(["session", "rm", "--force", "--yes", id]));
            }
        }
        for stop in [["proxy", "stop"], ["engine", "stop"]] {
            let _ = finish(self.command(self.program("gangway")).args(stop));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // An app that has started itself anew is no child of ours that could be waited for.
        for app in self.processes("gangway-desktop") {
            let _ = Command::new("kill").args(["-9", &app.to_string()]).output();
        }
        self.end_engine();
        // In the reverse order of their start: the keyring before the bus.
        while let Some(service) = self.services.pop() {
            drop(service);
        }
    }
}
