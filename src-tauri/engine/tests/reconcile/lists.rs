//! Lists of sessions that run, or did: both ways to them answer the same.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::support::TestEngine;
use crate::{asked, enqueue, small, until_status};

#[tokio::test]
async fn both_ways_to_a_list_answer_the_same_of_what_runs() {
    let computer = Arc::new(Scripted::default());
    *computer.second.lock().unwrap() = Some("there");
    let engine = TestEngine::start(computer.clone()).await;
    let mut wide = asked("wide", &json!({ "cpu": 3, "mem": "1g" }));
    wide["cluster_mode"] = json!("multi-node");
    wide["cluster_size"] = json!(2);
    wide["config"]["environ"] = json!({ "QUOTE": "\"\\" });
    let mut over = asked("over", &small());
    over["tag"] = json!("of \"quotes\" and\nlines");
    let over = enqueue(&engine, over).await;
    until_status(&engine, &over, "RUNNING").await;
    engine.delete(&format!("/session/{over}")).await;
    until_status(&engine, &over, "TERMINATED").await;
    let wide = enqueue(&engine, wide).await;
    until_status(&engine, &wide, "RUNNING").await;
    let lone = enqueue(&engine, asked("lone", &json!({ "cpu": 1, "mem": "1g" }))).await;
    until_status(&engine, &lone, "RUNNING").await;

    let fields = "id session_id main_kernel_id tag name type main_kernel_role priority image \
        architecture registry cluster_template cluster_mode cluster_size domain_name group_name \
        group_id user_email full_name user_id access_key created_user_email created_user_id \
        status status_changed status_info status_data status_history created_at terminated_at \
        starts_at scheduled_at startup_command result commit_status abusing_reports agent_ids \
        agents resource_opts scaling_group service_ports mounts vfolder_mounts occupying_slots \
        occupied_slots requested_slots num_queries inference_metrics";
    for arguments in [
        "limit: 9, offset: 0",
        "limit: 1, offset: 1",
        "limit: 9, offset: 0, status: \"TERMINATED,RUNNING\"",
        "limit: 9, offset: 0, order: \"name\"",
        "limit: 9, offset: 0, filter: \"agents contains \\\"there\\\"\"",
    ] {
        let ask = async |items: &str| {
            let query = format!(
                "{{ compute_session_list({arguments}) {{ items {{ {items} }} total_count }} }}"
            );
            let (_, answer) = engine.post("/admin/gql", json!({ "query": query })).await;
            assert_eq!(answer["errors"], Value::Null, "{answer}");
            answer["data"]["compute_session_list"].clone()
        };
        let short = ask(fields).await;
        assert!(!short["items"].as_array().unwrap().is_empty(), "{short}");
        let general = ask(&format!("... on ComputeSession {{ {fields} }}")).await;
        assert_eq!(short, general, "{arguments}");
    }
    engine.stop().await;
}
