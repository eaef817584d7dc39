//! The engine is killed at any moment under load, and sometimes a session's processes (its runner
//! among them), the container engine, or the clock jumps. In the end all that was acknowledged is
//! there, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

#[path = "../../../runtime/tests/support/podman.rs"]
mod podman;
#[path = "../lifecycle/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

mod load;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use load::{Chance, Shared, work};
use podman::Podman;
use program::Program;
use reqwest::Method;
use serde_json::{Value, json};

/// Processes of an engine's sessions: those of its user, and the supervisors in its records.
fn processes(data: &Path) -> Vec<(u32, String)> {
    let uid = fs::read_to_string(data.join("session-user")).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let of_user = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .is_some_and(|ids| ids.split_whitespace().next() == Some(uid.trim()));
        // Ended ones that nobody has collected yet are nobody's.
        if of_user && !uid.trim().is_empty() && !status.contains("State:\tZ") {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

/// Control groups of these kernels.
fn groups(kernels: &BTreeSet<String>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((place, depth)) = places.pop() {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if kernels.contains(entry.file_name().to_str().unwrap_or_default()) {
                found.push(entry.path());
            } else if depth < 5 {
                places.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

async fn query(engine: &Program, query: &str) -> Value {
    let (status, body) = engine.post("/admin/gql", json!({ "query": query })).await;
    assert!(status == 200 && body["errors"].is_null(), "{status} {body}");
    body["data"].clone()
}

/// All sessions with their kernels, oldest pages included.
async fn sessions(engine: &Program) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    loop {
        let text = format!(
            "{{ compute_session_list(limit: 100, offset: {}) {{ items {{ session_id status \
             status_info occupied_slots containers {{ id status }} }} total_count }} }}",
            all.len()
        );
        let page = query(engine, &text).await;
        let items = page["compute_session_list"]["items"]
            .as_array()
            .unwrap()
            .clone();
        let last = items.len() < 100;
        for item in items {
            all.insert(item["session_id"].as_str().unwrap().to_owned(), item);
        }
        if last {
            return all;
        }
    }
}

/// Waits until it is so; says what was missing when it never is.
async fn until<F: Future<Output = Result<(), String>>>(mut ask: impl FnMut() -> F) {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(()) => return,
            Err(missing) => assert!(begun.elapsed() < Duration::from_secs(120), "{missing}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const TERMINAL: [&str; 3] = ["TERMINATED", "CANCELLED", "ERROR"];

/// Where the shared object lies that tells programs another time.
fn another_time() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap().flatten();
    let places = places.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let mut found = places.filter(|path| path.is_file());
    found
        .next()
        .expect("install libfaketime: cargo xtask test does")
}

/// Lets the clock of the engine that reads `file` jump.
fn jump(file: &Path, seconds: i64) {
    let next = file.with_extension("next");
    fs::write(&next, format!("{seconds:+}\n")).unwrap();
    fs::rename(next, file).unwrap();
}

/// What may happen besides the death of the engine.
#[derive(Clone, Copy, PartialEq)]
enum Besides {
    /// A process of a session is killed.
    Kills,
    /// That, the container engine's service is killed and started again, and the clock jumps;
    /// half of the sessions are containers.
    Everything,
}

async fn kill_and_look(kills: u32, besides: Besides) {
    let seed = u64::from(std::process::id()) << 20 | u64::from(kills);
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let ledger = Shared::default();
    let everything = besides == Besides::Everything;
    let mut podman = everything.then(Podman::start);
    let folder = tempfile::tempdir().unwrap();
    let mut environ = Vec::new();
    let clock = folder.path().join("clock");
    if let Some(podman) = &podman {
        fs::create_dir(folder.path().join("config")).unwrap();
        let config = format!("container_socket = \"{}\"\n", podman.socket().display());
        fs::write(folder.path().join("config/config.toml"), config).unwrap();
        jump(&clock, 0);
        environ = vec![
            ("LD_PRELOAD", another_time().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
    }
    let mut engine = Program::start_with(folder, environ).await;
    let home = engine.home().to_owned();
    let data = home.join("data/engine");
    for kill in 0..kills {
        if everything && chance.below(3) == 0 {
            // Hours or days on, or back, while sessions run.
            let span = if chance.below(2) == 0 {
                7200
            } else {
                30 * 86400
            };
            let by = i64::try_from(chance.below(2 * span)).unwrap() - i64::try_from(span).unwrap();
            println!("kill {kill}: the clock is {by} s ahead");
            jump(&clock, by);
            engine.ahead = by;
        }
        let pause = Duration::from_millis(20 + chance.below(700));
        let seeds = [chance.below(u64::MAX), chance.below(u64::MAX)];
        let workers = async {
            tokio::join!(
                work(&engine, &ledger, seeds[0] | 1, everything),
                work(&engine, &ledger, seeds[1] | 1, everything)
            )
        };
        tokio::select! {
            _ = workers => panic!("the engine went away by itself"),
            () = tokio::time::sleep(pause) => {}
        }
        if chance.below(4) == 0 {
            let all = processes(&data);
            let count = u64::try_from(all.len()).unwrap();
            if let Some(at) = chance.below(1000).checked_rem(count) {
                let (pid, line) = &all[usize::try_from(at).unwrap()];
                println!("kill {kill}: {line}");
                let pid = nix::unistd::Pid::from_raw(i32::try_from(*pid).unwrap());
                // It may have ended by itself in this moment.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
        if let Some(podman) = &mut podman
            && chance.below(4) == 0
        {
            podman.kill_service();
        }
        engine = engine.killed_and_started_again().await;
        if let Some(podman) = &mut podman
            && !podman.answers()
        {
            println!("kill {kill}: the container engine was away");
            // For a while the engine has to do without.
            tokio::time::sleep(Duration::from_millis(chance.below(500))).await;
            podman.start_service();
        }
    }

    // Everything comes to rest.
    until(async || {
        let all = sessions(&engine).await;
        let restless: Vec<_> = all
            .values()
            .filter(|session| {
                let status = session["status"].as_str().unwrap();
                let told = ledger
                    .lock()
                    .unwrap()
                    .sessions
                    .get(session["session_id"].as_str().unwrap())
                    == Some(&true);
                let at_rest = ["RUNNING", "PENDING"].contains(&status) && !told;
                !(at_rest || TERMINAL.contains(&status))
            })
            .map(Value::to_string)
            .collect();
        if restless.is_empty() {
            Ok(())
        } else {
            Err(format!("never at rest: {restless:?}"))
        }
    })
    .await;

    // What was acknowledged is there.
    let all = sessions(&engine).await;
    let asked = ledger.lock().unwrap().asked.clone();
    for (id, told) in &ledger.lock().unwrap().sessions {
        let session = all.get(id).unwrap_or_else(|| panic!("{id} is forgotten"));
        let status = session["status"].as_str().unwrap();
        let info = session["status_info"].as_str().unwrap_or_default();
        if !told && TERMINAL.contains(&status) {
            // Only because its processes were killed, or by a wish whose answer was cut off.
            assert!(asked.contains(id) || info == "self-terminated", "{session}");
        }
    }
    let folders = ledger.lock().unwrap().folders.clone();
    for (folder, files) in folders {
        let target = format!("/folders/{folder}/files?path=");
        let listed = engine.get(&target).await.to_string();
        for file in files {
            assert!(listed.contains(&file), "{folder}/{file} is lost: {listed}");
        }
    }

    // What is counted is what runs, and what runs works.
    let running: Vec<&String> = all
        .iter()
        .filter(|(_, session)| session["status"] == "RUNNING")
        .map(|(id, _)| id)
        .collect();
    for id in &running {
        let said = engine.shell(id, "echo here").await;
        assert_eq!(said, (0, "here\n".to_owned()), "{id}");
    }
    assert_eq!(occupied(&engine).await, running.len() as f64);

    // Everything is ended, and nothing is left.
    let live = all
        .values()
        .filter(|session| !TERMINAL.contains(&session["status"].as_str().unwrap()));
    for session in live {
        let target = format!(
            "/session/{}?forced=true",
            session["session_id"].as_str().unwrap()
        );
        engine.call(Method::DELETE, &target, None).await;
    }
    let all = sessions(&engine).await;
    let kernels: BTreeSet<String> = all
        .values()
        .flat_map(|session| session["containers"].as_array().unwrap().clone())
        .map(|kernel| kernel["id"].as_str().unwrap().to_owned())
        .collect();
    // The homes of those that ended against their owner's will are kept for some days.
    let kept: BTreeSet<String> = all
        .values()
        .filter(|session| session["status_info"] == "self-terminated")
        .flat_map(|session| session["containers"].as_array().unwrap().clone())
        .map(|kernel| kernel["id"].as_str().unwrap().to_owned())
        .collect();
    until(async || {
        let names = |path: PathBuf| -> Vec<String> {
            fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        };
        let mut left: Vec<String> = names(data.join("kernels"))
            .into_iter()
            .filter(|name| !kept.contains(name))
            .collect();
        left.extend(
            names(data.join("containers"))
                .into_iter()
                .filter(|name| !kept.contains(name)),
        );
        left.extend(names(home.join("run/k")));
        if let Some(podman) = &podman {
            left.extend(podman.containers());
            let networks = podman.run(&["network", "ls", "--format", "{{.Name}}"]);
            let ours = networks.lines().filter(|name| name.starts_with("gangway-"));
            left.extend(ours.map(str::to_owned));
        }
        left.extend(
            processes(&data)
                .into_iter()
                .map(|(pid, line)| format!("{pid} {line}")),
        );
        left.extend(
            groups(&kernels)
                .iter()
                .map(|path| path.display().to_string()),
        );
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let ours = home.display().to_string();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&ours))
                .map(str::to_owned),
        );
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("left behind: {left:#?}"))
        }
    })
    .await;
    assert_eq!(occupied(&engine).await, 0.0);
    println!(
        "{} sessions, {} kernels, {} kept",
        all.len(),
        kernels.len(),
        kept.len()
    );
}

/// Cores that the agent counts as given away.
async fn occupied(engine: &Program) -> f64 {
    let agents = query(
        engine,
        "{ agent_list(limit: 10, offset: 0) { items { occupied_slots } } }",
    );
    let text = agents.await["agent_list"]["items"][0]["occupied_slots"].clone();
    let slots: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    slots["cpu"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn ten_kills_lose_nothing() {
    kill_and_look(10, Besides::Kills).await;
}

#[tokio::test]
async fn containers_and_the_clock_change_nothing_of_that() {
    kill_and_look(6, Besides::Everything).await;
}

#[tokio::test]
#[ignore = "long: cargo xtask test --full"]
async fn two_hundred_kills_lose_nothing() {
    kill_and_look(200, Besides::Kills).await;
}

#[tokio::test]
#[ignore = "long: cargo xtask test --full"]
async fn two_hundred_deaths_of_everything_lose_nothing() {
    kill_and_look(200, Besides::Everything).await;
}
