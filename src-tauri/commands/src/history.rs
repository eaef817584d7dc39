//! Recent launches, and the lists that were seen last.

use jiff::Timestamp;
use uuid::Uuid;

use crate::context::Context;
use crate::types::{
    Failure, Launch, LaunchList, LaunchRef, LaunchRename, LaunchRequest, Nothing, Relaunch,
    Session, Tag,
};

/// Under this name the list of sessions is remembered.
const SESSIONS: &str = "sessions";

impl Context {
    /// The sessions of a profile as they were seen last, and when.
    pub(crate) async fn last_seen(&self, profile: &str) -> Option<(Vec<Session>, Timestamp)> {
        let seen = self
            .history()
            .ok()?
            .recall(profile, SESSIONS)
            .await
            .ok()??;
        Some((serde_json::from_value(seen.value).ok()?, seen.at))
    }

    /// Remembers what a profile's sessions were. Failing to do so fails nothing else.
    pub(crate) async fn remember_sessions(&self, profile: &str, sessions: &[Session]) {
        let kept = async {
            let history = self.history()?;
            let value = serde_json::to_value(sessions).unwrap_or_default();
            history.remember(profile, SESSIONS, &value).await?;
            for session in sessions {
                let status = client::protocol::session::SessionStatus::from(session.status);
                let id = session.id.to_string();
                history.saw_status(&id, status.as_str()).await?;
            }
            Ok::<_, Failure>(())
        };
        if let Err(failure) = kept.await {
            tracing::warn!(%failure, "the list of sessions could not be remembered");
        }
    }

    /// Remembers one session among those that were seen last.
    pub(crate) async fn remember_session(&self, profile: &str, session: &Session) {
        let (mut sessions, _) = self.last_seen(profile).await.unwrap_or_default();
        match sessions.iter_mut().find(|known| known.id == session.id) {
            Some(known) => *known = session.clone(),
            None => sessions.insert(0, session.clone()),
        }
        self.remember_sessions(profile, &sessions).await;
    }

    /// Notes a launch. Failing to do so fails nothing else: the session is there.
    pub(crate) async fn remember_launch(
        &self,
        profile: &str,
        request: &LaunchRequest,
        name: &str,
        session: Uuid,
    ) {
        let kept = async {
            let launch = ::history::NewLaunch {
                profile: profile.to_owned(),
                name: name.to_owned(),
                request: serde_json::to_value(request).unwrap_or_default(),
                session_id: Some(session.to_string()),
                last_status: None,
            };
            self.history()?.record(launch).await?;
            Ok::<_, Failure>(())
        };
        match kept.await {
            Ok(()) => self.changed(Tag::History, None),
            Err(failure) => tracing::warn!(%failure, "a launch could not be noted"),
        }
    }
}

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<LaunchList, Failure> {
    let launches = context
        .history()?
        .launches(&context.profile_name()?)
        .await?;
    Ok(LaunchList {
        launches: launches.into_iter().map(Launch::from).collect(),
    })
}

async fn changed(context: &Context) -> Result<LaunchList, Failure> {
    context.changed(Tag::History, None);
    list(context, Nothing {}).await
}

pub(crate) async fn pin(context: &Context, request: LaunchRef) -> Result<LaunchList, Failure> {
    context.history()?.pin(&request.id, true).await?;
    changed(context).await
}

pub(crate) async fn unpin(context: &Context, request: LaunchRef) -> Result<LaunchList, Failure> {
    context.history()?.pin(&request.id, false).await?;
    changed(context).await
}

pub(crate) async fn rename(
    context: &Context,
    request: LaunchRename,
) -> Result<LaunchList, Failure> {
    let title = request.title.trim();
    let title = (!title.is_empty()).then(|| title.to_owned());
    context.history()?.rename(&request.id, title).await?;
    changed(context).await
}

pub(crate) async fn remove(context: &Context, request: LaunchRef) -> Result<LaunchList, Failure> {
    context.history()?.remove(&request.id).await?;
    changed(context).await
}

pub(crate) async fn clear(context: &Context, _: Nothing) -> Result<LaunchList, Failure> {
    context.history()?.clear(&context.profile_name()?).await?;
    changed(context).await
}

/// Launches again under the name given, else under the old name if no live session has it, else
/// under a fresh one.
pub(crate) async fn relaunch(context: &Context, request: Relaunch) -> Result<Session, Failure> {
    let past = Launch::from(context.history()?.launch(&request.id).await?);
    let mut launch = past.request;
    launch.wait = request.wait;
    launch.name = match request.name {
        Some(name) => Some(name),
        None => {
            let live = context.client().await?.match_sessions(&past.name).await?;
            let taken = live.iter().any(|session| !session.status.is_terminal());
            (!taken).then_some(past.name)
        }
    };
    crate::session::launch(context, launch).await
}

impl From<::history::Launch> for Launch {
    fn from(launch: ::history::Launch) -> Self {
        let status = |text: String| {
            text.parse::<client::protocol::session::SessionStatus>()
                .ok()
                .map(Into::into)
        };
        Self {
            id: launch.id,
            name: launch.name,
            title: launch.title,
            pinned: launch.pinned,
            request: serde_json::from_value(launch.request).unwrap_or_default(),
            session_id: launch.session_id.and_then(|id| Uuid::parse_str(&id).ok()),
            launched_at: launch.launched_at,
            last_status: launch.last_status.and_then(status),
        }
    }
}
