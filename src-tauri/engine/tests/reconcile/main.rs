//! What the reconcilers make of a computer where things go wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod commit;
mod history;
mod lists;
mod preempt;
mod quota;
mod recover;
mod scripted;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use scripted::Scripted;
use serde_json::{Value, json};
use support::{TestEngine, slug};

fn asked(name: &str, resources: &Value) -> Value {
    json!({
        "name": name, "image": "local/host:latest", "enqueueOnly": true,
        "config": { "resources": resources },
    })
}

fn small() -> Value {
    json!({ "cpu": 1, "mem": "2g" })
}

async fn enqueue(engine: &TestEngine, body: Value) -> String {
    let (status, body) = engine.post("/session", body).await;
    assert_eq!(status, 201, "{body}");
    body["sessionId"].as_str().unwrap().to_owned()
}

async fn until(engine: &TestEngine, session: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, info) = engine.get(&format!("/session/{session}")).await;
        if is(&info) {
            return info;
        }
        assert!(Instant::now() < deadline, "{info}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_status(engine: &TestEngine, session: &str, status: &str) -> Value {
    until(engine, session, |info| info["status"] == status).await
}

/// Sets a limit of everybody's policy.
async fn limit(engine: &TestEngine, props: &str) {
    let mutation =
        format!("modify_keypair_resource_policy(name: \"default\", props: {{ {props} }})");
    let query = json!({ "query": format!("mutation {{ {mutation} {{ ok msg }} }}") });
    let (_, answer) = engine.post("/admin/gql", query).await;
    let done = &answer["data"]["modify_keypair_resource_policy"]["ok"];
    assert_eq!(done, true, "{answer}");
}

#[tokio::test]
async fn a_start_that_fails_is_tried_five_times() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    computer.failing_starts.store(4, Ordering::SeqCst);
    let id = enqueue(&engine, asked("stubborn", &small())).await;
    let info = until_status(&engine, &id, "RUNNING").await;
    assert_eq!(computer.starts.load(Ordering::SeqCst), 5);
    assert_eq!(info["statusData"]["error"], Value::Null, "{info}");

    computer.starts.store(0, Ordering::SeqCst);
    computer.failing_starts.store(5, Ordering::SeqCst);
    let id = enqueue(&engine, asked("hopeless", &small())).await;
    let info = until_status(&engine, &id, "TERMINATED").await;
    assert_eq!(computer.starts.load(Ordering::SeqCst), 5);
    assert_eq!(info["statusInfo"], "failed-to-start", "{info}");
    let error = &info["statusData"]["error"];
    assert!(error["repr"].to_string().contains("not just now"), "{info}");
    let (_, history) = engine.get(&format!("/session/{id}/status-history")).await;
    assert!(history["TERMINATING"].is_string(), "{history}");
    engine.stop().await;
}

#[tokio::test]
async fn a_session_of_several_nodes_asks_for_several() {
    let computer = Arc::new(Scripted::default());
    *computer.second.lock().unwrap() = Some("there");
    let engine = TestEngine::start(computer.clone()).await;
    let half = json!({ "cpu": 3, "mem": "1g" });
    let mut wide = asked("wide", &half);
    wide["cluster_mode"] = json!("multi-node");
    wide["cluster_size"] = json!(2);
    let id = enqueue(&engine, wide.clone()).await;
    until_status(&engine, &id, "RUNNING").await;
    let mut places: Vec<_> = computer
        .places
        .lock()
        .unwrap()
        .drain(..)
        .flatten()
        .collect();
    places.sort();
    assert_eq!(places, ["here", "there"]);
    let query = format!(
        "{{ compute_session(id: \"{id}\") {{ containers {{ agent cluster_hostname local_rank }} }} }}"
    );
    let (_, answer) = engine.post("/admin/gql", json!({ "query": query })).await;
    let kernels = answer["data"]["compute_session"]["containers"]
        .as_array()
        .unwrap()
        .clone();
    let mut agents: Vec<_> = kernels
        .iter()
        .map(|it| it["agent"].as_str().unwrap())
        .collect();
    agents.sort_unstable();
    assert_eq!(agents, ["here", "there"], "{answer}");

    // One that is to be on one node waits until there is room for all of it there.
    wide["name"] = json!("narrow");
    wide["cluster_mode"] = json!("single-node");
    wide["config"]["resources"]["cpu"] = json!(2);
    let narrow = enqueue(&engine, wide).await;
    let waits = |info: &Value| info["statusData"]["scheduler"]["msg"].is_string();
    let info = until(&engine, &narrow, waits).await;
    assert_eq!(info["status"], "PENDING", "{info}");
    let (status, body) = engine.delete(&format!("/session/{id}")).await;
    assert_eq!(status, 200, "{body}");
    until_status(&engine, &narrow, "RUNNING").await;
    let places: Vec<_> = computer
        .places
        .lock()
        .unwrap()
        .drain(..)
        .flatten()
        .collect();
    assert_eq!(places.len(), 2);
    assert_eq!(places[0], places[1]);
    engine.stop().await;
}

/// Whatever the status says: what may still run somewhere holds what it was given.
#[tokio::test]
async fn nothing_is_given_twice() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    let gpu = json!({ "cpu": 1, "mem": "2g", "cuda.device": 1 });
    let first = enqueue(&engine, asked("first", &gpu)).await;
    until_status(&engine, &first, "RUNNING").await;

    computer.holds_on.send_replace(true);
    let (status, body) = engine
        .delete(&format!("/session/{first}?forced=true"))
        .await;
    assert_eq!(status, 200, "{body}");
    let (_, info) = engine.get(&format!("/session/{first}")).await;
    assert_eq!(info["status"], "TERMINATED", "forced: over at once");
    let second = enqueue(&engine, asked("second", &gpu)).await;
    let waits = |info: &Value| info["statusData"]["scheduler"]["msg"].is_string();
    let info = until(&engine, &second, waits).await;
    assert_eq!(
        (&info["status"], &info["statusInfo"]),
        (&json!("PENDING"), &json!("no-available-instances")),
        "{info}"
    );
    let told = info["statusData"]["scheduler"]["msg"].as_str().unwrap();
    assert!(told.contains("cuda.device: missing=1"), "{told}");

    computer.holds_on.send_replace(false);
    until_status(&engine, &second, "RUNNING").await;
    engine.stop().await;
}

#[tokio::test]
async fn only_what_is_certainly_gone_is_ended() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    let id = enqueue(&engine, asked("survivor", &small())).await;
    until_status(&engine, &id, "RUNNING").await;
    let home = engine.stop().await;
    computer.unknown.store(1, Ordering::SeqCst);
    let engine = TestEngine::start_in(home, computer.clone()).await;
    let (_, info) = engine.get(&format!("/session/{id}")).await;
    assert_eq!(info["status"], "RUNNING", "{info}");
    let target = format!("/session/{id}/logs");
    let deadline = Instant::now() + Duration::from_secs(60);
    while engine.get(&target).await.1["result"]["logs"] != "it runs" {
        assert!(Instant::now() < deadline, "it is not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, _) = engine.delete(&format!("/session/{id}")).await;
    assert_eq!(status, 200);
    until_status(&engine, &id, "TERMINATED").await;
    engine.stop().await;
}

#[tokio::test]
async fn who_asks_again_gets_the_same_session() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    let mut body = asked("the-same", &small());
    body["enqueueOnly"] = json!(false);
    let (_, first) = engine.post("/session", body.clone()).await;
    let (status, again) = engine.post("/session", body).await;
    assert_eq!(
        (
            status,
            &again["sessionId"],
            &again["created"],
            &again["status"]
        ),
        (201, &first["sessionId"], &json!(false), &json!("RUNNING")),
        "{again}"
    );
    assert_eq!(again["servicePorts"][0]["name"], "sshd", "{again}");
    engine.stop().await;
}

#[tokio::test]
async fn limits_of_time_and_number() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    limit(&engine, "max_concurrent_sessions: 1").await;
    let first = enqueue(&engine, asked("first", &small())).await;
    until_status(&engine, &first, "RUNNING").await;

    // Who does not want to wait for long is told so; the session stays in the queue.
    let mut body = asked("second", &small());
    body["enqueueOnly"] = json!(false);
    body["maxWaitSeconds"] = json!(1);
    let (status, second) = engine.post("/session", body).await;
    assert_eq!(
        (status, &second["status"]),
        (201, &json!("TIMEOUT")),
        "{second}"
    );
    let second = second["sessionId"].as_str().unwrap().to_owned();
    let (_, info) = engine.get(&format!("/session/{second}")).await;
    assert_eq!(
        (&info["status"], &info["statusInfo"]),
        (&json!("PENDING"), &json!("predicate-checks-failed")),
        "{info}"
    );
    let scheduler = &info["statusData"]["scheduler"];
    assert!(
        scheduler["msg"]
            .to_string()
            .contains("You cannot run more than 1 concurrent sessions"),
        "{info}"
    );
    assert_eq!(scheduler["retries"], 0, "{info}");

    // The resource group's patience.
    let mutation = r#"mutation { modify_scaling_group(name: "default",
        props: { scheduler_opts: "{\"pending_timeout\": 0.001}" }) { ok msg } }"#;
    let (_, answer) = engine
        .post("/admin/gql", json!({ "query": mutation }))
        .await;
    assert_eq!(
        answer["data"]["modify_scaling_group"]["ok"], true,
        "{answer}"
    );
    let look = json!({ "key": "config/idle/look", "value": "1" });
    engine.post("/config/set", look).await;
    let info = until_status(&engine, &second, "CANCELLED").await;
    assert_eq!(info["statusInfo"], "pending-timeout", "{info}");
    engine.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_session_ends_with_it() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    let root = enqueue(&engine, asked("root", &small())).await;
    let mut ids = vec![root.clone()];
    for name in ["child", "grandchild"] {
        let mut body = asked(name, &small());
        body["dependencies"] = json!([ids.last().unwrap()]);
        ids.push(enqueue(&engine, body).await);
    }
    let other = enqueue(&engine, asked("other", &small())).await;
    until_status(&engine, &root, "RUNNING").await;
    until_status(&engine, &other, "RUNNING").await;
    let (status, body) = engine
        .delete(&format!("/session/{root}?recursive=true"))
        .await;
    assert_eq!(
        (status, &body["stats"]["status"]),
        (200, &json!("terminated"))
    );
    until_status(&engine, &root, "TERMINATED").await;
    for id in &ids[1..] {
        until_status(&engine, id, "CANCELLED").await;
    }
    let (_, info) = engine.get(&format!("/session/{other}")).await;
    assert_eq!(info["status"], "RUNNING", "{info}");
    engine.stop().await;
}

#[tokio::test]
async fn agents_that_are_asked_for() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    let mut body = asked("chosen", &small());
    body["config"]["agentList"] = json!(["elsewhere"]);
    let (status, answer) = engine.post("/session", body.clone()).await;
    assert_eq!(
        (status, slug(&answer)),
        (400, "invalid-api-params"),
        "{answer}"
    );
    assert!(
        answer["msg"].to_string().contains("designated-strict"),
        "{answer}"
    );
    body["config"]["agentList"] = json!(["here", "elsewhere"]);
    let id = enqueue(&engine, body).await;
    until_status(&engine, &id, "RUNNING").await;
    engine.stop().await;
}
