//! Sees to it that a session's image is here before its kernels are made.

use std::sync::Arc;
use std::time::Duration;

use protocol::api::image::{HOST_IMAGE, LABEL_CORECOUNT};
use protocol::session::{Event, SessionStatus};
use protocol::slots::CPU;
use runtime::image::{Came, Progress};
use runtime::{ImageRoot, KernelSpec, RuntimeError};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::failure::Failure;
use super::insist;
use crate::app::transition::advance;
use crate::app::{image_container, image_pull};
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::image::Image;
use crate::store::session::Session;

/// In a session's `status_data` while it is PULLING: bytes that came, and that there are.
const PULL: &str = "pull";
/// How often that is written down.
const NOTED: Duration = Duration::from_secs(1);

/// Variables that belong to the session, whatever its image says.
const OURS: [&str; 6] = ["HOME", "USER", "LOGNAME", "SHELL", "TERM", "HOSTNAME"];

/// Why a session does not get its image.
pub(super) enum Missing {
    /// It was ended meanwhile.
    Ended,
    /// It can't be had.
    Failed(Failure),
}

/// Brings the image, telling that it is pulled when it is not there. Gives the events that take the
/// session on from here.
pub(super) async fn bring(app: &App, session: &Session) -> Result<&'static [Event], Missing> {
    let whole: &[Event] = &[Event::Preparing, Event::Prepared, Event::Creating];
    let failed = |problem: Problem| Missing::Failed(problem.into());
    let is_container = image_container::is_wanted(app, session).await;
    if session.image == HOST_IMAGE {
        return if is_container {
            Err(Missing::Failed(Failure::Certain(format!(
                "The resource group {} runs containers, and this computer itself is none: choose \
                 another image, or another resource group.",
                session.resource_group
            ))))
        } else {
            Ok(whole)
        };
    }
    let image = row(app, session).await.map_err(failed)?;
    let is_here = if is_container {
        image_container::is_here(app, &image).await
    } else {
        let present = image_pull::present(app, &image).await;
        present.map(|found| found.is_some())
    };
    if is_here.map_err(failed)? {
        return Ok(whole);
    }
    let id = session.id;
    // Before the status changes: an end in between must not be missed.
    let mut events = app.events.listen();
    let name = image.name.clone();
    let pulling = insist(app, move |app| {
        let name = name.clone();
        async move {
            let steps = &[Event::Preparing, Event::Pulling];
            advance(&app, id, steps, &name, |session, _| forget_pull(session)).await
        }
    })
    .await;
    if !matches!(pulling, Some(Some(_))) {
        return Err(Missing::Ended);
    }
    let ended = async {
        while let Ok(event) = events.recv().await {
            let over = [
                "session_terminating",
                "session_terminated",
                "session_cancelled",
            ];
            if event.session == id && over.contains(&event.name.as_str()) {
                return;
            }
        }
    };
    let (tell, told) = watch::channel(None);
    let progress: Progress = Arc::new(move |came| {
        tell.send_replace(Some(came));
    });
    let came = async {
        if is_container {
            image_container::bring(app, &image, progress).await
        } else {
            image_pull::bring(app, &image, progress).await.map(drop)
        }
    };
    tokio::select! {
        came = came => {
            came.map_err(failed)?;
            Ok(&[Event::Prepared, Event::Creating])
        }
        () = note_progress(app, id, told) => Err(Missing::Ended),
        () = ended => Err(Missing::Ended),
        () = app.stop.cancelled() => Err(Missing::Ended),
    }
}

/// Writes down how far the image of a session is, for whoever looks at it. Never ends.
async fn note_progress(app: &App, id: Uuid, mut told: watch::Receiver<Option<Came>>) {
    while told.changed().await.is_ok() {
        let Some(Came { bytes, total }) = *told.borrow_and_update() else {
            continue;
        };
        let noted = app.store.write(move |tx| -> Result<(), Problem> {
            match store::session::get(tx, id)? {
                Some(mut session) if session.status == SessionStatus::Pulling => {
                    session.status_data[PULL] = json!({ "bytes": bytes, "total": total });
                    Ok(store::session::update(tx, &session)?)
                }
                _ => Ok(()),
            }
        });
        if let Err(problem) = noted.await {
            tracing::debug!(session = %id, %problem, "how far its image is");
        }
        tokio::time::sleep(NOTED).await;
    }
    std::future::pending().await
}

/// Its image is here, or begins to come anew.
pub(super) fn forget_pull(session: &mut Session) {
    if let Some(data) = session.status_data.as_object_mut() {
        data.remove(PULL);
    }
}

/// What the session's root is made of; noted, so that it stays on the disk.
pub(super) async fn put_into(
    app: &App,
    session: &Session,
    spec: &mut KernelSpec,
) -> Result<(), RuntimeError> {
    let refused = |problem: Problem| match Failure::from(problem) {
        Failure::Certain(text) => RuntimeError::Invalid(text),
        Failure::Passing(reason) => RuntimeError::Start { reason },
    };
    if session.image == HOST_IMAGE {
        return Ok(());
    }
    let image = row(app, session).await.map_err(refused)?;
    let content = image_pull::present(app, &image)
        .await
        .map_err(refused)?
        .ok_or_else(|| {
            RuntimeError::Invalid(format!("the image {} is not on this computer", image.name))
        })?;
    count_cores(session, &image, spec);
    for (name, value) in &content.environ {
        if !OURS.contains(&name.as_str()) {
            spec.environ
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
    }
    spec.image = ImageRoot::Layers {
        directories: app.images.directories(&content),
        dropped: content.dropped,
    };
    let id = session.id;
    app.store
        .write(move |tx| -> Result<(), Problem> { Ok(store::image_state::show(tx, id, &content)?) })
        .await
        .map_err(refused)
}

/// What a container is made of.
pub(super) async fn put_container(app: &App, session: &Session, spec: &mut KernelSpec) {
    // Nobody but the container engine has to know the image.
    if let Ok(image) = row(app, session).await {
        count_cores(session, &image, spec);
    }
    spec.image = ImageRoot::Container(session.image.clone());
}

/// Sets the variables in which the image wants the number of cores.
fn count_cores(session: &Session, image: &Image, spec: &mut KernelSpec) {
    let cores = session.requested_slots.get(CPU).floor().to_string();
    let counted = image
        .labels
        .get(LABEL_CORECOUNT)
        .cloned()
        .unwrap_or_default();
    let counted = counted
        .split(',')
        .map(str::trim)
        .filter(|it| !it.is_empty());
    for name in counted {
        spec.environ
            .entry(name.to_owned())
            .or_insert_with(|| cores.clone());
    }
}

async fn row(app: &App, session: &Session) -> Result<Image, Problem> {
    let (name, architecture) = (session.image.clone(), session.architecture.clone());
    let found = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok(store::image::by_name(db, &name, &architecture)?)
        })
        .await?;
    found.ok_or_else(|| {
        Problem::not_found("environment image", "image_read_not-found").msg(format!(
            "The image {} is not known any more.",
            session.image
        ))
    })
}
