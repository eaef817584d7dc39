//! Launches of apps that came to nothing, kept for whoever can help.

use std::time::Instant;

use ::history::Hop;
use jiff::Timestamp;
use serde_json::{Value, json};
use tunnel::{DialError, Service, Stage};

use crate::context::Context;
use crate::types::{
    FailedLaunch, FailedLaunchList, Failure, FailureCode, Nothing, Tag, TunnelRef, TunnelReport,
};

/// Under this key a failure's details name the launch that was kept.
const KEY: &str = "failed_launch";

/// The hops of one launch, kept when one of them fails.
pub(crate) struct Trace {
    profile: String,
    session: String,
    session_name: String,
    service: Service,
    began_at: Timestamp,
    hops: Vec<Hop>,
}

impl Trace {
    /// For a session by the name that the user gave.
    pub(crate) fn begin(profile: String, session: &str, service: Service) -> Self {
        Self {
            profile,
            session: session.to_owned(),
            session_name: session.to_owned(),
            service,
            began_at: Timestamp::now(),
            hops: Vec::new(),
        }
    }

    /// The session has been found.
    pub(crate) fn leads_to(&mut self, id: &str, name: &str) {
        id.clone_into(&mut self.session);
        name.clone_into(&mut self.session_name);
    }

    /// Takes a hop and notes how that went; `done` says what it is good for.
    pub(crate) async fn hop<T>(
        &mut self,
        stage: Stage,
        done: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let result = work.await;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let at = Timestamp::now();
        self.hops.push(match &result {
            Ok(_) => Hop {
                at,
                took_ms,
                hop: stage.name().to_owned(),
                code: None,
                message: done.to_owned(),
                detail: None,
            },
            Err(failure) => {
                let error = DialError::from(failure.clone());
                Hop {
                    at,
                    took_ms,
                    hop: error.stage.name().to_owned(),
                    code: Some(error.code),
                    message: self.service.conceal(&error.message),
                    detail: error.detail.map(|text| self.service.conceal(&text)),
                }
            }
        });
        result
    }

    /// Keeps the launch, and has the failure name it. Failing to keep it changes nothing else.
    pub(crate) async fn keep(self, context: &Context, mut failure: Failure) -> Failure {
        failure.message = self.service.conceal(&failure.message);
        if names_one(&failure) {
            // Another process has kept it already, with more hops.
            return failure;
        }
        let id = uuid::Uuid::now_v7().to_string();
        let launch = ::history::FailedLaunch {
            id: id.clone(),
            profile: self.profile,
            session: self.session,
            session_name: self.session_name,
            app: self.service.label(),
            tunnel: None,
            local_port: None,
            began_at: self.began_at,
            failed_at: Timestamp::now(),
            hops: self.hops,
        };
        let kept = async {
            context.history()?.note_failed_launch(launch).await?;
            Ok::<_, Failure>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a failed launch is not stored");
            return failure;
        }
        context.changed(Tag::Tunnel, None);
        match &mut failure.details {
            Some(Value::Object(details)) => {
                details.insert(KEY.to_owned(), json!(id));
            }
            details => *details = Some(json!({ KEY: id })),
        }
        failure
    }
}

fn names_one(failure: &Failure) -> bool {
    let details = failure.details.as_ref();
    details.is_some_and(|details| details.get(KEY).is_some())
}

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<FailedLaunchList, Failure> {
    let launches = context.history()?.failed_launches().await?;
    let launches = launches.into_iter().map(FailedLaunch::from).collect();
    Ok(FailedLaunchList { launches })
}

pub(crate) async fn forget(context: &Context, _: Nothing) -> Result<FailedLaunchList, Failure> {
    context.history()?.forget_failed_launches().await?;
    list(context, Nothing {}).await
}

/// What is known of a tunnel's failures, or of one failed launch.
pub(crate) async fn report(context: &Context, request: TunnelRef) -> Result<TunnelReport, Failure> {
    if let Some(text) = context.proxy()?.report(&request.id).await {
        return Ok(TunnelReport { text });
    }
    match context.history()?.failed_launch(&request.id).await? {
        Some(launch) => Ok(TunnelReport {
            text: launch.to_string(),
        }),
        None => {
            let message = format!("there is no tunnel and no failed launch {}", request.id);
            Err(Failure::new(FailureCode::TunnelNotFound, message)
                .hint("see `gangway tunnel ls` and `gangway tunnel failures`"))
        }
    }
}

impl From<::history::FailedLaunch> for FailedLaunch {
    fn from(launch: ::history::FailedLaunch) -> Self {
        let last = launch.hops.iter().rev().find(|hop| hop.code.is_some());
        let code = last.and_then(|hop| hop.code.clone());
        Self {
            code: code
                .and_then(|code| serde_json::from_value(code.into()).ok())
                .unwrap_or(FailureCode::TunnelFailed),
            message: last.map(|hop| hop.message.clone()).unwrap_or_default(),
            hop: last.map(|hop| hop.hop.clone()).unwrap_or_default(),
            text: launch.to_string(),
            id: launch.id,
            profile: launch.profile,
            session: launch.session,
            session_name: launch.session_name,
            app: launch.app,
            tunnel_id: launch.tunnel,
            failed_at: launch.failed_at,
        }
    }
}
