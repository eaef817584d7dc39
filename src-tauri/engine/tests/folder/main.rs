//! Data folders over HTTP: their life, the files in them, and everything that must not work.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod clone;
mod content;
mod refusals;

use std::sync::Arc;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use support::{NoKernels, TestEngine, answer, slug};

async fn engine() -> TestEngine {
    TestEngine::start(Arc::new(NoKernels)).await
}

async fn make(engine: &TestEngine, name: &str) -> String {
    let (status, item) = engine.post("/folders", json!({ "name": name })).await;
    assert_eq!(status, 201, "{item}");
    item["id"].as_str().unwrap().to_owned()
}

/// The address that a token opens.
async fn address(engine: &TestEngine, target: &str, body: Value) -> String {
    let (status, answer) = engine.post(target, body).await;
    assert_eq!(status, 200, "{answer}");
    format!(
        "{}?token={}",
        answer["url"].as_str().unwrap(),
        answer["token"].as_str().unwrap()
    )
}

async fn upload_address(engine: &TestEngine, folder: &str, path: &str, size: usize) -> String {
    let target = format!("/folders/{folder}/request-upload");
    address(engine, &target, json!({ "path": path, "size": size })).await
}

async fn download_address(engine: &TestEngine, folder: &str, path: &str) -> String {
    let target = format!("/folders/{folder}/request-download");
    address(engine, &target, json!({ "path": path })).await
}

fn patch(engine: &TestEngine, address: &str, offset: usize) -> RequestBuilder {
    engine
        .client
        .patch(address)
        .header("Tus-Resumable", "1.0.0")
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", offset)
}

async fn put(engine: &TestEngine, folder: &str, path: &str, content: &'static str) {
    let address = upload_address(engine, folder, path, content.len()).await;
    let response = patch(engine, &address, 0)
        .body(content)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 204, "{}", response.text().await.unwrap());
}

async fn read(engine: &TestEngine, folder: &str, path: &str) -> String {
    let address = download_address(engine, folder, path).await;
    engine
        .client
        .get(address)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

async fn names(engine: &TestEngine, folder: &str, path: &str) -> Vec<String> {
    let (status, answer) = engine
        .get(&format!("/folders/{folder}/files?path={path}"))
        .await;
    assert_eq!(status, 200, "{answer}");
    let items = answer["items"].as_array().unwrap().iter();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_folders_life() {
    let engine = engine().await;
    let id = make(&engine, "data").await;
    assert_eq!((id.len(), id.contains('-')), (32, false));
    let (_, hosts) = engine.get("/folders/_/hosts").await;
    let host = hosts["default"].as_str().unwrap();
    assert!(
        hosts["volume_info"][host]["usage"]["percentage"]
            .as_f64()
            .unwrap()
            > 0.0
    );

    let (_, list) = engine.get("/folders").await;
    assert_eq!(list[0]["name"], "data");
    assert_eq!(list[0]["host"], host);
    assert_eq!(list[0]["is_owner"], true);
    assert_eq!(list[0]["permission"], "rw");
    assert_eq!(list[0]["status"], "ready");

    put(&engine, "data", "deep/hello.txt", "hello").await;
    let (_, info) = engine.get("/folders/data").await;
    assert_eq!(
        (&info["numFiles"], &info["used_bytes"]),
        (&json!(1), &json!(5))
    );
    assert_eq!(info["id"], id);
    // By id, in both spellings, as well as by name.
    let hyphens = uuid::Uuid::parse_str(&id).unwrap().to_string();
    for reference in [&id, &hyphens] {
        assert_eq!(
            engine.get(&format!("/folders/{reference}")).await.1["name"],
            "data"
        );
    }

    let (status, _) = engine
        .post("/folders/data/rename", json!({ "new_name": "더미 data" }))
        .await;
    assert_eq!(status, 200);
    let (status, _) = engine.get("/folders/data").await;
    assert_eq!(status, 404);

    let (status, _) = engine.delete(&format!("/folders/{id}")).await;
    assert_eq!(status, 204);
    assert_eq!(
        engine.get("/folders").await.1[0]["status"],
        "delete-pending"
    );
    // What is in the trash gives its name free, and is not written to.
    let other = make(&engine, "더미 data").await;
    let (status, body) = engine
        .post(&format!("/folders/{id}/mkdir"), json!({ "path": "x" }))
        .await;
    assert_eq!((status, slug(&body)), (400, "vfolder-filter-status-failed"));
    let restore = || engine.post("/folders/restore-from-trash-bin", json!({ "id": hyphens }));
    let (status, body) = restore().await;
    assert_eq!(
        (status, slug(&body)),
        (400, "invalid-api-params"),
        "the name is taken"
    );
    engine.delete(&format!("/folders/{other}/force")).await;
    assert_eq!(restore().await.0, 204);
    assert_eq!(read(&engine, &id, "deep/hello.txt").await, "hello");

    engine.delete(&format!("/folders/{id}")).await;
    let (status, _) = engine
        .post("/folders/delete-from-trash-bin", json!({ "vfolderId": id }))
        .await;
    assert_eq!(status, 204);
    while engine.get(&format!("/folders/{id}")).await.0 != 404 {
        tokio::task::yield_now().await;
    }
    engine.stop().await;
}

#[tokio::test]
async fn files_are_made_moved_and_deleted() {
    let engine = engine().await;
    make(&engine, "data").await;
    let paths = json!({ "path": ["a/b", "c"], "parents": true });
    let (status, made) = engine.post("/folders/data/mkdir", paths).await;
    assert_eq!(status, 200);
    assert_eq!(made["results"]["success"].as_array().unwrap().len(), 2);
    let (_, again) = engine
        .post("/folders/data/mkdir", json!({ "path": "c" }))
        .await;
    assert_eq!(again["results"]["failed"][0]["msg"], "c exists already");

    put(&engine, "data", "a/b/one.txt", "1").await;
    let (_, listed) = engine.get("/folders/data/files?path=a/b").await;
    let entry = &listed["items"][0];
    assert_eq!(
        (&entry["type"], &entry["size"]),
        (&json!("FILE"), &json!(1))
    );
    assert!(entry["mode"].as_u64().unwrap() > 0o100_000);
    assert!(entry["modified"].as_str().unwrap().ends_with("+00:00"));

    // Older clients say it in a body, and read the answer under another name.
    let asked = json!({ "path": "a/b" }).to_string();
    let old = engine
        .signed_in(Method::GET, "/folders/data/files", "v7.20230615")
        .body(asked);
    let (_, listed) = answer(old.send().await.unwrap()).await;
    let files: Value = serde_json::from_str(listed["files"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&files[0]["filename"], &files[0]["mode"]),
        (&json!("one.txt"), &json!("-rw-r--r--"))
    );

    let rename = json!({ "target_path": "a/b/one.txt", "new_name": "two.txt" });
    assert_eq!(
        engine.post("/folders/data/rename-file", rename).await.0,
        200
    );
    let into = json!({ "src": "a/b/two.txt", "dst": "c" });
    assert_eq!(engine.post("/folders/data/move-file", into).await.0, 200);
    assert_eq!(names(&engine, "data", "c").await, ["two.txt"]);

    let (status, body) = engine
        .post("/folders/data/delete-files", json!({ "files": ["c"] }))
        .await;
    assert_eq!(status, 400, "{body}");
    let all = json!({ "files": ["c", "a"], "recursive": true });
    assert_eq!(engine.post("/folders/data/delete-files", all).await.0, 200);
    assert!(names(&engine, "data", "").await.is_empty());
    let (status, body) = engine.get("/folders/data/files?path=gone").await;
    assert_eq!((status, slug(&body)), (404, "file-not-found"));
    engine.stop().await;
}

#[tokio::test]
async fn a_folder_that_a_session_mounts_is_kept() {
    let engine = engine().await;
    make(&engine, "data").await;
    let session = json!({
        "name": "train-1", "image": "local/host:latest", "enqueueOnly": true, "type": "batch",
        "startup_command": "true", "starts_at": "2h",
        "config": { "mounts": ["data"], "resources": { "cpu": 1, "mem": "1g" } },
    });
    let (status, body) = engine.post("/session", session).await;
    assert_eq!(status, 201, "{body}");
    let (status, body) = engine.delete("/folders/data").await;
    assert_eq!((status, slug(&body)), (400, "vfolder-deletion-not-allowed"));
    assert_eq!(body["msg"], "The folder is mounted in: train-1");
    assert_eq!(engine.delete("/session/train-1").await.0, 200);
    assert_eq!(engine.delete("/folders/data").await.0, 204);
    engine.stop().await;
}
