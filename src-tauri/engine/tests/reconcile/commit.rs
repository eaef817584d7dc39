//! While a session is being saved as an image.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::scripted::Scripted;
use crate::support::{TestEngine, answer, data_dir, slug};
use crate::{asked, enqueue, limit, small, until, until_status};

#[tokio::test]
async fn a_session_that_is_being_saved_ends_by_force_alone() {
    let computer = Arc::new(Scripted::default());
    let changes = tempfile::tempdir().unwrap();
    *computer.changes.lock().unwrap() = Some(changes.path().to_owned());
    let engine = TestEngine::start(computer.clone()).await;
    let saved = enqueue(&engine, asked("saved", &small())).await;
    until_status(&engine, &saved, "RUNNING").await;
    let other = enqueue(&engine, asked("other", &small())).await;
    until_status(&engine, &other, "RUNNING").await;

    // Its image's configuration can be read when somebody writes it.
    let digest = "0".repeat(64);
    let blob = data_dir(&engine.home).join("images/blobs").join(&digest);
    let made = Command::new("mkfifo").arg(&blob).status().unwrap();
    assert!(made.success());
    let digest = format!("sha256:{digest}");
    let content = json!({
        "digest": digest, "config": digest, "architecture": "x86_64", "layers": [],
        "size_bytes": 0, "environ": {}, "labels": {},
        "dropped": { "devices": 0, "attributes": 0, "owners": 0 },
    });
    let path = data_dir(&engine.home).join("engine.db");
    let database = db::connect(&path, db::Durability::Full).unwrap();
    let change = format!("INSERT INTO session_image VALUES ('{saved}', '{content}')");
    database.execute_batch(&change).unwrap();
    let name = json!({ "image_name": "mine", "image_visibility": "user" });
    let (status, body) = engine
        .post(&format!("/session/{saved}/imagify"), name)
        .await;
    assert_eq!(status, 200, "{body}");
    let (_, body) = engine.get(&format!("/session/{saved}/commit")).await;
    assert_eq!(body["status"], "ongoing", "{body}");

    let target = format!("/session/{saved}");
    for method in [Method::DELETE, Method::PATCH] {
        let request = engine.signed(method.clone(), &target);
        let (status, body) = answer(request.send().await.unwrap()).await;
        assert_eq!(
            (status, slug(&body)),
            (409, "session-invalid-state"),
            "{method}: {body}"
        );
    }
    // Nor when its time is over; that keeps no other session, and nobody from launching.
    limit(&engine, "max_session_lifetime: 1").await;
    let info = until(&engine, &other, |info| info["status"] == "TERMINATED");
    let looks = async {
        loop {
            let look = json!({ "key": "config/idle/look", "value": "1" });
            engine.post("/config/set", look).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let info = tokio::select! {
        info = info => info,
        () = looks => unreachable!(),
    };
    assert_eq!(info["statusInfo"], "idle-session-lifetime", "{info}");
    let mut third = asked("third", &small());
    third["enqueueOnly"] = json!(false);
    let (status, body) = engine.post("/session", third).await;
    assert_eq!(
        (status, &body["status"]),
        (201, &json!("RUNNING")),
        "{body}"
    );
    let (_, info) = engine.get(&target).await;
    assert_eq!(info["status"], "RUNNING", "{info}");

    let (status, body) = engine.delete(&format!("{target}?forced=true")).await;
    assert_eq!(status, 200, "{body}");
    let (_, info) = engine.get(&target).await;
    assert_eq!(info["status"], "TERMINATED", "{info}");
    std::fs::write(&blob, "").unwrap();
    engine.stop().await;
}
