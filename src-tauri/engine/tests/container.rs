//! Sessions as containers of a real Podman, as clients see them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

#[path = "../../runtime/tests/support/podman.rs"]
mod podman;
#[path = "lifecycle/program.rs"]
mod program;
mod support;

use podman::{IMAGE, Podman};
use program::Program;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn an_image_of_the_container_engine_is_a_container() {
    let podman = Podman::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("config")).unwrap();
    let config = format!("container_socket = \"{}\"\n", podman.socket().display());
    std::fs::write(home.path().join("config/config.toml"), config).unwrap();
    let engine = Program::start_in(home).await;

    let body = json!({
        "name": "boxed", "image": IMAGE, "type": "interactive", "group": "default",
        "domain": "default",
        "config": { "resources": { "cpu": 1, "mem": "128m" }, "resource_opts": { "shmem": "16m" } },
    });
    let (status, created) = engine.post("/session", body).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["status"], "RUNNING", "{created}");
    let id = created["sessionId"].as_str().unwrap();
    let ports = created["servicePorts"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["name"] == "web"), "{created}");
    let said = engine
        .shell(
            "boxed",
            "hostname; echo $FROM_IMAGE $BACKENDAI_SESSION_NAME; echo x > state",
        )
        .await;
    assert_eq!(said, (0, "main1\nyes boxed\n".to_owned()));
    assert_eq!(podman.containers().len(), 1);

    // The engine is killed; the container is not.
    let engine = engine.killed_and_started_again().await;
    let said = engine.shell("boxed", "cat state").await;
    assert_eq!(said, (0, "x\n".to_owned()));

    // Started again it is another container with the same home.
    engine.shell("boxed", "sleep 1000 > /dev/null 2>&1 &").await;
    let (status, body) = engine.call(Method::PATCH, "/session/boxed", None).await;
    assert_eq!(status, 204, "{body}");
    let said = engine
        .shell("boxed", "cat state; cat /proc/[0-9]*/comm")
        .await;
    assert!(said.1.starts_with("x\n"), "{said:?}");
    assert!(!said.1.contains("sleep"), "{said:?}");
    assert_eq!(podman.containers().len(), 1);

    let (status, body) = engine.call(Method::DELETE, "/session/boxed", None).await;
    assert_eq!(status, 200, "{body}");
    let info = engine.until(id, "TERMINATED").await;
    assert_eq!(info["statusInfo"], "user-requested");
    assert_eq!(podman.containers(), Vec::<String>::new());
}
