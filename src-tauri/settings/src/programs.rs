//! The product's own programs.

use std::path::PathBuf;

use crate::Error;

/// A program of the product that another one starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The bundled manager.
    Engine,
    /// What runs inside a session.
    Runner,
    /// The terminal program; the desktop app starts it as proxy host when it quits.
    Cli,
}

impl Program {
    /// Name of its file, without `.exe`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine => "gangway-engine",
            Self::Runner => "gangway-runner",
            Self::Cli => "gangway",
        }
    }

    /// The variable that says where it is instead.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Engine => "GANGWAY_ENGINE",
            Self::Runner => "GANGWAY_RUNNER",
            Self::Cli => "GANGWAY_CLI",
        }
    }
}

/// Finds a program: where its variable says, beside the running one, or in `../lib/gangway`.
/// `PATH` is not searched: another version may be there.
///
/// # Errors
/// [`Error::ProgramMissing`] when it is in none of these.
pub fn find(program: Program) -> Result<PathBuf, Error> {
    let missing = || Error::ProgramMissing {
        name: program.name(),
    };
    if let Some(path) = std::env::var_os(program.variable()).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(missing())
        };
    }
    let file = format!("{}{}", program.name(), std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().map_err(|_| missing())?;
    // A link in /usr/local/bin leads to where the others are.
    let own = own.canonicalize().unwrap_or(own);
    let beside = own.parent().ok_or_else(missing)?;
    [
        beside.join(&file),
        beside.join("../lib/gangway").join(&file),
    ]
    .into_iter()
    .find(|path| path.is_file())
    .ok_or_else(missing)
}
