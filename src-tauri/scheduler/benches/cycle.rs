//! One cycle over 10,000 waiting sessions and 1,000 agents, for each order of the queue and each way
//! to choose an agent.
//!
//! `cargo bench -p scheduler [-- ROUNDS]` prints a Markdown table in milliseconds and fails when the
//! median of a cycle is not under 50 ms.
#![allow(clippy::unwrap_used, reason = "a bench ends at the first trouble")]

use std::time::Instant;

use protocol::binary_size::BinarySize;
use protocol::session::ClusterMode;
use protocol::slots::{CUDA_DEVICE, Quantity, ResourceSlots};
use scheduler::{
    Account, Agent, AgentChoice, Kernel, Outcome, Session, Snapshot, Strategy, decide,
};
use uuid::Uuid;

const SESSIONS: u128 = 10_000;
const AGENTS: usize = 1_000;
const LIMIT_MS: f64 = 50.0;

/// A crowd: small and large sessions of 200 users in 20 projects, some with GPUs, some of four
/// kernels; every tenth agent has no GPU.
fn crowd(strategy: Strategy, choice: AgentChoice, cores: u64) -> Snapshot {
    let slots = |cpu, gib, gpu| {
        let mut slots = ResourceSlots::cpu_mem(cpu, BinarySize::gib(gib));
        if gpu > 0 {
            slots.0.insert(CUDA_DEVICE.to_owned(), Quantity::whole(gpu));
        }
        slots
    };
    let session = |number: u128| {
        let kind = number % 10;
        let asked = match kind {
            0 => slots(4, 32, 1),
            1..4 => slots(2, 8, 0),
            _ => slots(1, 4, 0),
        };
        let kernels = if kind == 5 { 4 } else { 1 };
        Session {
            id: Uuid::from_u128(number),
            created_millis: i64::try_from(number * 7919 % SESSIONS).unwrap(),
            priority: u8::try_from(number % 3 * 10).unwrap(),
            job_priority: 0,
            tries: 3,
            user: Uuid::from_u128(number % 200),
            project: Uuid::from_u128(number % 20),
            domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            mode: ClusterMode::MultiNode,
            kernels: (0..kernels)
                .map(|kernel| Kernel {
                    id: Uuid::from_u128(number * 10 + kernel),
                    slots: asked.clone(),
                })
                .collect(),
            agents: Vec::new(),
            private: false,
            dependencies: Vec::new(),
            starts_at: None,
        }
    };
    let agent = |number: usize| Agent {
        id: format!("i-{number:04}"),
        architecture: "x86_64".to_owned(),
        capacity: slots(cores, cores * 8, u64::from(!number.is_multiple_of(10)) * 8),
        occupied: slots(number as u64 % 8, number as u64 % 32, 0),
        containers: number % 8,
        max_containers: None,
    };
    let account = |users: u128| (0..users).map(|id| (Uuid::from_u128(id), Account::unlimited()));
    let mut snapshot = Snapshot {
        strategy,
        choice,
        retries_to_skip: 3,
        slot_priority: ["cuda", "rocm", "tpu", "cpu", "mem"]
            .map(str::to_owned)
            .into(),
        agents: (0..AGENTS).map(agent).collect(),
        waiting: (0..SESSIONS).map(session).collect(),
        users: account(200).collect(),
        projects: account(20).collect(),
        domains: [("default".to_owned(), Account::unlimited())].into(),
        ..Snapshot::default()
    };
    for user in 0..200 {
        let share = (user * 37 % 100) as f64 / 100.0;
        let key = (Uuid::from_u128(user), Uuid::from_u128(user % 20));
        snapshot.factors.users.insert(key, share);
    }
    snapshot
}

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(25);
    println!("{SESSIONS} waiting sessions, {AGENTS} agents, {rounds} rounds; milliseconds\n");
    println!("| order | agent | room | started | best | median | worst |");
    println!("|---|---|---|---|---|---|---|");
    let mut slow = false;
    for strategy in [
        Strategy::Fifo,
        Strategy::Lifo,
        Strategy::Drf,
        Strategy::FairShare,
    ] {
        for choice in [
            AgentChoice::Dispersed,
            AgentChoice::Concentrated,
            AgentChoice::RoundRobin,
            AgentChoice::Legacy,
        ] {
            for (room, cores) in [("for all", 64), ("for some", 12)] {
                let picture = crowd(strategy, choice, cores);
                let mut started = 0;
                let mut times: Vec<f64> = (0..rounds)
                    .map(|_| {
                        let begin = Instant::now();
                        let decisions = decide(&picture);
                        let time = begin.elapsed().as_secs_f64() * 1e3;
                        started = decisions
                            .iter()
                            .filter(|it| matches!(it.outcome, Outcome::Start(_)))
                            .count();
                        time
                    })
                    .collect();
                times.sort_by(f64::total_cmp);
                let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
                slow |= median >= LIMIT_MS;
                println!(
                    "| {strategy:?} | {choice:?} | {room} | {started} | {:.1} | {median:.1} | {worst:.1} |",
                    times[0],
                );
            }
        }
    }
    assert!(!slow, "a cycle takes {LIMIT_MS} ms or more");
}
