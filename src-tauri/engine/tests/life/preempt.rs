//! Who gives way to whom, with real processes.

use std::num::NonZero;

use serde_json::{Value, json};

use crate::limits::change;
use crate::program::Program;

/// All cores of the computer.
fn all(name: &str, job_priority: i32) -> Value {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    json!({
        "name": name, "image": "local/host:latest", "enqueueOnly": true,
        "job_priority": job_priority,
        "config": { "resources": { "cpu": cores, "mem": "256m" } },
    })
}

async fn enqueue(engine: &Program, body: Value) -> String {
    let (status, created) = engine.post("/session", body).await;
    assert_eq!(status, 201, "{created}");
    created["sessionId"].as_str().unwrap().to_owned()
}

async fn give_way(engine: &Program, mode: &str) {
    let options = json!({ "preemption": { "enabled": true, "mode": mode } }).to_string();
    let props = format!("props: {{ scheduler_opts: {} }}", Value::String(options));
    change(
        engine,
        &format!("modify_scaling_group(name: \"default\", {props})"),
    )
    .await;
}

#[tokio::test]
async fn running_sessions_give_way_to_urgent_ones() {
    let engine = Program::start().await;
    give_way(&engine, "reschedule").await;
    let mut job = all("background", 0);
    job["type"] = json!("batch");
    job["startupCommand"] = json!("echo begun; sleep 1000");
    let job = enqueue(&engine, job).await;
    engine.until(&job, "RUNNING").await;

    let urgent = enqueue(&engine, all("urgent", 5)).await;
    engine.until(&urgent, "RUNNING").await;
    let info = engine.until(&job, "PENDING").await;
    assert_eq!(info["result"], "undefined", "{info}");
    let (code, _) = engine.shell("urgent", "true").await;
    assert_eq!(code, 0);

    // The most urgent one ends it, in the other mode; then the job runs again.
    give_way(&engine, "terminate").await;
    let mut most = all("most-urgent", 9);
    // Ahead of the job in the queue, which would end the look for a place.
    most["priority"] = json!(20);
    let most = enqueue(&engine, most).await;
    engine.until(&most, "RUNNING").await;
    let info = engine.until(&urgent, "TERMINATED").await;
    assert_eq!(info["statusInfo"], "PREEMPTED_BY_SCHEDULER", "{info}");
    let target = format!("/session/{most}");
    engine.call(reqwest::Method::DELETE, &target, None).await;
    engine.until(&job, "RUNNING").await;
    let history = engine.get(&format!("/session/{job}/status-history")).await;
    for status in ["PREEMPTED", "RESCHEDULING"] {
        assert!(history[status].is_string(), "{history}");
    }
    let target = format!("/session/{job}");
    engine.call(reqwest::Method::DELETE, &target, None).await;
    engine.until(&job, "TERMINATED").await;
}
