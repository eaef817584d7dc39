//! GraphQL over HTTP, with the queries that the official clients send.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod lists;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::{NoKernels, TestEngine, slug};

async fn engine() -> TestEngine {
    TestEngine::start(Arc::new(NoKernels)).await
}

/// Asks, and expects an answer without errors.
async fn ask(engine: &TestEngine, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    let (status, mut answer) = engine.post("/admin/gql", body).await;
    assert_eq!(
        (status, &answer["errors"]),
        (200, &Value::Null),
        "{query}: {answer}"
    );
    answer["data"].take()
}

/// A session that waits for its time, since nothing runs here.
async fn waiting_session(engine: &TestEngine, name: &str, priority: u8) -> String {
    let (status, body) = engine
        .post(
            "/session",
            json!({
                "name": name, "image": "local/host:latest", "type": "batch", "enqueueOnly": true,
                "startup_command": "true", "starts_at": "2h", "priority": priority,
                "config": { "resources": { "cpu": 1, "mem": "1g" }, "resource_opts": { "shmem": "64m" } },
            }),
        )
        .await;
    assert_eq!(status, 201, "{body}");
    body["sessionId"].as_str().unwrap().to_owned()
}

/// The official client's own list query, word for word.
const SESSIONS: &str = "query($limit:Int!, $offset:Int!, $status: String, $group_id: String,
        $access_key: String, $filter: String, $order: String) {
      compute_session_list(limit:$limit, offset:$offset, status:$status, group_id:$group_id,
            access_key:$access_key, filter:$filter, order:$order) {
        items { session_id name image type status status_info status_changed result
            occupied_slots requested_slots service_ports abusing_reports idle_checks
            containers { id agent status live_stat last_stat image_object { tag labels { key value } } } }
        total_count
      }
    }";

fn listing(filter: Value, order: Value) -> Value {
    json!({ "limit": 10, "offset": 0, "status": "PENDING,RUNNING", "group_id": null,
            "access_key": null, "filter": filter, "order": order })
}

#[tokio::test]
async fn sessions() {
    let engine = engine().await;
    let first = waiting_session(&engine, "train-1", 10).await;
    waiting_session(&engine, "train-2", 20).await;
    waiting_session(&engine, "other", 30).await;

    let data = ask(&engine, SESSIONS, listing(Value::Null, json!("name"))).await;
    let list = &data["compute_session_list"];
    assert_eq!(list["total_count"], 3);
    let item = &list["items"][1];
    assert_eq!(item["name"], "train-1");
    assert_eq!(
        (&item["type"], &item["status"]),
        (&json!("BATCH"), &json!("PENDING"))
    );
    // JSON inside of JSON, amounts as text.
    let requested: Value = serde_json::from_str(item["requested_slots"].as_str().unwrap()).unwrap();
    assert_eq!(requested, json!({ "cpu": "1", "mem": "1073741824" }));
    let kernel = &item["containers"][0];
    assert_eq!(
        (&kernel["status"], &kernel["live_stat"]),
        (&json!("PENDING"), &Value::Null)
    );
    assert_eq!(kernel["image_object"]["tag"], "latest");

    let filter = json!(r#"(name like "train-%") & (status == "PENDING")"#);
    let data = ask(&engine, SESSIONS, listing(filter, json!("-priority"))).await;
    let items = data["compute_session_list"]["items"]
        .as_array()
        .unwrap()
        .iter();
    let names: Vec<_> = items.map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["train-2", "train-1"]);

    let one = "query($id: UUID!) { compute_session(id: $id) { name group_name user_email } }";
    let data = ask(&engine, one, json!({ "id": first })).await;
    assert_eq!(data["compute_session"]["group_name"], "default");
    let none = json!({ "id": uuid::Uuid::nil() });
    assert_eq!(
        ask(&engine, one, none).await["compute_session"],
        Value::Null
    );
    engine.stop().await;
}

#[tokio::test]
async fn session_nodes_by_cursor() {
    let engine = engine().await;
    for name in ["aaaa", "bbbb", "cccc"] {
        waiting_session(&engine, name, 10).await;
    }
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
        compute_session_nodes(first: $first, after: $after, last: $last, before: $before,
                order: \"name\") {
            edges { cursor node { id row_id name kernel_nodes { count edges { node { status } } }
                owner { email } } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } count } }";
    let page = ask(&engine, query, json!({ "first": 2 })).await["compute_session_nodes"].take();
    assert_eq!(
        (&page["count"], &page["pageInfo"]["hasNextPage"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(page["edges"][1]["node"]["name"], "bbbb");
    assert_eq!(
        page["edges"][0]["node"]["kernel_nodes"]["edges"][0]["node"]["status"],
        "PENDING"
    );
    assert!(
        page["edges"][0]["node"]["owner"]["email"]
            .as_str()
            .unwrap()
            .contains('@')
    );
    let after = json!({ "first": 2, "after": page["pageInfo"]["endCursor"] });
    let next = ask(&engine, query, after).await["compute_session_nodes"].take();
    assert_eq!(next["edges"].as_array().unwrap().len(), 1);
    assert_eq!(next["pageInfo"]["hasPreviousPage"], true);
    let before = json!({ "last": 1, "before": next["pageInfo"]["startCursor"] });
    let back = ask(&engine, query, before).await["compute_session_nodes"].take();
    assert_eq!(back["edges"][0]["node"]["name"], "bbbb");

    // One of them, by its global id and by the plain one; then changed.
    let node = &back["edges"][0]["node"];
    for id in [&node["id"], &node["row_id"]] {
        let query = "query($id: GlobalIDField!) { compute_session_node(id: $id) { name } }";
        let found = ask(&engine, query, json!({ "id": id })).await;
        assert_eq!(found["compute_session_node"]["name"], "bbbb");
    }
    let change = "mutation($input: ModifyComputeSessionInput!) {
        modify_compute_session(input: $input) { item { name priority } } }";
    let input = json!({ "input": { "id": node["id"], "name": "renamed", "priority": 50 } });
    let changed = ask(&engine, change, input).await["modify_compute_session"]["item"].take();
    assert_eq!(changed, json!({ "name": "renamed", "priority": 50 }));
    engine.stop().await;
}

#[tokio::test]
async fn images_and_their_aliases() {
    let engine = engine().await;
    let query = "query($is_operation: Boolean) { images(is_operation: $is_operation) {
        name registry architecture tag digest size_bytes aliases installed
        labels { key value } resource_limits { key min max } supported_accelerators } }";
    let images = ask(&engine, query, json!({ "is_operation": false })).await["images"].take();
    let host = &images[0];
    assert_eq!(
        (&host["registry"], &host["name"], &host["tag"]),
        (&json!("local"), &json!("host"), &json!("latest"))
    );
    let labels = host["labels"].as_array().unwrap();
    let ports = labels
        .iter()
        .find(|label| label["key"] == "ai.backend.service-ports")
        .unwrap();
    assert!(
        ports["value"]
            .as_str()
            .unwrap()
            .contains("jupyterlab:http:8090")
    );
    assert!(
        host["resource_limits"]
            .to_string()
            .contains(r#""key":"mem","max":"Infinity","min":"64m""#)
    );

    let alias =
        "mutation { alias_image(alias: \"here\", target: \"local/host:latest\") { ok msg } }";
    assert_eq!(
        ask(&engine, alias, Value::Null).await["alias_image"]["ok"],
        true
    );
    let image = "query { image(reference: \"here\") { name aliases } }";
    let found = ask(&engine, image, Value::Null).await["image"].take();
    assert_eq!(found["aliases"], json!(["here", "host"]));
    // The official client prints the fields in the order of the answer.
    let asked = json!({ "query": "query { images { tag name id architecture } }" });
    let text = engine
        .signed(reqwest::Method::POST, "/admin/gql")
        .body(asked.to_string())
        .send();
    let text = text.await.unwrap().text().await.unwrap();
    let places = ["\"tag\"", "\"name\"", "\"id\"", "\"architecture\""].map(|key| text.find(key));
    assert!(
        places.is_sorted() && places.iter().all(Option::is_some),
        "{text}"
    );
    // A failure of such a mutation is an answer.
    let wrong = "mutation { alias_image(alias: \"x\", target: \"no/such:image\") { ok msg } }";
    let answer = ask(&engine, wrong, Value::Null).await["alias_image"].take();
    assert_eq!(
        answer,
        json!({ "ok": false, "msg": "Unknown image reference: no/such:image" })
    );
    engine.stop().await;
}

#[tokio::test]
async fn people_groups_and_policies() {
    let engine = engine().await;
    let data = ask(
        &engine,
        "query { user { email role groups { id name } main_access_key }
            keypair { access_key secret_key user_info { email } projects concurrency_used }
            groups { id name type scaling_groups } domain { name }
            keypair_resource_policy { name default_for_unspecified total_resource_slots
                allowed_vfolder_hosts }
            user_resource_policies { name max_vfolder_count }
            users { email } user_list(limit: 5, offset: 0) { total_count }
            viewer { encoded_user_role user { email } } }",
        Value::Null,
    )
    .await;
    assert_eq!(data["user"]["role"], "superadmin");
    assert_eq!(data["user"]["groups"][0]["name"], "default");
    assert_eq!(
        data["keypair"]["access_key"],
        data["user"]["main_access_key"]
    );
    assert_eq!(
        data["keypair"]["secret_key"],
        json!(engine.login.secret_key)
    );
    assert_eq!(data["groups"][0]["type"], "GENERAL");
    assert_eq!(data["groups"][0]["scaling_groups"], json!(["default"]));
    assert_eq!(
        data["keypair_resource_policy"]["default_for_unspecified"],
        "UNLIMITED"
    );
    assert_eq!(data["user_list"]["total_count"], 1);
    let project = data["groups"][0]["id"].clone();
    let groups =
        "query($id: UUID!) { accessible_scaling_groups(project_id: $id) { name scheduler } }";
    let data = ask(&engine, groups, json!({ "id": project })).await;
    assert_eq!(
        data["accessible_scaling_groups"][0],
        json!({ "name": "default", "scheduler": "fifo" })
    );
    engine.stop().await;
}

#[tokio::test]
async fn agents_and_presets() {
    let engine = engine().await;
    let data = ask(
        &engine,
        "query { agent_list(limit: 10, offset: 0, status: \"ALIVE\") { total_count items {
                id status architecture available_slots occupied_slots scaling_group live_stat
                compute_containers { id } } }
            agent_summary_list(limit: 10, offset: 0) { items { id } }
            scaling_groups { name agent_count_by_status agent_total_resource_slots_by_status }
            resource_presets { id name resource_slots shared_memory } }",
        Value::Null,
    )
    .await;
    let agent = &data["agent_list"]["items"][0];
    assert_eq!(
        agent["available_slots"],
        r#"{"cpu":"4","mem":"8589934592"}"#
    );
    assert_eq!(agent["occupied_slots"], r#"{"cpu":"0","mem":"0"}"#);
    assert_eq!(data["scaling_groups"][0]["agent_count_by_status"], 1);
    assert_eq!(data["resource_presets"][0]["name"], "small");

    let make = "mutation { create_resource_preset(name: \"tiny\", props: { resource_slots:
        \"{\\\"cpu\\\": 1, \\\"mem\\\": \\\"512m\\\"}\", shared_memory: \"64m\" }) { ok msg resource_preset { id } } }";
    let made = ask(&engine, make, Value::Null).await["create_resource_preset"].take();
    assert_eq!(made["ok"], true, "{made}");
    let again = ask(&engine, make, Value::Null).await["create_resource_preset"].take();
    assert_eq!(again["ok"], false);
    let (_, presets) = engine.get("/resource/presets").await;
    let tiny = presets["presets"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(tiny["shared_memory"], "67108864");
    assert_eq!(tiny["resource_slots"]["mem"], "536870912");
    let remove = "mutation { delete_resource_preset(name: \"tiny\") { ok } }";
    assert_eq!(
        ask(&engine, remove, Value::Null).await["delete_resource_preset"]["ok"],
        true
    );

    let (status, check) = engine
        .post("/resource/check-presets", json!({ "group": "default" }))
        .await;
    assert_eq!(status, 200);
    let presets = check["presets"].as_array().unwrap().iter();
    let allocatable: Vec<_> = presets
        .map(|preset| {
            (
                preset["name"].as_str().unwrap(),
                preset["allocatable"] == true,
            )
        })
        .collect();
    // Four cores and 8 GiB.
    assert_eq!(
        allocatable,
        [
            ("small", true),
            ("medium", true),
            ("large", true),
            ("huge", false)
        ]
    );
    assert_eq!(check["keypair_limits"]["cpu"], "Infinity");
    assert_eq!(check["keypair_using"]["mem"], "0");
    assert_eq!(check["scaling_groups"]["default"]["remaining"]["cpu"], "4");
    assert_eq!(check["scaling_group_remaining"]["mem"], "8589934592");
    let (status, body) = engine
        .post("/resource/check-presets", json!({ "group": "none" }))
        .await;
    assert_eq!((status, slug(&body)), (404, "project-not-found"));
    assert_eq!(
        engine.get("/config/resource-slots").await.1,
        json!({ "cpu": "count", "mem": "bytes" })
    );
    let (_, details) = engine.get("/config/resource-slots/details").await;
    assert_eq!(details["mem"]["number_format"]["binary"], true);
    assert_eq!(
        engine.get("/config/vfolder-types").await.1,
        json!(["user", "group"])
    );
    let (_, groups) = engine.get("/scaling-groups?group=default").await;
    assert_eq!(groups, json!({ "scaling_groups": [{ "name": "default" }] }));
    engine.stop().await;
}

#[tokio::test]
async fn folders() {
    let engine = engine().await;
    engine.post("/folders", json!({ "name": "data" })).await;
    engine
        .post("/folders", json!({ "name": "ours", "group": "default" }))
        .await;
    let query = "query($limit:Int!, $offset:Int!, $group_id: UUID, $filter: String, $order: String) {
        vfolder_list(limit:$limit, offset:$offset, group_id:$group_id, filter:$filter, order:$order) {
            items { id name host status ownership_type num_files cur_size permission } total_count }
        vfolder_own_list(limit:$limit, offset:$offset) { total_count }
        vfolder_project_list(limit:$limit, offset:$offset) { items { name } } }";
    let data = ask(
        &engine,
        query,
        json!({ "limit": 10, "offset": 0, "order": "-name" }),
    )
    .await;
    assert_eq!(data["vfolder_list"]["total_count"], 2);
    assert_eq!(data["vfolder_list"]["items"][0]["name"], "ours");
    assert_eq!(data["vfolder_list"]["items"][1]["num_files"], 0);
    assert_eq!(data["vfolder_own_list"]["total_count"], 1);
    assert_eq!(data["vfolder_project_list"]["items"][0]["name"], "ours");
    engine.stop().await;
}

#[tokio::test]
async fn what_can_not_be_answered() {
    let engine = engine().await;
    let wrong = async |path: &str, query: &str| {
        engine
            .post(path, json!({ "query": query, "variables": {} }))
            .await
    };
    let (status, answer) = wrong("/admin/gql", "query { no_such_field }").await;
    assert_eq!((status, &answer["data"]), (200, &Value::Null));
    assert!(
        answer["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("no_such_field")
    );
    assert!(answer["errors"][0]["locations"][0]["line"].is_number());
    let (status, problem) = wrong("/admin/graphql", "query { no_such_field }").await;
    assert_eq!((status, slug(&problem)), (400, "graphql-error"));
    assert_eq!(problem["title"], "GraphQL-generated error.");
    assert!(problem["data"][0]["message"].is_string());

    let (_, answer) = wrong(
        "/admin/gql",
        "query { compute_session_list(limit: 1, offset: 0, filter: \"((\") { total_count } }",
    )
    .await;
    let error = &answer["errors"][0];
    assert_eq!(error["path"], json!(["compute_session_list"]), "{answer}");
    assert_eq!(
        error["extensions"]["code"],
        "api_generic_invalid-parameters"
    );
    assert!(
        error["message"].as_str().unwrap().starts_with("filter:"),
        "{error}"
    );
    let (_, answer) = wrong("/admin/gql", "query { __schema { types { name } } }").await;
    assert!(
        !answer["errors"].is_null() || answer["data"]["__schema"].is_null(),
        "{answer}"
    );
    let deep =
        "{ group_node(id: \"x\") { user_nodes { edges { node { project_nodes { edges { node {
        user_nodes { edges { node { project_nodes { edges { node { user_nodes { edges { node { id
        } } } } } } } } } } } } } } } }";
    let (_, answer) = wrong("/admin/gql", deep).await;
    assert!(answer["errors"][0]["message"].is_string(), "{answer}");

    let unsigned = engine
        .client
        .post(format!("{}/admin/gql", engine.login.endpoint));
    assert_eq!(unsigned.body("{}").send().await.unwrap().status(), 401);
    engine.stop().await;
}

#[tokio::test]
async fn those_who_wait_stand_in_a_queue() {
    let engine = engine().await;
    for (name, priority) in [("aaaa", 10), ("bbbb", 50), ("cccc", 10)] {
        waiting_session(&engine, name, priority).await;
    }
    let query = "{ session_pending_queue(resource_group_id: \"default\") {
        count edges { node { name queue_position } } } }";
    let mut queue = Value::Null;
    for _ in 0..600 {
        queue = ask(&engine, query, json!({})).await["session_pending_queue"].take();
        if queue["count"] == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let nodes: Vec<_> = queue["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (&edge["node"]["name"], &edge["node"]["queue_position"]))
        .collect();
    let expected =
        [("bbbb", 0), ("aaaa", 1), ("cccc", 2)].map(|(name, at)| (json!(name), json!(at)));
    let expected: Vec<_> = expected.iter().map(|(name, at)| (name, at)).collect();
    assert_eq!(nodes, expected);
}
