//! The manager's own status and announcement, and the errors that clients write down.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{data_dir, slug};
use crate::{by, engine, user};

#[tokio::test]
async fn a_frozen_manager_begins_nothing_new() {
    let engine = engine().await;
    let ada = user(&engine, "ada", json!({})).await;
    let (status, said) = engine.get("/manager/status").await;
    assert_eq!(
        (status, &said["status"]),
        (200, &json!("running")),
        "{said}"
    );
    assert_eq!(said["active_sessions"], 0, "{said}");
    assert_eq!(said["nodes"][0]["status"], "running", "{said}");
    for method in [Method::GET, Method::PUT] {
        let body = Some(json!({ "status": "frozen" }));
        let (status, _) = by(&engine, &ada, method, "/manager/status", body).await;
        assert_eq!(status, 403);
    }
    let make = json!({ "name": "data", "host": "local:default" });
    let (status, body) = engine.post("/folders", make.clone()).await;
    assert_eq!(status, 201, "{body}");

    let put = async |body: Value| {
        let request = engine.signed(Method::PUT, "/manager/status");
        request
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(put(json!({ "status": "asleep" })).await, 400);
    assert_eq!(
        put(json!({ "status": "frozen", "force_kill": false })).await,
        204
    );
    let session = json!({ "name": "lab-1", "image": "local/host:latest" });
    for (target, body) in [
        ("/session", session),
        ("/folders", make),
        ("/folders/data/mkdir", json!({ "path": "sub" })),
    ] {
        let (status, body) = engine.post(target, body).await;
        assert_eq!(
            (status, slug(&body)),
            (503, "server-frozen"),
            "{target}: {body}"
        );
    }
    // What is there can still be looked at and fetched.
    let (status, _) = engine.get("/folders/data").await;
    assert_eq!(status, 200);

    // The next engine knows it too.
    let home = engine.stop().await;
    assert!(data_dir(&home).join("engine.db").exists());
    let engine = crate::TestEngine::start_in(home, std::sync::Arc::new(crate::NoKernels)).await;
    let (_, said) = engine.get("/manager/status").await;
    assert_eq!(said["status"], "frozen", "{said}");
    let request = engine.signed(Method::PUT, "/manager/status");
    let thawed = request.body(json!({ "status": "running" }).to_string());
    assert_eq!(thawed.send().await.unwrap().status().as_u16(), 204);
    let (status, body) = engine
        .post("/folders/data/mkdir", json!({ "path": "sub" }))
        .await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn announcements_are_shown_and_hidden() {
    let engine = engine().await;
    let told = async || engine.get("/manager/announcement").await.1;
    assert_eq!(told().await, json!({ "enabled": false, "message": "" }));
    let (status, body) = engine
        .post("/manager/announcement", json!({ "enabled": true }))
        .await;
    assert_eq!(status, 400, "{body}");
    let new = json!({ "enabled": true, "message": "**Tonight** it rests." });
    assert_eq!(
        engine.post("/manager/announcement", new.clone()).await.0,
        204
    );
    assert_eq!(told().await, new);
    // Hidden, it is kept.
    let hide = json!({ "enabled": false, "message": null });
    assert_eq!(engine.post("/manager/announcement", hide).await.0, 204);
    let kept = json!({ "enabled": false, "message": "**Tonight** it rests." });
    assert_eq!(told().await, kept);
    assert_eq!(engine.get("/manager/scheduler/status").await.0, 400);
}

#[tokio::test]
async fn errors_are_seen_by_those_whom_they_concern() {
    let engine = engine().await;
    let ada = user(&engine, "ada", json!({})).await;
    let eve = user(&engine, "eve", json!({})).await;
    let log = |message: &str| {
        Some(json!({
            "severity": "error", "source": "webui", "message": message, "context_lang": "en",
            "context_env": { "browser": "x" }, "request_url": "/folders", "request_status": 500,
        }))
    };
    for message in ["first", "second", "third"] {
        let (status, body) = by(&engine, &ada, Method::POST, "/logs/error", log(message)).await;
        assert_eq!((status, &body), (200, &json!({ "success": true })));
    }
    by(&engine, &eve, Method::POST, "/logs/error", log("of eve")).await;
    let (status, body) = by(
        &engine,
        &eve,
        Method::POST,
        "/logs/error",
        Some(
            json!({ "severity": "chatter", "source": "x", "message": "x",
            "context_lang": "en", "context_env": "{}" }),
        ),
    )
    .await;
    assert_eq!(status, 400, "{body}");

    let page = "/logs/error?mark_read=True&page_size=2&page_no=1";
    let (_, seen) = by(&engine, &ada, Method::GET, page, None).await;
    assert_eq!(seen["count"], 3, "{seen}");
    let logs = seen["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 2, "{seen}");
    let newest = &logs[0];
    assert_eq!(
        (
            &newest["message"],
            &newest["severity"],
            &newest["request_status"],
            &newest["is_read"]
        ),
        (&json!("third"), &json!("error"), &json!(500), &json!(false)),
        "{newest}"
    );
    assert_eq!(newest["context_env"]["browser"], "x", "{newest}");
    assert!(newest["created_at"].is_f64(), "{newest}");

    // The others' are not theirs to clear; their own are gone for them, not for administrators.
    let id = newest["log_id"].as_str().unwrap();
    let clear = format!("/logs/error/{id}/clear");
    assert_eq!(by(&engine, &eve, Method::POST, &clear, None).await.0, 404);
    let (status, body) = by(&engine, &ada, Method::POST, &clear, None).await;
    assert_eq!((status, &body), (200, &json!({ "success": true })));
    let (_, seen) = by(&engine, &ada, Method::GET, "/logs/error", None).await;
    assert_eq!(seen["count"], 2, "{seen}");
    let (_, all) = engine.get("/logs/error").await;
    assert_eq!(all["count"], 4, "{all}");
    let cleared = all["logs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|log| log["log_id"] == id);
    let cleared = cleared.unwrap();
    assert_eq!(
        (&cleared["is_cleared"], &cleared["is_read"]),
        (&json!(true), &json!(true)),
        "{cleared}"
    );
    assert_eq!(engine.get("/logs/error?page_size=1000").await.0, 400);
}
