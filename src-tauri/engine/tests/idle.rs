//! Sessions that are idle, against real sandboxes and with a clock that jumps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use protocol::signing;
use reqwest::Method;
use runtime::Runtime;
use runtime::sandbox::{Sandbox, SandboxConfig};
use serde_json::{Value, json};
use support::{CLOCK, PASSED, TestEngine, VERSION, clock, data_dir, runner};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

struct World {
    engine: TestEngine,
    sandbox: Arc<Sandbox>,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::create_dir(data_dir(&home)).unwrap();
        let kernels = home.path().join("run/k");
        let config = SandboxConfig::new(data_dir(&home), kernels, runner());
        let sandbox = Arc::new(Sandbox::open(config).unwrap());
        Self::land();
        let engine = TestEngine::start_in(home, sandbox.clone()).await;
        Self { engine, sandbox }
    }

    /// Back to the real time.
    fn land() {
        CLOCK.store(Timestamp::now().as_second(), Ordering::SeqCst);
    }

    /// Lets time go by.
    fn pass(seconds: u32) {
        CLOCK.fetch_add(seconds.into(), Ordering::SeqCst);
        PASSED.fetch_add(seconds.into(), Ordering::SeqCst);
    }

    /// Sets the time of day.
    fn jump(seconds: i64) {
        CLOCK.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Changes a setting, which makes the engine look at its sessions.
    async fn set(&self, key: &str, value: Value) {
        let body = json!({ "key": format!("config/idle/{key}"), "value": value });
        let (status, body) = self.engine.post("/config/set", body).await;
        assert_eq!((status, &body["result"]), (200, &json!("ok")), "{body}");
    }

    /// The policy of everybody; there is no request for that here.
    fn policy(&self, column: &str, value: i64) {
        let path = data_dir(&self.engine.home).join("engine.db");
        let database = db::connect(&path, db::Durability::Full).unwrap();
        let change = format!("UPDATE keypair_policy SET {column} = {value}");
        database.execute_batch(&change).unwrap();
    }

    async fn launch(&self, name: &str) -> String {
        let body = json!({
            "name": name, "image": "local/host:latest",
            "config": {
                "resources": { "cpu": 1, "mem": "256m" }, "resource_opts": { "shmem": "64m" },
                "preopen_ports": [8500],
            },
        });
        let (status, body) = self.engine.post("/session", body).await;
        assert_eq!(
            (status, &body["status"]),
            (201, &json!("RUNNING")),
            "{body}"
        );
        body["sessionId"].as_str().unwrap().to_owned()
    }

    /// Makes the engine look until what is known of a session is as it should be.
    async fn until(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            self.set("look", json!(1)).await;
            let (status, info) = self.engine.get(&format!("/session/{id}")).await;
            assert_eq!(status, 200, "{info}");
            if is(&info) {
                return info;
            }
            assert!(Instant::now() < deadline, "{info}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) {
        let home = self.engine.stop().await;
        self.sandbox.sweep(&[]).await.unwrap();
        drop(home);
    }
}

fn remaining(info: &Value, checker: &str) -> f64 {
    let value = &info["idleChecks"][checker]["remaining"];
    value.as_f64().unwrap_or(f64::NAN)
}

/// Whether this much is left, give or take a moment: sessions note real times.
fn about(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() < 60.0
}

#[tokio::test]
async fn idle_sessions_end_and_say_why() {
    let world = World::new().await;
    silence(&world).await;
    lifetime(&world).await;
    hardly_used(&world).await;
    world.end().await;
}

async fn silence(world: &World) {
    world.policy("idle_timeout", 600);
    let id = world.launch("silent-one").await;
    let info = world
        .until(&id, |info| about(remaining(info, "network_timeout"), 600.0))
        .await;
    let report = &info["idleChecks"];
    assert_eq!(
        report["network_timeout"]["remaining_time_type"],
        "expire_after"
    );
    assert_eq!(report["session_lifetime"]["remaining"], Value::Null);
    assert!(report.get("utilization").is_none(), "{report}");

    // The same by GraphQL.
    let query = "query($id: UUID!) { compute_session(id: $id) { idle_checks } }";
    let body = json!({ "query": query, "variables": { "id": id } });
    let (_, answer) = world.engine.post("/admin/gql", body).await;
    let text = answer["data"]["compute_session"]["idle_checks"].as_str();
    let told: Value = serde_json::from_str(text.expect("a text")).unwrap();
    assert_eq!(
        told["network_timeout"]["remaining_time_type"],
        "expire_after"
    );

    // While somebody is connected nothing counts, until nothing goes through for long.
    world.set("app-streaming-packet-timeout", json!("1h")).await;
    let socket = connect(world, &id).await;
    World::pass(1800);
    world
        .until(&id, |info| {
            info["idleChecks"]["network_timeout"]["remaining"].is_null()
        })
        .await;
    drop(socket);
    world
        .until(&id, |info| about(remaining(info, "network_timeout"), 600.0))
        .await;
    // To ask something of it is an exchange as well.
    World::pass(500);
    let run = json!({ "mode": "batch", "options": { "exec": "echo work > result" } });
    let (status, body) = world.engine.post(&format!("/session/{id}"), run).await;
    assert_eq!(status, 200, "{body}");
    World::pass(500);
    world
        .until(&id, |info| about(remaining(info, "network_timeout"), 100.0))
        .await;
    // A clock that is set, forward and back, makes nobody idle.
    let life = 10 * 86_400;
    world.policy("max_session_lifetime", life);
    let mut set = 0;
    for seconds in [86_400, -86_400] {
        World::jump(seconds);
        set += seconds;
        let left = f64::from(i32::try_from(life - 2800 - set).unwrap());
        let info = world
            .until(&id, |info| about(remaining(info, "session_lifetime"), left))
            .await;
        assert!(about(remaining(&info, "network_timeout"), 100.0), "{info}");
    }
    world.policy("max_session_lifetime", 0);
    World::pass(200);
    let info = world
        .until(&id, |info| info["status"] == "TERMINATED")
        .await;
    assert_eq!(info["statusInfo"], "idle-timeout", "{info}");
    assert!(info["lastStat"]["mem"]["current"].is_string(), "{info}");

    // Nobody wanted that: what it left can be read for a while.
    let target = format!("/session/{id}/download_single?file=result");
    let read = async || {
        let request = world.engine.signed(Method::POST, &target);
        support::answer(request.send().await.unwrap()).await
    };
    assert_eq!(read().await, (200, json!("work\n")));
    World::pass(8 * 86_400);
    let deadline = Instant::now() + Duration::from_secs(120);
    while read().await.0 == 200 {
        assert!(Instant::now() < deadline, "the home is still there");
        world.set("look", json!(2)).await;
    }
}

async fn connect(world: &World, id: &str) -> impl Sized + use<> {
    let target = format!("/stream/session/{id}/tcpproxy?app=sshd");
    let endpoint = &world.engine.login.endpoint;
    let url = format!("{}{target}", endpoint.replace("http://", "ws://"));
    let date = clock().to_string();
    let authorization = signing::authorization(
        &signing::Request {
            method: "GET",
            target: &target,
            authority: endpoint.strip_prefix("http://").unwrap(),
            date: &date,
            content_type: signing::DEFAULT_CONTENT_TYPE,
            version: VERSION,
        },
        &world.engine.login.access_key,
        &world.engine.login.secret_key,
    )
    .unwrap();
    let mut request = url.into_client_request().unwrap();
    for (name, value) in [
        ("Date", date),
        ("X-BackendAI-Version", VERSION.to_owned()),
        ("Authorization", authorization),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

async fn lifetime(world: &World) {
    World::land();
    world.policy("idle_timeout", 0);
    world.policy("max_session_lifetime", 3600);
    let id = world.launch("mortal-one").await;
    let info = world
        .until(&id, |info| {
            about(remaining(info, "session_lifetime"), 3600.0)
        })
        .await;
    assert_eq!(info["status"], "RUNNING", "{info}");
    World::pass(3700);
    let info = world
        .until(&id, |info| info["status"] == "TERMINATED")
        .await;
    assert_eq!(info["statusInfo"], "idle-session-lifetime", "{info}");
    world.policy("max_session_lifetime", 0);
}

async fn hardly_used(world: &World) {
    World::land();
    world.policy("idle_timeout", 60);
    world
        .set(
            "checkers/utilization",
            json!({ "resource-thresholds": {
                "cpu_util": { "average": 90 }, "mem": { "average": "" },
                "cuda_util": { "average": 5 } } }),
        )
        .await;
    world.set("enabled", json!("utilization")).await;
    let id = world.launch("lazy-one").await;
    let info = world
        .until(&id, |info| info["idleChecks"].get("utilization").is_some())
        .await;
    let report = &info["idleChecks"]["utilization"];
    assert_eq!(report["remaining_time_type"], "grace_period", "{report}");
    assert!(info["idleChecks"].get("network_timeout").is_none());
    // Looks that come close together are one: time goes on until enough of them are made.
    let info = world
        .until(&id, |info| {
            World::pass(15);
            info["status"] == "TERMINATED"
        })
        .await;
    assert_eq!(info["statusInfo"], "idle-utilization", "{info}");
}
