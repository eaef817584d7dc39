//! Settings of the installation over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod support;

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use support::{NoKernels, TestEngine, answer, data_dir, slug};

async fn value(engine: &TestEngine, key: &str, prefix: bool) -> Value {
    let body = json!({ "key": key, "prefix": prefix });
    let (status, body) = engine.post("/config/get", body).await;
    assert_eq!(status, 200, "{body}");
    body["result"].clone()
}

#[tokio::test]
async fn a_tree_of_keys() {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    assert_eq!(value(&engine, "config/idle", false).await, Value::Null);
    assert_eq!(value(&engine, "config/idle", true).await, json!({}));
    let tree = json!({ "enabled": "network_timeout",
        "checkers": { "network_timeout": { "threshold": 600 } } });
    let set = json!({ "key": "config/idle", "value": tree });
    let (status, body) = engine.post("/config/set", set).await;
    assert_eq!((status, body), (200, json!({ "result": "ok" })));
    // What begins with the same letters lies elsewhere.
    let set = json!({ "key": "config/idler", "value": true });
    assert_eq!(engine.post("/config/set", set).await.0, 200);
    assert_eq!(
        value(&engine, "config/idle/enabled", false).await,
        "network_timeout"
    );
    assert_eq!(
        value(&engine, "config/idle", true).await,
        json!({ "enabled": "network_timeout",
            "checkers": { "network_timeout": { "threshold": "600" } } })
    );
    let many: serde_json::Map<String, Value> = (0..17)
        .map(|number| (number.to_string(), json!(number)))
        .collect();
    for wrong in [
        json!({ "key": "many", "value": many }),
        json!({ "key": "", "value": "x" }),
        json!({ "key": "list", "value": [1, 2] }),
        json!({ "key": "nothing" }),
    ] {
        let (status, body) = engine.post("/config/set", wrong.clone()).await;
        assert_eq!(status, 400, "{wrong}: {body}");
    }
    let delete = json!({ "key": "config/idle", "prefix": true });
    let (status, body) = engine.post("/config/delete", delete).await;
    assert_eq!((status, body), (200, json!({ "result": "ok" })));
    assert_eq!(value(&engine, "config/idle", true).await, json!({}));
    assert_eq!(value(&engine, "config/idler", false).await, "true");

    // Nobody but a superadmin.
    let boss = another_superadmin(&engine);
    set_role(&engine, &boss, "user").await;
    for target in ["/config/get", "/config/set", "/config/delete"] {
        let (status, body) = engine.post(target, json!({ "key": "x", "value": 1 })).await;
        assert_eq!(
            (status, slug(&body)),
            (403, "generic-forbidden"),
            "{target}"
        );
    }
    let (status, _) = engine.get("/resource/usage/month?month=202601").await;
    assert_eq!(status, 403);
    engine.stop().await;
}

/// Adds somebody who may change the owner's role; their access key.
fn another_superadmin(engine: &TestEngine) -> String {
    let path = data_dir(&engine.home).join("engine.db");
    let id = "0196f5c2-0000-7000-8000-00000000000b";
    db::connect(&path, db::Durability::Full)
        .unwrap()
        .execute_batch(&format!(
            "INSERT INTO user (id, email, username, role, domain, resource_policy,
                main_access_key, created_at, modified_at)
             SELECT '{id}', 'boss@example.org', 'boss', 'superadmin', domain, resource_policy,
                'BOSSKEY', 0, 0 FROM user WHERE role = 'superadmin';
             INSERT INTO keypair (access_key, secret_key, user, resource_policy, created_at,
                modified_at) VALUES ('BOSSKEY', 'boss-secret', '{id}', 'default', 0, 0);"
        ))
        .unwrap();
    "BOSSKEY".to_owned()
}

/// Gives the owner of the computer another role.
async fn set_role(engine: &TestEngine, boss: &str, role: &str) {
    let query = format!(
        "mutation($p: ModifyUserInput!) {{ \
         modify_user(email: \"{}\", props: $p) {{ ok msg }} }}",
        engine.login.email
    );
    let body = json!({ "query": query, "variables": { "p": { "role": role } } });
    let request = engine
        .signed_by(Method::POST, "/admin/gql", boss, "boss-secret")
        .json(&body);
    let (status, answer) = answer(request.send().await.unwrap()).await;
    assert_eq!(
        (status, &answer["data"]["modify_user"]["ok"]),
        (200, &json!(true)),
        "{answer}"
    );
}

/// An administrator acts for the users of the domain, others only for themselves.
#[tokio::test]
async fn on_behalf_of_somebody_else() {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    let path = data_dir(&engine.home).join("engine.db");
    let database = db::connect(&path, db::Durability::Full).unwrap();
    let other = "0196f5c2-0000-7000-8000-000000000001";
    database
        .execute_batch(&format!(
            "INSERT INTO user (id, email, username, role, domain, resource_policy,
                main_access_key, created_at, modified_at)
             SELECT '{other}', 'b@example.org', 'b', 'user', domain, resource_policy,
                'OTHERKEY', 0, 0 FROM user;
             INSERT INTO keypair (access_key, secret_key, user, resource_policy, created_at,
                modified_at) VALUES ('OTHERKEY', 'x', '{other}', 'default', 0, 0);
             INSERT INTO user_project (user, project)
                SELECT '{other}', project FROM user_project;"
        ))
        .unwrap();
    let body = json!({
        "name": "for-another", "image": "local/host:latest", "enqueueOnly": true, "type": "batch",
        "startupCommand": "true", "startsAt": "1h", "config": {}, "owner_access_key": "OTHERKEY",
    });
    let (status, created) = engine.post("/session", body.clone()).await;
    assert_eq!(status, 201, "{created}");
    let id = created["sessionId"].as_str().unwrap();
    let (_, info) = engine.get(&format!("/session/{id}")).await;
    assert_eq!(info["userId"], other, "{info}");
    // By name it is the owner's.
    let (status, _) = engine.get("/session/for-another").await;
    assert_eq!(status, 404);
    let (status, _) = engine
        .get("/session/for-another?owner_access_key=OTHERKEY")
        .await;
    assert_eq!(status, 200);

    let boss = another_superadmin(&engine);
    set_role(&engine, &boss, "admin").await;
    let (status, body_of) = engine.get(&format!("/session/{id}")).await;
    assert_eq!(status, 200, "{body_of}");
    set_role(&engine, &boss, "user").await;
    let (status, _) = engine.get(&format!("/session/{id}")).await;
    assert_eq!(status, 404);
    let mut again = body;
    again["name"] = json!("for-another-2");
    let (status, refused) = engine.post("/session", again.clone()).await;
    assert_eq!((status, slug(&refused)), (403, "generic-forbidden"));
    again["owner_access_key"] = json!("NOBODYS");
    let (status, refused) = engine.post("/session", again).await;
    assert_eq!((status, slug(&refused)), (400, "invalid-api-params"));
    engine.stop().await;
}
