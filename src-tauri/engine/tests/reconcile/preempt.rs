//! Sessions that give way to one of a higher job priority, and those that lose their rank.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::support::{TestEngine, data_dir};
use crate::{asked, enqueue, small, until, until_status};

/// All cores of the computer.
fn all() -> Value {
    json!({ "cpu": 4, "mem": "4g" })
}

fn ranked(name: &str, resources: &Value, job_priority: i32) -> Value {
    let mut body = asked(name, resources);
    body["job_priority"] = json!(job_priority);
    body
}

/// Sets how the group schedules.
async fn schedule_by(engine: &TestEngine, options: &Value) {
    let options = Value::String(options.to_string());
    let query = format!(
        "mutation {{ modify_scaling_group(name: \"default\", \
         props: {{ scheduler_opts: {options} }}) {{ ok msg }} }}"
    );
    let (_, answer) = engine.post("/admin/gql", json!({ "query": query })).await;
    assert_eq!(
        answer["data"]["modify_scaling_group"]["ok"], true,
        "{answer}"
    );
}

async fn give_way(engine: &TestEngine, mode: &str) {
    let options = json!({ "preemption": { "enabled": true, "mode": mode } });
    schedule_by(engine, &options).await;
}

async fn history(engine: &TestEngine, id: &str) -> Value {
    engine.get(&format!("/session/{id}/status-history")).await.1
}

#[tokio::test]
async fn a_lower_one_ends_for_a_higher_one() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    let spared = {
        let mut body = ranked("spared", &json!({ "cpu": 1, "mem": "1g" }), 0);
        body["is_preemptible"] = json!(false);
        enqueue(&engine, body).await
    };
    until_status(&engine, &spared, "RUNNING").await;
    let lower = enqueue(
        &engine,
        ranked("lower", &json!({ "cpu": 3, "mem": "1g" }), 0),
    )
    .await;
    until_status(&engine, &lower, "RUNNING").await;

    // Nobody gives way unless the group says so.
    let urgent = enqueue(
        &engine,
        ranked("urgent", &json!({ "cpu": 3, "mem": "1g" }), 1),
    )
    .await;
    let waits = |info: &Value| info["statusInfo"] == "no-available-instances";
    until(&engine, &urgent, waits).await;
    let (_, info) = engine.get(&format!("/session/{lower}")).await;
    assert_eq!(info["status"], "RUNNING", "{info}");

    // While the lower one still ends, its place is nobody's but the urgent one's.
    computer.holds_on.send_replace(true);
    give_way(&engine, "terminate").await;
    let nudge = enqueue(
        &engine,
        ranked("nudge", &json!({ "cpu": 1, "mem": "1g" }), 0),
    )
    .await;
    let info = until_status(&engine, &urgent, "RESERVED").await;
    assert_eq!(info["statusInfo"], "preemption-reservation", "{info}");
    let info = until_status(&engine, &lower, "TERMINATING").await;
    assert_eq!(info["statusInfo"], "PREEMPTED_BY_SCHEDULER", "{info}");
    until(&engine, &nudge, waits).await;

    computer.holds_on.send_replace(false);
    until_status(&engine, &urgent, "RUNNING").await;
    let info = until_status(&engine, &lower, "TERMINATED").await;
    assert_eq!(
        (&info["statusInfo"], &info["result"]),
        (&json!("PREEMPTED_BY_SCHEDULER"), &json!("undefined")),
        "{info}"
    );
    let passed = history(&engine, &lower).await;
    assert!(passed["PREEMPTED"].is_string(), "{passed}");
    let (_, info) = engine.get(&format!("/session/{spared}")).await;
    assert_eq!(info["status"], "RUNNING", "{info}");
    engine.stop().await;
}

/// A session that has given way to a more urgent one and is to be scheduled anew, and that one.
async fn gave_way(engine: &TestEngine) -> (String, String) {
    give_way(engine, "reschedule").await;
    let lower = enqueue(engine, ranked("lower", &all(), 0)).await;
    until_status(engine, &lower, "RUNNING").await;
    let urgent = enqueue(engine, ranked("urgent", &all(), 1)).await;
    until_status(engine, &urgent, "RUNNING").await;
    (lower, urgent)
}

#[tokio::test]
async fn a_lower_one_comes_back_after_a_higher_one() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    let (lower, urgent) = gave_way(&engine).await;
    let info = until_status(&engine, &lower, "PENDING").await;
    let passed = history(&engine, &lower).await;
    for status in ["PREEMPTED", "RESCHEDULING"] {
        assert!(passed[status].is_string(), "{passed}");
    }
    assert_eq!(info["containerId"], Value::Null, "{info}");
    let (status, _) = engine.delete(&format!("/session/{urgent}")).await;
    assert_eq!(status, 200);
    until_status(&engine, &lower, "RUNNING").await;
    assert_eq!(computer.running.lock().unwrap().len(), 1);
    engine.stop().await;
}

/// What it used before it gave way stays used, as long as that was.
#[tokio::test]
async fn the_first_run_of_one_that_gave_way_is_counted() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    let (lower, urgent) = gave_way(&engine).await;
    until_status(&engine, &lower, "PENDING").await;

    // As if it had run for an hour.
    let home = engine.stop().await;
    let file = data_dir(&home).join("engine.db");
    let database = db::connect(&file, db::Durability::Full).unwrap();
    let moved = database.execute(
        "UPDATE kernel_run SET started_at = started_at - 3600000000",
        [],
    );
    assert_eq!(moved.unwrap(), 1);
    drop(database);
    let engine = TestEngine::start_in(home, computer.clone()).await;

    let (_, share) = engine.get("/fair-share/domains/default/default").await;
    let used = share["item"]["calculation_snapshot"]["total_decayed_usage"]["cpu"].as_str();
    let used: f64 = used.unwrap().parse().unwrap();
    // Four cores; yesterday counts a little less, if it began before midnight.
    assert!((14_000.0..20_000.0).contains(&used), "{share}");
    let day = |ago: i64| {
        let day = jiff::Zoned::now().checked_sub(jiff::Span::new().days(ago));
        day.unwrap().strftime("%Y%m%d").to_string()
    };
    let target = format!(
        "/resource/usage/period?start_date={}&end_date={}",
        day(1),
        day(0)
    );
    let (_, account) = engine.get(&target).await;
    let containers = account[0]["c_infos"].as_array().unwrap();
    let runs = containers.iter().filter(|one| one["session_id"] == lower);
    assert_eq!(runs.clone().count(), 1, "{account}");
    let run = runs.clone().next().unwrap();
    assert_eq!(run["cpu_allocated"], 4.0, "{run}");
    assert!(run["terminated_at"].is_string(), "{run}");

    // Its next run is another.
    engine.delete(&format!("/session/{urgent}")).await;
    until_status(&engine, &lower, "RUNNING").await;
    let (_, account) = engine.get(&target).await;
    let containers = account[0]["c_infos"].as_array().unwrap();
    let runs = containers.iter().filter(|one| one["session_id"] == lower);
    assert_eq!(runs.count(), 2, "{account}");
    engine.stop().await;
}

/// An engine that dies in the middle finds out what was meant.
#[tokio::test]
async fn who_gives_way_does_so_after_a_restart_too() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    give_way(&engine, "reschedule").await;
    let lower = enqueue(&engine, ranked("lower", &all(), 0)).await;
    until_status(&engine, &lower, "RUNNING").await;
    computer.holds_on.send_replace(true);
    let urgent = enqueue(&engine, ranked("urgent", &all(), 1)).await;
    until_status(&engine, &urgent, "RESERVED").await;
    until_status(&engine, &lower, "RESCHEDULING").await;
    let home = engine.stop().await;
    let engine = TestEngine::start_in(home, computer.clone()).await;
    let (_, info) = engine.get(&format!("/session/{urgent}")).await;
    assert_eq!(info["status"], "RESERVED", "{info}");
    computer.holds_on.send_replace(false);
    until_status(&engine, &urgent, "RUNNING").await;
    until_status(&engine, &lower, "PENDING").await;
    engine.stop().await;
}

/// Who waits with a place can be ended like anybody else, and the place is free again.
#[tokio::test]
async fn who_is_ended_with_a_place_gives_it_back() {
    let computer = Arc::new(Scripted::default());
    let engine = TestEngine::start(computer.clone()).await;
    give_way(&engine, "terminate").await;
    let lower = enqueue(&engine, ranked("lower", &all(), 0)).await;
    until_status(&engine, &lower, "RUNNING").await;
    computer.holds_on.send_replace(true);
    let urgent = enqueue(&engine, ranked("urgent", &all(), 1)).await;
    until_status(&engine, &urgent, "RESERVED").await;
    let (status, _) = engine.delete(&format!("/session/{urgent}")).await;
    assert_eq!(status, 200);
    computer.holds_on.send_replace(false);
    until_status(&engine, &urgent, "TERMINATED").await;
    let next = enqueue(&engine, asked("next", &all())).await;
    until_status(&engine, &next, "RUNNING").await;
    engine.stop().await;
}

#[tokio::test]
async fn who_was_tried_in_vain_lets_others_go_first() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    let retries = json!({ "schedule-sessions": { "max_retry_count": 2 } });
    schedule_by(&engine, &json!({ "handler_options": retries })).await;
    let holder = enqueue(&engine, asked("holder", &json!({ "cpu": 3, "mem": "1g" }))).await;
    until_status(&engine, &holder, "RUNNING").await;
    let large = enqueue(&engine, asked("large", &all())).await;
    let looked_at = |info: &Value| info["statusData"]["scheduler"]["retries"].as_u64() >= Some(1);
    until(&engine, &large, looked_at).await;
    // Each that comes later is one more look, and in the end one of them gets ahead.
    let mut later = asked("later", &small());
    later["config"]["resources"] = json!({ "cpu": 1, "mem": "1g" });
    let later = enqueue(&engine, later).await;
    until_status(&engine, &later, "RUNNING").await;
    let passed = history(&engine, &large).await;
    assert!(passed["DEPRIORITIZING"].is_string(), "{passed}");
    let (_, info) = engine.get(&format!("/session/{large}")).await;
    assert_eq!(
        (&info["status"], &info["statusInfo"]),
        (&json!("PENDING"), &json!("no-available-instances")),
        "{info}"
    );
    let query = format!("{{ compute_session(id: \"{large}\") {{ priority }} }}");
    let (_, answer) = engine.post("/admin/gql", json!({ "query": query })).await;
    assert_eq!(answer["data"]["compute_session"]["priority"], 0, "{answer}");
    engine.stop().await;
}
