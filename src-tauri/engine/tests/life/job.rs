//! Batch jobs: when they begin, how they end, and who waits for whom.

use reqwest::Method;
use serde_json::{Value, json};

use crate::program::Program;
use crate::small;

fn job(name: &str, command: &str) -> Value {
    json!({
        "name": name, "image": "local/host:latest", "type": "batch", "group": "default",
        "domain": "default", "enqueueOnly": true, "startupCommand": command, "config": small(),
    })
}

async fn ask(engine: &Program, body: Value) -> String {
    let (status, body) = engine.post("/session", body).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["status"], "PENDING", "{body}");
    body["sessionId"].as_str().unwrap().to_owned()
}

async fn log(engine: &Program, id: &str) -> String {
    let log = engine.get(&format!("/session/{id}/logs")).await;
    log["result"]["logs"].as_str().unwrap().to_owned()
}

/// Asks until the description of a session is as it should be.
async fn until(engine: &Program, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let info = engine.get(&format!("/session/{id}")).await;
        if is(&info) {
            return info;
        }
        assert!(std::time::Instant::now() < deadline, "{info}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn jobs_follow_one_another() {
    let engine = Program::start().await;
    // Nobody can see the second before the first has begun, so the first waits for its time.
    let mut first = job("first-job", "cat prepared; echo done");
    first["startsAt"] = json!("3s");
    first["bootstrap_script"] = json!("#!/bin/sh\necho prepared > prepared\n");
    let first = ask(&engine, first).await;
    let mut second = job("second-job", "echo after; exit 3");
    second["dependencies"] = json!([first]);
    let second = ask(&engine, second).await;
    let mut third = job("third-job", "echo never");
    third["dependencies"] = json!(["second-job"]);
    let third = ask(&engine, third).await;

    let waits = until(&engine, &first, |info| {
        info["statusData"]["scheduler"]["msg"].is_string() || info["status"] != "PENDING"
    })
    .await;
    if waits["status"] == "PENDING" {
        let scheduler = &waits["statusData"]["scheduler"];
        let told = scheduler["msg"].as_str().unwrap();
        assert!(told.contains("is scheduled to start at"), "{scheduler}");
        assert_eq!(scheduler["failed_predicates"][0]["name"], "reserved_time");
        assert_eq!(scheduler["passed_predicates"][0]["name"], "dependencies");
    }
    let graph = engine
        .get(&format!("/session/{third}/dependency-graph"))
        .await;
    assert_eq!(
        graph["depends_on"][0]["depends_on"][0]["session_name"], "first-job",
        "{graph}"
    );

    let info = engine.until(&first, "TERMINATED").await;
    assert_eq!(
        (&info["statusInfo"], &info["result"], &info["exitCode"]),
        (&json!("task-finished"), &json!("success"), &json!(0)),
        "{info}"
    );
    assert_eq!(log(&engine, &first).await, "prepared\ndone\n");
    let info = engine.until(&second, "TERMINATED").await;
    assert_eq!(
        (&info["statusInfo"], &info["result"], &info["exitCode"]),
        (&json!("task-failed"), &json!("failure"), &json!(3)),
        "{info}"
    );
    // The last one waits in vain, and says so; nobody has looked for a place for it.
    let info = until(&engine, &third, |info| {
        info["statusData"]["scheduler"]["last_try"].is_string()
    })
    .await;
    assert_eq!(info["statusInfo"], "predicate-checks-failed", "{info}");
    let scheduler = &info["statusData"]["scheduler"];
    assert_eq!(scheduler["retries"], 0, "{scheduler}");
    let told = scheduler["msg"].as_str().unwrap();
    assert!(
        told.contains("Waiting dependency sessions") && told.contains("second-job"),
        "{told}"
    );
    let (_, body) = engine
        .call(Method::DELETE, &format!("/session/{third}"), None)
        .await;
    assert_eq!(body, json!({ "stats": { "status": "cancelled" } }));
    let info = engine.get(&format!("/session/{third}")).await;
    assert_eq!(
        (&info["status"], &info["statusInfo"], &info["result"]),
        (
            &json!("CANCELLED"),
            &json!("user-requested"),
            &json!("undefined")
        )
    );
    assert!(info["statusData"]["scheduler"]["msg"].is_string(), "{info}");
    accounts(&engine, &first).await;
}

/// What the jobs have used is told afterwards.
async fn accounts(engine: &Program, first: &str) {
    let today = jiff::Zoned::now();
    let month = today.strftime("%Y%m").to_string();
    let account = engine
        .get(&format!("/resource/usage/month?month={month}"))
        .await;
    let project = &account[0];
    assert_eq!(project["g_name"], "default", "{account}");
    assert_eq!(project["g_cpu_allocated"], 2.0, "{project}");
    let containers = project["c_infos"].as_array().unwrap();
    assert_eq!(containers.len(), 2, "{account}");
    let one = containers
        .iter()
        .find(|one| one["session_id"] == first)
        .unwrap();
    assert_eq!(
        (&one["name"], &one["mem_allocated"], &one["status"]),
        (
            &json!("first-job"),
            &json!(256_u64 << 20),
            &json!("TERMINATED")
        )
    );
    assert!(one["used_time"].as_str().unwrap().starts_with("0:"));
    let day = today.strftime("%Y%m%d").to_string();
    let days = engine
        .get(&format!(
            "/resource/usage/period?start_date={day}&end_date={day}"
        ))
        .await;
    assert_eq!(days[0]["c_infos"].as_array().unwrap().len(), 2, "{days}");
    let points = engine.get("/resource/stats/user/month").await;
    let points = points.as_array().unwrap();
    assert_eq!(points.len(), 2880);
    let most = points
        .iter()
        .map(|point| point["num_sessions"]["value"].as_u64().unwrap());
    assert_eq!(most.max(), Some(2));
    for (target, status) in [
        ("/resource/usage/month?month=today", 400),
        (
            "/resource/usage/period?start_date=20240105&end_date=20240101",
            400,
        ),
    ] {
        let (found, body) = engine.call(Method::GET, target, None).await;
        assert_eq!(found, status, "{target}: {body}");
    }
    let (status, body) = engine.post("/resource/recalculate-usage", json!({})).await;
    assert_eq!((status, body), (200, json!({})));
}

#[tokio::test]
async fn a_job_that_takes_too_long() {
    let engine = Program::start().await;
    let mut slow = job("slow-job", "echo begun; sleep 1000");
    slow["batchTimeout"] = json!("1s");
    let slow = ask(&engine, slow).await;
    let info = engine.until(&slow, "TERMINATED").await;
    assert_eq!(
        (&info["statusInfo"], &info["result"], &info["exitCode"]),
        (&json!("task-timeout"), &json!("failure"), &json!(-2)),
        "{info}"
    );
    assert_eq!(log(&engine, &slow).await, "begun\n");
    let address = format!("/session/{slow}/abusing-report");
    let report = engine.get(&address).await;
    assert_eq!(report["abuse_report"], Value::Null);
    // What a watcher of the computer wrote down is told as it is.
    let reports = engine.home().join("data/engine/abuse");
    std::fs::create_dir_all(&reports).unwrap();
    let kernel = report["kernel"].as_str().unwrap();
    let said = r#"{"abuse_report": {"miner": "detected"}}"#;
    std::fs::write(reports.join(format!("report.{kernel}.json")), said).unwrap();
    assert_eq!(engine.get(&address).await["abuse_report"], said);
}
