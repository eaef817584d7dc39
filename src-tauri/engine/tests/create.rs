//! What a new session may not ask for: each refusal is the protocol's own, and leaves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::{NoKernels, TestEngine, data_dir, slug};

fn body(name: &str, config: Value) -> Value {
    json!({
        "name": name, "image": "local/host:latest", "type": "interactive", "group": "default",
        "domain": "default", "enqueueOnly": true, "config": config,
    })
}

#[tokio::test]
async fn refusals_say_why() {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    let fine = json!({ "resources": { "cpu": 1, "mem": "2g" } });
    let with = |key: &str, value: Value| {
        let mut config = fine.clone();
        config[key] = value;
        config
    };
    let resources = |cpu: Value, mem: Value| json!({ "resources": { "cpu": cpu, "mem": mem } });
    let mut unknown_image = body("image", fine.clone());
    unknown_image["image"] = "local/nothing:here".into();
    let mut unknown_group = body("group", fine.clone());
    unknown_group["group"] = "others".into();
    let mut batch = body("batch", fine.clone());
    batch["type"] = "batch".into();
    let mut cluster = body("cluster", fine.clone());
    cluster["cluster_size"] = 17.into();
    let cases: Vec<(Value, u16, &str, &str)> = vec![
        (
            body("abc", fine.clone()),
            400,
            "invalid-api-params",
            "4 to 64 characters",
        ),
        (
            body(&"x".repeat(65), fine.clone()),
            400,
            "invalid-api-params",
            "4 to 64 characters",
        ),
        (
            body("a b c", fine.clone()),
            400,
            "invalid-api-params",
            "may not be used",
        ),
        (
            body("from-template", fine.clone()),
            400,
            "invalid-api-params",
            "reserved",
        ),
        (
            unknown_image,
            404,
            "object-not-found",
            "Unknown image reference",
        ),
        (unknown_group, 404, "project-not-found", "no project"),
        (batch, 400, "invalid-api-params", "startup command"),
        (
            cluster,
            400,
            "quota-exceeded",
            "exceeding the keypair limit of 16",
        ),
        (
            body("half", resources("1.5".into(), "2g".into())),
            400,
            "invalid-api-params",
            "whole number",
        ),
        (
            body("huge", resources(1.into(), "1t".into())),
            400,
            "quota-exceeded",
            "mem: requested 1 TiB",
        ),
        (
            body("many", resources(64.into(), "2g".into())),
            400,
            "quota-exceeded",
            "cpu: requested 64",
        ),
        (
            body("word", resources(1.into(), "lots".into())),
            400,
            "invalid-api-params",
            "Invalid resource allocation",
        ),
        (
            body("less", resources(1.into(), "-1".into())),
            400,
            "invalid-resource-slot-quantity",
            "mem",
        ),
        (
            body(
                "slot",
                json!({ "resources": { "cpu": 1, "mem": "2g", "cuda.device": 1 } }),
            ),
            400,
            "unknown-resource-slot-type",
            "cuda.device",
        ),
        (
            body("shmem", with("resource_opts", json!({ "shmem": "2g" }))),
            400,
            "invalid-api-params",
            "shared-memory",
        ),
        (
            body("folder", with("mounts", json!(["nothing"]))),
            404,
            "object-not-found",
            "no folder \"nothing\"",
        ),
        (
            body("dots", with("mounts", json!(["../../etc"]))),
            404,
            "object-not-found",
            "no folder",
        ),
        (
            body("ports", with("preopen_ports", json!([2200]))),
            400,
            "invalid-api-params",
            "reserved ports",
        ),
        (
            body("ports", with("preopen_ports", json!([8090]))),
            400,
            "invalid-api-params",
            "declared by the image",
        ),
        (
            body("group", with("scaling_group", json!("far"))),
            400,
            "invalid-api-params",
            "not accessible",
        ),
        (
            body("vars", with("environ", json!({ "A=B": "1" }))),
            400,
            "invalid-api-params",
            "environ",
        ),
    ];
    for (request, status, kind, text) in cases {
        let name = request["name"].clone();
        let (got, answer) = engine.post("/session", request).await;
        assert_eq!((got, slug(&answer)), (status, kind), "{name}: {answer}");
        let msg = answer["msg"].as_str().unwrap_or_default();
        assert!(msg.contains(text), "{name}: {msg}");
    }
    let sessions: i64 = db::connect(
        &data_dir(&engine.home).join("engine.db"),
        db::Durability::Full,
    )
    .unwrap()
    .query_row("SELECT count(*) FROM session", [], |row| row.get(0))
    .unwrap();
    assert_eq!(sessions, 0, "a refused session leaves no row");
    engine.stop().await;
}

/// What is left out, zero or too little is raised to what the image needs.
#[tokio::test]
async fn images_get_what_they_need() {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    // This computer's own image needs a core and 64 MiB beside the shared memory.
    for (name, resources, mem) in [
        ("nothing-said", json!({}), 128_u64 << 20),
        ("nothing-asked", json!({ "cpu": 0, "mem": 0 }), 128 << 20),
        ("too-little", json!({ "cpu": "1", "mem": "70m" }), 128 << 20),
        ("enough", json!({ "cpu": 1, "mem": "1g" }), 1 << 30),
    ] {
        let config = json!({ "resources": resources });
        let (status, made) = engine.post("/session", body(name, config)).await;
        assert_eq!(status, 201, "{name}: {made}");
        let target = format!("/session/{}", made["sessionId"].as_str().unwrap());
        let (_, info) = engine.get(&target).await;
        let told = format!("{{'cpu': '1', 'mem': '{mem}'}}");
        assert_eq!(info["requestedSlots"], told, "{name}");
    }

    // One that needs a GPU is not for a computer without.
    let path = data_dir(&engine.home).join("engine.db");
    let database = db::connect(&path, db::Durability::Full).unwrap();
    let change = "UPDATE image SET labels =
        json_set(labels, '$.\"ai.backend.resource.min.cuda.device\"', '1')";
    database.execute_batch(change).unwrap();
    let (status, answer) = engine
        .post("/session", body("no-gpu", json!({ "resources": {} })))
        .await;
    assert_eq!((status, slug(&answer)), (400, "invalid-api-params"));
    let msg = answer["msg"].as_str().unwrap();
    assert!(
        msg.contains("requires resource slot(s) [\"cuda.device\"]"),
        "{msg}"
    );

    // Nor is one whose registry the domain does not allow for anybody.
    let change = "UPDATE image SET registry = 'far.example', name = 'far.example/lab/it:1',
        labels = json_remove(labels, '$.\"ai.backend.resource.min.cuda.device\"')";
    database.execute_batch(change).unwrap();
    let mut request = body("far-away", json!({ "resources": {} }));
    request["image"] = json!("far.example/lab/it:1");
    let (status, answer) = engine.post("/session", request.clone()).await;
    assert_eq!(
        (status, slug(&answer)),
        (404, "object-not-found"),
        "{answer}"
    );
    assert!(
        answer["msg"].to_string().contains("disallowed registry"),
        "{answer}"
    );
    let registry = json!({ "url": "https://far.example", "registry_name": "far.example",
        "type": "docker" });
    let (status, answer) = engine.post("/container-registries", registry).await;
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = engine.post("/session", request).await;
    assert_eq!(status, 201, "{answer}");
    engine.stop().await;
}

/// A kernel that can't be made ends its session, with the reason where clients look for it.
#[tokio::test]
async fn a_failed_start_is_told() {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    let mut request = body("broken", json!({}));
    request["enqueueOnly"] = false.into();
    let (status, answer) = engine.post("/session", request.clone()).await;
    assert_eq!(
        (status, slug(&answer)),
        (404, "object-not-found"),
        "{answer}"
    );
    assert!(
        answer["msg"]
            .as_str()
            .unwrap()
            .contains("nothing starts here"),
        "{answer}"
    );

    let (_, found) = engine.get("/session/_/match?id=broken").await;
    let id = found["matches"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(found["matches"][0]["status"], "TERMINATED");
    let (status, info) = engine.get(&format!("/session/{id}")).await;
    assert_eq!(
        (status, &info["statusInfo"]),
        (200, &json!("failed-to-start"))
    );
    assert_eq!(
        info["statusData"]["error"]["repr"],
        "the session did not start: nothing starts here"
    );
    let (status, gone) = engine.get("/session/broken").await;
    assert_eq!(
        (status, slug(&gone)),
        (404, "object-not-found"),
        "a name reaches live sessions only"
    );
    let (_, history) = engine.get(&format!("/session/{id}/status-history")).await;
    for status in [
        "PENDING",
        "SCHEDULED",
        "PREPARING",
        "PREPARED",
        "CREATING",
        "TERMINATED",
    ] {
        assert!(history[status].is_string(), "{status}: {history}");
    }
    // Its name is free again.
    let (status, _) = engine.post("/session", body("broken", json!({}))).await;
    assert_eq!(status, 201);
    engine.stop().await;
}
