//! What the program can do outside of itself when it runs in a terminal.

use std::path::Path;

use commands::Host;
use commands::types::{Failure, FailureCode};
use secrecy::SecretString;

use crate::ask;

/// Opens things the way the desktop around the terminal does.
pub(crate) struct Terminal;

impl Host for Terminal {
    fn passphrase(&self) -> Option<SecretString> {
        ask::passphrase(false).ok().map(SecretString::from)
    }

    fn open_url(&self, url: &str) -> Result<(), Failure> {
        open::that_detached(url).map_err(|error| Failure::new(FailureCode::ProgramMissing, error))
    }

    fn open_link(&self, url: &str) -> Result<(), Failure> {
        open::that_detached(url).map_err(|error| Failure::new(FailureCode::ProgramMissing, error))
    }

    fn open_file(&self, path: &Path) -> Result<(), Failure> {
        open::that_detached(path).map_err(|error| Failure::new(FailureCode::ProgramMissing, error))
    }

    fn reveal(&self, path: &Path) -> Result<(), Failure> {
        let directory = if path.is_dir() {
            path
        } else {
            path.parent().unwrap_or(path)
        };
        open::that_detached(directory)
            .map_err(|error| Failure::new(FailureCode::ProgramMissing, error))
    }
}
