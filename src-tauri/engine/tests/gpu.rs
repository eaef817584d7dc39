//! GPUs of sessions, against real sandboxes and a driver that is made up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::gpu::Gpus;
use runtime::sandbox::{Sandbox, SandboxConfig};
use runtime::{Gpu, Runtime};
use serde_json::{Value, json};
use support::{TestEngine, data_dir, runner, slug};

/// A driver with two GPUs.
#[derive(Debug)]
struct Two;

impl Gpus for Two {
    fn list(&self) -> Vec<Gpu> {
        let gpu = |minor: u32| Gpu {
            uuid: format!("GPU-{minor}"),
            index: minor,
            minor,
            model: "Made up".to_owned(),
            memory: 8 << 30,
            used: 2 << 30,
            utilization: 40,
        };
        vec![gpu(0), gpu(1)]
    }
}

/// What stands for device nodes: whether a session sees them is what matters here.
fn devices() -> tempfile::TempDir {
    // Not in /tmp, where the runner gathers things on its way.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    for name in ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"] {
        std::fs::write(folder.path().join(name), "").unwrap();
        mode(&folder.path().join(name), 0o666);
    }
    folder
}

fn order(name: &str, gpus: Value) -> Value {
    json!({
        "name": name, "image": "local/host:latest",
        "config": {
            "resources": { "cpu": 1, "mem": "256m", "cuda.device": gpus },
            "resource_opts": { "shmem": "64m" },
        },
    })
}

async fn launch(engine: &TestEngine, name: &str, gpus: u32) -> String {
    let (status, body) = engine.post("/session", order(name, json!(gpus))).await;
    assert_eq!(
        (status, &body["status"]),
        (201, &json!("RUNNING")),
        "{body}"
    );
    body["sessionId"].as_str().unwrap().to_owned()
}

async fn end(engine: &TestEngine, session: &str) {
    let (status, body) = engine.delete(&format!("/session/{session}")).await;
    assert_eq!(status, 200, "{body}");
    until(engine, session, |info| info["status"] == "TERMINATED").await;
}

async fn until(engine: &TestEngine, session: &str, is: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, info) = engine.get(&format!("/session/{session}")).await;
        if is(&info) {
            return;
        }
        assert!(Instant::now() < deadline, "{info}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn waits_for_gpus(engine: &TestEngine, session: &str) {
    until(engine, session, |info| {
        info["status"] == "PENDING" && info["statusData"].to_string().contains("cuda.device")
    })
    .await;
}

/// The protocol's form: bytes of all memory, percent of each GPU.
async fn assert_stats(engine: &TestEngine, session: &str) {
    let target = format!("/gangway/session/{session}/stats");
    let (status, body) = engine.get(&target).await;
    assert_eq!(status, 200, "{body}");
    let kernels = body["kernels"].as_object().unwrap();
    let metrics = kernels.values().next().unwrap();
    let (memory, busy) = (&metrics["cuda_mem"], &metrics["cuda_util"]);
    assert_eq!(
        (&memory["current"], &memory["capacity"], &memory["pct"]),
        (&json!("2147483648"), &json!("8589934592"), &json!("25.00")),
        "{body}"
    );
    assert_eq!(
        (&busy["current"], &busy["capacity"], &busy["unit_hint"]),
        (&json!("40"), &json!("100"), &json!("percent")),
        "{body}"
    );
}

/// What a command in a session prints.
async fn said(engine: &TestEngine, session: &str, command: &str) -> String {
    let target = format!("/session/{session}");
    let mut asked = json!({ "mode": "batch", "options": { "exec": command } });
    let mut text = String::new();
    loop {
        let (status, body) = engine.post(&target, asked).await;
        assert_eq!(status, 200, "{body}");
        let result = &body["result"];
        for piece in result["console"].as_array().unwrap() {
            text.push_str(piece[1].as_str().unwrap());
        }
        if result["status"] == "finished" {
            return text;
        }
        asked = json!({ "mode": "continue", "code": "", "runId": result["runId"] });
    }
}

const SEEN: &str = "echo $NVIDIA_VISIBLE_DEVICES $(cd /dev && ls -d nvidia* 2>/dev/null)";

#[tokio::test]
async fn a_gpu_is_one_sessions_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir(data_dir(&home)).unwrap();
    let nodes = devices();
    let mut config = SandboxConfig::new(data_dir(&home), home.path().join("run/k"), runner());
    config.gpus = Arc::new(Two);
    config.devices = nodes.path().to_owned();
    let sandbox = Arc::new(Sandbox::open(config).unwrap());
    let engine = TestEngine::start_in(home, sandbox.clone()).await;

    let (_, slots) = engine.get("/config/resource-slots").await;
    assert_eq!(slots["cuda.device"], "count", "{slots}");
    for (wanted, slug_of, why) in [
        (
            json!({ "cuda.shares": "0.5" }),
            "unknown-resource-slot-type",
            "whole devices",
        ),
        (
            json!({ "cuda.device": "0.5" }),
            "invalid-api-params",
            "share of a device",
        ),
        (
            json!({ "cuda.device": 3 }),
            "quota-exceeded",
            "cuda.device: requested 3",
        ),
    ] {
        let mut body = order("refused", json!(0));
        let resources = body["config"]["resources"].as_object_mut().unwrap();
        resources.extend(wanted.as_object().unwrap().clone());
        let (status, body) = engine.post("/session", body).await;
        assert_eq!((status, slug(&body)), (400, slug_of), "{body}");
        assert!(body["msg"].as_str().unwrap().contains(why), "{body}");
    }

    let without = launch(&engine, "without", 0).await;
    assert_eq!(said(&engine, &without, SEEN).await.trim(), "");
    end(&engine, &without).await;

    let first = launch(&engine, "first", 1).await;
    let second = launch(&engine, "second", 1).await;
    let seen = said(&engine, &first, SEEN).await;
    assert_eq!(seen, "GPU-0 nvidia-uvm nvidia0 nvidiactl\n");
    let seen = said(&engine, &second, SEEN).await;
    assert_eq!(seen, "GPU-1 nvidia-uvm nvidia1 nvidiactl\n");
    assert_stats(&engine, &first).await;
    end(&engine, &second).await;

    // There is a core left, but not two GPUs, and that stays so when the engine starts again.
    let mut waits = order("both", json!(2));
    waits["enqueueOnly"] = json!(true);
    let (status, body) = engine.post("/session", waits).await;
    assert_eq!(status, 201, "{body}");
    let both = body["sessionId"].as_str().unwrap().to_owned();
    waits_for_gpus(&engine, &both).await;
    let home = engine.stop().await;
    let engine = TestEngine::start_in(home, sandbox.clone()).await;
    waits_for_gpus(&engine, &both).await;
    let seen = said(&engine, &first, SEEN).await;
    assert_eq!(seen, "GPU-0 nvidia-uvm nvidia0 nvidiactl\n");
    assert_stats(&engine, &first).await;

    // It gets the one that is given back, and the other.
    end(&engine, &first).await;
    until(&engine, &both, |info| info["status"] == "RUNNING").await;
    let seen = said(&engine, &both, SEEN).await;
    assert_eq!(seen, "GPU-0,GPU-1 nvidia-uvm nvidia0 nvidia1 nvidiactl\n");

    let home = engine.stop().await;
    sandbox.sweep(&[]).await.unwrap();
    drop(home);
}
