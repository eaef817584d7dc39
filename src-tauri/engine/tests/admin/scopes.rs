//! Domains, projects and resource groups.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{answer, slug};
use crate::{by, change, engine, plain, project, session, user};

#[tokio::test]
async fn resource_groups_are_opened_and_closed() {
    let engine = engine().await;
    let ada = user(&engine, "ada", json!({})).await;
    let group = json!({
        "driver": "static", "scheduler": "fair-share",
        "scheduler_opts": "{\"allowed_session_types\": [\"interactive\"]}",
    });
    let made = change(
        &engine,
        "create_scaling_group(name: \"night\", props: $p)",
        "scaling_group { scheduler is_active }",
        group,
    )
    .await;
    assert_eq!(made["scaling_group"]["scheduler"], "fair-share", "{made}");
    let names = |answer: &Value| -> Vec<String> {
        let list = answer["scaling_groups"].as_array().unwrap();
        list.iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let groups = "/scaling-groups?group=default";
    assert_eq!(
        names(&by(&engine, &ada, Method::GET, groups, None).await.1),
        ["default"]
    );
    let opened = plain(
        &engine,
        "associate_scaling_group_with_domain(domain: \"default\", scaling_group: \"night\")",
    )
    .await;
    assert_eq!(opened["ok"], true, "{opened}");
    assert_eq!(
        names(&by(&engine, &ada, Method::GET, groups, None).await.1),
        ["default", "night"]
    );

    let mut job = session("job-1");
    job["config"]["scaling_group"] = "night".into();
    let (status, body) = by(&engine, &ada, Method::POST, "/session", Some(job.clone())).await;
    assert_eq!(
        (status, slug(&body)),
        (422, "scaling-group-session-type-not-allowed")
    );
    change(
        &engine,
        "modify_scaling_group(name: \"night\", props: $p)",
        "",
        json!({ "scheduler_opts": "{}" }),
    )
    .await;
    let (_, body) = by(&engine, &ada, Method::POST, "/session", Some(job.clone())).await;
    assert!(
        body["msg"].as_str().unwrap().contains("no agents serving"),
        "{body}"
    );
    let moved = change(
        &engine,
        "modify_agent(id: \"here\", props: $p)",
        "",
        json!({ "scaling_group": "night" }),
    )
    .await;
    assert_eq!(moved["ok"], true, "{moved}");
    let (status, body) = by(&engine, &ada, Method::POST, "/session", Some(job)).await;
    assert_eq!(status, 201, "{body}");
    let held = plain(&engine, "delete_scaling_group(name: \"night\")").await;
    assert_eq!(held["ok"], false, "{held}");
    let closed = plain(
        &engine,
        "disassociate_all_scaling_groups_with_domain(domain: \"default\")",
    )
    .await;
    assert_eq!(closed["ok"], true);
    let none: [&str; 0] = [];
    assert_eq!(
        names(&by(&engine, &ada, Method::GET, groups, None).await.1),
        none
    );

    let (_, spec) = answer(
        engine
            .signed(Method::PATCH, "/fair-share/resource-groups/night/spec")
            .body(json!({ "half_life_days": 3, "resource_weights": { "cpu": 2 } }).to_string())
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(spec["fair_share_spec"]["half_life_days"], 3, "{spec}");
    let (_, weight) = answer(
        engine
            .signed(Method::PUT, "/fair-share/domains/night/default/weight")
            .body(json!({ "weight": "2.5" }).to_string())
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(weight["item"]["spec"]["weight"], "2.5", "{weight}");
    assert_eq!(
        weight["item"]["calculation_snapshot"]["fair_share_factor"],
        "1"
    );
}

#[tokio::test]
async fn domains_and_projects_keep_to_themselves() {
    let engine = engine().await;
    let made = change(
        &engine,
        "create_domain(name: \"lab\", props: $p)",
        "domain { name is_active }",
        json!({ "description": "x" }),
    )
    .await;
    assert_eq!(
        made["domain"],
        json!({ "name": "lab", "is_active": true }),
        "{made}"
    );
    let group = json!({ "domain_name": "lab", "total_resource_slots": "{\"cpu\": \"4\"}" });
    let group = change(
        &engine,
        "create_group(name: \"team\", props: $p)",
        "group { id domain_name }",
        group,
    )
    .await;
    let id = group["group"]["id"].as_str().unwrap().to_owned();
    let eve = user(
        &engine,
        "eve",
        json!({ "domain_name": "lab", "group_ids": [id], "role": "admin" }),
    )
    .await;
    let ask = |query: &str| Some(json!({ "query": query }));
    let (_, seen) = by(
        &engine,
        &eve,
        Method::POST,
        "/admin/gql",
        ask("{ groups { name } }"),
    )
    .await;
    assert_eq!(seen["data"]["groups"], json!([{ "name": "team" }]));
    // An administrator of one domain does not touch another.
    let other = project(&engine).await;
    let query = format!("mutation {{ delete_group(gid: \"{other}\") {{ ok msg }} }}");
    let (_, refused) = by(&engine, &eve, Method::POST, "/admin/gql", ask(&query)).await;
    assert_eq!(refused["data"]["delete_group"]["ok"], false, "{refused}");
    let bound = plain(&engine, "purge_domain(name: \"lab\")").await;
    assert_eq!(bound["ok"], false, "{bound}");
    let added = json!({ "user_update_mode": "remove", "user_uuids": [eve.0] });
    change(
        &engine,
        &format!("modify_group(gid: \"{id}\", props: $p)"),
        "",
        added,
    )
    .await;
    let off = plain(&engine, &format!("delete_group(gid: \"{id}\")")).await;
    assert_eq!(off["ok"], true);
    let gone = plain(&engine, &format!("purge_group(gid: \"{id}\")")).await;
    assert_eq!(gone["ok"], true, "{gone}");
    change(
        &engine,
        "purge_user(email: \"eve@example.com\", props: $p)",
        "",
        json!({}),
    )
    .await;
    let gone = plain(&engine, "purge_domain(name: \"lab\")").await;
    assert_eq!(gone["ok"], true, "{gone}");
}
