//! The two ways to a list of sessions.

use serde_json::{Value, json};

use crate::{ask, engine, waiting_session};

/// A list of plain fields goes a shorter way through the engine than one with a fragment.
#[tokio::test]
async fn both_ways_to_a_list_answer_the_same() {
    let engine = engine().await;
    for (name, priority) in [("work-one", 10), ("work-two", 20), ("work-three", 30)] {
        waiting_session(&engine, name, priority).await;
    }
    let fields = "id session_id main_kernel_id tag name type main_kernel_role priority image \
        architecture registry cluster_template cluster_mode cluster_size domain_name group_name \
        group_id user_email full_name user_id access_key created_user_email created_user_id \
        status status_changed status_info status_data status_history created_at terminated_at \
        starts_at scheduled_at startup_command result commit_status abusing_reports agent_ids \
        agents resource_opts scaling_group service_ports mounts vfolder_mounts occupying_slots \
        occupied_slots requested_slots num_queries inference_metrics";
    for arguments in [
        "limit: 2, offset: 0",
        "limit: 2, offset: 2",
        "limit: 9, offset: 0, order: \"-priority\"",
        "limit: 1, offset: 1, order: \"+name\", status: \"PENDING\"",
        "limit: 9, offset: 0, filter: \"name ilike \\\"%O%\\\"\"",
        "limit: 9, offset: 0, filter: \"agents contains \\\"x\\\" | priority > 15\"",
        "limit: 9, offset: 0, status: \"RUNNING\"",
    ] {
        let query = |items: &str| {
            format!("{{ compute_session_list({arguments}) {{ items {{ {items} }} total_count }} }}")
        };
        let fragment = format!("... on ComputeSession {{ {fields} }}");
        // The scheduler writes down each of its tries: what is compared lies between two of them.
        loop {
            let short = ask(&engine, &query(fields), Value::Null).await;
            let general = ask(&engine, &query(&fragment), Value::Null).await;
            if short == ask(&engine, &query(fields), Value::Null).await {
                assert_eq!(short, general, "{arguments}");
                break;
            }
        }
    }
    // An error is told in the words of the general way.
    let query =
        "{ compute_session_list(limit: 1, offset: 0, filter: \"unknown == 1\") { total_count } }";
    let (status, answer) = engine
        .post("/admin/gql", json!({ "query": query, "variables": null }))
        .await;
    assert_eq!(status, 200);
    assert_eq!(answer["data"]["compute_session_list"], Value::Null);
    assert_eq!(answer["errors"][0]["path"], json!(["compute_session_list"]));
}
