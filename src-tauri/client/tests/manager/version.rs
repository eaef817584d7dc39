//! Managers older and newer than the client, and what is no manager.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use client::Error;
use client::protocol::version::ApiVersion;

use crate::address::{near, play, serve};

/// What a manager of `version` was asked: path and version header.
async fn manager(announcement: &'static str) -> (client::Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let record = move |request: &Request| {
        let version = request.headers().get("x-backendai-version");
        let version = version.map_or("-", |version| version.to_str().unwrap());
        let line = format!("{} {version}", request.uri().path());
        seen.lock().unwrap().push(line);
    };
    let note = record.clone();
    let router = Router::new()
        .route(
            "/",
            get(move |request: Request| async move {
                note(&request);
                announcement
            }),
        )
        .fallback(|request: Request| async move {
            record(&request);
            "{}"
        });
    (near(serve(router).await), asked)
}

#[tokio::test]
async fn an_older_manager_is_spoken_to_in_its_own_version() {
    let (client, asked) = manager(r#"{"version":"v6.20220615","manager":"22.3.0"}"#).await;
    client.announcement().await.unwrap();
    assert_eq!(client.version().to_string(), "v6.20220615");
    client.check_login().await.unwrap();
    // What only our engine has is not even asked for.
    assert!(matches!(
        client.ssh_info("s").await,
        Err(Error::Unsupported { what: "ssh-info" })
    ));
    assert!(matches!(
        client.stats("s").await,
        Err(Error::Unsupported { .. })
    ));
    assert!(client.notices("s").await.unwrap().is_empty());
    assert_eq!(*asked.lock().unwrap(), ["/ -", "/auth v6.20220615"]);
}

#[tokio::test]
async fn a_newer_manager_is_spoken_to_in_ours() {
    let text = r#"{"version":"v10.20300101","manager":"30.1.0","more":[1],"gangway":null}"#;
    let (client, asked) = manager(text).await;
    client.announcement().await.unwrap();
    client.check_login().await.unwrap();
    let ours = format!("/auth {}", ApiVersion::CURRENT);
    assert_eq!(*asked.lock().unwrap(), ["/ -", ours.as_str()]);
}

#[tokio::test]
async fn only_the_capabilities_that_were_named_count() {
    let text = r#"{"version":"v9.20250722","manager":"26.8.0",
        "gangway":{"version":"9.9.9","capabilities":["notices","from-the-future"]}}"#;
    let (client, asked) = manager(text).await;
    assert!(client.has("from-the-future").await.unwrap());
    assert!(!client.has("ssh-info").await.unwrap());
    assert!(client.ssh_info("s").await.is_err());
    // An object where a list belongs.
    assert!(matches!(
        client.notices("s").await,
        Err(Error::Answer { .. })
    ));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2, "announced once: {asked:?}");
}

#[tokio::test]
async fn what_is_no_manager_is_said_to_be_none_and_may_become_one() {
    let (address, _) = play(|exchange| {
        Box::pin(async move {
            let body = match exchange.number {
                0 => "<html>Welcome to the hotel's wireless network</html>",
                1 => r#"{"version":"nine","manager":"26.8.0"}"#,
                2 => "",
                _ => r#"{"version":"v8.20240915","manager":"24.9.0"}"#,
            };
            exchange.answer("200 OK", "", body).await;
        })
    })
    .await;
    let client = near(address);
    for _ in 0..3 {
        let error = client.announcement().await.unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{error:?}");
        assert_eq!(client.version(), ApiVersion::CURRENT);
    }
    client.announcement().await.unwrap();
    assert_eq!(client.version().to_string(), "v8.20240915");
}
