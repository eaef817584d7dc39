//! Sessions of several kernels, as clients see them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

#[path = "lifecycle/program.rs"]
mod program;
mod support;

use program::Program;
use serde_json::{Value, json};
use support::slug;

fn asked(name: &str, size: u32, mode: &str) -> Value {
    json!({
        "name": name, "image": "local/host:latest", "type": "interactive", "group": "default",
        "domain": "default", "cluster_size": size, "cluster_mode": mode,
        "config": { "resources": { "cpu": 1, "mem": "128m" }, "resource_opts": { "shmem": "16m" } },
    })
}

async fn kernels(engine: &Program, id: &str) -> Vec<Value> {
    let query = "query($id: UUID!) { compute_session(id: $id) { cluster_size containers \
                 { id cluster_role cluster_idx cluster_hostname status live_stat } } }";
    let body = json!({ "query": query, "variables": { "id": id } });
    let (status, body) = engine.post("/admin/gql", body).await;
    assert_eq!(status, 200, "{body}");
    let session = &body["data"]["compute_session"];
    assert_eq!(session["cluster_size"], 2, "{body}");
    session["containers"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_session_of_two_kernels() {
    let engine = Program::start().await;
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 2 {
        // It would be refused, as it should be.
        let (status, _) = engine
            .post("/session", asked("pair", 2, "single-node"))
            .await;
        assert_eq!(status, 400);
        return;
    }
    let (status, created) = engine
        .post("/session", asked("pair", 2, "single-node"))
        .await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["status"], "RUNNING", "{created}");
    let id = created["sessionId"].as_str().unwrap();

    let said = engine
        .shell(
            "pair",
            "echo $BACKENDAI_CLUSTER_SIZE $BACKENDAI_CLUSTER_REPLICAS $BACKENDAI_CLUSTER_HOSTS \
             $BACKENDAI_CLUSTER_HOST $BACKENDAI_CLUSTER_ROLE $BACKENDAI_CLUSTER_LOCAL_RANK; \
             ssh sub1 'hostname; echo $BACKENDAI_CLUSTER_HOST $BACKENDAI_CLUSTER_IDX'",
        )
        .await;
    assert_eq!(
        said,
        (
            0,
            "2 main:1,sub:1 main1,sub1 main1 main 0\nsub1\nsub1 1\n".to_owned()
        )
    );

    let found = kernels(&engine, id).await;
    let names: Vec<_> = found
        .iter()
        .map(|kernel| kernel["cluster_hostname"].clone())
        .collect();
    assert_eq!(names, ["main1", "sub1"]);
    for kernel in &found {
        assert_eq!(kernel["status"], "RUNNING", "{kernel}");
        assert!(
            kernel["live_stat"].to_string().contains("cpu_used"),
            "{kernel}"
        );
        let target = format!(
            "/session/pair/logs?kernel_id={}",
            kernel["id"].as_str().unwrap()
        );
        assert!(engine.get(&target).await["result"]["logs"].is_string());
    }

    // Both are found again by the next engine.
    let engine = engine.killed_and_started_again().await;
    let said = engine.shell("pair", "ssh sub1 hostname").await;
    assert_eq!(said, (0, "sub1\n".to_owned()));

    // When one of them ends by itself, all of them do.
    let sub = found[1]["id"].as_str().unwrap();
    engine.kill_kernel(sub);
    let info = engine.until(id, "TERMINATED").await;
    assert_eq!(info["statusInfo"], "self-terminated", "{info}");
    let found = kernels(&engine, id).await;
    assert!(found.iter().all(|kernel| kernel["status"] == "TERMINATED"));
}

#[tokio::test]
async fn what_one_computer_can_not_do_is_refused() {
    let engine = Program::start().await;
    let (status, body) = engine
        .post("/session", asked("pair", 2, "multi-node"))
        .await;
    assert_eq!((status, slug(&body)), (400, "invalid-api-params"), "{body}");
    assert!(
        body["msg"].to_string().contains("could not be placed"),
        "{body}"
    );
    // Together they need more than there is.
    let (status, body) = engine
        .post("/session", asked("many", 16, "single-node"))
        .await;
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 16 {
        assert_eq!((status, slug(&body)), (400, "quota-exceeded"), "{body}");
    }
    let (status, body) = engine
        .post("/session", asked("more", 17, "single-node"))
        .await;
    assert_eq!((status, slug(&body)), (400, "quota-exceeded"), "{body}");
}
