//! What only the surrounding program can do: a window opens things otherwise than a terminal.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::types::{Failure, FailureCode, UpdateStatus};

/// The program around the command table.
pub trait Host: Send + Sync + 'static {
    /// Opens an address of this computer in the user's browser.
    ///
    /// # Errors
    /// When there is no browser or the address may not be opened.
    fn open_url(&self, url: &str) -> Result<(), Failure>;

    /// Shows a file in the file manager.
    ///
    /// # Errors
    /// When there is no file manager.
    fn reveal(&self, path: &Path) -> Result<(), Failure>;

    /// Asks the user for the passphrase of the encrypted file; `None` where nobody can be asked.
    fn passphrase(&self) -> Option<SecretString> {
        None
    }

    /// The last transfer is over, and the user wanted the program to end then. Tunnels that are
    /// open go on elsewhere. A program that ends by itself has nothing to do.
    fn quit(&self) {}

    /// Looks for a newer version.
    fn check_update(&self) -> BoxFuture<'_, Result<UpdateStatus, Failure>> {
        async {
            Err(Failure::new(
                FailureCode::Unsupported,
                "this program can't update itself",
            ))
        }
        .boxed()
    }

    /// Installs the newer version that was found.
    fn install_update(&self) -> BoxFuture<'_, Result<(), Failure>> {
        async {
            Err(Failure::new(
                FailureCode::Unsupported,
                "this program can't update itself",
            ))
        }
        .boxed()
    }
}
