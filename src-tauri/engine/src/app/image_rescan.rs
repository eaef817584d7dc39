//! Reads from registries which images they have.

use axum::http::StatusCode;
use runtime::image::{ImageError, Registry as Remote};
use uuid::Uuid;

use super::background::{self, Report};
use super::image::image_problem;
use super::{image_pull, registry};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::registry::Registry;

/// Says that an image is made for sessions.
const SPEC: &str = "ai.backend.kernelspec";

/// Starts to read the registry of this name, or all; of one project, or all.
pub(crate) async fn rescan(
    app: &App,
    caller: &Caller,
    name: Option<String>,
    project: Option<String>,
) -> Result<Uuid, Problem> {
    let registries: Vec<Registry> = registry::list(app)
        .await?
        .into_iter()
        .filter(|one| name.as_ref().is_none_or(|name| *name == one.name))
        .filter(|one| {
            let any = one.project.is_empty();
            project.as_ref().is_none_or(|it| any || *it == one.project)
        })
        .collect();
    if registries.is_empty() && name.is_some() {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "object-not-found",
            "No such container registry.",
            "container-registry_read_not-found",
        ));
    }
    Ok(background::start(
        app,
        caller.user_id(),
        move |app, report| async move {
            let mut found = Found::default();
            for registry in &registries {
                let project = match &project {
                    Some(project) => project,
                    None => &registry.project,
                };
                read(&app, registry, project, &report, &mut found).await?;
            }
            Ok(found.words())
        },
    ))
}

#[derive(Default)]
struct Found {
    images: usize,
    skipped: usize,
    failed: Vec<String>,
}

impl Found {
    fn words(&self) -> String {
        let mut text = format!("{} images", self.images);
        if self.skipped > 0 {
            text = format!("{text}, {} that are not made for sessions", self.skipped);
        }
        if let Some(first) = self.failed.first() {
            text = format!("{text}, {} that failed: {first}", self.failed.len());
        }
        text
    }
}

async fn read(
    app: &App,
    registry: &Registry,
    project: &str,
    report: &Report,
    found: &mut Found,
) -> Result<(), Problem> {
    let remote = Remote::new(&registry::access(registry)).map_err(image_problem)?;
    report.step(0.0, 0.0, format!("Asking {}", registry.name));
    let mut names = Vec::new();
    for repository in remote.repositories().await.map_err(image_problem)? {
        let wanted = project.is_empty()
            || repository
                .strip_prefix(project)
                .is_some_and(|rest| rest.starts_with('/'));
        if !wanted {
            continue;
        }
        match remote.tags(&repository).await {
            Ok(tags) => names.extend(tags.into_iter().map(|tag| format!("{repository}:{tag}"))),
            // A repository whose tags are all gone is still in the list.
            Err(ImageError::NotFound(_)) => {}
            Err(error) => return Err(image_problem(error)),
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "there are not so many images")]
    let total = names.len() as f64;
    for (number, name) in names.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "there are not so many images")]
        report.step(number as f64, total, format!("{}/{name}", registry.name));
        match remote.describe(name).await {
            Ok(described) if described.labels.contains_key(SPEC) => {
                let name = format!("{}/{name}", registry.name);
                image_pull::note(app, &name, described).await?;
                found.images += 1;
            }
            Ok(_) => found.skipped += 1,
            Err(error) if error.is_passing() => return Err(image_problem(error)),
            Err(error) => found.failed.push(format!("{name}: {error}")),
        }
    }
    report.step(total, total, format!("{} is read", registry.name));
    Ok(())
}
