//! Where short steps on the disk are done: a few threads take one after another. A thread of its
//! own for each step costs more than the step, when there are thousands of small files.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A further thread is taken when so many steps wait for each that there is, or one waits for so
/// long: the disk is slow or, being elsewhere, out of reach.
const WAIT_FOR_EACH: usize = 8;
const PATIENCE: Duration = Duration::from_millis(50);
/// More steps than this don't hang at once, as long as three transfers run.
const THREADS_MOST: usize = 320;

type Step = Box<dyn FnOnce() + Send>;

/// Does short steps in the order in which they come, as far as that is known.
#[derive(Clone, Default)]
pub(super) struct Lane {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    steps: VecDeque<Step>,
    threads: usize,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lane")
    }
}

impl Lane {
    /// Does `work`, which may block. It is done also when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        let step = Box::new(move || {
            // Nobody waiting is fine.
            let _ = answer.send(work());
        });
        let room = {
            let mut queue = lock(&self.queue);
            queue.steps.push_back(step);
            queue.threads * WAIT_FOR_EACH
        };
        self.help(room);
        let mut answered = pin!(answered);
        loop {
            match timeout(PATIENCE, answered.as_mut()).await {
                Ok(answer) => return answer.unwrap_or_else(|ended| Err(io::Error::other(ended))),
                Err(_) => self.help(0),
            }
        }
    }

    /// Takes one more thread when more than `room` steps wait.
    fn help(&self, room: usize) {
        {
            let mut queue = lock(&self.queue);
            if queue.steps.len() <= room || queue.threads >= THREADS_MOST {
                return;
            }
            queue.threads += 1;
        }
        let queue = self.queue.clone();
        spawn_blocking(move || take_turns(&queue));
    }
}

fn take_turns(queue: &Mutex<Queue>) {
    while let Some(step) = next(queue) {
        // Whoever waits for a step that panics learns it from the answer that never comes.
        let _ = catch_unwind(AssertUnwindSafe(step));
    }
}

/// The next step. With the last one gone the thread counts no more, in the same moment: whoever
/// brings the next step takes another.
fn next(queue: &Mutex<Queue>) -> Option<Step> {
    let mut queue = lock(queue);
    let step = queue.steps.pop_front();
    if step.is_none() {
        queue.threads -= 1;
    }
    step
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_step_that_hangs_or_panics_does_not_hold_the_others_up() {
        let lane = Lane::default();
        let (go, wait) = mpsc::channel::<()>();
        let hangs = lane.run(move || wait.recv().map_err(io::Error::other));
        let panics = lane.run(|| -> io::Result<()> { panic!("in a step") });
        let others = futures_util::future::join_all((0..100).map(|it| lane.run(move || Ok(it))));
        let rest = async {
            let panicked = panics.await.is_err();
            let others = others.await;
            go.send(()).unwrap();
            (
                panicked,
                others.into_iter().collect::<io::Result<Vec<i32>>>(),
            )
        };
        let all = futures_util::future::join(hangs, rest);
        let (hung, (panicked, others)) = tokio::time::timeout(Duration::from_secs(60), all)
            .await
            .unwrap();
        assert!(hung.is_ok() && panicked);
        assert_eq!(others.unwrap(), (0..100).collect::<Vec<_>>());
        assert!(lane.run(|| Ok(())).await.is_ok());
    }
}
