//! What a new engine makes of what an earlier one left: nothing acknowledged is lost, and what is
//! gone is said to be gone.
use std::sync::Arc;

use crate::support::{NoKernels, TestEngine, data_dir};
use serde_json::json;

/// Puts the session back to where an engine was when it was killed, and starts the next one.
async fn killed_in(status: &str, boot_id: &str) -> (TestEngine, String) {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    let body = json!({ "name": "session", "image": "local/host:latest", "config": {} });
    engine.post("/session", body).await;
    let (_, found) = engine.get("/session/_/match?id=session").await;
    let id = found["matches"][0]["id"].as_str().unwrap().to_owned();
    let home = engine.stop().await;
    let path = data_dir(&home).join("engine.db");
    let database = db::connect(&path, db::Durability::Full).unwrap();
    database
        .execute_batch(&format!(
            "UPDATE session SET status = '{status}', status_info = NULL, terminated_at = NULL,
                status_data = '{{}}', terminate_reason = iif('{status}' = 'TERMINATING', 'user-requested', NULL);
             UPDATE kernel SET status = '{status}', boot_id = '{boot_id}', terminated_at = NULL,
                halted_at = NULL, removed_at = NULL;"
        ))
        .unwrap();
    drop(database);
    (TestEngine::start_in(home, Arc::new(NoKernels)).await, id)
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap()
        .trim()
        .to_owned()
}

async fn until_ended(engine: &TestEngine, id: &str) -> serde_json::Value {
    let target = format!("/events/session?sessionId={id}");
    let listen = engine.signed(reqwest::Method::GET, &target);
    let mut events = listen.send().await.unwrap();
    loop {
        let (status, info) = engine.get(&format!("/session/{id}")).await;
        assert_eq!(status, 200, "{info}");
        if info["status"] == "TERMINATED" {
            return info;
        }
        events.chunk().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn after_a_restart_of_the_computer() {
    let (engine, id) = killed_in("RUNNING", "another-boot").await;
    let info = until_ended(&engine, &id).await;
    assert_eq!(info["statusInfo"], "host-restarted");
    let (_, logs) = engine.get(&format!("/session/{id}/logs")).await;
    assert_eq!(logs["result"]["logs"], "the last words");
    engine.stop().await;
}

#[tokio::test]
async fn a_session_that_ended_meanwhile() {
    let (engine, id) = killed_in("RUNNING", &boot_id()).await;
    let info = until_ended(&engine, &id).await;
    assert_eq!(info["statusInfo"], "self-terminated");
    assert!(
        info["statusData"]["error"]["repr"]
            .as_str()
            .unwrap()
            .contains("not running")
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_termination_that_was_cut_off() {
    let (engine, id) = killed_in("TERMINATING", &boot_id()).await;
    let info = until_ended(&engine, &id).await;
    assert_eq!(info["statusInfo"], "user-requested");
    engine.stop().await;
}

#[tokio::test]
async fn a_start_that_was_cut_off_is_made_again() {
    for status in ["SCHEDULED", "CREATING"] {
        let (engine, id) = killed_in(status, &boot_id()).await;
        // It is tried again, which fails here as it did at first: tried, and not forgotten.
        let info = until_ended(&engine, &id).await;
        assert_eq!(info["statusInfo"], "failed-to-start", "{status}");
        engine.stop().await;
    }
}
