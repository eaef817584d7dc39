//! The manager's own check of every kind of request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use client::protocol::signing::{self, Credential};
use client::{Client, Credentials, Keypair, Login, StartOptions};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::address::{ACCESS_KEY, SECRET_KEY, keypair, near, serve};

/// Checks as the manager does, and says in the problem what was signed.
async fn check(request: Request) -> Response {
    let text = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap())
    };
    let target = request.uri().path_and_query().unwrap().as_str();
    if target.ends_with("/auth/authorize") {
        let ours = ["authorization", "date", "x-backendai-version"];
        assert!(ours.iter().all(|name| text(name).is_none()));
        let body =
            r#"{"data":{"access_key":"A","secret_key":"S","role":"user","status":"active"}}"#;
        return body.into_response();
    }
    let date = text("date").unwrap_or_default();
    let signed = signing::Request {
        method: request.method().as_str(),
        target,
        authority: text("host").unwrap_or_default(),
        date,
        content_type: text("content-type").unwrap_or(signing::DEFAULT_CONTENT_TYPE),
        version: text("x-backendai-version").unwrap_or_default(),
    };
    let good = signing::check_date(date, Timestamp::now()).is_ok()
        && Credential::parse(text("authorization").unwrap_or_default()).is_some_and(|given| {
            given.access_key == ACCESS_KEY
                && signing::verify(&signed, SECRET_KEY, given.signature).is_ok()
        });
    // 418 stands for "believed".
    let status = if good { 418 } else { 401 };
    let body = serde_json::json!({ "type": "x/seen", "title": "Seen.", "msg": target });
    let status = StatusCode::from_u16(status).unwrap();
    (status, body.to_string()).into_response()
}

#[tokio::test]
async fn every_kind_of_request_is_believed() {
    let address = serve(Router::new().fallback(check)).await;
    // The prefix is a gateway's; it is signed like the rest of the path.
    for endpoint in [
        format!("http://{address}"),
        format!("http://localhost:{}/api/", address.port()),
    ] {
        let client = Client::new(&endpoint, Some(keypair())).unwrap();
        let prefix = endpoint.matches("/api").next().unwrap_or_default();
        let believed = |error: client::Error, target: &str| {
            assert_eq!(error.status(), Some(418), "{error}");
            assert_eq!(error.to_string(), format!("{prefix}{target}"));
        };
        believed(client.check_login().await.unwrap_err(), "/auth");
        believed(
            client.match_sessions("a b&c=ü/?").await.unwrap_err(),
            "/session/_/match?id=a+b%26c%3D%C3%BC%2F%3F",
        );
        believed(
            client.folder("a/../b ?#ü").await.unwrap_err(),
            "/folders/a%2F..%2Fb%20%3F%23%C3%BC",
        );
        believed(
            client.destroy_session("s", true).await.unwrap_err(),
            "/session/s?forced=true",
        );
        believed(
            client.rename_session("s", "t").await.unwrap_err(),
            "/session/s/rename",
        );
        let options = StartOptions {
            limit: None,
            port: Some(2200),
            ..StartOptions::default()
        };
        believed(
            client
                .connect_service("my-sess", "sshd", &options)
                .await
                .unwrap_err(),
            "/stream/session/my-sess/tcpproxy?app=sshd&port=2200",
        );
    }
}

#[tokio::test]
async fn another_secret_is_not_believed() {
    let address = serve(Router::new().fallback(check)).await;
    let wrong = Keypair {
        secret_key: "another".into(),
        ..keypair()
    };
    let client = Client::new(&format!("http://{address}"), Some(wrong)).unwrap();
    let error = client.check_login().await.unwrap_err();
    assert_eq!(error.status(), Some(401));
}

#[tokio::test]
async fn a_login_says_nothing_of_another_keypair() {
    let address = serve(Router::new().fallback(check)).await;
    let client = Client::new(&format!("http://{address}"), Some(keypair())).unwrap();
    let login = Login {
        domain: "default".to_owned(),
        username: "user@example.com".to_owned(),
        password: "right".into(),
        otp: None,
        force: false,
    };
    // As an old manager answers: without `response_type`.
    let given = client.log_in(&login).await.unwrap();
    let Credentials::Keypair(keypair) = given.credentials else {
        panic!("a manager gives keypairs");
    };
    assert_eq!(keypair.access_key, "A");
}

/// A manager that is three hours ahead, and refuses as those of Backend.AI do.
async fn ahead(request: Request) -> Response {
    let theirs = Timestamp::now() + SignedDuration::from_hours(3);
    let date = request.headers().get("date").unwrap().to_str().unwrap();
    let now = jiff::fmt::rfc2822::to_string(&theirs.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    let headers = [("date", now)];
    match signing::check_date(date, theirs) {
        Ok(_) => (headers, r#"{"matches": []}"#).into_response(),
        Err(_) => {
            let body = r#"{"type":"https://api.backend.ai/probs/invalid-auth-params","title":"Missing or invalid authorization parameters.","msg":"Date/time sync error"}"#;
            (StatusCode::BAD_REQUEST, headers, body).into_response()
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_made_up_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let answer = move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        ahead(request)
    };
    let client = near(serve(Router::new().fallback(answer)).await);
    for _ in 0..3 {
        assert!(client.match_sessions("any").await.unwrap().is_empty());
    }
    // Learnt once.
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}
