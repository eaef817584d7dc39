//! Limits.

use reqwest::Method;
use serde_json::json;

use crate::support::{data_dir, slug};
use crate::{by, change, engine, plain, project, session, user};

#[tokio::test]
async fn policies_bind() {
    let engine = engine().await;
    let policy = json!({
        "default_for_unspecified": "LIMITED", "total_resource_slots": "{\"cpu\": \"2\", \"mem\": \"4g\"}",
        "max_concurrent_sessions": 1, "max_containers_per_session": 1, "idle_timeout": 0,
        "max_pending_session_count": 1,
    });
    let made = change(
        &engine,
        "create_keypair_resource_policy(name: \"small\", props: $p)",
        "resource_policy { total_resource_slots max_pending_session_count }",
        policy,
    )
    .await;
    assert_eq!(
        made["resource_policy"]["max_pending_session_count"], 1,
        "{made}"
    );
    let ada = user(&engine, "ada", json!({})).await;
    let narrow = json!({ "resource_policy": "small" });
    change(
        &engine,
        &format!("modify_keypair(access_key: \"{}\", props: $p)", ada.1),
        "",
        narrow,
    )
    .await;

    let (_, presets) = by(
        &engine,
        &ada,
        Method::POST,
        "/resource/check-presets",
        Some(json!({ "group": "default" })),
    )
    .await;
    assert_eq!(presets["keypair_limits"]["cpu"], "2", "{presets}");
    assert_eq!(presets["group_limits"]["cpu"], "Infinity");
    let fits = |name: &str| {
        let list = presets["presets"].as_array().unwrap();
        list.iter().find(|one| one["name"] == name).unwrap()["allocatable"].clone()
    };
    assert_eq!((fits("medium"), fits("large")), (json!(true), json!(false)));
    // No more is left on the agents than the policy leaves.
    assert_eq!(presets["scaling_group_remaining"]["cpu"], "2", "{presets}");

    let (status, made) = by(
        &engine,
        &ada,
        Method::POST,
        "/session",
        Some(session("job-1")),
    )
    .await;
    assert_eq!(status, 201, "{made}");
    let job = &made["sessionId"];
    let (status, body) = by(
        &engine,
        &ada,
        Method::POST,
        "/session",
        Some(session("job-2")),
    )
    .await;
    assert_eq!((status, slug(&body)), (400, "quota-exceeded"));
    assert!(
        body["msg"]
            .as_str()
            .unwrap()
            .contains("pending-session limit of 1"),
        "{body}"
    );
    let wider = json!({ "max_pending_session_count": null, "max_pending_session_resource_slots": "{\"cpu\": \"1\"}" });
    change(
        &engine,
        "modify_keypair_resource_policy(name: \"small\", props: $p)",
        "",
        wider,
    )
    .await;
    let (_, body) = by(
        &engine,
        &ada,
        Method::POST,
        "/session",
        Some(session("job-2")),
    )
    .await;
    assert!(
        body["msg"]
            .as_str()
            .unwrap()
            .contains("pending-session resource limit"),
        "{body}"
    );

    // A priority is bound whenever it is set, and agents are for those who are shown them.
    let path = data_dir(&engine.home).join("engine.db");
    let database = db::connect(&path, db::Durability::Full).unwrap();
    let low = "UPDATE keypair_policy SET max_priority = 20 WHERE name = 'small'";
    database.execute_batch(low).unwrap();
    let raised = |priority: u8| {
        let query = "mutation($i: ModifyComputeSessionInput!) \
                     { modify_compute_session(input: $i) { item { priority } } }";
        let input = json!({ "id": job, "priority": priority });
        Some(json!({ "query": query, "variables": { "i": input } }))
    };
    let (_, body) = by(&engine, &ada, Method::POST, "/admin/gql", raised(21)).await;
    assert!(
        body.to_string().contains("maximum priority of 20"),
        "{body}"
    );
    let (_, body) = by(&engine, &ada, Method::POST, "/admin/gql", raised(20)).await;
    let item = &body["data"]["modify_compute_session"]["item"];
    assert_eq!(item["priority"], 20, "{body}");
    let mut chosen = session("job-3");
    chosen["config"]["agent_list"] = json!(["here"]);
    let (status, body) = by(&engine, &ada, Method::POST, "/session", Some(chosen)).await;
    assert_eq!(
        (status, slug(&body)),
        (403, "insufficient-privilege"),
        "{body}"
    );

    let held = plain(&engine, "delete_keypair_resource_policy(name: \"small\")").await;
    assert_eq!(held["ok"], false, "{held}");
    let wrong = change(
        &engine,
        "modify_keypair_resource_policy(name: \"small\", props: $p)",
        "",
        json!({ "allowed_vfolder_hosts": "{\"elsewhere\": []}" }),
    )
    .await;
    assert!(
        wrong["msg"].as_str().unwrap().contains("elsewhere"),
        "{wrong}"
    );

    // Folders: how many, and where.
    let few = json!({ "max_vfolder_count": 1, "max_quota_scope_size": -1 });
    change(
        &engine,
        "create_user_resource_policy(name: \"few\", props: $p)",
        "",
        few,
    )
    .await;
    change(
        &engine,
        "modify_user(email: \"ada@example.com\", props: $p)",
        "",
        json!({ "resource_policy": "few" }),
    )
    .await;
    let folder = |name: &str| Some(json!({ "name": name }));
    let (status, _) = by(&engine, &ada, Method::POST, "/folders", folder("one")).await;
    assert_eq!(status, 201);
    let (status, body) = by(&engine, &ada, Method::POST, "/folders", folder("two")).await;
    assert_eq!(status, 400);
    assert_eq!(body["msg"], "You cannot create more vfolders.");
    let nowhere = json!({ "allowed_vfolder_hosts": "{}" });
    change(
        &engine,
        "modify_domain(name: \"default\", props: $p)",
        "",
        nowhere.clone(),
    )
    .await;
    let id = project(&engine).await;
    change(
        &engine,
        &format!("modify_group(gid: \"{id}\", props: $p)"),
        "",
        nowhere,
    )
    .await;
    let (status, body) = by(&engine, &ada, Method::POST, "/folders", folder("two")).await;
    assert_eq!(
        (status, slug(&body)),
        (400, "storage-permission-not-allowed")
    );
}
