//! Looking for a newer version and moving to it. Signatures are checked by the updater plugin,
//! which has the public key from the configuration that the package was built with.

use std::sync::{Mutex, PoisonError};

use commands::types::{Failure, FailureCode, UpdateState, UpdateStatus};
use jiff::Timestamp;
use tauri::{AppHandle, Manager};
use tauri_plugin_updater::{Error, Update, UpdaterExt};

use crate::host::failure;
use crate::leave;

/// The version that the user has been shown, so that exactly this one is installed.
#[derive(Default)]
pub(crate) struct Offered(Mutex<Option<Update>>);

/// Whether there is a newer version, and what is new in it.
pub(crate) async fn check(app: &AppHandle) -> Result<UpdateStatus, Failure> {
    let current = app.package_info().version.to_string();
    let status = |state| UpdateStatus {
        state,
        current: current.clone(),
        version: None,
        notes: None,
        date: None,
    };
    // A copy that was not installed from a package has nothing that could be replaced.
    if tauri::utils::platform::bundle_type().is_none() {
        return Ok(status(UpdateState::Unsupported));
    }
    let updater = match app.updater() {
        Ok(updater) => updater,
        Err(Error::EmptyEndpoints) => return Ok(status(UpdateState::Unsupported)),
        Err(error) => return Err(failed(&error)),
    };
    let found = updater.check().await.map_err(|error| failed(&error))?;
    let answer = match &found {
        None => status(UpdateState::None),
        Some(update) => UpdateStatus {
            state: UpdateState::Available,
            current: current.clone(),
            version: Some(update.version.clone()),
            notes: update.body.clone(),
            date: update
                .date
                .and_then(|date| Timestamp::from_second(date.unix_timestamp()).ok()),
        },
    };
    *app.state::<Offered>()
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = found;
    Ok(answer)
}

/// Installs the version that [`check`] has found, and starts it. Does not come back when it
/// succeeds.
pub(crate) async fn install(app: &AppHandle) -> Result<(), Failure> {
    let offered = app
        .state::<Offered>()
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(update) = offered else {
        return Err(failure(
            FailureCode::InvalidInput,
            "no newer version has been found yet",
        ));
    };
    // Everything that can fail without harm first: the download and its signature.
    let package = update
        .download(|_, _| {}, || {})
        .await
        .map_err(|error| failed(&error))?;
    leave::hand_over(app).await;
    // Asks for the administrator's password and waits for the package manager.
    let installed = tauri::async_runtime::spawn_blocking(move || update.install(package)).await;
    match installed {
        Ok(Ok(())) => {
            app.request_restart();
            Ok(())
        }
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failure(FailureCode::Internal, error)),
    }
}

fn failed(error: &Error) -> Failure {
    tracing::warn!(%error, "update");
    let retryable = matches!(
        error,
        Error::Network(_)
            | Error::Reqwest(_)
            | Error::ReleaseNotFound
            | Error::AuthenticationFailed
    );
    Failure {
        retryable,
        ..failure(FailureCode::UpdateFailed, error)
    }
}
