//! Whoever asks to be called about a session is.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::program::Program;
use crate::small;

/// Takes one call: its body.
async fn body(stream: &mut TcpStream) -> Value {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the call broke off");
        text.extend_from_slice(&piece[..read]);
        let whole = String::from_utf8_lossy(&text);
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            assert!(head.starts_with("POST /hook?key=1 "), "{head}");
            if let Ok(value) = serde_json::from_str(body) {
                return value;
            }
        }
    }
}

#[tokio::test]
async fn about_every_step_of_its_life() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let engine = Program::start().await;
    let mut request = json!({
        "name": "called-about", "image": "local/host:latest", "type": "batch",
        "startupCommand": "exit 0", "config": small(),
        "callback_url": format!("http://{address}/hook?key=1"),
    });
    let (status, created) = engine.post("/session", request.clone()).await;
    assert_eq!(status, 201, "{created}");
    let mut heard = Vec::new();
    let mut refused = false;
    while heard.last() != Some(&"terminated".to_owned()) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let call = body(&mut stream).await;
        // The first answer fails: the call is made again, and those after it wait.
        let answer = if std::mem::replace(&mut refused, true) {
            assert_eq!(call["type"], "session_lifecycle", "{call}");
            assert_eq!(call["session_id"], created["sessionId"], "{call}");
            assert!(call["when"].is_string() && call["status_history"]["PENDING"].is_string());
            heard.push(call["event"].as_str().unwrap().to_owned());
            if call["event"] == "terminated" {
                assert_eq!(call["result"], "SUCCESS", "{call}");
            }
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        } else {
            assert_eq!(call["event"], "enqueued", "{call}");
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    assert_eq!(heard.first().map(String::as_str), Some("enqueued"));
    for event in ["scheduled", "started", "success", "terminating"] {
        assert!(heard.iter().any(|one| one == event), "{event}: {heard:?}");
    }

    for wrong in ["file:///etc/passwd", "nowhere"] {
        request["name"] = json!("never-made");
        request["callback_url"] = json!(wrong);
        let (status, body) = engine.post("/session", request.clone()).await;
        assert_eq!(status, 400, "{body}");
    }
    let (_, found) = engine
        .call(Method::GET, "/session/_/match?id=never-made", None)
        .await;
    assert_eq!(found["matches"], json!([]));
}
