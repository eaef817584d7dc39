//! What a log shows of the client's types never opens anything.

use client::{Client, Login, StartOptions};
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;

use crate::address::{ACCESS_KEY, SECRET_KEY, all_of, keypair, near, play};
use crate::storage::TOKEN;

const PASSWORD: &str = "correct horse battery staple";
const OTP: &str = "271828";

fn login() -> Login {
    Login {
        domain: "default".to_owned(),
        username: "user@example.com".to_owned(),
        password: PASSWORD.into(),
        otp: Some(OTP.to_owned()),
        force: false,
    }
}

fn keeps(text: &str) {
    for secret in [SECRET_KEY, PASSWORD, OTP, TOKEN, "private bytes"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn values_keep_their_secrets() {
    let client = Client::new("http://127.0.0.1:1", Some(keypair())).unwrap();
    keeps(&format!("{client:?} {client:#?}"));
    keeps(&format!("{:?} {:#?}", keypair(), keypair()));
    assert!(format!("{:?}", keypair()).contains(ACCESS_KEY));
    keeps(&format!("{:?} {:#?}", login(), login()));
}

#[tokio::test]
async fn an_upload_keeps_its_token() {
    let (address, _) = play(|mut exchange| {
        async move {
            exchange.body().await;
            let body = format!(r#"{{"token":"{TOKEN}","url":"http://127.0.0.1:1/upload"}}"#);
            exchange.answer("200 OK", "", body).await;
        }
        .boxed()
    })
    .await;
    let client = near(address);
    let upload = client.upload("data", "a.bin", 7).await.unwrap();
    let text = format!("{upload:?} {upload:#?}");
    assert!(text.contains("a.bin"));
    keeps(&text);
    // Nobody listens on port 1: the address of the storage is in what the network says.
    let error = client.download("data", "a.bin", 0).await.err().unwrap();
    keeps(&all_of(&error));
}

#[tokio::test]
async fn errors_keep_what_was_sent() {
    let (address, _) = play(|mut exchange| {
        async move {
            exchange.body().await;
            match exchange.number {
                0 => exchange.answer("401 Unauthorized", "", "{").await,
                1 => exchange.answer("200 OK", "", "{}").await,
                _ => drop(exchange),
            }
        }
        .boxed()
    })
    .await;
    let client = near(address);
    for _ in 0..3 {
        keeps(&all_of(&client.log_in(&login()).await.unwrap_err()));
    }
    keeps(&all_of(&client.check_login().await.unwrap_err()));
}

#[tokio::test]
async fn a_stream_does_not_show_what_goes_through_it() {
    use axum::extract::ws::{Message, WebSocketUpgrade};
    let upgrade = |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let bytes = Message::Binary("private bytes".into());
            socket.send(bytes).await.unwrap();
            while let Some(Ok(_)) = socket.recv().await {}
        })
    };
    let router = axum::Router::new().fallback(axum::routing::get(upgrade));
    let client = near(crate::address::serve(router).await);
    let options = StartOptions::default();
    let mut stream = client.connect_service("s", "x", &options).await.unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    keeps(&format!("{stream:?} {stream:#?}"));
    drop(stream);
}
