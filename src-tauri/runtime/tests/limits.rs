//! Limits and statistics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::time::Duration;

use runtime::{NoticeCode, Runtime};
use support::{World, sh};

fn limited(world: &World) -> bool {
    !world
        .sandbox
        .notices()
        .iter()
        .any(|notice| notice.code == NoticeCode::LimitsAdvisory)
}

#[tokio::test]
async fn a_process_killed_for_memory_does_not_take_the_session_with_it() {
    let world = World::new();
    if !limited(&world) {
        return;
    }
    let kernel = world.start(|spec| spec.limits.mem = 96 << 20).await;
    let ran = sh(
        &*kernel,
        "python3 -c 'b = bytearray(500 << 20); print(len(b))'; echo code $?",
    )
    .await;
    assert_eq!(ran.stdout, "code 137\n", "{}", ran.stderr);
    assert_eq!(sh(&*kernel, "echo alive").await.stdout, "alive\n");
    let notices = kernel.notices().await.unwrap();
    let notice = notices
        .iter()
        .find(|notice| notice.code == NoticeCode::OomKilled)
        .expect("nothing is said");
    assert!(notice.message.contains("memory"), "{}", notice.message);
    if nix::unistd::Uid::effective().is_root() {
        assert!(notice.message.contains("python3"), "{}", notice.message);
    }
    world.close().await;
}

#[tokio::test]
async fn processes_and_cores_are_limited() {
    let world = World::new();
    if !limited(&world) {
        return;
    }
    let kernel = world.start(|spec| spec.limits.pids = 40).await;
    let ran = sh(
        &*kernel,
        "for i in $(seq 100); do sleep 5 & done; wait -n 2>/dev/null; echo made",
    )
    .await;
    assert!(
        ran.stderr.contains("fork") || ran.stderr.contains("temporarily"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        sh(&*kernel, "echo $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS")
            .await
            .stdout
            .len(),
        4
    );
    world.close().await;
}

#[tokio::test]
async fn statistics_count_what_the_session_does() {
    let world = World::new();
    let kernel = world.start(|spec| spec.limits.mem = 512 << 20).await;
    kernel.stats().await.unwrap();
    sh(
        &*kernel,
        "python3 -c 'import time; t=time.process_time()+0.3\nwhile time.process_time()<t: pass'",
    )
    .await;
    let stats = kernel.stats().await.unwrap();
    let value = |name: &str| stats[name].current.parse::<f64>().unwrap();
    assert!(value("cpu_used") >= 300.0, "{stats:?}");
    assert!(value("cpu_util") > 0.0, "{stats:?}");
    assert!(value("mem") > 0.0);
    assert_eq!(stats["mem"].capacity.as_deref(), Some("536870912"));
    assert_eq!(stats["net_rx"].unit_hint, "bps");
    let node = &world.sandbox.nodes().await.unwrap()[0];
    assert!(node.cpu > 0 && node.mem > 1 << 30 && node.live.contains_key("mem"));
    world.close().await;
}

#[tokio::test]
async fn the_log_is_kept_and_can_be_followed() {
    let world = World::new();
    let kernel = world
        .start(|spec| spec.bootstrap_script = Some("echo from bootstrap; exit 2".to_owned()))
        .await;
    let notices = kernel.notices().await.unwrap();
    assert!(
        notices
            .iter()
            .any(|notice| notice.code == NoticeCode::BootstrapFailed)
    );
    assert_eq!(kernel.logs(1000).await.unwrap(), "from bootstrap\n");
    let follower = world.sandbox.follow_log(kernel.id(), 0).await;
    let mut lines = follower.unwrap().expect("it has a log");
    let order = runtime::Execute {
        run_id: "1".to_owned(),
        code: runtime::ExecuteCode::Shell("echo more; cat".to_owned()),
        stdin: Some("typed".to_owned()),
        log: true,
    };
    let ran = support::run(&*kernel, order).await;
    assert_eq!(ran.stdout, "more\ntyped");
    let mut seen = String::new();
    while !seen.contains("typed") {
        seen.push_str(&support::within(lines.next()).await.unwrap());
    }
    kernel.terminate(Duration::ZERO).await.unwrap();
    assert_eq!(lines.take().unwrap(), "");
    assert_eq!(
        world.sandbox.logs(kernel.id(), 1000).await.unwrap(),
        "from bootstrap\nmore\ntyped"
    );
    world.close().await;
}

#[tokio::test]
async fn a_run_can_be_interrupted_and_dies_with_its_listener() {
    use futures_util::StreamExt;
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let order = |run_id: &str, text: &str| runtime::Execute {
        run_id: run_id.to_owned(),
        code: runtime::ExecuteCode::Shell(text.to_owned()),
        stdin: None,
        log: false,
    };
    let mut stream = kernel
        .execute(order(
            "a",
            // A shell that waits in the foreground may miss a signal between two commands.
            "trap 'echo stopped; exit 9' INT; echo up; sleep 1000 >/dev/null 2>&1 & wait",
        ))
        .await
        .unwrap();
    assert_eq!(
        stream.next().await.unwrap().unwrap(),
        runtime::Output::Stdout {
            text: "up\n".to_owned()
        }
    );
    kernel.interrupt(Some("a")).await.unwrap();
    let rest: Vec<_> = support::within(stream.map(Result::unwrap).collect()).await;
    assert_eq!(
        rest.last(),
        Some(&runtime::Output::Finished { exit_code: 9 })
    );
    // The runner forgets a run in its own time after it has told the end.
    let forgotten = async {
        while kernel.interrupt(Some("a")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    support::within(forgotten).await;

    let mut stream = kernel
        .execute(order("b", "echo up; exec sleep 4321"))
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    for _ in 0..100 {
        if sh(
            &*kernel,
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'sleep [4]321'",
        )
        .await
        .exit_code
            != 0
        {
            world.close().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the command outlives its listener");
}
