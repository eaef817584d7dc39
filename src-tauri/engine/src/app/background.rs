//! Work that outlives the request that asked for it, and tells how far it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::sync::watch;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;

/// Ended tasks that can still be asked for.
const KEPT: usize = 1000;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    Cancelled,
}

/// How far a task is.
#[derive(Debug, Clone, Default)]
pub(crate) struct News {
    pub(crate) message: String,
    pub(crate) current: f64,
    pub(crate) total: f64,
    pub(crate) outcome: Option<Outcome>,
}

/// Through which a task says how far it is.
#[derive(Clone)]
pub(crate) struct Report(Arc<watch::Sender<News>>);

impl Report {
    /// Of `total`, so much is done.
    pub(crate) fn step(&self, current: f64, total: f64, message: impl Into<String>) {
        self.0.send_modify(|news| {
            news.current = current;
            news.total = total;
            news.message = message.into();
        });
    }

    fn end(&self, outcome: Outcome, message: String) {
        self.0.send_modify(|news| {
            news.message = message;
            news.outcome = Some(outcome);
        });
    }
}

struct Task {
    owner: Uuid,
    news: watch::Receiver<News>,
}

/// Every task, by id; ids grow with time.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<BTreeMap<Uuid, Task>>);

impl Tasks {
    /// What a task says, to its owner and to superadmins.
    pub(crate) fn watch(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<watch::Receiver<News>, Problem> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks
            .get(&id)
            .filter(|task| task.owner == caller.user_id() || caller.is_superadmin())
            .map(|task| task.news.clone())
            .ok_or_else(|| {
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "bgtask-not-found",
                    "Background Task Not Found",
                    "bgtask_read_not-found",
                )
            })
    }

    fn add(&self, id: Uuid, task: Task) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.insert(id, task);
        while tasks.len() > KEPT {
            let ended = tasks
                .iter()
                .find(|(_, task)| task.news.borrow().outcome.is_some())
                .map(|(id, _)| *id);
            match ended {
                Some(id) => drop(tasks.remove(&id)),
                None => break,
            }
        }
    }
}

/// Starts a task for `owner`; its last message is what `work` gives. It ends with the engine: what
/// it did so far has to be safe by itself.
pub(crate) fn start<F>(
    app: &App,
    owner: Uuid,
    work: impl FnOnce(App, Report) -> F + Send + 'static,
) -> Uuid
where
    F: Future<Output = Result<String, Problem>> + Send + 'static,
{
    let id = Uuid::now_v7();
    let (sender, news) = watch::channel(News::default());
    app.background.add(id, Task { owner, news });
    let app = app.clone();
    tokio::spawn(async move {
        let report = Report(Arc::new(sender));
        let outcome = tokio::select! {
            outcome = work(app.clone(), report.clone()) => Some(outcome),
            () = app.stop.cancelled() => None,
        };
        match outcome {
            Some(Ok(message)) => report.end(Outcome::Done, message),
            Some(Err(problem)) => {
                tracing::info!(task = %id, %problem, "a background task failed");
                report.end(Outcome::Failed, problem.text().to_owned());
            }
            None => report.end(Outcome::Cancelled, "The engine stops.".to_owned()),
        }
    });
    id
}
