//! Pictures to decide about.

#![allow(dead_code, reason = "each test uses a part of it")]

use protocol::binary_size::BinarySize;
use protocol::session::ClusterMode;
use protocol::slots::ResourceSlots;
use scheduler::{Agent, Decision, Kernel, Outcome, Session, Snapshot, Strategy};
use uuid::Uuid;

pub(crate) fn slots(cpu: u64, gib: u64) -> ResourceSlots {
    ResourceSlots::cpu_mem(cpu, BinarySize::gib(gib))
}

pub(crate) fn agent(id: &str, cpu: u64, gib: u64) -> Agent {
    Agent {
        id: id.to_owned(),
        architecture: "x86_64".to_owned(),
        capacity: slots(cpu, gib),
        occupied: ResourceSlots::default(),
        containers: 0,
        max_containers: None,
    }
}

pub(crate) fn session(number: u128, asks: &[ResourceSlots]) -> Session {
    Session {
        id: Uuid::from_u128(number),
        created_millis: i64::try_from(number).unwrap_or(i64::MAX),
        priority: 10,
        job_priority: 0,
        tries: 0,
        user: Uuid::from_u128(1),
        project: Uuid::from_u128(2),
        domain: "default".to_owned(),
        architecture: "x86_64".to_owned(),
        mode: ClusterMode::MultiNode,
        kernels: asks
            .iter()
            .enumerate()
            .map(|(index, slots)| Kernel {
                id: Uuid::from_u128(number * 1000 + index as u128),
                slots: slots.clone(),
            })
            .collect(),
        agents: Vec::new(),
        private: false,
        dependencies: Vec::new(),
        starts_at: None,
    }
}

pub(crate) fn snapshot(agents: Vec<Agent>, waiting: Vec<Session>) -> Snapshot {
    Snapshot {
        strategy: Strategy::Fifo,
        slot_priority: ["cuda", "rocm", "tpu", "cpu", "mem"]
            .map(str::to_owned)
            .into(),
        agents,
        waiting,
        ..Snapshot::default()
    }
}

pub(crate) fn why(decisions: &[Decision], index: usize) -> String {
    match &decisions[index].outcome {
        Outcome::Wait(reason) => reason.to_string(),
        other => panic!("does not wait: {other:?}"),
    }
}

pub(crate) fn where_to(decisions: &[Decision], index: usize) -> Vec<&str> {
    match &decisions[index].outcome {
        Outcome::Start(placements) => placements.iter().map(|p| p.agent.as_str()).collect(),
        other => panic!("does not start: {other:?}"),
    }
}
