//! What the command table asks of the program around it: the user's browser, file manager, and
//! updates.

use std::path::{Path, PathBuf};

use commands::Host;
use commands::types::{Failure, FailureCode, LeaveChoice, UpdateStatus};
#[cfg(target_os = "linux")]
use commands::{DragAsk, DragOffer, Dropped};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tauri::{AppHandle, Manager, Url};
use tauri_plugin_dialog::DialogExt;
use tauri_plugin_opener::OpenerExt;
#[cfg(target_os = "linux")]
use tokio::sync::mpsc::UnboundedSender;

#[cfg(target_os = "linux")]
use crate::drag;
use crate::{leave, page, update, window};

/// The desktop around the table.
#[derive(Debug)]
pub(crate) struct Desktop {
    app: AppHandle,
}

impl Desktop {
    pub(crate) fn new(app: AppHandle) -> Self {
        Self { app }
    }
}

impl Host for Desktop {
    fn open_url(&self, url: &str) -> Result<(), Failure> {
        let opened = self.app.opener().open_url(url, None::<&str>);
        opened.map_err(|error| failure(FailureCode::ProgramMissing, error))
    }

    fn open_page(&self, url: &str) -> Result<(), Failure> {
        let url = Url::parse(url).map_err(|error| failure(FailureCode::InvalidInput, error))?;
        page::open(&self.app, url).map_err(|error| failure(FailureCode::ProgramMissing, error))
    }

    fn reveal(&self, path: &Path) -> Result<(), Failure> {
        let shown = self.app.opener().reveal_item_in_dir(path);
        shown.map_err(|error| failure(FailureCode::ProgramMissing, error))
    }

    fn quit(&self) {
        leave::when_done(&self.app);
    }

    fn open_link(&self, url: &str) -> Result<(), Failure> {
        let opened = self.app.opener().open_url(url, None::<&str>);
        opened.map_err(|error| failure(FailureCode::ProgramMissing, error))
    }

    fn open_file(&self, path: &Path) -> Result<(), Failure> {
        let path = path.display().to_string();
        let opened = self.app.opener().open_path(path, None::<&str>);
        opened.map_err(|error| failure(FailureCode::ProgramMissing, error))
    }

    fn save_path(&self, suggested: &str) -> BoxFuture<'_, Result<Option<PathBuf>, Failure>> {
        let mut dialog = self.app.dialog().file().set_file_name(suggested);
        if let Some(window) = self.app.get_webview_window(window::MAIN) {
            dialog = dialog.set_parent(&window);
        }
        let paths = self.app.path();
        if let Ok(folder) = paths.download_dir().or_else(|_| paths.home_dir()) {
            dialog = dialog.set_directory(folder);
        }
        async move {
            let (answer, answered) = tokio::sync::oneshot::channel();
            dialog.save_file(move |path| {
                // Nobody waits any more when the page has gone.
                let _ = answer.send(path);
            });
            match answered.await {
                Ok(Some(path)) => {
                    let path = path.into_path();
                    path.map(Some)
                        .map_err(|error| failure(FailureCode::BadPath, error))
                }
                Ok(None) | Err(_) => Ok(None),
            }
        }
        .boxed()
    }

    #[cfg(target_os = "linux")]
    fn drag_out(
        &self,
        offer: DragOffer,
        asks: UnboundedSender<DragAsk>,
    ) -> BoxFuture<'_, Result<Dropped, Failure>> {
        drag::out(&self.app, offer, asks).boxed()
    }

    fn heard(&self) {
        leave::heard(&self.app);
    }

    fn leave(&self, choice: LeaveChoice) -> Result<(), Failure> {
        leave::decide(&self.app, choice);
        Ok(())
    }

    fn check_update(&self) -> BoxFuture<'_, Result<UpdateStatus, Failure>> {
        update::check(&self.app).boxed()
    }

    fn install_update(&self) -> BoxFuture<'_, Result<(), Failure>> {
        update::install(&self.app).boxed()
    }
}

pub(crate) fn failure(code: FailureCode, cause: impl ToString) -> Failure {
    Failure {
        code,
        message: cause.to_string(),
        hint: None,
        details: None,
        retryable: false,
    }
}
