//! What was done about a session, step by step, as administrators read it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::support::{TestEngine, slug};
use crate::{asked, enqueue, until, until_status};

async fn steps(engine: &TestEngine, filter: Value) -> Vec<Value> {
    let order = json!([{ "field": "created_at", "direction": "asc" }]);
    let body = json!({ "filter": filter, "order": order, "limit": 100 });
    let (status, answer) = engine
        .post("/scheduling-history/sessions/search", body)
        .await;
    assert_eq!(status, 200, "{answer}");
    let items = answer["items"].as_array().unwrap().clone();
    assert_eq!(answer["pagination"]["total"], items.len(), "{answer}");
    items
}

#[tokio::test]
async fn every_step_of_a_session_is_written_down() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    let all = json!({ "cpu": 4, "mem": "4g" });
    let first = enqueue(&engine, asked("first", &all)).await;
    until_status(&engine, &first, "RUNNING").await;
    let second = enqueue(&engine, asked("second", &all)).await;
    let tried = |info: &Value| info["statusData"]["scheduler"]["retries"].as_u64() >= Some(1);
    until(&engine, &second, tried).await;
    // One more look that comes to the same.
    let third = enqueue(&engine, asked("third", &all)).await;
    let twice = |info: &Value| info["statusData"]["scheduler"]["retries"].as_u64() >= Some(2);
    until(&engine, &second, twice).await;

    let of = |id: &str| json!({ "session_id": { "equals": id } });
    let passed: Vec<_> = steps(&engine, of(&first))
        .await
        .into_iter()
        .map(|step| (step["phase"].clone(), step["to_status"].clone()))
        .collect();
    for (phase, to) in [
        ("schedule-sessions", "SCHEDULED"),
        ("check-precondition", "PREPARED"),
        ("start-sessions", "RUNNING"),
    ] {
        assert!(passed.contains(&(json!(phase), json!(to))), "{passed:?}");
    }
    let waits = steps(&engine, of(&second)).await;
    let [only] = waits.as_slice() else {
        panic!("{waits:?}")
    };
    assert_eq!(
        (&only["result"], &only["error_code"], &only["from_status"]),
        (
            &json!("NEED_RETRY"),
            &json!("agent_selection"),
            &json!("PENDING")
        ),
        "{only}"
    );
    assert!(only["attempts"].as_u64() >= Some(2), "{only}");
    assert!(only["message"].to_string().contains("missing=4"), "{only}");
    let skipped = json!({ "result": ["SKIPPED"], "message": { "contains": "Not attempted" } });
    let skipped = steps(&engine, skipped).await;
    assert!(
        skipped.iter().all(|step| step["session_id"] == third),
        "{skipped:?}"
    );
    assert!(!skipped.is_empty());

    let (status, answer) = engine
        .post("/scheduling-history/sessions/search", json!({ "limit": 0 }))
        .await;
    assert_eq!(
        (status, slug(&answer)),
        (400, "invalid-api-params"),
        "{answer}"
    );
    engine.stop().await;
}
