//! Limits of slots: the keypair's, the project's and the domain's, at the scheduler and in the form
//! that asks what fits.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::support::TestEngine;
use crate::{asked, enqueue, limit, until, until_status};

async fn change(engine: &TestEngine, mutation: &str) {
    let query = json!({ "query": format!("mutation {{ {mutation} {{ ok msg }} }}") });
    let (_, answer) = engine.post("/admin/gql", query).await;
    let field = mutation.split('(').next().unwrap();
    assert_eq!(answer["data"][field]["ok"], true, "{answer}");
}

fn cores(count: u32) -> String {
    let slots = json!({ "cpu": count.to_string() }).to_string();
    format!("total_resource_slots: {}", Value::String(slots))
}

async fn limit_project(engine: &TestEngine, count: u32) {
    let query = json!({ "query": "{ groups { id name } }" });
    let (_, answer) = engine.post("/admin/gql", query).await;
    let groups = answer["data"]["groups"].as_array().unwrap();
    let default = groups.iter().find(|one| one["name"] == "default").unwrap();
    let id = default["id"].as_str().unwrap();
    let props = cores(count);
    change(
        engine,
        &format!("modify_group(gid: \"{id}\", props: {{ {props} }})"),
    )
    .await;
}

#[tokio::test]
async fn every_limit_of_slots_binds_and_is_told() {
    let engine = TestEngine::start(Arc::new(Scripted::default())).await;
    let first = enqueue(&engine, asked("first", &json!({ "cpu": 1, "mem": "1g" }))).await;
    until_status(&engine, &first, "RUNNING").await;
    limit(
        &engine,
        &format!("{}, default_for_unspecified: \"UNLIMITED\"", cores(2)),
    )
    .await;
    limit_project(&engine, 3).await;
    let domain = format!(
        "modify_domain(name: \"default\", props: {{ {} }})",
        cores(3)
    );
    change(&engine, &domain).await;

    let (_, fits) = engine
        .post("/resource/check-presets", json!({ "group": "default" }))
        .await;
    for (key, amount) in [
        ("keypair_limits", "2"),
        ("keypair_using", "1"),
        ("keypair_remaining", "1"),
        ("group_limits", "3"),
        ("group_using", "1"),
        ("group_remaining", "2"),
        ("scaling_group_remaining", "1"),
    ] {
        assert_eq!(fits[key]["cpu"], amount, "{key}: {fits}");
    }

    // Over all three at once: each is named, with its numbers.
    let second = enqueue(&engine, asked("second", &json!({ "cpu": 3, "mem": "1g" }))).await;
    let waits = |info: &Value| info["statusInfo"] == "predicate-checks-failed";
    let info = until(&engine, &second, waits).await;
    let told = info["statusData"]["scheduler"]["msg"].as_str().unwrap();
    assert!(
        told.starts_with("Multiple validation errors occurred:"),
        "{told}"
    );
    for part in [
        "UserResourceQuotaExceeded: Your default-keypair resource quota is exceeded.",
        "cpu: used 1 + requested 3 > limit 2 (over by 2)",
        "ProjectResourceQuotaExceeded: Your project resource quota is exceeded.",
        "DomainResourceQuotaExceeded: Your domain resource quota is exceeded.",
        "cpu: used 1 + requested 3 > limit 3 (over by 1)",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }

    // Whoever is held back by a limit holds back nobody else, and starts when there is more.
    let third = enqueue(&engine, asked("third", &json!({ "cpu": 1, "mem": "1g" }))).await;
    until_status(&engine, &third, "RUNNING").await;
    let (status, _) = engine.delete(&format!("/session/{third}")).await;
    assert_eq!(status, 200);
    until_status(&engine, &third, "TERMINATED").await;
    limit(&engine, &cores(4)).await;
    limit_project(&engine, 4).await;
    let domain = format!(
        "modify_domain(name: \"default\", props: {{ {} }})",
        cores(4)
    );
    change(&engine, &domain).await;
    let other = enqueue(&engine, asked("other", &json!({ "cpu": 1, "mem": "1g" }))).await;
    until_status(&engine, &second, "RUNNING").await;
    let (status, _) = engine.delete(&format!("/session/{other}")).await;
    assert_eq!(status, 200);
    engine.stop().await;
}
