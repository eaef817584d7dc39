//! What only the surrounding program can do: a window opens things otherwise than a terminal.

use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};

use crate::types::{Failure, FailureCode, LeaveChoice, UpdateStatus};

/// What is dragged out of a window, as far as the programs around are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DragOffer {
    /// Shown beside the pointer.
    pub label: String,
    /// Under this name it would be saved.
    pub name: String,
    /// Whether addresses of files can be asked for as well, or only where to save.
    pub has_addresses: bool,
}

/// What a program wants that files are dragged onto.
#[derive(Debug)]
pub enum DragAsk {
    /// That they are saved under this path. The answer says whether that has begun.
    Save(PathBuf, oneshot::Sender<bool>),
    /// Their paths, once they are there; `None` when that can't be.
    Paths(oneshot::Sender<Option<Vec<PathBuf>>>),
}

/// Where a drag ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It was given up.
    Nowhere,
    /// On the window that it came from.
    Inside,
    /// On another program, which took it.
    Outside,
    /// On another program, or the bare desktop, which did not take it.
    Refused,
}

/// The program around the command table.
pub trait Host: Send + Sync + 'static {
    /// Opens an address in the user's browser; that it is one of this computer was looked at.
    ///
    /// # Errors
    /// When there is no browser.
    fn open_url(&self, url: &str) -> Result<(), Failure>;

    /// Opens an address of this computer in a window of the program's own, which has nothing to
    /// do with its page. A program without windows opens the browser.
    ///
    /// # Errors
    /// When there is neither.
    fn open_page(&self, url: &str) -> Result<(), Failure> {
        self.open_url(url)
    }

    /// Shows a file in the file manager.
    ///
    /// # Errors
    /// When there is no file manager.
    fn reveal(&self, path: &Path) -> Result<(), Failure>;

    /// Opens an address anywhere in the user's browser; the user has said yes to this very one.
    ///
    /// # Errors
    /// When there is no browser.
    fn open_link(&self, url: &str) -> Result<(), Failure>;

    /// Opens a file with the program that the desktop has for its kind.
    ///
    /// # Errors
    /// When there is none.
    fn open_file(&self, path: &Path) -> Result<(), Failure>;

    /// Asks the user where to save a file; `suggested` is its name. `None` when the user thinks
    /// better of it.
    ///
    /// # Errors
    /// [`FailureCode::NotAllowedHere`] where nobody can be asked.
    fn save_path(&self, suggested: &str) -> BoxFuture<'_, Result<Option<PathBuf>, Failure>> {
        let message = format!("say where to save {suggested}");
        async { Err(Failure::new(FailureCode::NotAllowedHere, message)) }.boxed()
    }

    /// Lets the user drag something out of the window, until it is dropped. What the programs
    /// around want is asked for through `asks`.
    ///
    /// # Errors
    /// [`FailureCode::Unsupported`] where nothing can be dragged out.
    fn drag_out(
        &self,
        offer: DragOffer,
        asks: mpsc::UnboundedSender<DragAsk>,
    ) -> BoxFuture<'_, Result<Dropped, Failure>> {
        drop(asks);
        let message = format!("{} can't be dragged out of this program", offer.label);
        async { Err(Failure::new(FailureCode::Unsupported, message)) }.boxed()
    }

    /// Leaves the program; live work goes where `choice` says.
    ///
    /// # Errors
    /// [`FailureCode::NotAllowedHere`] where there is nothing to leave.
    fn leave(&self, choice: LeaveChoice) -> Result<(), Failure> {
        let _ = choice;
        let message = "only the desktop app can be left this way";
        Err(Failure::new(FailureCode::NotAllowedHere, message))
    }

    /// The page has heard that the program is about to be left.
    fn heard(&self) {}

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
