//! A running session becomes an image of its owner's (protocol page "Semantics" §11).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use protocol::session::{SessionStatus, SessionType};
use runtime::image::Content;
use runtime::{Changes, ContainerCommit};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::image::{self, LABEL_CUSTOM_ID, LABEL_CUSTOM_NAME, LABEL_OWNER, image_problem};
use super::registry::LOCAL;
use super::{background, image_container, image_pull, session};
use crate::error::Problem;
use crate::state::App;
use crate::store::image::Image;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::project::Project;
use crate::store::session::Session;
use crate::store::{self, At};

const LABEL_FEATURES: &str = "ai.backend.features";

/// Sessions that are being made into images, so that they are not ended meanwhile.
#[derive(Default)]
pub(crate) struct Commits(Mutex<Hands>);

#[derive(Default)]
struct Hands {
    /// Sessions that are being made into images.
    commits: HashMap<Uuid, CancellationToken>,
    /// Sessions that are being ended or started again at this moment, and by how many requests.
    stopping: HashMap<Uuid, usize>,
}

impl Commits {
    fn lock(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a session is being made into an image.
    pub(crate) fn has(&self, session: Uuid) -> bool {
        self.lock().commits.contains_key(&session)
    }

    /// Lets a session be ended: not while it is being made into an image, unless by force, which
    /// breaks that off. No image is begun before what this gives is dropped.
    pub(crate) fn let_end(&self, session: &Session, forced: bool) -> Result<Stopping<'_>, Problem> {
        let mut hands = self.lock();
        match hands.commits.get(&session.id) {
            Some(commit) if forced => commit.cancel(),
            Some(_) => {
                return Err(busy(
                    session,
                    "Wait until that is done, or terminate it by force.",
                ));
            }
            None => {}
        }
        Ok(self.stopping(&mut hands, session.id))
    }

    /// Lets a session be started again: not while it is being made into an image. No image is begun
    /// before what this gives is dropped.
    pub(crate) fn let_restart(&self, session: &Session) -> Result<Stopping<'_>, Problem> {
        let mut hands = self.lock();
        if hands.commits.contains_key(&session.id) {
            return Err(busy(session, "Wait until that is done."));
        }
        Ok(self.stopping(&mut hands, session.id))
    }

    fn stopping(&self, hands: &mut Hands, session: Uuid) -> Stopping<'_> {
        *hands.stopping.entry(session).or_default() += 1;
        Stopping {
            commits: self,
            session,
        }
    }

    fn begin(&self, session: Uuid) -> Result<CancellationToken, Problem> {
        let mut hands = self.lock();
        if hands.commits.contains_key(&session) {
            return Err(Problem::bad_request("The session is being saved already."));
        }
        if hands.stopping.contains_key(&session) {
            return Err(Problem::bad_request(
                "The session is being ended or started again.",
            ));
        }
        let token = CancellationToken::new();
        hands.commits.insert(session, token.clone());
        Ok(token)
    }
}

fn busy(session: &Session, advice: &str) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "session-invalid-state",
        "Session with Invalid State",
        "session_generic_mismatch",
    )
    .msg(format!(
        "The session {} is being saved. {advice}",
        session.name
    ))
}

/// While this lives, no image of the session is begun.
pub(crate) struct Stopping<'a> {
    commits: &'a Commits,
    session: Uuid,
}

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.commits.lock().stopping.entry(self.session) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A session in the middle of being saved; over when dropped, however it ends.
pub(super) struct Commit {
    app: App,
    session: Uuid,
    broken_off: CancellationToken,
}

impl Commit {
    /// From now on the session can't be ended but by force; nor can it be saved a second time.
    pub(super) fn begin(app: &App, session: Uuid) -> Result<Self, Problem> {
        Ok(Self {
            broken_off: app.commits.begin(session)?,
            app: app.clone(),
            session,
        })
    }

    /// Comes back when the session was ended by force.
    pub(super) async fn is_broken_off(&self) {
        self.broken_off.cancelled().await;
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.app.commits.lock().commits.remove(&self.session);
    }
}

/// Starts to make an image of a session. Gives the task.
pub(crate) async fn commit(
    app: &App,
    session: &Session,
    kernels: &[KernelRow],
    name: &str,
    visibility: &str,
) -> Result<Uuid, Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(Problem::invalid_params(
            "image_name: 1 to 64 letters, digits, dots, dashes and underscores.",
        ));
    }
    if visibility != "user" {
        return Err(Problem::invalid_params(format!(
            "Unsupported visibility scope {visibility}"
        )));
    }
    let kernel = session::main_kernel(app, session, kernels)?;
    if session.kind != SessionType::Interactive {
        return Err(Problem::invalid_params(
            "Only interactive sessions can be saved as images.",
        ));
    }
    let changes = kernel.changes();
    if changes == Changes::None {
        return Err(Problem::invalid_params(format!(
            "Sessions of {} can't change its files: there is nothing to save.",
            session.image
        )));
    }
    let commit = Commit::begin(app, session.id)?;
    // Looks at the session again: it may have ended just before the commit began.
    let is_container = matches!(changes, Changes::Container(_));
    let order = order(app, session, name, is_container).await?;
    Ok(background::start(
        app,
        session.user,
        move |app, report| async move {
            report.step(0.0, 2.0, "Commit started");
            let made = tokio::select! {
                made = make(&app, order, changes) => made,
                () = commit.is_broken_off() => {
                    Err(Problem::internal("The session was terminated by force."))
                }
            };
            if is_container {
                tidy(&app).await;
            }
            let (image, content) = made?;
            report.step(1.0, 2.0, "Committed image");
            let image = image_pull::put(&app, image, content).await?;
            report.step(2.0, 2.0, "Completed");
            Ok(image.name)
        },
    ))
}

struct Order {
    /// What the sandbox shows of its image.
    base: Option<Content>,
    image: Image,
}

/// Makes the image: what is unpacked of it, or an image of the container engine's.
async fn make(
    app: &App,
    order: Order,
    changes: Changes,
) -> Result<(Image, Option<Content>), Problem> {
    let Order { base, image } = order;
    match (changes, base) {
        (Changes::Directory(changed), Some(base)) => {
            let work = app.images.commit(base, changed, image.labels.clone());
            let content = work.await.map_err(image_problem)?;
            let image = Image {
                digest: content.digest.to_string(),
                size_bytes: content.size_bytes,
                architecture: content.architecture.clone(),
                labels: content.labels.clone(),
                ..image
            };
            Ok((image, Some(content)))
        }
        (Changes::Container(container), _) => {
            let images = app.runtime.container_images();
            let images =
                images.ok_or_else(|| Problem::internal("There is no container engine."))?;
            let commit = ContainerCommit {
                container,
                name: image.name,
                labels: image.labels,
            };
            let made = images.commit(&commit).await;
            let made = made.map_err(session::runtime_problem)?;
            Ok((image_container::row(made), None))
        }
        _ => Err(Problem::internal(
            "It is not known what the session is made of.",
        )),
    }
}

/// Removes what the container engine has of commits that were broken off, and of images that have
/// been made anew.
pub(crate) async fn tidy(app: &App) {
    if let Some(images) = app.runtime.container_images()
        && let Err(error) = images.tidy().await
    {
        tracing::warn!(error = session::chain(&error), "images without a name");
    }
}

/// What the image will be: checked and written in one look at the tables.
async fn order(
    app: &App,
    session: &Session,
    name: &str,
    is_container: bool,
) -> Result<Order, Problem> {
    let (id, name) = (session.id, name.to_owned());
    app.store
        .read(move |db| -> Result<_, Problem> {
            let session = store::session::get(db, id)?.ok_or_else(Problem::no_session)?;
            if session.status != SessionStatus::Running {
                return Err(session::not_ready(&session));
            }
            let base = store::image_state::shown(db, session.id)?;
            let from = store::image::by_name(db, &session.image, &session.architecture)?;
            let told = base.as_ref().map(|base| &base.labels);
            let told = told.or(from.as_ref().map(|image| &image.labels));
            let owner = store::user::get(db, session.user)?.ok_or_else(Problem::no_session)?;
            let states = store::image_state::all(db)?;
            let own: Vec<Image> = store::image::list(db)?
                .into_iter()
                .filter(|image| {
                    let forgotten = states.get(&image.id).is_some_and(|it| it.is_forgotten);
                    !forgotten && image::is_owned_by(image, owner.id)
                })
                .collect();
            let replaced = own
                .iter()
                .find(|image| image.labels.get(LABEL_CUSTOM_NAME) == Some(&name));
            let limit = store::policy::of_users(db)?
                .into_iter()
                .find(|policy| policy.name == owner.resource_policy)
                .map_or(0, |policy| policy.max_customized_image_count);
            let current = u32::try_from(own.len()).unwrap_or(u32::MAX);
            if replaced.is_none() && limit > 0 && current >= limit {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "quota-exceeded",
                    "You have reached your resource limit.",
                    "session_create_unavailable",
                )
                .msg(format!(
                    "You have reached your customized image count quota. (current: {current}, \
                     limit: {limit})"
                ))
                .data(json!({ "limit": limit, "current": current })));
            }
            let project = store::project::get(db, session.project)?
                .ok_or_else(|| Problem::not_found("project", "group_read_not-found"))?;
            let project = target(&project)?;
            let id = match replaced.and_then(|image| image.labels.get(LABEL_CUSTOM_ID)) {
                Some(id) => id.clone(),
                None => Uuid::new_v4().simple().to_string(),
            };
            let labels = BTreeMap::from([
                (LABEL_OWNER.to_owned(), format!("user:{}", owner.id)),
                (LABEL_CUSTOM_NAME.to_owned(), name),
                (LABEL_CUSTOM_ID.to_owned(), id.clone()),
                (
                    "ai.backend.customized-image.user.email".to_owned(),
                    owner.email,
                ),
                (
                    LABEL_FEATURES.to_owned(),
                    features(told.and_then(|labels| labels.get(LABEL_FEATURES))),
                ),
            ]);
            let image = Image {
                id: Uuid::now_v7(),
                name: if is_container {
                    image_container::customized_name(&session.image, &project, &id)
                } else {
                    image::customized_name(&session.image, &project, &id)
                },
                architecture: session.architecture.clone(),
                registry: LOCAL.to_owned(),
                digest: String::new(),
                size_bytes: 0,
                labels,
                created_at: At::now(),
                aliases: Vec::new(),
            };
            Ok(Order { base, image })
        })
        .await
}

/// In which project of this computer's own store a project keeps its images: one of its own name,
/// unless an administrator chose another.
fn target(project: &Project) -> Result<String, Problem> {
    let chosen = project.container_registry.as_ref();
    let text = |name: &str| chosen.and_then(|it| it.get(name)?.as_str());
    match (text("registry"), text("project")) {
        (None, _) => Ok(project.name.clone()),
        (Some(LOCAL), path) => Ok(path.unwrap_or(&project.name).to_owned()),
        (Some(other), _) => Err(Problem::not_implemented(format!(
            "Images of this project belong into the registry {other}, and this engine pushes to no \
             registry. An administrator can choose the registry \"{LOCAL}\"."
        ))),
    }
}

fn features(base: Option<&String>) -> String {
    let mut all: Vec<&str> = base.map_or("", String::as_str).split_whitespace().collect();
    if !all.contains(&"uid-match") {
        all.push("uid-match");
    }
    all.join(" ")
}

/// `ready`, or `ongoing` while a session is being made into an image.
pub(crate) fn status(app: &App, session: &Session) -> &'static str {
    if session.status == SessionStatus::Running && app.commits.has(session.id) {
        "ongoing"
    } else {
        "ready"
    }
}
