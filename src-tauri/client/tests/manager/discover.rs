//! What people type as an address, and what stands there; logging in through a web server.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use client::{Client, Credentials, Discovered, Doorway, Error, Found, Login, Network, discover};

use crate::address::{ACCESS_KEY, all_of, play, serve};

const ANNOUNCEMENT: &str = r#"{"version":"v9.20250722","manager":"26.8.0"}"#;
const SESSION: &str = "0f9e8d7c-the-login";

fn typed(address: SocketAddr) -> String {
    format!(" http://{address}/ ")
}

async fn found(address: &str) -> Result<Discovered, Error> {
    discover(address, &Network::default()).await
}

#[tokio::test]
async fn a_manager_and_a_web_server_are_told_apart() {
    let manager = serve(Router::new().route("/", get(async || ANNOUNCEMENT))).await;
    let there = found(&typed(manager)).await.unwrap();
    assert_eq!(there.doorway, Doorway::Manager);
    assert_eq!(there.endpoint, format!("http://{manager}"));
    assert_eq!(there.host(), format!("127.0.0.1-{}", manager.port()));

    let web = serve(
        Router::new()
            .route("/func/", get(async || ANNOUNCEMENT))
            .fallback(async || "<!doctype html><title>Console</title>"),
    )
    .await;
    let there = found(&typed(web)).await.unwrap();
    assert_eq!(there.doorway, Doorway::WebServer);
    assert_eq!(there.announcement.manager, "26.8.0");
}

#[tokio::test]
async fn what_is_no_manager_is_named() {
    let page = serve(Router::new().fallback(async || "<html>Welcome to the hotel</html>")).await;
    let error = found(&typed(page)).await.unwrap_err();
    let is = |error: &Error, wanted: &Found| matches!(error, Error::NotManager { found, .. } if found == wanted);
    assert!(is(&error, &Found::Page), "{error:?}");

    let portal =
        serve(Router::new().fallback(async || Redirect::to("http://login.hotel.example/x"))).await;
    let error = found(&typed(portal)).await.unwrap_err();
    let host = "login.hotel.example".to_owned();
    assert!(is(&error, &Found::Redirect { host }), "{error:?}");

    let secured = serve(Router::new().fallback(async |request: Request| {
        let host = request.headers()["host"].to_str().unwrap();
        Redirect::permanent(&format!("https://{host}/"))
    }));
    let error = found(&typed(secured.await)).await.unwrap_err();
    let speaks_https = matches!(
        error,
        Error::WrongScheme {
            speaks: "https",
            ..
        }
    );
    assert!(speaks_https, "{error:?}");

    let other = serve(Router::new().fallback(async || StatusCode::NOT_FOUND)).await;
    let error = found(&typed(other)).await.unwrap_err();
    assert!(is(&error, &Found::Other { status: 404 }), "{error:?}");

    for wrong in ["", "ftp://example.com", "https://", "not an address"] {
        let error = found(wrong).await.unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_named() {
    let plain = serve(Router::new().route("/", get(async || ANNOUNCEMENT))).await;
    let error = found(&format!("https://{plain}")).await.unwrap_err();
    assert!(
        matches!(error, Error::WrongScheme { speaks: "http", .. }),
        "{error:?}"
    );

    let (gateway, _) = play(|exchange| {
        Box::pin(async move {
            let body = "<html>The plain HTTP request was sent to HTTPS port</html>";
            exchange.answer("400 Bad Request", "", body).await;
        })
    })
    .await;
    let error = found(&typed(gateway)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::WrongScheme {
                speaks: "https",
                ..
            }
        ),
        "{error:?}"
    );
}

/// A web server with one account; what reaches the manager behind it has to carry the login.
async fn web_server() -> SocketAddr {
    let login = post(async |body: String| {
        if body.contains("\"right\"") && body.contains("\"otp\":\"271828\"") {
            let told = format!(
                r#"{{"authenticated":true,"data":{{"access_key":"{ACCESS_KEY}","role":"user","status":"active"}}}}"#
            );
            let cookie = format!("AIOHTTP_SESSION=\"{SESSION}\"; HttpOnly; Path=/");
            return ([("set-cookie", cookie)], told).into_response();
        }
        if body.contains("\"right\"") {
            return r#"{"authenticated":false,"data":{
                "type":"https://api.backend.ai/probs/require-totp-authentication",
                "title":"x","details":"y"}}"#
                .into_response();
        }
        // As 23.09 answers: with the status of a success.
        r#"{"authenticated":false,"data":{
            "type":"https://api.backend.ai/probs/auth-failed",
            "title":"Credential/signature mismatch.","details":"User credential mismatch."}}"#
            .into_response()
    });
    let func = async |request: Request| {
        let id = request.headers().get("x-backendai-sessionid");
        let signed = request.headers().contains_key("authorization");
        match id.is_some_and(|id| id == SESSION) && !signed {
            true => (StatusCode::OK, r#"{"authorized":"yes"}"#),
            false => (
                StatusCode::UNAUTHORIZED,
                r#"{"type":"https://api.backend.ai/probs/auth-failed","title":"Unauthorized access"}"#,
            ),
        }
    };
    serve(
        Router::new()
            .route("/server/login", login)
            .route("/func/auth", get(func)),
    )
    .await
}

fn login(password: &str, otp: Option<&str>) -> Login {
    Login {
        domain: "default".to_owned(),
        username: "user@example.com".to_owned(),
        password: password.into(),
        otp: otp.map(str::to_owned),
        force: false,
    }
}

#[tokio::test]
async fn a_web_server_keeps_the_login_and_is_shown_it() {
    let endpoint = format!("http://{}", web_server().await);
    let anonymous = Client::behind(Doorway::WebServer, &endpoint, None).unwrap();

    let wrong = anonymous.log_in(&login("wrong", None)).await.unwrap_err();
    assert_eq!(wrong.status(), Some(401));
    assert!(wrong.to_string().contains("User credential mismatch."));
    let half = anonymous.log_in(&login("right", None)).await.unwrap_err();
    assert!(matches!(half, Error::OtpNeeded), "{half:?}");

    let whole = login("right", Some("271828"));
    let credentials = anonymous.log_in(&whole).await.unwrap().credentials;
    assert!(!format!("{credentials:?}").contains(SESSION));
    let Credentials::WebSession(mut session) = credentials else {
        panic!("a web server gives no keypair");
    };
    assert_eq!(session.access_key, ACCESS_KEY);
    let through = |session| {
        let credentials = Some(Credentials::WebSession(session));
        Client::behind(Doorway::WebServer, &endpoint, credentials).unwrap()
    };
    let client = through(session.clone());
    assert_eq!(client.access_key(), Some(ACCESS_KEY));
    client.check_login().await.unwrap();

    session.id = "of yesterday".into();
    let error = through(session).check_login().await.unwrap_err();
    assert!(matches!(error, Error::LoginExpired { .. }), "{error:?}");
    assert!(!all_of(&error).contains("of yesterday"));
}
