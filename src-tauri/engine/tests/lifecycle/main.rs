//! The main job, against a real engine (a program of its own) and real sandboxes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod program;

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use program::{Program, Socket, runner};
use reqwest::Method;
use serde_json::{Value, json};
use support::slug;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn small() -> Value {
    json!({ "resources": { "cpu": 1, "mem": "1g" }, "resource_opts": { "shmem": "64m" } })
}

async fn closed(socket: &mut Socket) -> CloseCode {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code,
            Some(Ok(_)) => {}
            other => panic!("closed without a word: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_from_launch_to_end() {
    let engine = Program::start().await;
    let mut config = small();
    config["preopen_ports"] = json!([8500, 8501]);
    config["environ"] = json!({ "GREETING": "hello" });
    let created = engine.launch("first-one", config.clone()).await;
    let id = created["sessionId"].as_str().unwrap().to_owned();
    let names: Vec<_> = created["servicePorts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].clone())
        .collect();
    assert_eq!(names[..2], ["sshd", "ttyd"]);
    assert!(names.contains(&json!("8500")));

    // The same name again: the same session. Another image's would be refused; so is a copy.
    let again = engine.launch("first-one", config.clone()).await;
    assert_eq!(
        (&again["sessionId"], &again["created"]),
        (&created["sessionId"], &json!(false))
    );
    let body = json!({
        "name": "first-one", "image": "local/host:latest", "reuseIfExists": false, "config": config,
    });
    let (status, body) = engine.post("/session", body).await;
    assert_eq!((status, slug(&body)), (400, "session-already-exists"));
    assert_eq!(body["data"]["existingSessionId"], created["sessionId"]);

    let info = engine.get("/session/first-one").await;
    assert_eq!(info["status"], "RUNNING");
    assert!(
        info["requestedSlots"]
            .as_str()
            .unwrap()
            .contains("'cpu': '1'"),
        "{info}"
    );
    assert!(info["gangway_notices"].is_array());

    commands(&engine).await;
    files(&engine).await;
    connections(&engine).await;
    extensions(&engine, &id).await;

    let (status, body) = engine
        .post(
            "/session/first-one/rename",
            json!({ "name": "second-name" }),
        )
        .await;
    assert_eq!(status, 204, "{body}");
    let (status, body) = engine
        .call(Method::DELETE, "/session/second-name", None)
        .await;
    assert_eq!(
        (status, body),
        (200, json!({ "stats": { "status": "terminated" } }))
    );
    let info = engine.until(&id, "TERMINATED").await;
    assert_eq!(info["statusInfo"], "user-requested");
    engine.get(&format!("/session/{id}/logs")).await;
    let (status, body) = engine.call(Method::GET, "/session/second-name", None).await;
    assert_eq!((status, slug(&body)), (404, "object-not-found"));
}

async fn commands(engine: &Program) {
    // The image's own words.
    let (_, ports) = engine
        .shell("first-one", "echo $BACKENDAI_SERVICE_PORTS")
        .await;
    assert!(
        ports.contains(":http:[") || ports.contains(":http:"),
        "{ports}"
    );
    assert!(
        !ports.contains("sshd") && !ports.contains("8500"),
        "{ports}"
    );
    interrupted(engine).await;
    let (code, text) = engine
        .shell("first-one", "echo $GREETING; pwd; hostname; exit 7")
        .await;
    assert_eq!((code, text.as_str()), (7, "hello\n/home/work\nmain1\n"));
    let query = json!({ "mode": "query", "code": "print(6 * 7)", "runId": "run-number-one" });
    let (status, body) = engine.post("/session/first-one", query).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["result"]["runId"], "run-number-one");
    let mut text = body["result"]["console"].to_string();
    if body["result"]["status"] != "finished" {
        let more = json!({ "mode": "continue", "runId": "run-number-one" });
        text += &engine.post("/session/first-one", more).await.1.to_string();
    }
    assert!(text.contains("42"), "{text}");
    // A failed build is not run.
    let batch = json!({ "mode": "batch", "options": { "build": "false", "exec": "echo never" } });
    let (_, body) = engine.post("/session/first-one", batch).await;
    let run = body["result"]["runId"].clone();
    let mut all = body.to_string();
    let mut last = body;
    while last["result"]["status"] != "finished" {
        last = engine
            .post(
                "/session/first-one",
                json!({ "mode": "continue", "runId": run }),
            )
            .await
            .1;
        all += &last.to_string();
    }
    assert_eq!(last["result"]["exitCode"], 127);
    assert!(!all.contains("never"), "{all}");
}

/// What runs is ended by an interrupt, and by nothing else here.
async fn interrupted(engine: &Program) {
    let query = json!({
        "mode": "query", "runId": "run-to-be-cut",
        "code": "import time\nprint('begun', flush=True)\ntime.sleep(1000)\nprint('whole')",
    });
    let mut answer = engine.post("/session/first-one", query).await.1;
    let more = json!({ "mode": "continue", "runId": "run-to-be-cut" });
    let mut text = answer["result"]["console"].to_string();
    while !text.contains("begun") {
        answer = engine.post("/session/first-one", more.clone()).await.1;
        text += &answer["result"]["console"].to_string();
    }
    assert_eq!(answer["result"]["status"], "continued", "{answer}");
    let (status, body) = engine
        .call(Method::POST, "/session/first-one/interrupt", None)
        .await;
    assert_eq!(status, 204, "{body}");
    while answer["result"]["status"] != "finished" {
        answer = engine.post("/session/first-one", more.clone()).await.1;
        text += &answer["result"]["console"].to_string();
    }
    assert!(!text.contains("whole"), "{text}");
}

async fn files(engine: &Program) {
    let part = reqwest::multipart::Part::bytes(b"some bytes".to_vec()).file_name("sub/data.bin");
    let form = reqwest::multipart::Form::new().part("src", part);
    let target = "/session/first-one/upload";
    let request = engine
        .request(Method::POST, target, "multipart/form-data")
        .multipart(form);
    assert_eq!(request.send().await.unwrap().status(), 204);
    let listing = engine.get("/session/first-one/files?path=sub").await;
    assert_eq!(listing["abspath"], "/home/work/sub");
    let files: Value = serde_json::from_str(listing["files"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&files[0]["filename"], &files[0]["size"]),
        (&json!("data.bin"), &json!(10))
    );

    let target = "/session/first-one/download_single?file=sub/data.bin";
    let (status, body) = engine.call(Method::POST, target, None).await;
    assert_eq!((status, body), (200, json!("some bytes")));
    let target = "/session/first-one/download?files=sub/data.bin";
    let (status, body) = engine.call(Method::POST, target, None).await;
    assert_eq!(status, 200);
    assert!(body.as_str().unwrap().contains("some bytes"));
    let target = "/session/first-one/download_single?file=id_container";
    let (status, body) = engine.call(Method::POST, target, None).await;
    assert_eq!(status, 200);
    assert!(body.as_str().unwrap().contains("PRIVATE KEY"));

    for outside in ["nothing", "../../etc/passwd", "/etc/passwd"] {
        let target = format!("/session/first-one/download_single?file={outside}");
        let (status, body) = engine.call(Method::POST, &target, None).await;
        assert_eq!(status, 400, "{outside}: {body}");
    }
}

async fn connections(engine: &Program) {
    let mut ssh = engine.open("first-one", "app=sshd").await;
    let banner = loop {
        if let Message::Binary(bytes) = ssh.next().await.unwrap().unwrap() {
            break String::from_utf8_lossy(&bytes).into_owned();
        }
    };
    assert!(banner.starts_with("SSH-2.0-"), "{banner}");

    // Nothing listens there: try again later.
    let mut nobody = engine.open("first-one", "app=8501").await;
    assert_eq!(closed(&mut nobody).await, CloseCode::Again);

    // An echo of 16 MiB, all bytes in order, and the end of the other side told.
    let echo = "import socket\ns = socket.create_server(('', 8500))\nprint('up', flush=True)\n\
        c, _ = s.accept()\nleft = 16 << 20\nwhile left:\n    data = c.recv(1 << 16)\n    c.sendall(data)\n    left -= len(data)\n";
    let run = json!({ "mode": "query", "code": echo, "runId": "echo-server" });
    let (_, body) = engine.post("/session/first-one", run).await;
    assert!(body.to_string().contains("up"), "{body}");
    let socket = engine.open("first-one", "app=8500").await;
    let sent: Vec<u8> = (0..16_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut received = Vec::with_capacity(sent.len());
    let (mut sink, mut stream) = socket.split();
    let sending = async {
        for chunk in sent.chunks(100_000) {
            sink.send(Message::Binary(chunk.to_vec().into()))
                .await
                .unwrap();
        }
    };
    let receiving = async {
        while received.len() < sent.len() {
            if let Message::Binary(bytes) = stream.next().await.unwrap().unwrap() {
                received.extend_from_slice(&bytes);
            }
        }
    };
    tokio::join!(sending, receiving);
    assert!(sent == received, "the same bytes come back");
    let mut socket = sink.reunite(stream).unwrap();
    assert_eq!(closed(&mut socket).await, CloseCode::Away);

    let (status, body) = engine
        .call(
            Method::GET,
            "/stream/session/first-one/tcpproxy?app=nothing",
            None,
        )
        .await;
    assert_eq!(
        (status, slug(&body)),
        (400, "generic-bad-request"),
        "not a WebSocket: {body}"
    );
    let (status, body) = engine
        .post(
            "/session/first-one/start-service",
            json!({ "app": "nothing" }),
        )
        .await;
    assert_eq!((status, slug(&body)), (404, "object-not-found"));
    let (status, body) = engine
        .post("/session/first-one/start-service", json!({ "app": "sshd" }))
        .await;
    assert_eq!(
        (status, &body["status"]),
        (200, &json!("running")),
        "{body}"
    );
}

async fn extensions(engine: &Program, id: &str) {
    let ssh = engine.get("/gangway/session/first-one/ssh").await;
    assert_eq!(ssh["user"], "work");
    assert!(
        ssh["host_key"]
            .as_str()
            .unwrap()
            .starts_with("ssh-ed25519 ")
    );
    let apps = engine.get("/gangway/session/first-one/apps").await;
    let ttyd = apps
        .as_array()
        .unwrap()
        .iter()
        .find(|app| app["name"] == "ttyd")
        .unwrap();
    assert_ne!(ttyd["state"], "missing");
    let stats = engine.get(&format!("/gangway/session/{id}/stats")).await;
    let kernel = stats["kernels"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap();
    assert!(
        kernel["mem"]["current"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            > 0.0,
        "{stats}"
    );

    let unsaved = engine.get("/gangway/session/first-one/unsaved").await;
    let largest = unsaved["largest"].as_array().unwrap();
    assert!(
        largest.iter().any(|file| file["path"] == "sub/data.bin"),
        "{unsaved}"
    );
    let (status, body) = engine
        .post(
            "/folders",
            json!({ "name": "kept", "host": "local:default" }),
        )
        .await;
    assert!(status < 300, "{body}");
    let saved = json!({ "folder": "kept", "path": "from/first" });
    let (status, body) = engine.post("/gangway/session/first-one/save", saved).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["files"].as_u64().unwrap() >= 1);
    let escape = json!({ "folder": "kept", "path": "../.." });
    assert_eq!(
        engine
            .post("/gangway/session/first-one/save", escape)
            .await
            .0,
        400
    );

    let mut config = small();
    config["mounts"] = json!(["kept"]);
    engine.launch("with-folder", config).await;
    let read = "cat kept/from/first/sub/data.bin && echo more > kept/more && test -w kept";
    assert_eq!(
        engine.shell("with-folder", read).await,
        (0, "some bytes".into())
    );
    let (status, _) = engine
        .call(Method::DELETE, "/session/with-folder?forced=true", None)
        .await;
    assert_eq!(status, 200);
    let (status, body) = engine.call(Method::GET, "/session/with-folder", None).await;
    assert_eq!(
        (status, slug(&body)),
        (404, "object-not-found"),
        "forced: over at once"
    );
}

/// kill -9 at work: the session and its processes go on, and the next engine has them.
#[tokio::test]
async fn sessions_outlive_the_engine() {
    let engine = Program::start().await;
    let created = engine.launch("survivor", small()).await;
    let id = created["sessionId"].as_str().unwrap().to_owned();
    let start = "nohup sleep 1234 >/dev/null 2>&1 & echo $! > pid";
    assert_eq!(engine.shell("survivor", start).await.0, 0);
    let engine = engine.killed_and_started_again().await;
    let info = engine.get("/session/survivor").await;
    assert_eq!(info["status"], "RUNNING");
    let (code, text) = engine
        .shell("survivor", "kill -0 $(cat pid) && echo alive")
        .await;
    assert_eq!((code, text.as_str()), (0, "alive\n"));
    let mut ssh = engine.open("survivor", "app=sshd").await;
    assert!(
        ssh.next()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .starts_with(b"SSH-2.0-")
    );

    // Asked to end, and killed before it is over: the next engine goes on with it.
    let (status, _) = engine.call(Method::DELETE, "/session/survivor", None).await;
    assert_eq!(status, 200);
    let engine = engine.killed_and_started_again().await;
    let info = engine.until(&id, "TERMINATED").await;
    assert_eq!(info["statusInfo"], "user-requested");

    // Accepted, and killed at once: it starts all the same.
    let body = json!({
        "name": "promised", "image": "local/host:latest", "enqueueOnly": true, "config": small(),
    });
    let (status, body) = engine.post("/session", body).await;
    assert_eq!(status, 201, "{body}");
    let id = body["sessionId"].as_str().unwrap().to_owned();
    let engine = engine.killed_and_started_again().await;
    engine.until(&id, "RUNNING").await;
    assert_eq!(
        engine
            .call(Method::DELETE, "/session/promised", None)
            .await
            .0,
        200
    );
    engine.until(&id, "TERMINATED").await;
}

/// A session that ends by itself says so; a batch job says how it came out.
#[tokio::test]
async fn ends_of_their_own() {
    let engine = Program::start().await;
    for (name, command, info, result, code) in [
        (
            "job-good",
            "echo worked",
            "task-finished",
            "success",
            json!(0),
        ),
        (
            "job-bad",
            "echo failed >&2; exit 3",
            "task-failed",
            "failure",
            json!(3),
        ),
        (
            "job-slow",
            "sleep 100",
            "task-timeout",
            "failure",
            json!(-2),
        ),
    ] {
        let body = json!({
            "name": name, "image": "local/host:latest", "type": "batch", "enqueueOnly": true,
            "startupCommand": command, "batchTimeout": "2s", "config": small(),
        });
        let (status, body) = engine.post("/session", body).await;
        assert_eq!(status, 201, "{body}");
        let id = body["sessionId"].as_str().unwrap().to_owned();
        let ended = engine.until(&id, "TERMINATED").await;
        assert_eq!(ended["statusInfo"], info, "{name}");
        assert_eq!(
            (&ended["result"], &ended["exitCode"]),
            (&json!(result), &code),
            "{name}"
        );
        let logs = engine.get(&format!("/session/{id}/logs")).await;
        let text = logs["result"]["logs"].as_str().unwrap();
        if name != "job-slow" {
            assert!(
                text.contains("worked") || text.contains("failed"),
                "{name}: {text}"
            );
        }
    }
}

/// The engine's own manners: it says when its port is taken, and stops on SIGTERM.
#[tokio::test]
async fn a_busy_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gangway-engine"))
        .args(["--listen", &taken.local_addr().unwrap().to_string()])
        .env("GANGWAY_HOME", home.path())
        .env("GANGWAY_RUNNER", runner())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    assert!(!child.wait().await.unwrap().success());
    assert!(text.contains("can't listen on 127.0.0.1:"), "{text}");
    assert!(text.contains("Address already in use"), "{text}");
}
