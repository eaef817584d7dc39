//! Opening an app while somebody watches how far it is.

use std::time::Duration;

use client::protocol::api::gangway::{LONGEST_START, StartProgress, StartStage};
use client::{Client, StartOptions};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tunnel::{Service, Stage};

use crate::context::Context;
use crate::failed_launch::Trace;
use crate::session::find_running;
use crate::table;
use crate::tunnel::app::{check_presence, open};
use crate::types::{
    AppLaunch, AppOpen, AppProgress, AppRef, AppStage, Failure, FailureCode, Nothing, OpenedApp,
    Settings, Tag,
};

/// Seconds that an app may take to start where the user has not said otherwise.
pub const DEFAULT_START_LIMIT: u32 = 60;
/// How often is told how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A manager that takes longer to say how far an app is says nothing.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// After a start that broke off before its time.
const PAUSE: Duration = Duration::from_secs(1);

type Tell = mpsc::Sender<Result<AppProgress, Failure>>;

/// How long an app may take to start, by the user's settings.
pub(crate) fn limit_of(context: &Context, app: &str) -> Result<Duration, Failure> {
    let settings: Settings = context.config()?.preferences()?;
    let chosen = settings.start_limits.get(app).copied();
    let seconds = chosen.unwrap_or(DEFAULT_START_LIMIT);
    Ok(Duration::from_secs(seconds.into()).min(LONGEST_START))
}

/// Whether every limit is one, before they are written.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    let most = LONGEST_START.as_secs();
    for (app, seconds) in &settings.start_limits {
        if !(1..=most).contains(&u64::from(*seconds)) {
            let message = format!("the limit for {app} has to be between 1 and {most} seconds");
            return Err(Failure::new(FailureCode::InvalidInput, message));
        }
    }
    Ok(())
}

/// Starts an app, tells how far it is, and opens it as `app.open` does. Whoever goes away leaves the
/// app on its way.
pub(crate) async fn launch(
    context: &Context,
    request: AppLaunch,
) -> Result<impl Stream<Item = Result<AppProgress, Failure>> + Send + use<>, Failure> {
    let limit = match request.limit_s {
        Some(seconds) => Duration::from_secs(seconds.into()).min(LONGEST_START),
        None => limit_of(context, &request.open.app)?,
    };
    let (tell, told) = mpsc::channel(8);
    let context = context.clone();
    tokio::spawn(async move {
        let work = async {
            let opened = run(&context, request.open, limit, &tell).await;
            // Whoever asked may be gone.
            let _ = tell.send(opened.map(AppProgress::Opened)).await;
        };
        tokio::select! {
            () = work => {}
            () = tell.closed() => {}
        }
    });
    Ok(stream::unfold(told, |mut told| async move {
        let message = told.recv().await?;
        Some((message, told))
    }))
}

async fn run(
    context: &Context,
    request: AppOpen,
    limit: Duration,
    tell: &Tell,
) -> Result<OpenedApp, Failure> {
    let mut trace = Trace::begin(context.profile_name()?, &request.session, service(&request));
    let watch = Watch {
        tell,
        began: Instant::now(),
        until: Instant::now() + limit,
    };
    match steps(context, &request, &watch, &mut trace).await {
        Ok(opened) => Ok(opened),
        Err(failure) => Err(trace.keep(context, failure).await),
    }
}

/// The app with all that its start is given.
pub(crate) fn service(request: &AppOpen) -> Service {
    Service::App {
        name: request.app.clone(),
        port: None,
        arguments: request.arguments.clone(),
        envs: request.envs.clone(),
    }
}

async fn steps(
    context: &Context,
    request: &AppOpen,
    watch: &Watch<'_>,
    trace: &mut Trace,
) -> Result<OpenedApp, Failure> {
    let profile = context.profile_name()?;
    let asked = watch.during(AppStage::Manager, context.client_of(&profile));
    let client = trace
        .hop(Stage::Network, "the manager answers", asked)
        .await?;
    let asked = watch.during(AppStage::Manager, find_running(&client, &request.session));
    let row = trace.hop(Stage::Session, "the session runs", asked).await?;
    let id = row.session_id.to_string();
    trace.leads_to(&id, &row.name);
    let asked = watch.during(
        AppStage::Manager,
        check_presence(&client, &id, &request.app),
    );
    trace.hop(Stage::App, "the app is there", asked).await?;
    // Others tell nothing while they start it, and some lead there by another way.
    let ours = client.is_ours().await?;
    if ours {
        let started = started(&client, &id, request, watch);
        trace.hop(Stage::App, "the app answers", started).await?;
    }
    let stage = match ours {
        true => AppStage::Connecting,
        false => AppStage::Starting,
    };
    let opened = watch.during(stage, opened(context, request));
    let done = "a port of this computer leads to the app";
    trace.hop(Stage::Local, done, opened).await
}

/// Opens it in the process that owns the tunnels.
async fn opened(context: &Context, request: &AppOpen) -> Result<OpenedApp, Failure> {
    if context.seat().host().is_some() {
        return open(context, request.clone()).await;
    }
    let payload = table::encode(request)?;
    let answer = crate::socket::forward(context, "app.open", payload).await?;
    serde_json::from_value(answer).map_err(|error| Failure::new(FailureCode::Internal, error))
}

/// Has the manager start an app and waits until it answers, for as long as that may take.
async fn started(
    client: &Client,
    session: &str,
    request: &AppOpen,
    watch: &Watch<'_>,
) -> Result<(), Failure> {
    let app = &request.app;
    let options = StartOptions {
        port: None,
        envs: request.envs.clone(),
        arguments: request.arguments.clone(),
        // The start outlives a limit that is changed while it lasts.
        limit: Some(LONGEST_START),
    };
    let mut last = None;
    loop {
        let starting = client.connect_service(session, app, &options);
        tokio::pin!(starting);
        let broken = loop {
            tokio::select! {
                started = &mut starting => match started {
                    Ok(stream) => {
                        drop(stream);
                        return Ok(());
                    }
                    Err(error) => break Failure::from(error),
                },
                () = tokio::time::sleep_until(watch.until) => return Err(watch.late(app, last)),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    last = look(client, session, app).await.or(last);
                    watch.say(stage(last.as_ref()), last.as_ref()).await;
                }
            }
        };
        // A manager whose own limit is shorter has to be asked again, and so has one that was
        // lost on the way.
        if !broken.retryable || Instant::now() + PAUSE >= watch.until {
            last = look(client, session, app).await.or(last);
            return Err(with_lines(broken, last));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(client: &Client, session: &str, app: &str) -> Option<StartProgress> {
    let asked = client.start_progress(session, app);
    tokio::time::timeout(LOOK_PATIENCE, asked)
        .await
        .ok()?
        .ok()?
}

fn stage(progress: Option<&StartProgress>) -> AppStage {
    match progress.map(|progress| progress.stage) {
        Some(StartStage::Waiting) => AppStage::Port,
        Some(StartStage::Preparing | StartStage::Failed) | None => AppStage::Starting,
    }
}

/// What the app printed last, for whoever started it. It is never stored.
fn with_lines(mut failure: Failure, last: Option<StartProgress>) -> Failure {
    let lines = last.map(|progress| progress.lines).unwrap_or_default();
    if !lines.is_empty() {
        match &mut failure.details {
            Some(Value::Object(details)) => {
                details.insert("lines".to_owned(), json!(lines));
            }
            details => *details = Some(json!({ "lines": lines })),
        }
    }
    failure
}

/// Tells how far it is.
struct Watch<'a> {
    tell: &'a Tell,
    began: Instant,
    until: Instant,
}

impl Watch<'_> {
    /// Says over and over that it waits for this.
    async fn during<T>(&self, stage: AppStage, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            self.say(stage, None).await;
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn say(&self, stage: AppStage, progress: Option<&StartProgress>) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let here = millis(self.began.elapsed());
        // It may have been on its way before.
        let elapsed_ms = progress.map_or(here, |progress| progress.elapsed_ms.max(here));
        let left = millis(self.until.saturating_duration_since(Instant::now()));
        let message = AppProgress::Stage {
            stage,
            elapsed_ms,
            limit_ms: elapsed_ms.saturating_add(left),
            lines: progress
                .map(|progress| progress.lines.clone())
                .unwrap_or_default(),
        };
        // Whoever asked may be gone.
        let _ = self.tell.send(Ok(message)).await;
    }

    fn late(&self, app: &str, last: Option<StartProgress>) -> Failure {
        let seconds = self.began.elapsed().as_secs();
        let message = format!("{app} does not answer after {seconds} s");
        let failure = Failure::new(FailureCode::AppTimeout, message).hint(format!(
            "it goes on starting: open it again to wait on; `gangway app limit {app} SECONDS` gives \
             it more time"
        ));
        with_lines(failure, last)
    }
}

/// Ends an app, also one that is on its way.
pub(crate) async fn stop(context: &Context, request: AppRef) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let id = row.session_id.to_string();
    client.shutdown_service(&id, &request.app).await?;
    context.changed(Tag::Session, Some(id));
    Ok(Nothing {})
}
