//! What holds for the queue as a whole.

use std::time::Duration;

use transfer::{OnFinish, Options, Overwrite, Queue, QueueError, Start, State};

use crate::{Bench, Sessions, noise, open, options, start};

fn ids(queue: &Queue) -> Vec<String> {
    queue.list().into_iter().map(|it| it.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_are_begun_in_the_order_that_was_dragged() {
    let bench = Bench::new().await;
    bench.queue.close().await;
    let file = bench.sshd.folder().join("transfers.db");
    let one_at_a_time = || Options {
        parallel: 1,
        ..options(bench.sshd.folder())
    };
    let sessions = || std::sync::Arc::new(Sessions::new(bench.sshd.login(), bench.sshd.port));
    let queue = Queue::open(&file, one_at_a_time(), sessions())
        .await
        .unwrap();
    let mut started = Vec::new();
    for name in ["a", "b", "c"] {
        std::fs::write(bench.here.join(name), noise(1 << 20, 1)).unwrap();
        let slow = Start {
            limit_bps: Some(1 << 20),
            ..start(bench.local(name), bench.remote(name), Overwrite::Ask)
        };
        started.push(queue.start(slow).await.unwrap().remove(0).id);
    }
    let [a, b, c] = &started[..] else { panic!() };
    assert_eq!(ids(&queue), [a.as_str(), b, c]);
    queue.reorder(c, Some(b)).await.unwrap();
    assert_eq!(ids(&queue), [a.as_str(), c, b]);
    queue.reorder(a, None).await.unwrap();
    assert_eq!(ids(&queue), [c.as_str(), b, a]);
    queue.reorder(a, Some(c)).await.unwrap();
    assert!(matches!(
        queue.reorder("x", None).await,
        Err(QueueError::Unknown(_))
    ));
    assert!(matches!(
        queue.reorder(a, Some("x")).await,
        Err(QueueError::Unknown(_))
    ));
    // It holds after a restart.
    queue.close().await;
    let queue = Queue::open(&file, one_at_a_time(), sessions())
        .await
        .unwrap();
    assert_eq!(ids(&queue), [a.as_str(), c, b]);
    let mut ended = Vec::new();
    for id in [a, c, b] {
        ended.push(queue.wait(id).await.unwrap().finished_at);
        assert_eq!(queue.get(id).unwrap().state, State::Done);
    }
    assert!(ended.is_sorted(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_common_limit_holds_and_outlives_the_program() {
    let bench = Bench::new().await;
    assert!(bench.queue.set_limit(Some(0)).await.is_err());
    bench.queue.set_limit(Some(2 << 20)).await.unwrap();
    bench.queue.close().await;
    let queue = open(&bench.sshd, 0).await;
    assert_eq!(queue.limit(), Some(2 << 20));
    std::fs::write(bench.here.join("f"), noise(3 << 20, 1)).unwrap();
    let begun = std::time::Instant::now();
    let wanted = start(bench.local("f"), bench.remote("f"), Overwrite::Ask);
    let id = queue.start(wanted).await.unwrap().remove(0).id;
    queue.wait(&id).await.unwrap();
    // Never faster; a busy machine may well be slower.
    assert!(begun.elapsed() > Duration::from_millis(1200));
    queue.set_limit(None).await.unwrap();
    assert_eq!(queue.limit(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_ends_after_the_last_one_if_nothing_failed() {
    let bench = Bench::new().await;
    let queue = bench.queue.clone();
    let wants = tokio::spawn(async move { queue.wants_quit().await });
    tokio::task::yield_now().await;
    std::fs::write(bench.here.join("f"), "x").unwrap();
    // Without the wish nothing happens, and a failure cancels it.
    bench
        .run(bench.local("f"), bench.remote("f"), Overwrite::Ask)
        .await;
    bench.queue.set_on_finish(OnFinish::Quit).await.unwrap();
    let failed = bench
        .run(bench.local("none"), bench.remote("n"), Overwrite::Ask)
        .await;
    assert_eq!(failed.state, State::Failed);
    while bench.queue.on_finish() == OnFinish::Quit {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!wants.is_finished());
    bench.queue.set_on_finish(OnFinish::Quit).await.unwrap();
    bench
        .run(bench.local("f"), bench.remote("g"), Overwrite::Ask)
        .await;
    assert!(wants.await.unwrap());
    assert_eq!(bench.queue.on_finish(), OnFinish::Nothing, "it holds once");
    // A queue that closes wants nothing.
    let queue = bench.queue.clone();
    let wants = tokio::spawn(async move { queue.wants_quit().await });
    bench.queue.close().await;
    assert!(!wants.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_at_the_end_goes_with_the_queue() {
    let bench = Bench::new().await;
    std::fs::write(bench.here.join("f"), noise(3 << 20, 1)).unwrap();
    let slow = Start {
        limit_bps: Some(1 << 20),
        ..start(bench.local("f"), bench.remote("f"), Overwrite::Ask)
    };
    bench.queue.start(slow).await.unwrap();
    bench.queue.set_on_finish(OnFinish::Quit).await.unwrap();
    bench.queue.close().await;
    let queue = open(&bench.sshd, 0).await;
    assert_eq!(queue.on_finish(), OnFinish::Quit);
    let wants = {
        let queue = queue.clone();
        tokio::spawn(async move { queue.wants_quit().await })
    };
    assert!(wants.await.unwrap());
    queue.set_on_finish(OnFinish::Quit).await.unwrap();
    queue.close().await;
    // Nothing was left to do: the wish does not wait for later work.
    let queue = open(&bench.sshd, 0).await;
    assert_eq!(queue.on_finish(), OnFinish::Nothing);
    queue.close().await;
}
