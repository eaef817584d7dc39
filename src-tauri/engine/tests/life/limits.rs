//! Limits of policies that show only while sessions run.

use protocol::session::SessionStatus;
use serde_json::{Value, json};

use crate::program::Program;
use crate::small;

pub(crate) async fn change(engine: &Program, mutation: &str) {
    let query = format!("mutation {{ {mutation} {{ ok msg }} }}");
    let (_, answer) = engine.post("/admin/gql", json!({ "query": query })).await;
    let field = mutation.split('(').next().unwrap();
    assert_eq!(answer["data"][field]["ok"], true, "{answer}");
}

/// Bytes that a user may keep in folders; -1 is any number.
pub(crate) async fn quota(engine: &Program, bytes: i64) {
    let props = format!("props: {{ max_quota_scope_size: {bytes} }}");
    let mutation = format!("modify_user_resource_policy(name: \"default\", {props})");
    change(engine, &mutation).await;
}

async fn enqueue(engine: &Program, name: &str) -> String {
    let body = json!({
        "name": name, "image": "local/host:latest", "type": "system", "enqueueOnly": true,
        "config": small(),
    });
    let (status, created) = engine.post("/session", body).await;
    assert_eq!(status, 201, "{created}");
    created["sessionId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sftp_sessions_have_a_limit_of_their_own() {
    let engine = Program::start().await;
    let props = "props: { max_concurrent_sessions: 1, max_concurrent_sftp_sessions: 1 }";
    let mutation = format!("modify_keypair_resource_policy(name: \"default\", {props})");
    change(&engine, &mutation).await;

    let first = enqueue(&engine, "first-sftp").await;
    engine.until(&first, "RUNNING").await;
    // An ordinary one counts by itself.
    let ordinary = engine.launch("ordinary", small()).await;
    let ordinary = ordinary["sessionId"].as_str().unwrap().to_owned();
    let second = enqueue(&engine, "second-sftp").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let info = engine.get(&format!("/session/{second}")).await;
        assert_eq!(info["status"], SessionStatus::Pending.to_string(), "{info}");
        if said(&info).contains("You cannot run more than 1 SFTP sessions") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{info}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let target = format!("/session/{first}");
    engine.call(reqwest::Method::DELETE, &target, None).await;
    engine.until(&second, "RUNNING").await;
    for id in [&ordinary, &second] {
        let target = format!("/session/{id}");
        engine.call(reqwest::Method::DELETE, &target, None).await;
        engine.until(id, "TERMINATED").await;
    }
}

/// All that is known of why a session waits.
fn said(info: &Value) -> String {
    format!("{} {}", info["statusData"], info["statusInfo"])
}
