//! The history as the programs use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]

use history::{FailedLaunch, History, Hop, Lease, NewLaunch, StoredTunnel};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

fn launch(name: &str) -> NewLaunch {
    NewLaunch {
        profile: "local".to_owned(),
        name: name.to_owned(),
        request: json!({"image": "local/host:latest", "cpu": 1}),
        session_id: Some(format!("id-of-{name}")),
        last_status: Some("PENDING".to_owned()),
    }
}

fn open(folder: &tempfile::TempDir) -> History {
    History::open(&folder.path().join("gangway.db")).unwrap()
}

#[tokio::test]
async fn pinned_launches_come_first_and_survive_pruning() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(&folder);
    let first = history.record(launch("first")).await.unwrap();
    history.pin(&first.id, true).await.unwrap();
    history
        .rename(&first.id, Some("My training".to_owned()))
        .await
        .unwrap();
    for number in 0..205 {
        history.record(launch(&format!("s{number}"))).await.unwrap();
    }
    history.saw_status("id-of-s204", "RUNNING").await.unwrap();
    drop(history);

    let launches = open(&folder).launches("local").await.unwrap();
    assert_eq!(launches.len(), 201, "200 and the pinned one");
    assert_eq!(launches[0].title.as_deref(), Some("My training"));
    assert_eq!(launches[1].name, "s204");
    assert_eq!(launches[1].last_status.as_deref(), Some("RUNNING"));
    assert_eq!(launches[1].request["image"], "local/host:latest");
}

#[tokio::test]
async fn clearing_spares_pinned_launches_and_other_profiles() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(&folder);
    let pinned = history.record(launch("pinned")).await.unwrap();
    history.pin(&pinned.id, true).await.unwrap();
    history.record(launch("gone")).await.unwrap();
    let other = NewLaunch {
        profile: "site".to_owned(),
        ..launch("other")
    };
    history.record(other).await.unwrap();
    assert_eq!(history.clear("local").await.unwrap(), 1);
    assert_eq!(history.launches("local").await.unwrap().len(), 1);
    assert_eq!(history.launches("site").await.unwrap().len(), 1);
    history.remove(&pinned.id).await.unwrap();
    assert!(history.remove(&pinned.id).await.is_err());
    assert!(history.launch(&pinned.id).await.is_err());
}

#[tokio::test]
async fn a_list_is_recalled_with_its_age_until_log_out() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(&folder);
    assert!(history.recall("local", "sessions").await.unwrap().is_none());
    history
        .remember("local", "sessions", &json!([1]))
        .await
        .unwrap();
    history
        .remember("local", "sessions", &json!([1, 2]))
        .await
        .unwrap();
    let seen = history.recall("local", "sessions").await.unwrap().unwrap();
    assert_eq!(seen.value, json!([1, 2]));
    assert!(seen.at <= jiff::Timestamp::now());
    history.forget("local").await.unwrap();
    assert!(history.recall("local", "sessions").await.unwrap().is_none());
}

#[tokio::test]
async fn tunnels_of_a_living_process_are_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(&folder);
    let tunnel = |id: &str| StoredTunnel {
        id: id.to_owned(),
        request: json!({"port": 8888}),
        keep: true,
    };
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let start = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(19)
        .unwrap();
    let living = Lease {
        pid: child.id(),
        start_time: start.parse().unwrap(),
        ..Lease::mine()
    };
    let dead = Lease {
        start_time: 1,
        ..Lease::mine()
    };
    history
        .store_tunnel(tunnel("held"), Some(&living))
        .await
        .unwrap();
    history
        .store_tunnel(tunnel("left"), Some(&dead))
        .await
        .unwrap();
    let free = history.tunnels_to_restore().await.unwrap();
    assert_eq!(free, [tunnel("left")]);
    history.drop_tunnel("left").await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // Until somebody stores them anew or drops them they stay.
    for _ in 0..2 {
        let free = history.tunnels_to_restore().await.unwrap();
        assert_eq!(free, [tunnel("held")]);
    }
}

fn failed(id: usize, ago: SignedDuration) -> FailedLaunch {
    let at = Timestamp::now() - ago;
    FailedLaunch {
        id: format!("{id:04}"),
        profile: "local".to_owned(),
        session: "0190".to_owned(),
        session_name: "work".to_owned(),
        app: "jupyterlab".to_owned(),
        tunnel: Some(format!("tunnel-{}", id % 2)),
        local_port: Some(20_001),
        began_at: at,
        failed_at: at,
        hops: vec![Hop {
            at,
            took_ms: 12,
            hop: "app".to_owned(),
            code: Some("app_failed".to_owned()),
            message: format!("failed {id}"),
            detail: Some("close code 1013".to_owned()),
        }],
    }
}

#[tokio::test]
async fn failed_launches_are_kept_within_bounds_and_go_on_until_a_success() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(&folder);
    let day = SignedDuration::from_hours(24);
    history
        .note_failed_launch(failed(0, day * 31))
        .await
        .unwrap();
    for id in 1..=120 {
        let ago = SignedDuration::from_secs(1000 - i64::try_from(id).unwrap());
        history.note_failed_launch(failed(id, ago)).await.unwrap();
    }
    let kept = history.failed_launches().await.unwrap();
    assert_eq!(kept.len(), 100);
    assert_eq!((&*kept[0].id, &*kept[99].id), ("0120", "0021"));

    // One that goes on keeps how it began and how it went of late.
    for _ in 0..60 {
        let again = failed(50, SignedDuration::ZERO);
        history.note_failed_launch(again).await.unwrap();
    }
    drop(history);
    let history = open(&folder);
    let long = history.failed_launch("0050").await.unwrap().unwrap();
    assert_eq!(long.hops.len(), 40);
    assert!(long.began_at == long.hops[0].at && long.failed_at == long.hops[39].at);
    assert!(long.hops[0].at < long.hops[1].at);
    let text = long.to_string();
    assert!(text.contains("hop app failed after 12 ms: failed 50 (app_failed) [close code 1013]"));
    let through = history.failed_launches_through("tunnel-1").await.unwrap();
    assert_eq!(through.len(), 50);
    assert_eq!(history.forget_failed_launches().await.unwrap(), 100);
    assert_eq!(history.failed_launch("0050").await.unwrap(), None);
}
