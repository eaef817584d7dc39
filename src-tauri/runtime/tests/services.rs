//! Apps: started on request, waited for, installed, and the web terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::runner::StartStage;
use protocol::service_port::{ServicePort, ServiceProtocol};
use runtime::{AppPhase, InstallEvent, Kernel, ServiceAnswer, ServiceOptions};
use support::{World, sh};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

fn port(name: &str, protocol: ServiceProtocol, number: u16) -> ServicePort {
    ServicePort {
        name: name.to_owned(),
        protocol,
        ports: vec![number],
        url_template: None,
        allowed_arguments: None,
        allowed_envs: None,
    }
}

/// An image of nothing but the host's programs would do; the host image has no definitions of its
/// own, so a program with the name of a built-in app stands in for it.
const FAKE_TENSORBOARD: &str = r#"mkdir -p ~/.local/bin; cat > ~/.local/bin/tensorboard <<'X'
#!/usr/bin/python3
import sys, http.server, time
port = int([a for a in sys.argv if a.startswith('--port=')][0][7:])
open('/tmp/arguments', 'w').write(' '.join(sys.argv[1:]))
time.sleep(0.3)
http.server.HTTPServer(('127.0.0.1', port), http.server.SimpleHTTPRequestHandler).serve_forever()
X
chmod +x ~/.local/bin/tensorboard"#;

#[tokio::test]
async fn an_app_is_started_and_waited_for() {
    let world = World::new();
    let kernel = world
        .start(|spec| {
            spec.service_ports = vec![
                port("tensorboard", ServiceProtocol::Http, 6006),
                port("vscode", ServiceProtocol::Http, 8180),
                port("8888", ServiceProtocol::Preopen, 8888),
            ];
        })
        .await;
    let phase = |apps: &[runtime::AppState], name: &str| {
        apps.iter().find(|app| app.port.name == name).unwrap().state
    };
    let apps = kernel.apps().await.unwrap();
    let names: Vec<&str> = apps.iter().map(|app| app.port.name.as_str()).collect();
    assert_eq!(names, ["sshd", "ttyd", "tensorboard", "vscode", "8888"]);
    assert_eq!(phase(&apps, "tensorboard"), AppPhase::Missing);
    assert!(apps[2].installable);
    let start = async |name: &str, options: ServiceOptions| {
        kernel.start_service(name, options).await.unwrap()
    };
    let failed = |answer: ServiceAnswer| match answer {
        ServiceAnswer::Failed { error } => error,
        other => panic!("{other:?}"),
    };
    let plain = ServiceOptions::default;
    assert_eq!(
        failed(start("tensorboard", plain()).await),
        "the executable file is not found: tensorboard"
    );
    assert_eq!(
        failed(start("nothing", plain()).await),
        "unsupported service: nothing"
    );

    sh(&*kernel, FAKE_TENSORBOARD).await;
    assert_eq!(
        phase(&kernel.apps().await.unwrap(), "tensorboard"),
        AppPhase::Ready
    );
    let mut options = plain();
    options.envs.insert("LD_PRELOAD".to_owned(), "x".to_owned());
    assert!(failed(start("tensorboard", options).await).contains("LD_PRELOAD"));
    let mut options = plain();
    options.arguments.insert(
        "--logdir".to_owned(),
        Some(runtime::ArgumentValue::One("/tmp/x".to_owned())),
    );
    // Two at once: one process, and both wait until the port answers.
    let (one, two) = tokio::join!(
        start("tensorboard", options.clone()),
        start("tensorboard", options)
    );
    let answers = [one, two];
    assert!(
        answers.contains(&ServiceAnswer::Started) && answers.contains(&ServiceAnswer::Running),
        "{answers:?}"
    );
    let mut stream = kernel.connect(6006).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.0 200"), "{page}");
    assert_eq!(
        sh(&*kernel, "cat /tmp/arguments").await.stdout,
        "--host=127.0.0.1 --port=6006 --logdir /tmp/x"
    );
    assert_eq!(
        phase(&kernel.apps().await.unwrap(), "tensorboard"),
        AppPhase::Running
    );
    assert!(
        kernel
            .logs(100_000)
            .await
            .unwrap()
            .contains("[tensorboard]")
    );

    kernel.shutdown_service("tensorboard").await.unwrap();
    for _ in 0..100 {
        if phase(&kernel.apps().await.unwrap(), "tensorboard") == AppPhase::Ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(start("tensorboard", plain()).await, ServiceAnswer::Started);
    assert_eq!(start("8888", plain()).await, ServiceAnswer::Started);
    assert_eq!(start("ttyd", plain()).await, ServiceAnswer::Running);
    world.close().await;
}

/// Never listens, and says so over and over.
const DEAF_TENSORBOARD: &str = r#"mkdir -p ~/.local/bin; cat > ~/.local/bin/tensorboard <<'X'
#!/bin/sh
echo started >> ~/starts
while true; do printf '\033[1mstill loading\033[0m\n'; sleep 0.1; done
X
chmod +x ~/.local/bin/tensorboard"#;

#[tokio::test]
async fn a_start_goes_on_for_as_long_as_anybody_waits() {
    let world = World::new();
    let kernel = world
        .start(|spec| spec.service_ports = vec![port("tensorboard", ServiceProtocol::Http, 6006)])
        .await;
    sh(&*kernel, DEAF_TENSORBOARD).await;
    assert_eq!(kernel.start_progress("tensorboard").await.unwrap(), None);
    let wait = async |seconds: u32| {
        let options = ServiceOptions {
            limit_s: Some(seconds),
            ..ServiceOptions::default()
        };
        let began = std::time::Instant::now();
        let answer = kernel.start_service("tensorboard", options).await.unwrap();
        let ServiceAnswer::Failed { error } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(error, "opening the service port timed out: tensorboard");
        began.elapsed()
    };
    let look = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        kernel.start_progress("tensorboard").await.unwrap().unwrap()
    };
    // Whoever has less patience is told; the start is the other's still.
    let (short, long, progress) = tokio::join!(wait(1), wait(6), look);
    assert!(short < Duration::from_secs(5), "{short:?}");
    assert!(long >= Duration::from_secs(6), "{long:?}");
    assert_eq!(progress.stage, StartStage::Waiting);
    assert!(progress.elapsed_ms >= 1000, "{progress:?}");
    assert!(progress.lines.contains(&"still loading".to_owned()));
    assert_eq!(sh(&*kernel, "cat starts").await.stdout, "started\n");
    // Nobody waits any more: it was ended, and what it said can be told.
    let left = "pgrep -f bin/tensorboar[d] || echo none";
    assert_eq!(sh(&*kernel, left).await.stdout.trim(), "none");
    let progress = kernel.start_progress("tensorboard").await.unwrap().unwrap();
    assert_eq!(progress.stage, StartStage::Failed);
    world.close().await;
}

#[tokio::test]
async fn an_app_that_ends_at_once_is_told() {
    let world = World::new();
    let kernel = world
        .start(|spec| spec.service_ports = vec![port("tensorboard", ServiceProtocol::Http, 6006)])
        .await;
    sh(&*kernel, "mkdir -p ~/.local/bin; printf '#!/bin/sh\\nexit 1\\n' > ~/.local/bin/tensorboard; chmod +x ~/.local/bin/tensorboard").await;
    let answer = kernel
        .start_service("tensorboard", ServiceOptions::default())
        .await
        .unwrap();
    assert_eq!(
        answer,
        ServiceAnswer::Failed {
            error: "the process did not start properly: tensorboard".to_owned()
        }
    );
    world.close().await;
}

#[tokio::test]
async fn pip_installs_into_the_session_and_into_a_mounted_folder() {
    let world = World::new();
    let local = world.folder("dot-local");
    let kernel = world
        .start(|spec| {
            spec.mounts.push(runtime::Mount {
                source: local.clone(),
                target: "/home/work/.local".into(),
                read_only: false,
            });
        })
        .await;
    if sh(&*kernel, "python3 -m pip --version").await.exit_code != 0 {
        return;
    }
    // A package made on the spot: no registry is needed to see that the user site works.
    let ran = sh(
        &*kernel,
        "mkdir -p p/tool && cd p && echo 'def main(): print(42)' > tool/__init__.py && \
         printf '[project]\\nname=\"tool\"\\nversion=\"1\"\\n[project.scripts]\\ngw-tool=\"tool:main\"\\n[build-system]\\nrequires=[]\\nbuild-backend=\"b\"\\nbackend-path=[\".\"]\\n' > pyproject.toml && \
         printf 'import zipfile\\ndef build_wheel(d, *a, **k):\\n n=\"tool-1-py3-none-any.whl\"\\n with zipfile.ZipFile(d+\"/\"+n,\"w\") as z:\\n  z.write(\"tool/__init__.py\")\\n  z.writestr(\"tool-1.dist-info/METADATA\",\"Metadata-Version: 2.1\\\\nName: tool\\\\nVersion: 1\\\\n\")\\n  z.writestr(\"tool-1.dist-info/WHEEL\",\"Wheel-Version: 1.0\\\\nGenerator: b\\\\nRoot-Is-Purelib: true\\\\nTag: py3-none-any\\\\n\")\\n  z.writestr(\"tool-1.dist-info/entry_points.txt\",\"[console_scripts]\\\\ngw-tool=tool:main\\\\n\")\\n  z.writestr(\"tool-1.dist-info/RECORD\",\"\")\\n return n\\n' > b.py && \
         python3 -m pip install --no-build-isolation . 2>&1; gw-tool",
    )
    .await;
    assert!(
        ran.stdout.ends_with("42\n"),
        "{}\n{}",
        ran.stdout,
        ran.stderr
    );
    assert!(local.join("bin/gw-tool").is_file());
    world.close().await;
}

#[tokio::test]
async fn an_app_that_cannot_be_installed_is_told() {
    let world = World::new();
    let kernel = world
        .start(|spec| spec.service_ports = vec![port("own-app", ServiceProtocol::Http, 8180)])
        .await;
    let mut events = kernel.install("own-app").await.unwrap();
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(error.fault(), Some(runtime::FaultKind::NotFound));
    assert!(!matches!(
        events.next().await,
        Some(Ok(InstallEvent::Done(0)))
    ));
    world.close().await;
}

type Page = tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>;

async fn open_terminal(
    kernel: &dyn Kernel,
    origin: &str,
) -> Result<Page, tokio_tungstenite::tungstenite::Error> {
    let stream = kernel.connect(7681).await.unwrap();
    let mut request = "ws://terminal.test/ws?id=one"
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("origin", origin.parse().unwrap());
    Ok(tokio_tungstenite::client_async(request, stream).await?.0)
}

async fn read_until(page: &mut Page, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        match support::within(page.next()).await.unwrap().unwrap() {
            Message::Binary(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            Message::Close(_) => break,
            _ => {}
        }
    }
    seen
}

#[tokio::test]
async fn a_web_terminal_outlives_its_page() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let mut stream = kernel.connect(7681).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut html = String::new();
    stream.read_to_string(&mut html).await.unwrap();
    assert!(html.contains("xterm.js"), "{html}");

    assert!(
        open_terminal(&*kernel, "http://evil.test").await.is_err(),
        "a foreign page gets a shell"
    );
    let mut page = open_terminal(&*kernel, "http://terminal.test")
        .await
        .unwrap();
    page.send(Message::text(r#"{"columns":101,"rows":33}"#))
        .await
        .unwrap();
    page.send(Message::binary(
        &b"cd /tmp; MARK=kept; stty size; tty\n"[..],
    ))
    .await
    .unwrap();
    let seen = read_until(&mut page, "/dev/pts/").await;
    assert!(seen.contains("33 101"), "{seen}");
    drop(page);

    let mut page = open_terminal(&*kernel, "http://terminal.test")
        .await
        .unwrap();
    let seen = read_until(&mut page, "33 101").await;
    assert!(
        seen.contains("stty size"),
        "the past is not shown again: {seen}"
    );
    page.send(Message::binary(&b"echo $MARK-$PWD; sleep 50\n"[..]))
        .await
        .unwrap();
    read_until(&mut page, "kept-/tmp").await;
    // Job control works: the terminal is the shell's own.
    page.send(Message::binary(&b"\x03"[..])).await.unwrap();
    page.send(Message::binary(&b"echo back-$((40+2))\n"[..]))
        .await
        .unwrap();
    read_until(&mut page, "back-42").await;
    page.send(Message::binary(&b"exit\n"[..])).await.unwrap();
    loop {
        match support::within(page.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => break assert_eq!(u16::from(frame.code), 4000),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    world.close().await;
}

#[tokio::test]
#[ignore = "installs JupyterLab from PyPI"]
async fn jupyterlab_installs_and_serves_its_page_and_a_kernel() {
    let world = World::new();
    let kernel = world
        .start(|spec| {
            spec.limits.mem = 4 << 30;
            spec.service_ports = vec![port("jupyterlab", ServiceProtocol::Http, 8090)];
        })
        .await;
    let mut events = kernel.install("jupyterlab").await.unwrap();
    let mut last = String::new();
    loop {
        match events.next().await.unwrap().unwrap() {
            InstallEvent::Line(line) => last = line,
            InstallEvent::Done(code) => break assert_eq!(code, 0, "{last}"),
        }
    }
    let answer = kernel
        .start_service("jupyterlab", ServiceOptions::default())
        .await
        .unwrap();
    assert_eq!(
        answer,
        ServiceAnswer::Started,
        "{}",
        kernel.logs(4000).await.unwrap()
    );
    let ask = async |request: &str| {
        let mut stream = kernel.connect(8090).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let page = ask("GET /lab HTTP/1.1\r\nHost: localhost:8090\r\nConnection: close\r\n\r\n").await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("JupyterLab"),
        "{page}"
    );
    // As the page does: the token of the cookie that came with it goes into a header.
    let make = "cd /tmp; curl -s -c jar http://localhost:8090/lab -o page; \
                curl -s -b jar -H \"X-XSRFToken: $(awk '/_xsrf/{print $7}' jar)\" -X POST http://localhost:8090/api/kernels";
    let kernels = sh(&*kernel, make).await.stdout;
    let made: serde_json::Value = serde_json::from_str(&kernels).unwrap();
    let id = made["id"].as_str().expect(&kernels).to_owned();
    let stream = kernel.connect(8090).await.unwrap();
    let address = format!("ws://localhost:8090/api/kernels/{id}/channels");
    let (mut socket, _) = tokio_tungstenite::client_async(address, stream)
        .await
        .unwrap();
    let ask = serde_json::json!({
        "channel": "shell", "content": {"code": "print(6*7)", "silent": false}, "metadata": {}, "parent_header": {},
        "header": {"msg_id": "1", "msg_type": "execute_request", "session": "s", "username": "u", "version": "5.3"},
    });
    socket.send(Message::text(ask.to_string())).await.unwrap();
    loop {
        let message = support::within(socket.next()).await.unwrap().unwrap();
        if message.to_text().is_ok_and(|text| text.contains("42\\n")) {
            break;
        }
    }
    world.close().await;
}
