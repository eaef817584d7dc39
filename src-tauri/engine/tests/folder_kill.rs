//! A killed engine forgets nothing of an upload: the real program, SIGKILL, the same program again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Stdio;

use bytes::Bytes;
use protocol::api::auth::LocalLogin;
use protocol::signing;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

async fn start(home: &TempDir) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gangway-engine"))
        .env("GANGWAY_HOME", home.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.starts_with("ready http://127.0.0.1:"), "{line}");
    child
}

async fn post(client: &reqwest::Client, login: &LocalLogin, target: &str, body: Value) -> Value {
    let date = jiff::Timestamp::now().to_string();
    let request = signing::Request {
        method: "POST",
        target,
        authority: login.endpoint.strip_prefix("http://").unwrap(),
        date: &date,
        content_type: "application/json",
        version: support::VERSION,
    };
    let authorization =
        signing::authorization(&request, &login.access_key, &login.secret_key).unwrap();
    let response = client
        .post(format!("{}{target}", login.endpoint))
        .header("Date", date)
        .header("Content-Type", "application/json")
        .header("X-BackendAI-Version", support::VERSION)
        .header("Authorization", authorization)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let (status, body) = support::answer(response).await;
    assert!(status < 300, "{target}: {status} {body}");
    body
}

async fn offset(client: &reqwest::Client, address: &str) -> usize {
    let response = client.head(address).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.headers()["upload-offset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn an_upload_survives_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = start(&home).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (_, login) = support::local(&home, "POST", "/gangway/login").await;
    let login: LocalLogin = serde_json::from_value(login).unwrap();
    post(&client, &login, "/folders", json!({ "name": "data" })).await;

    let content: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let wanted = json!({ "path": "deep/numbers", "size": content.len() });
    let answer = post(&client, &login, "/folders/data/request-upload", wanted).await;
    let address = format!(
        "{}?token={}",
        answer["url"].as_str().unwrap(),
        answer["token"].as_str().unwrap()
    );

    // The first half is sent, and the connection hangs when the engine is killed.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let sending = client
        .patch(&address)
        .header("Upload-Offset", 0)
        .body(reqwest::Body::wrap_stream(stream))
        .send();
    let sending = tokio::spawn(sending);
    for piece in content[..content.len() / 2].chunks(1 << 16) {
        sender
            .send(Ok(Bytes::copy_from_slice(piece)))
            .await
            .unwrap();
    }
    while offset(&client, &address).await == 0 {
        tokio::task::yield_now().await;
    }
    engine.start_kill().unwrap();
    engine.wait().await.unwrap();
    assert!(sending.await.unwrap().is_err());

    let _again = start(&home).await;
    let begun = offset(&client, &address).await;
    assert!(begun > 0 && begun <= content.len() / 2, "{begun}");
    let rest = client
        .patch(&address)
        .header("Upload-Offset", begun)
        .body(content[begun..].to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.status(), 204);
    let answer = post(
        &client,
        &login,
        "/folders/data/request-download",
        json!({ "path": "deep/numbers" }),
    )
    .await;
    let address = format!(
        "{}?token={}",
        answer["url"].as_str().unwrap(),
        answer["token"].as_str().unwrap()
    );
    let got = client
        .get(address)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert!(got == content, "{} bytes", got.len());
}
