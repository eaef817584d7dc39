//! Lives of sessions beside the main job, against a real engine and real sandboxes: started again,
//! as jobs after one another, with somebody called about them, and what is accounted afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../lifecycle/program.rs"]
mod program;

mod archive;
mod callback;
mod job;
mod limits;
mod preempt;

use program::Program;
use reqwest::Method;
use serde_json::{Value, json};
use support::slug;

pub(crate) fn small() -> Value {
    json!({ "resources": { "cpu": 1, "mem": "256m" }, "resource_opts": { "shmem": "64m" } })
}

async fn restart(engine: &Program, session: &str) -> (u16, Value) {
    let target = format!("/session/{session}");
    engine.call(Method::PATCH, &target, None).await
}

#[tokio::test]
async fn a_session_is_started_again_in_its_home() {
    let engine = Program::start().await;
    let created = engine.launch("again-and-again", small()).await;
    let id = created["sessionId"].as_str().unwrap().to_owned();
    let (code, _) = engine
        .shell(&id, "echo kept > note; (sleep 1000 &) ; echo")
        .await;
    assert_eq!(code, 0);
    let key = engine.get(&format!("/gangway/session/{id}/ssh")).await;

    let (status, body) = restart(&engine, "again-and-again").await;
    assert_eq!(status, 204, "{body}");
    let info = engine.get(&format!("/session/{id}")).await;
    assert_eq!(
        (&info["status"], &info["statusInfo"]),
        (&json!("RUNNING"), &json!("None"))
    );
    let history = engine.get(&format!("/session/{id}/status-history")).await;
    assert!(history["RESTARTING"].is_string(), "{history}");
    let (_, text) = engine
        .shell(&id, "cat note; pgrep sleep || echo alone")
        .await;
    assert_eq!(text, "kept\nalone\n");
    let again = engine.get(&format!("/gangway/session/{id}/ssh")).await;
    assert_eq!(key, again);

    // Killed in the middle of it, the next engine finishes it.
    let mut events = engine
        .request(
            Method::GET,
            &format!("/events/session?sessionId={id}"),
            protocol::signing::DEFAULT_CONTENT_TYPE,
        )
        .send()
        .await
        .unwrap();
    let target = format!("/session/{id}");
    let asked = engine
        .request(Method::PATCH, &target, "application/json")
        .header("Content-Type", "application/json");
    let asked = tokio::spawn(asked.send());
    let mut heard = String::new();
    while !heard.contains("session_restarting") {
        let chunk = events.chunk().await.unwrap().expect("the stream goes on");
        heard.push_str(&String::from_utf8_lossy(&chunk));
    }
    let engine = engine.killed_and_started_again().await;
    assert!(asked.await.unwrap().is_err(), "nobody was left to answer");
    engine.until(&id, "RUNNING").await;
    assert_eq!(engine.shell(&id, "cat note").await.1, "kept\n");

    // What does not run can't be started again; what is ended is gone.
    engine.call(Method::DELETE, &target, None).await;
    engine.until(&id, "TERMINATED").await;
    let (status, body) = restart(&engine, &id).await;
    assert_eq!((status, slug(&body)), (400, "kernel-not-ready"), "{body}");
    let lost = format!("/gangway/session/{id}/unsaved");
    let (status, body) = engine.call(Method::GET, &lost, None).await;
    assert_eq!((status, slug(&body)), (400, "kernel-not-ready"), "{body}");
}

#[tokio::test]
async fn the_files_of_a_session_that_died_can_be_saved() {
    let engine = Program::start().await;
    let created = engine.launch("sudden-death", small()).await;
    let id = created["sessionId"].as_str().unwrap().to_owned();
    engine
        .shell(&id, "mkdir -p deep/er; echo work > deep/er/result.txt")
        .await;
    engine.kill_sessions();
    let info = engine.until(&id, "TERMINATED").await;
    assert_eq!(info["statusInfo"], "self-terminated", "{info}");

    let lost = engine.get(&format!("/gangway/session/{id}/unsaved")).await;
    assert_eq!(lost["files"], 1, "{lost}");
    let target = format!("/session/{id}/download_single?file=deep/er/result.txt");
    let (status, body) = engine.call(Method::POST, &target, None).await;
    assert_eq!((status, body), (200, json!("work\n")));
    let target = format!("/session/{id}/download_single?file=../kernel.json");
    let (status, body) = engine.call(Method::POST, &target, None).await;
    assert_eq!(status, 400, "{body}");

    let (status, folder) = engine.post("/folders", json!({ "name": "rescued" })).await;
    assert_eq!(status, 201, "{folder}");
    let save = json!({ "folder": "rescued", "path": "from-there" });
    // Five bytes don't fit a quota of four.
    let target = format!("/gangway/session/{id}/save");
    limits::quota(&engine, 4).await;
    let (status, body) = engine.post(&target, save.clone()).await;
    assert_eq!((status, slug(&body)), (400, "vfolder-operation-failed"));
    assert!(body["msg"].as_str().unwrap().contains("5 more"), "{body}");
    limits::quota(&engine, -1).await;
    let (status, saved) = engine.post(&target, save).await;
    assert_eq!((status, &saved["files"]), (200, &json!(1)), "{saved}");
    let listing = engine
        .get("/folders/rescued/files?path=from-there/deep/er")
        .await;
    assert!(listing.to_string().contains("result.txt"), "{listing}");

    // Kept for a set time: here for none.
    let (status, body) = engine
        .post(
            "/config/set",
            json!({ "key": "config/gangway/keep-home", "value": "0" }),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let target = format!("/gangway/session/{id}/unsaved");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let (status, body) = engine.call(Method::GET, &target, None).await;
        if status == 400 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status} {body}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
