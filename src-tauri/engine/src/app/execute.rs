//! Running code in a session, piece by piece (protocol page "Sessions" §7).
//!
//! A run goes on by itself; a client fetches what it printed since it last asked. A run that nobody
//! asks for is ended after a while, so that a client that went away leaves nothing behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use protocol::api::session::{Execute, ExecuteMode, ExecuteOptions, ExecuteResult};
use runtime::{Execute as Run, ExecuteCode, Kernel, Output};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::session;
use crate::error::Problem;

/// How long an answer waits for more output.
const FLUSH: Duration = Duration::from_secs(2);
/// Output that is there is sent after this pause, so that lines arrive together.
const LULL: Duration = Duration::from_millis(20);
/// A run whose output nobody fetched for so long is ended.
const ABANDONED: Duration = Duration::from_secs(600);
/// The most output in one answer, in bytes.
const LARGEST_ANSWER: usize = 1 << 20;
/// Pieces of output that wait for the client; then the run itself waits.
const WAITING: usize = 64;

/// What a failed build is reported as: the command could not be run.
const NOT_RUN: i32 = 127;

/// A session and the name of a run in it.
type Key = (Uuid, String);

/// The runs of all sessions. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<Mutex<HashMap<Key, Arc<Kept>>>>);

/// A run that a client comes back to.
struct Kept {
    progress: tokio::sync::Mutex<Progress>,
    asked: Mutex<Instant>,
}

impl Kept {
    fn last_asked(&self) -> Instant {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One step of a run as its client sees it.
enum Piece {
    Text(&'static str, String),
    /// `clean-finished`, `build-finished`, `finished`.
    Finished(&'static str, i32),
}

/// What a run has to say. Dropping it ends the run.
pub(crate) struct Progress {
    run_id: String,
    pieces: mpsc::Receiver<Piece>,
}

impl Runs {
    fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = runs.get(key).cloned()?;
        *kept.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Some(kept)
    }

    fn put(&self, key: Key, progress: Progress) -> Arc<Kept> {
        let kept = Arc::new(Kept {
            progress: tokio::sync::Mutex::new(progress),
            asked: Mutex::new(Instant::now()),
        });
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.insert(key.clone(), Arc::clone(&kept));
        tokio::spawn(self.clone().forget_abandoned(key, Arc::downgrade(&kept)));
        kept
    }

    /// Dropping the last hold on a run ends it.
    async fn forget_abandoned(self, key: Key, kept: Weak<Kept>) {
        while let Some(asked) = kept.upgrade().map(|kept| kept.last_asked()) {
            if asked.elapsed() >= ABANDONED {
                self.remove(&key);
                return;
            }
            tokio::time::sleep_until(asked + ABANDONED).await;
        }
    }

    fn remove(&self, key: &Key) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

/// `POST /session/{s}`: starts a run, or fetches more of one.
pub(crate) async fn execute(
    runs: &Runs,
    session: Uuid,
    kernel: Arc<dyn Kernel>,
    request: Execute,
) -> Result<ExecuteResult, Problem> {
    let kept = match request.mode {
        ExecuteMode::Query | ExecuteMode::Batch => {
            let run_id = run_id(request.run_id.as_deref())?;
            runs.put((session, run_id.clone()), begin(kernel, run_id, request)?)
        }
        ExecuteMode::Continue => {
            let run_id = request
                .run_id
                .ok_or_else(|| Problem::invalid_params("runId is missing."))?;
            runs.get(&(session, run_id))
                .ok_or_else(|| Problem::invalid_params("There is no such run to be continued."))?
        }
        ExecuteMode::Input => {
            return Err(Problem::invalid_params(
                "No run of this session waits for an input.",
            ));
        }
        ExecuteMode::Complete => {
            return Err(Problem::invalid_params(
                "This session's image completes no code.",
            ));
        }
    };
    let mut progress = kept.progress.lock().await;
    let result = progress.next(FLUSH).await;
    if result.status == "finished" {
        runs.remove(&(session, progress.run_id.clone()));
    }
    Ok(result)
}

fn run_id(given: Option<&str>) -> Result<String, Problem> {
    match given {
        None => Ok(Uuid::new_v4().simple().to_string()),
        Some(id) if (8..=64).contains(&id.len()) => Ok(id.to_owned()),
        Some(_) => Err(Problem::invalid_params("runId: give 8 to 64 characters.")),
    }
}

/// Starts a run.
pub(crate) fn begin(
    kernel: Arc<dyn Kernel>,
    run_id: String,
    request: Execute,
) -> Result<Progress, Problem> {
    let code = request.code.unwrap_or_default();
    let steps: Vec<(&'static str, Option<ExecuteCode>)> = match request.mode {
        ExecuteMode::Query => vec![("finished", Some(ExecuteCode::Python(code)))],
        ExecuteMode::Batch => batch(request.options.unwrap_or_default()),
        _ => {
            return Err(Problem::invalid_params(
                "Only queries and batches can be started.",
            ));
        }
    };
    let (sender, pieces) = mpsc::channel(WAITING);
    let id = run_id.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = drive(kernel, id, steps, &sender) => {}
            // Whoever asked is gone: dropping the stream of the run ends it.
            () = sender.closed() => {}
        }
    });
    Ok(Progress { run_id, pieces })
}

/// The three commands of a batch, with what `*` stands for.
fn batch(options: ExecuteOptions) -> Vec<(&'static str, Option<ExecuteCode>)> {
    const CLEAN: &str = "if [ -f Makefile ]; then make clean; fi";
    const BUILD: &str = "if [ -f Makefile ]; then make; \
        elif [ -f setup.py ] || [ -f pyproject.toml ]; then python3 -m pip install -e .; fi";
    const EXEC: &str = "if [ -f main.py ]; then exec python3 main.py; \
        elif [ -x main ]; then exec ./main; \
        elif [ -f main.sh ]; then exec sh main.sh; \
        else echo 'there is no main.py, main or main.sh to be run' >&2; exit 127; fi";
    let step = |command: Option<String>, heuristic: &str| {
        let command = command.filter(|text| !text.trim().is_empty() && text.trim() != "noop")?;
        let text = if command.trim() == "*" {
            heuristic.to_owned()
        } else {
            command
        };
        Some(ExecuteCode::Shell(text))
    };
    vec![
        ("clean-finished", step(options.clean, CLEAN)),
        ("build-finished", step(options.build, BUILD)),
        ("finished", step(options.exec, EXEC)),
    ]
}

async fn drive(
    kernel: Arc<dyn Kernel>,
    run_id: String,
    steps: Vec<(&'static str, Option<ExecuteCode>)>,
    sender: &mpsc::Sender<Piece>,
) {
    for (name, code) in steps {
        let exit_code = match code {
            None => 0,
            Some(code) => step(kernel.as_ref(), &run_id, code, sender).await,
        };
        let build_failed = name == "build-finished" && exit_code != 0;
        let end = if build_failed {
            Piece::Finished("finished", NOT_RUN)
        } else {
            Piece::Finished(name, exit_code)
        };
        if sender.send(end).await.is_err() || build_failed {
            return;
        }
    }
}

async fn step(
    kernel: &dyn Kernel,
    run_id: &str,
    code: ExecuteCode,
    sender: &mpsc::Sender<Piece>,
) -> i32 {
    let run = Run {
        run_id: run_id.to_owned(),
        code,
        stdin: None,
        log: false,
    };
    let mut outputs = match kernel.execute(run).await {
        Ok(outputs) => outputs,
        Err(error) => return failed(sender, &error).await,
    };
    while let Some(output) = outputs.next().await {
        let piece = match output {
            Ok(Output::Stdout { text }) => Piece::Text("stdout", text),
            Ok(Output::Stderr { text }) => Piece::Text("stderr", text),
            Ok(Output::Finished { exit_code }) => return exit_code,
            Err(error) => return failed(sender, &error).await,
        };
        // A client that is slow to fetch makes the run wait.
        if sender.send(piece).await.is_err() {
            return NOT_RUN;
        }
    }
    NOT_RUN
}

async fn failed(sender: &mpsc::Sender<Piece>, error: &runtime::RuntimeError) -> i32 {
    let text = format!("{}\n", session::chain(error));
    let _ = sender.send(Piece::Text("stderr", text)).await;
    NOT_RUN
}

impl Progress {
    /// What came since the last time: as soon as there is something, at the latest after
    /// `patience`.
    pub(crate) async fn next(&mut self, patience: Duration) -> ExecuteResult {
        let mut result = ExecuteResult {
            status: "continued".into(),
            run_id: Some(self.run_id.clone()),
            exit_code: None,
            options: None,
            files: Some(Vec::new()),
            console: Vec::new(),
        };
        let mut deadline = Instant::now() + patience;
        let mut size = 0;
        loop {
            let piece = match tokio::time::timeout_at(deadline, self.pieces.recv()).await {
                Err(_) => return result,
                Ok(Some(piece)) => piece,
                // The run's task is gone without a last word: the engine stops.
                Ok(None) => Piece::Finished("finished", NOT_RUN),
            };
            match piece {
                Piece::Text(kind, text) => {
                    size += text.len();
                    match result.console.last_mut() {
                        Some((last, value)) if last == kind => {
                            let joined = value.as_str().unwrap_or_default().to_owned() + &text;
                            *value = json!(joined);
                        }
                        _ => result.console.push((kind.to_owned(), json!(text))),
                    }
                    if size >= LARGEST_ANSWER {
                        return result;
                    }
                    deadline = deadline.min(Instant::now() + LULL);
                }
                Piece::Finished(status, exit_code) => {
                    result.status = status.into();
                    result.exit_code = Some(exit_code);
                    return result;
                }
            }
        }
    }
}
