//! What must not work: bad names, paths that lead out, tokens for something else, other users.

use std::os::unix::fs::symlink;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{answer, data_dir, slug};
use crate::{download_address, engine, make, patch, put, read, upload_address};

#[tokio::test]
async fn names_that_are_refused() {
    let engine = engine().await;
    make(&engine, "taken").await;
    let long = "x".repeat(65);
    for name in ["", "..", "a/b", ".ssh", ".bashrc", long.as_str()] {
        let (status, body) = engine.post("/folders", json!({ "name": name })).await;
        assert_eq!(
            (status, slug(&body)),
            (400, "generic-bad-request"),
            "{name}: {body}"
        );
        let rename = json!({ "new_name": name });
        assert_eq!(
            engine.post("/folders/taken/rename", rename).await.0,
            400,
            "{name}"
        );
    }
    let (status, body) = engine.post("/folders", json!({ "name": "taken" })).await;
    assert_eq!((status, slug(&body)), (400, "invalid-api-params"));
    assert_eq!(
        body["msg"],
        "VFolder with the given name already exists. (taken)"
    );
    let (status, body) = engine
        .post("/folders", json!({ "name": "x", "host": "other:disk" }))
        .await;
    assert_eq!((status, slug(&body)), (400, "invalid-api-params"));
    let (status, body) = engine
        .post("/folders", json!({ "name": "x", "group": "no such" }))
        .await;
    assert_eq!((status, slug(&body)), (404, "project-not-found"));
    let (status, body) = engine.get("/folders/nowhere").await;
    assert_eq!((status, slug(&body)), (404, "object-not-found"));
    assert_eq!(body["msg"], "There is no folder \"nowhere\".");
    // Nothing is left half-made.
    assert_eq!(engine.get("/folders").await.1.as_array().unwrap().len(), 1);
    assert_eq!(
        std::fs::read_dir(data_dir(&engine.home).join("folders"))
            .unwrap()
            .count(),
        1
    );
    engine.stop().await;
}

#[tokio::test]
async fn no_path_leads_out() {
    let engine = engine().await;
    let id = make(&engine, "data").await;
    put(&engine, "data", "inside", "inside").await;
    let folder = data_dir(&engine.home).join("folders").join(&id);
    std::fs::write(folder.join("secret"), "secret").unwrap();
    symlink("..", folder.join("files/up")).unwrap();
    symlink("/etc", folder.join("files/etc")).unwrap();

    for path in [
        "../secret",
        "a/../../secret",
        "..",
        "up/secret",
        "etc/passwd",
    ] {
        let calls = [
            ("mkdir", json!({ "path": format!("{path}/new") })),
            (
                "rename-file",
                json!({ "target_path": path, "new_name": "stolen" }),
            ),
            ("move-file", json!({ "src": path, "dst": "stolen" })),
            ("move-file", json!({ "src": "inside", "dst": path })),
            (
                "delete-files",
                json!({ "files": [path], "recursive": true }),
            ),
        ];
        for (call, body) in calls {
            let (status, answer) = engine.post(&format!("/folders/data/{call}"), body).await;
            let refused = status == 400 || !answer["results"]["failed"][0].is_null();
            assert!(refused, "{call} {path}: {status} {answer}");
        }
        let (status, body) = engine
            .get(&format!("/folders/data/files?path={path}"))
            .await;
        assert_eq!(status, 400, "files {path}: {body}");

        let target = "/folders/data/request-download";
        let (status, answer) = engine.post(target, json!({ "path": path })).await;
        if status == 200 {
            let token = answer["token"].as_str().unwrap();
            let url = format!("{}?token={token}", answer["url"].as_str().unwrap());
            let response = engine.client.get(url).send().await.unwrap();
            assert_eq!(response.status(), 400, "download {path}");
        } else {
            assert_eq!((status, slug(&answer)), (400, "invalid"), "download {path}");
        }
        let target = "/folders/data/request-upload";
        let (status, answer) = engine
            .post(target, json!({ "path": path, "size": 1 }))
            .await;
        if status == 200 {
            let token = answer["token"].as_str().unwrap();
            let url = format!("{}?token={token}", answer["url"].as_str().unwrap());
            let response = patch(&engine, &url, 0).body("x").send().await.unwrap();
            assert_eq!(response.status(), 400, "upload {path}");
        }
    }
    let outside = upload_address(&engine, "data", "x", 1).await + "&dst_dir=../..";
    assert_eq!(
        patch(&engine, &outside, 0)
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("secret")).unwrap(),
        "secret"
    );
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    assert!(!std::path::Path::new("/etc/new").exists());
    assert_eq!(read(&engine, "data", "inside").await, "inside");
    engine.stop().await;
}

#[tokio::test]
async fn tokens_open_only_what_they_were_made_for() {
    let engine = engine().await;
    make(&engine, "data").await;
    put(&engine, "data", "f", "x").await;
    let upload = upload_address(&engine, "data", "g", 1).await;
    let download = download_address(&engine, "data", "f").await;
    let swapped = upload.replace("/upload?", "/download?");
    assert_eq!(
        engine.client.get(swapped).send().await.unwrap().status(),
        400
    );
    let swapped = download.replace("/download?", "/upload?");
    assert_eq!(
        patch(&engine, &swapped, 0)
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    for forged in [
        format!("{download}x"),
        download.replace("token=e", "token=x"),
        "http".to_owned(),
    ] {
        let url = if forged == "http" {
            format!("{}/storage/download?token=", engine.login.endpoint)
        } else {
            forged
        };
        let (status, body) = answer(engine.client.get(url).send().await.unwrap()).await;
        assert_eq!((status, slug(&body)), (400, "invalid-api-params"));
    }
    let no_offset = engine.client.patch(&upload).body("x").send().await.unwrap();
    let (status, body) = answer(no_offset).await;
    assert_eq!((status, slug(&body)), (400, "invalid-api-params"));
    // Without a signature there is nothing to be had.
    let unsigned = engine
        .client
        .get(format!("{}/folders", engine.login.endpoint))
        .send()
        .await;
    assert_eq!(unsigned.unwrap().status(), 401);
    engine.stop().await;
}

#[tokio::test]
async fn others_see_nothing() {
    let engine = engine().await;
    make(&engine, "mine").await;
    let database = db::connect(
        &data_dir(&engine.home).join("engine.db"),
        db::Durability::Full,
    )
    .unwrap();
    database
        .execute_batch(
            "INSERT INTO user (id, email, username, role, domain, resource_policy, created_at,
                modified_at) VALUES ('01a1fb90-5185-7a1c-9a6e-2f06edf20d3a', 'o@x', 'o', 'user',
                'default', 'default', 0, 0);
             INSERT INTO keypair (access_key, secret_key, user, resource_policy, created_at,
                modified_at) VALUES ('AKOTHER', 'secret',
                '01a1fb90-5185-7a1c-9a6e-2f06edf20d3a', 'default', 0, 0);",
        )
        .unwrap();
    let by_other = async |method: Method, target: &str, body: Value| {
        let request = engine.signed_by(method, target, "AKOTHER", "secret");
        answer(request.body(body.to_string()).send().await.unwrap()).await
    };
    let (status, list) = by_other(Method::GET, "/folders", json!({})).await;
    assert_eq!((status, list), (200, json!([])));
    let (_, mine) = engine.get("/folders/mine").await;
    for reference in ["mine", mine["id"].as_str().unwrap()] {
        for (method, call) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::GET, "/files"),
            (Method::DELETE, "/force"),
        ] {
            if reference == "mine" && call == "/force" {
                continue; // It wants an id.
            }
            let target = format!("/folders/{reference}{call}");
            assert_eq!(
                by_other(method, &target, json!({})).await.0,
                404,
                "{target}"
            );
        }
    }
    let (status, _) = by_other(Method::POST, "/folders/purge", json!({ "id": mine["id"] })).await;
    assert_eq!(status, 403);
    let in_project = json!({ "name": "x", "group": "default" });
    assert_eq!(by_other(Method::POST, "/folders", in_project).await.0, 403);
    engine.stop().await;
}
