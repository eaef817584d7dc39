//! What the engine is asked for while it is killed, and what it acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{podman::IMAGE, program::Program};

/// What the engine has acknowledged.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Session id → whether it was told to end.
    pub(crate) sessions: BTreeMap<String, bool>,
    /// Sessions of which the end was asked for, answered or not.
    pub(crate) asked: BTreeSet<String>,
    /// Folder name → files that were uploaded whole.
    pub(crate) folders: BTreeMap<String, BTreeSet<String>>,
    next: u32,
}

pub(crate) type Shared = Arc<Mutex<Ledger>>;

/// A few numbers that look like chance and are the same in every run of a seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A signed request; `None` when the engine went away before it answered.
async fn ask(engine: &Program, method: Method, target: &str, body: Value) -> Option<(u16, Value)> {
    let request = engine
        .request(method, target, "application/json")
        .header("Content-Type", "application/json")
        .body(body.to_string());
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

async fn launch(engine: &Program, ledger: &Shared, image: &str, wait: bool) -> Option<()> {
    let number = {
        let mut ledger = ledger.lock().unwrap();
        ledger.next += 1;
        ledger.next
    };
    let body = json!({
        "name": format!("session-{number}"), "image": image, "type": "interactive",
        "group": "default", "domain": "default", "enqueueOnly": !wait, "maxWaitSeconds": 30,
        "config": { "resources": { "cpu": 1, "mem": "64m" }, "resource_opts": { "shmem": "1m" } },
    });
    let (status, created) = ask(engine, Method::POST, "/session", body).await?;
    // The computer may be full, and a session may be killed while it is waited for.
    if status == 201 {
        let id = created["sessionId"].as_str().unwrap().to_owned();
        ledger.lock().unwrap().sessions.entry(id).or_insert(false);
    }
    Some(())
}

async fn terminate(engine: &Program, ledger: &Shared, chosen: u64, forced: bool) -> Option<()> {
    let id = {
        let ledger = ledger.lock().unwrap();
        let live: Vec<_> = ledger.sessions.iter().filter(|(_, told)| !**told).collect();
        let count = u64::try_from(live.len()).unwrap();
        let at = usize::try_from(chosen.checked_rem(count)?).unwrap();
        live[at].0.clone()
    };
    ledger.lock().unwrap().asked.insert(id.clone());
    let target = format!("/session/{id}?forced={forced}");
    let (status, body) = ask(engine, Method::DELETE, &target, json!({})).await?;
    assert!(status == 200, "{status} {body}");
    ledger.lock().unwrap().sessions.insert(id, true);
    Some(())
}

async fn upload(engine: &Program, ledger: &Shared) -> Option<()> {
    let number = {
        let mut ledger = ledger.lock().unwrap();
        ledger.next += 1;
        ledger.next
    };
    let folder = format!("folder-{}", number % 7);
    let known = ledger.lock().unwrap().folders.contains_key(&folder);
    if !known {
        let (status, body) =
            ask(engine, Method::POST, "/folders", json!({ "name": folder })).await?;
        // One that was made just before a kill is there without our knowing.
        assert!(
            status < 300 || status == 400 || status == 409,
            "{status} {body}"
        );
        ledger
            .lock()
            .unwrap()
            .folders
            .entry(folder.clone())
            .or_default();
    }
    let content = vec![b'x'; 100_000];
    let file = format!("file-{number}");
    let wanted = json!({ "path": file, "size": content.len() });
    let target = format!("/folders/{folder}/request-upload");
    let (status, answer) = ask(engine, Method::POST, &target, wanted).await?;
    assert!(status < 300, "{status} {answer}");
    let address = format!(
        "{}?token={}",
        answer["url"].as_str().unwrap(),
        answer["token"].as_str().unwrap()
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = client
        .patch(address)
        .header("Upload-Offset", 0)
        .body(content)
        .send()
        .await
        .ok()?;
    if sent.status() == 204 {
        let mut ledger = ledger.lock().unwrap();
        ledger.folders.entry(folder).or_default().insert(file);
    }
    Some(())
}

/// Works until the engine is gone.
pub(crate) async fn work(engine: &Program, ledger: &Shared, seed: u64, boxes: bool) {
    let mut chance = Chance(seed);
    loop {
        let done = match chance.below(10) {
            0..4 => {
                let image = match boxes && chance.below(2) == 0 {
                    true => IMAGE,
                    false => "local/host:latest",
                };
                launch(engine, ledger, image, chance.below(2) == 0).await
            }
            4..7 => {
                let chosen = chance.below(1000);
                terminate(engine, ledger, chosen, chance.below(3) == 0).await;
                Some(())
            }
            _ => upload(engine, ledger).await,
        };
        if done.is_none() && ask(engine, Method::GET, "/", json!({})).await.is_none() {
            return;
        }
    }
}
