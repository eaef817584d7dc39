//! What starts a host when the user logs in to this computer, so that tunnels are back after a
//! restart: an entry of the XDG autostart folder.
//!
//! Hidden: the form of the entry with its quoting, how one of ours is told from somebody else's,
//! and on which systems there is one at all. It is there while the user wants it and a tunnel is
//! stored, names the program where it is now, and is never half written. What the desktop's own
//! settings have switched off stays so until the user switches it on here. Other systems have
//! other ways, which are not built.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use history::{History, HistoryError};
use settings::{Config, Paths, Program};

/// By this line an entry is known as ours.
const MARK: &str = "X-Gangway-Entry=tunnels";

/// What a desktop writes into an entry that it does not start any more.
const SWITCHED_OFF: [&str; 2] = ["Hidden=true", "X-GNOME-Autostart-enabled=false"];

/// What lies where our entry belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// Our entry.
    Ours,
    /// Our entry, which the desktop's own settings have switched off.
    SwitchedOff,
    /// A file that we have not written.
    Foreign,
}

/// Why there is no entry, or no new one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs are started at login in another way here.
    #[error("bringing tunnels back at login is not supported on this system yet")]
    Unsupported,
    /// The place is taken.
    #[error("{path} is there already and not ours")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// An entry can't name this path.
    #[error("{path} can't be named in a file that starts programs at login")]
    Unspeakable {
        /// The path.
        path: PathBuf,
    },
    /// A file can't be read or written.
    #[error("can't use {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Our own settings or programs can't be found.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The cache can't be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Whether this system has a way that is built.
#[must_use]
pub fn is_supported() -> bool {
    cfg!(target_os = "linux")
}

/// What lies where our entry belongs.
///
/// # Errors
/// [`Error::Io`] when it can't be read.
pub fn state(paths: &Paths) -> Result<State, Error> {
    let path = paths.autostart_entry();
    Ok(match std::fs::read(&path) {
        Ok(bytes) => state_of(&String::from_utf8_lossy(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => match path.symlink_metadata() {
            // A link that leads nowhere is somebody's all the same.
            Ok(_) => State::Foreign,
            Err(_) => State::Absent,
        },
        Err(error) => return Err(Error::io(&path)(error)),
    })
}

fn state_of(text: &str) -> State {
    let has = |wanted: &str| text.lines().any(|line| line.trim() == wanted);
    match has(MARK) {
        false => State::Foreign,
        true if SWITCHED_OFF.into_iter().any(has) => State::SwitchedOff,
        true => State::Ours,
    }
}

/// Notes that the user wants tunnels back at login, or no more, and does it.
///
/// # Errors
/// [`Error::Unsupported`], [`Error::Foreign`] and [`Error::Unspeakable`] before anything is
/// noted; the others may come afterwards, and the next host that starts tries again.
pub async fn choose(paths: &Paths, history: &History, wanted: bool) -> Result<(), Error> {
    if wanted {
        if !is_supported() {
            return Err(Error::Unsupported);
        }
        match state(paths)? {
            State::Foreign => {
                let path = paths.autostart_entry();
                return Err(Error::Foreign { path });
            }
            // An explicit yes is newer than what the desktop's settings say.
            State::SwitchedOff => remove(paths)?,
            State::Absent | State::Ours => {}
        }
        entry(paths, &program()?)?;
    }
    Config::update(paths, |config| {
        config.set_tunnels_at_login(wanted);
        Ok::<_, settings::Error>(())
    })?;
    follow(paths, history).await
}

/// Makes the entry what it is to be now: there when the user wants it and a tunnel is stored,
/// else gone. Whoever changes one of the two calls this.
///
/// # Errors
/// [`Error`]; a file that is not ours stays as it is.
pub async fn follow(paths: &Paths, history: &History) -> Result<(), Error> {
    if !is_supported() {
        return Ok(());
    }
    // Two processes that look and then write must not do so crosswise.
    let lock = lock(paths).await?;
    let wanted = Config::load(paths)?.tunnels_at_login()? == Some(true);
    let done = match wanted && history.any_tunnel().await? {
        true => write(paths, &program()?),
        false => remove(paths),
    };
    drop(lock);
    done
}

async fn lock(paths: &Paths) -> Result<File, Error> {
    settings::private_dir(&paths.state_dir)?;
    let path = paths.autostart_lock();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&path).map_err(Error::io(&path))?;
        file.lock().map_err(Error::io(&path))?;
        Ok(file)
    });
    locked
        .await
        .map_err(|error| Error::io(&paths.autostart_lock())(std::io::Error::other(error)))?
}

/// Writes the entry, unless it is there as it is to be.
fn write(paths: &Paths, program: &Path) -> Result<(), Error> {
    let path = paths.autostart_entry();
    let text = entry(paths, program)?;
    let before = state(paths)?;
    match before {
        State::Foreign => return Err(Error::Foreign { path }),
        State::SwitchedOff => return Ok(()),
        State::Ours if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) => {
            return Ok(());
        }
        State::Absent | State::Ours => {}
    }
    let dir = &paths.autostart_dir;
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let mut file = tempfile::Builder::new()
        .prefix(".gangway-tunnels-")
        .tempfile_in(dir)
        .map_err(Error::io(dir))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io(file.path()))?;
    let placed = match before {
        // What somebody else puts there in this moment stays.
        State::Absent => file.persist_noclobber(&path),
        _ => file.persist(&path),
    };
    match placed {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Err(Error::Foreign { path })
        }
        Err(error) => Err(Error::io(&path)(error.error)),
    }
}

fn remove(paths: &Paths) -> Result<(), Error> {
    let path = paths.autostart_entry();
    match state(paths)? {
        State::Ours | State::SwitchedOff => std::fs::remove_file(&path).map_err(Error::io(&path)),
        State::Absent | State::Foreign => Ok(()),
    }
}

/// Where the program is that is to be started.
fn program() -> Result<PathBuf, Error> {
    let found = settings::find(Program::Cli)?;
    std::path::absolute(&found).map_err(Error::io(&found))
}

/// The text of the entry. The host stays in the background: it has no terminal and no window.
fn entry(paths: &Paths, program: &Path) -> Result<String, Error> {
    let name = speakable(program)?;
    // It would be a variable to `env`, and is not allowed in the name of a program at all.
    if name.contains('=') {
        let path = program.to_owned();
        return Err(Error::Unspeakable { path });
    }
    let mut words = Vec::new();
    if let Some(home) = &paths.home {
        let home = speakable(home)?;
        words.extend(["env".to_owned(), format!("GANGWAY_HOME={home}")]);
    }
    words.extend([name, "proxy", "run"].map(str::to_owned));
    let exec: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    Ok(format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Version=1.0\n\
         Name=Gangway tunnels\n\
         Name[ko]=Gangway 터널\n\
         Name[ja]=Gangway トンネル\n\
         Comment=Brings tunnels back on their ports\n\
         Comment[ko]=터널을 원래 포트로 다시 엽니다\n\
         Comment[ja]=トンネルを元のポートで開き直します\n\
         TryExec={}\n\
         Exec={}\n\
         Terminal=false\n\
         NoDisplay=true\n\
         {MARK}\n",
        escaped(name),
        escaped(&exec.join(" ")),
    ))
}

/// Entries are UTF-8, of one line for each value.
fn speakable(path: &Path) -> Result<&str, Error> {
    path.to_str()
        .filter(|text| !text.contains(char::is_control))
        .ok_or_else(|| Error::Unspeakable {
            path: path.to_owned(),
        })
}

/// One argument by the quoting rules of `Exec`.
fn quoted(word: &str) -> String {
    const RESERVED: &str = " \t\n\"'\\><~|&;$*?#()`";
    // What follows a `%` would be filled in by the desktop.
    let word = word.replace('%', "%%");
    if !word.is_empty() && !word.contains(|one| RESERVED.contains(one)) {
        return word;
    }
    let mut quoted = String::from('"');
    for one in word.chars() {
        if matches!(one, '"' | '`' | '$' | '\\') {
            quoted.push('\\');
        }
        quoted.push(one);
    }
    quoted.push('"');
    quoted
}

/// A value by the escape rule of all strings in an entry, which is undone before any quoting is
/// looked at. No control character is left at this point.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\")
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    const HERE: &str = "/opt/Gangway 100% \"new\"/gangway";

    fn desk() -> (tempfile::TempDir, Paths) {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths::under(home.path());
        (home, paths)
    }

    fn text(paths: &Paths) -> String {
        std::fs::read_to_string(paths.autostart_entry()).expect("there")
    }

    #[test]
    fn an_entry_follows_the_program_and_goes_again() {
        let (_home, paths) = desk();
        assert_eq!(state(&paths).expect("read"), State::Absent);
        write(&paths, Path::new("/old/gangway")).expect("written");
        assert!(text(&paths).contains("/old/gangway proxy run"));
        write(&paths, Path::new(HERE)).expect("written");
        assert_eq!(state(&paths).expect("read"), State::Ours);
        let text = text(&paths);
        let exec = text.lines().find_map(|line| line.strip_prefix("Exec="));
        let words = as_started(exec.expect("Exec"));
        assert_eq!(words[0], "env");
        assert_eq!(words[2..], [HERE, "proxy", "run"]);
        let files = std::fs::read_dir(&paths.autostart_dir).expect("there");
        assert_eq!(files.count(), 1);
        remove(&paths).expect("removed");
        remove(&paths).expect("gone already");
        assert_eq!(state(&paths).expect("read"), State::Absent);
    }

    #[test]
    fn somebody_elses_file_stays() {
        let (_home, paths) = desk();
        let file = paths.autostart_entry();
        std::fs::create_dir_all(&paths.autostart_dir).expect("made");
        let foreign = "[Desktop Entry]\nType=Application\nName=Mine\nExec=true\n";
        std::fs::write(&file, foreign).expect("written");
        let refused = write(&paths, Path::new(HERE));
        assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
        remove(&paths).expect("left");
        assert_eq!(text(&paths), foreign);

        std::fs::remove_file(&file).expect("removed");
        symlink("/nowhere/at/all", &file).expect("linked");
        let refused = write(&paths, Path::new(HERE));
        assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
    }

    #[test]
    fn what_the_desktop_has_switched_off_stays_off() {
        let (_home, paths) = desk();
        write(&paths, Path::new("/old/gangway")).expect("written");
        let before = text(&paths);
        for off in SWITCHED_OFF {
            let text_off = format!("{before}{off}\n");
            std::fs::write(paths.autostart_entry(), &text_off).expect("written");
            write(&paths, Path::new(HERE)).expect("left");
            assert_eq!(state(&paths).expect("read"), State::SwitchedOff);
            assert_eq!(text(&paths), text_off);
        }
    }

    #[test]
    fn a_path_that_can_not_be_named_is_refused() {
        let (_home, paths) = desk();
        for bad in ["/a\nExec=rm/gangway", "/a=b/gangway"] {
            let refused = write(&paths, Path::new(bad));
            assert!(
                matches!(refused, Err(Error::Unspeakable { .. })),
                "{refused:?}"
            );
        }
        assert_eq!(state(&paths).expect("read"), State::Absent);
    }

    /// What a desktop does with the value of `Exec`: first the escapes of all strings, then
    /// quotes, which are those of a shell for what the rules let through, then `%%`.
    fn as_started(value: &str) -> Vec<String> {
        let mut text = String::new();
        let mut rest = value.chars();
        while let Some(one) = rest.next() {
            text.push(match one {
                '\\' => rest.next().expect("something is escaped"),
                one => one,
            });
        }
        shell_words::split(&text)
            .expect("well quoted")
            .into_iter()
            .map(|word| word.replace("%%", "%"))
            .collect()
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn every_argument_arrives_as_it_was(words in prop::collection::vec("[^\\p{Cc}]*", 1..4)) {
                let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                prop_assert_eq!(as_started(&escaped(&line.join(" "))), words);
            }
        }
    }
}
