//! What administrators set, and what it does to those whom it is about.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod manager;
mod own;
mod policies;
mod scopes;
#[path = "../support/mod.rs"]
mod support;
mod users;

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use support::{NoKernels, TestEngine, answer};

pub(crate) async fn engine() -> TestEngine {
    TestEngine::start(Arc::new(NoKernels)).await
}

/// Sends a mutation and gives its one answer.
pub(crate) async fn change(
    engine: &TestEngine,
    mutation: &str,
    fields: &str,
    props: Value,
) -> Value {
    let query = format!("mutation($p: {}) {{ {mutation} {{ ok msg {fields} }} }}", {
        let name = mutation.split('(').next().unwrap();
        let mut words: Vec<String> = name.split('_').map(capital).collect();
        // The protocol's own spelling of two words.
        for word in &mut words {
            if word == "Keypair" {
                *word = "KeyPair".to_owned();
            }
        }
        match words.remove(0).as_str() {
            "Create" if words == ["User"] => "UserInput!".to_owned(),
            "Create" if words == ["Group"] => "GroupInput!".to_owned(),
            "Create" if words == ["Domain"] => "DomainInput!".to_owned(),
            "Create" if words == ["KeyPair"] => "KeyPairInput!".to_owned(),
            verb => format!("{verb}{}Input!", words.concat()),
        }
    });
    let body = json!({ "query": query, "variables": { "p": props } });
    let (status, mut answer) = engine.post("/admin/gql", body).await;
    assert_eq!(
        (status, &answer["errors"]),
        (200, &Value::Null),
        "{query}: {answer}"
    );
    let field = mutation.split('(').next().unwrap();
    answer["data"][field].take()
}

pub(crate) fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

pub(crate) async fn plain(engine: &TestEngine, mutation: &str) -> Value {
    let query = format!("mutation {{ {mutation} {{ ok msg }} }}");
    let (_, mut answer) = engine.post("/admin/gql", json!({ "query": query })).await;
    assert_eq!(answer["errors"], Value::Null, "{query}: {answer}");
    let field = mutation.split('(').next().unwrap();
    answer["data"][field].take()
}

/// A user with a password; their keypair.
pub(crate) async fn user(engine: &TestEngine, name: &str, more: Value) -> (String, String, String) {
    let mut props = json!({
        "username": name, "password": "pass-word-1", "need_password_change": false,
        "domain_name": "default", "group_ids": [project(engine).await],
    });
    props
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let email = format!("{name}@example.com");
    let mutation = format!("create_user(email: \"{email}\", props: $p)");
    let made = change(
        engine,
        &mutation,
        "user { uuid } keypair { access_key secret_key }",
        props,
    )
    .await;
    assert_eq!(made["ok"], true, "{made}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&made["user"]["uuid"]),
        text(&made["keypair"]["access_key"]),
        text(&made["keypair"]["secret_key"]),
    )
}

pub(crate) async fn project(engine: &TestEngine) -> String {
    let query = json!({ "query": "{ groups { id name } }" });
    let (_, answer) = engine.post("/admin/gql", query).await;
    answer["data"]["groups"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) fn session(name: &str) -> Value {
    json!({
        "name": name, "image": "local/host:latest", "type": "batch", "group": "default",
        "domain": "default", "enqueueOnly": true, "startup_command": "true", "starts_at": "2h",
        "config": { "resources": { "cpu": 1, "mem": "1g" } },
    })
}

/// A request signed by somebody.
pub(crate) async fn by(
    engine: &TestEngine,
    (_, access_key, secret_key): &(String, String, String),
    method: Method,
    target: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = engine.signed_by(method, target, access_key, secret_key);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    answer(request.send().await.unwrap()).await
}
