//! What the scheduler decides, and that it never gives away more than there is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::binary_size::BinarySize;
use protocol::session::ClusterMode;
use protocol::slots::{CPU, CUDA_DEVICE, Quantity, ResourceSlots};
use scheduler::{
    Account, Agent, AgentChoice, Decision, Dependency, Kernel, Outcome, Session, SessionsLimit,
    Snapshot, StartsAt, Strategy as Order, Usage, WaitReason, decide,
};
use uuid::Uuid;

fn slots(cpu: u64, gib: u64) -> ResourceSlots {
    ResourceSlots::cpu_mem(cpu, BinarySize::gib(gib))
}

fn agent(id: &str, cpu: u64, gib: u64) -> Agent {
    Agent {
        id: id.to_owned(),
        architecture: "x86_64".to_owned(),
        capacity: slots(cpu, gib),
        occupied: ResourceSlots::default(),
        containers: 0,
        max_containers: None,
    }
}

fn session(number: u128, asks: &[ResourceSlots]) -> Session {
    Session {
        id: Uuid::from_u128(number),
        created_millis: i64::try_from(number).unwrap(),
        priority: 10,
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

fn snapshot(agents: Vec<Agent>, waiting: Vec<Session>) -> Snapshot {
    Snapshot {
        strategy: Order::Fifo,
        slot_priority: ["cuda", "rocm", "tpu", "cpu", "mem"]
            .map(str::to_owned)
            .into(),
        agents,
        waiting,
        ..Snapshot::default()
    }
}

fn why(decisions: &[Decision], index: usize) -> String {
    match &decisions[index].outcome {
        Outcome::Wait(reason) => reason.to_string(),
        Outcome::Start(placements) => panic!("started at {placements:?}"),
    }
}

fn where_to(decisions: &[Decision], index: usize) -> Vec<&str> {
    match &decisions[index].outcome {
        Outcome::Start(placements) => placements.iter().map(|p| p.agent.as_str()).collect(),
        Outcome::Wait(reason) => panic!("waits: {reason}"),
    }
}

#[test]
fn the_first_without_room_ends_the_cycle() {
    let waiting = vec![
        session(1, &[slots(2, 1)]),
        session(2, &[slots(4, 1)]),
        session(3, &[slots(1, 1)]),
    ];
    let decisions = decide(&snapshot(vec![agent("a", 4, 8)], waiting));
    assert_eq!(where_to(&decisions, 0), ["a"]);
    assert_eq!(
        why(&decisions, 1),
        "1 requirement(s) could not be placed:\n- requirement #0 (containers=1, arch=x86_64, \
         slots=cpu=4, mem=1073741824): no agents passed the 'resource' filter\n  - cpu: missing=2"
    );
    assert_eq!(
        why(&decisions, 2),
        format!(
            "Not attempted: the resource group ran out of resources at the earlier session {}",
            Uuid::from_u128(2)
        )
    );
    assert!(matches!(&decisions[2].outcome, Outcome::Wait(reason) if reason.is_skip()));
}

#[test]
fn a_broken_limit_holds_back_only_that_session() {
    let other = Uuid::from_u128(9);
    let mut second = session(2, &[slots(1, 1)]);
    second.user = other;
    let mut picture = snapshot(
        vec![agent("a", 8, 8)],
        vec![session(1, &[slots(2, 1)]), second],
    );
    picture.users = [(
        Uuid::from_u128(1),
        Account {
            used: Usage {
                slots: slots(3, 1),
                sessions: 2,
                private_sessions: 0,
            },
            limit: [(CPU, Quantity::whole(4))].into_iter().collect(),
            unnamed_unlimited: true,
            sessions_limit: SessionsLimit {
                ordinary: Some(2),
                private: None,
            },
        },
    )]
    .into();
    let decisions = decide(&picture);
    assert_eq!(
        why(&decisions, 0),
        "Multiple validation errors occurred:\n- UserResourceQuotaExceeded: Your default-keypair \
         resource quota is exceeded.\n  - cpu: used 3 + requested 2 > limit 4 (over by 1)\n- \
         ConcurrencyLimitExceeded: You cannot run more than 2 concurrent sessions"
    );
    assert_eq!(where_to(&decisions, 1), ["a"]);
}

#[test]
fn a_slot_that_a_limited_policy_does_not_name_is_forbidden() {
    let mut picture = snapshot(vec![agent("a", 8, 8)], vec![session(1, &[slots(1, 1)])]);
    let limit: ResourceSlots = [(CPU, Quantity::INFINITE)].into_iter().collect();
    picture.projects = [(
        Uuid::from_u128(2),
        Account {
            limit,
            ..Account::default()
        },
    )]
    .into();
    let text = why(&decide(&picture), 0);
    assert!(
        text.starts_with("Your project resource quota is exceeded.\n  - mem:"),
        "{text}"
    );
}

#[test]
fn limits_count_what_the_same_cycle_gave() {
    let mut picture = snapshot(
        vec![agent("a", 8, 8)],
        vec![session(1, &[slots(2, 1)]), session(2, &[slots(2, 1)])],
    );
    let limit: ResourceSlots = [(CPU, Quantity::whole(3))].into_iter().collect();
    picture.users = [(
        Uuid::from_u128(1),
        Account {
            limit,
            ..Account::unlimited()
        },
    )]
    .into();
    let decisions = decide(&picture);
    assert_eq!(where_to(&decisions, 0), ["a"]);
    assert!(why(&decisions, 1).contains("over by 1"));
}

#[test]
fn dependencies_and_time_are_waited_for() {
    let mut dependent = session(1, &[slots(1, 1)]);
    let first = Uuid::from_u128(77);
    dependent.dependencies = vec![Dependency {
        id: first,
        name: "prepare".to_owned(),
        succeeded: false,
    }];
    let mut later = session(2, &[slots(1, 1)]);
    later.starts_at = Some(StartsAt {
        millis: 1001,
        text: "2026-01-01T00:00:00+00:00".to_owned(),
    });
    let mut picture = snapshot(vec![agent("a", 4, 8)], vec![dependent, later]);
    picture.now_millis = 1000;
    let decisions = decide(&picture);
    assert_eq!(
        why(&decisions, 0),
        format!("Waiting dependency sessions to finish as success. (prepare ({first}))")
    );
    assert!(why(&decisions, 1).contains("2026-01-01T00:00:00+00:00"));
    picture.now_millis = 1001;
    assert_eq!(where_to(&decide(&picture), 1), ["a"]);
}

#[test]
fn spreads_or_packs_as_the_group_wishes() {
    let agents = vec![agent("full", 4, 8), agent("roomy", 8, 8)];
    let mut picture = snapshot(agents, vec![session(1, &[slots(1, 1)])]);
    picture.choice = AgentChoice::Concentrated;
    assert_eq!(where_to(&decide(&picture), 0), ["full"]);
    picture.choice = AgentChoice::Dispersed;
    assert_eq!(where_to(&decide(&picture), 0), ["roomy"]);
    // An agent with a GPU is left alone by work that needs none, however much room it has.
    picture.agents[1]
        .capacity
        .0
        .insert(CUDA_DEVICE.to_owned(), Quantity::whole(1));
    assert_eq!(where_to(&decide(&picture), 0), ["full"]);
}

#[test]
fn one_node_takes_all_or_nothing() {
    let agents = vec![agent("a", 2, 8), agent("b", 2, 8)];
    let mut spread = session(1, &[slots(2, 1), slots(2, 1)]);
    assert_eq!(
        where_to(&decide(&snapshot(agents.clone(), vec![spread.clone()])), 0),
        ["a", "b"]
    );
    spread.mode = ClusterMode::SingleNode;
    let text = why(&decide(&snapshot(agents, vec![spread])), 0);
    assert!(
        text.contains("containers=2") && text.contains("cpu: missing=2"),
        "{text}"
    );
}

#[test]
fn what_can_never_fit_says_so() {
    let mut foreign = session(1, &[slots(1, 1)]);
    foreign.architecture = "aarch64".to_owned();
    let mut named = session(2, &[slots(1, 1)]);
    named.agents = vec!["gone".to_owned()];
    let fine = session(3, &[slots(1, 1)]);
    let decisions = decide(&snapshot(
        vec![agent("a", 4, 8)],
        vec![foreign, named, fine],
    ));
    assert!(why(&decisions, 0).starts_with("no agents passed the 'architecture' filter"));
    assert!(why(&decisions, 1).starts_with("no agents passed the 'designated-strict' filter"));
    assert_eq!(where_to(&decisions, 2), ["a"]);
    let nowhere = decide(&snapshot(Vec::new(), vec![session(1, &[slots(1, 1)])]));
    assert!(matches!(
        nowhere[0].outcome,
        Outcome::Wait(WaitReason::NoAgents)
    ));
}

#[test]
fn an_agent_may_be_full_of_kernels() {
    let mut small = agent("a", 64, 64);
    small.max_containers = Some(1);
    let decisions = decide(&snapshot(
        vec![small],
        vec![session(1, &[slots(1, 1)]), session(2, &[slots(1, 1)])],
    ));
    assert_eq!(where_to(&decisions, 0), ["a"]);
    assert!(why(&decisions, 1).ends_with("no agents passed the 'container-limit' filter"));
}

fn any_slots(most: u64) -> impl Strategy<Value = ResourceSlots> {
    (0..=most, 0..=most, 0..=2u64).prop_map(|(cpu, gib, gpu)| {
        let mut asked = slots(cpu, gib);
        asked.0.insert(CUDA_DEVICE.to_owned(), Quantity::whole(gpu));
        asked
    })
}

fn any_agent() -> impl Strategy<Value = Agent> {
    (
        any_slots(16),
        any_slots(4),
        0..3usize,
        proptest::option::of(0..6usize),
        any::<bool>(),
    )
        .prop_map(
            |(capacity, occupied, containers, max_containers, arm)| Agent {
                id: String::new(),
                architecture: if arm { "aarch64" } else { "x86_64" }.to_owned(),
                capacity,
                occupied,
                containers,
                max_containers,
            },
        )
}

fn any_session() -> impl Strategy<Value = Session> {
    let asks = vec(any_slots(6), 1..4);
    (
        asks,
        0..4u8,
        0..3u128,
        0..5i64,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(asks, priority, user, created_millis, one, arm, private)| Session {
                priority,
                user: Uuid::from_u128(user),
                created_millis,
                mode: if one {
                    ClusterMode::SingleNode
                } else {
                    ClusterMode::MultiNode
                },
                architecture: if arm { "aarch64" } else { "x86_64" }.to_owned(),
                private,
                ..session(0, &asks)
            },
        )
}

fn any_account() -> impl Strategy<Value = Account> {
    let limit = proptest::option::of(0..3u32);
    (any_slots(12), any_slots(4), any::<bool>(), 0..3u32, limit).prop_map(
        |(limit, slots, unnamed_unlimited, sessions, most)| Account {
            used: Usage {
                slots,
                sessions,
                private_sessions: sessions,
            },
            limit,
            unnamed_unlimited,
            sessions_limit: SessionsLimit {
                ordinary: most,
                private: most,
            },
        },
    )
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let strategy = prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Drf)];
    let choice = prop_oneof![
        Just(AgentChoice::Dispersed),
        Just(AgentChoice::Concentrated)
    ];
    let agents = vec(any_agent(), 0..5);
    let waiting = vec(any_session(), 0..12);
    (
        strategy,
        choice,
        agents,
        waiting,
        vec(any_account(), 0..3),
        any_account(),
    )
        .prop_map(
            |(strategy, choice, mut agents, mut waiting, users, project)| {
                for (index, agent) in agents.iter_mut().enumerate() {
                    agent.id = format!("agent-{index}");
                }
                for (index, session) in waiting.iter_mut().enumerate() {
                    session.id = Uuid::from_u128(index as u128 + 1);
                    for (kernel, slot) in session.kernels.iter_mut().enumerate() {
                        slot.id = Uuid::from_u128((index as u128 + 1) * 1000 + kernel as u128);
                    }
                }
                let users = users.into_iter().enumerate();
                Snapshot {
                    strategy,
                    choice,
                    users: users
                        .map(|(id, account)| (Uuid::from_u128(id as u128), account))
                        .collect(),
                    projects: [(Uuid::from_u128(2), project)].into(),
                    ..snapshot(agents, waiting)
                }
            },
        )
}

fn started(picture: &Snapshot) -> Vec<(&Session, Vec<(&Kernel, &Agent)>)> {
    let session_of = |id| {
        picture
            .waiting
            .iter()
            .find(|session| session.id == id)
            .unwrap()
    };
    let agent_of = |id: &str| picture.agents.iter().find(|agent| agent.id == id).unwrap();
    decide(picture)
        .into_iter()
        .filter_map(|decision| match decision.outcome {
            Outcome::Start(placements) => Some((session_of(decision.session), placements)),
            Outcome::Wait(_) => None,
        })
        .map(|(session, placements)| {
            let placed = placements.iter().map(|placement| {
                let kernel = session
                    .kernels
                    .iter()
                    .find(|k| k.id == placement.kernel)
                    .unwrap();
                (kernel, agent_of(&placement.agent))
            });
            (session, placed.collect())
        })
        .collect()
}

proptest! {
    #[test]
    fn never_gives_more_than_an_agent_has(picture in any_snapshot()) {
        let mut given: BTreeMap<&str, (ResourceSlots, usize)> = BTreeMap::new();
        for (kernel, agent) in started(&picture).into_iter().flat_map(|(_, placed)| placed) {
            let (slots, count) = given.entry(&agent.id).or_default();
            *slots = slots.plus(&kernel.slots);
            *count += 1;
        }
        for agent in &picture.agents {
            if let Some((slots, count)) = given.get(agent.id.as_str()) {
                prop_assert!(slots.fits(&agent.free()), "{slots:?} of {:?}", agent.free());
                prop_assert!(agent.max_containers.is_none_or(|max| agent.containers + count <= max));
            }
        }
    }

    #[test]
    fn every_kernel_of_a_started_session_has_one_fitting_agent(picture in any_snapshot()) {
        for (session, placed) in started(&picture) {
            let mut kernels: Vec<Uuid> = placed.iter().map(|(kernel, _)| kernel.id).collect();
            kernels.sort();
            kernels.dedup();
            prop_assert_eq!(kernels.len(), session.kernels.len());
            prop_assert!(placed.iter().all(|(_, agent)| agent.architecture == session.architecture));
            if session.mode == ClusterMode::SingleNode {
                prop_assert!(placed.windows(2).all(|pair| pair[0].1.id == pair[1].1.id));
            }
        }
    }

    #[test]
    fn no_limit_is_broken(picture in any_snapshot()) {
        let mut users: BTreeMap<Uuid, (ResourceSlots, u32)> = BTreeMap::new();
        for (session, _) in started(&picture) {
            let (slots, ordinary) = users.entry(session.user).or_default();
            *slots = slots.plus(&session.requested());
            *ordinary += u32::from(!session.private);
        }
        for (user, (slots, ordinary)) in users {
            let Some(account) = picture.users.get(&user) else { continue };
            let limited = slots.0.iter().filter(|(_, amount)| **amount > Quantity::ZERO);
            for (slot, amount) in limited {
                let limit = account.limit.0.get(slot);
                prop_assert!(limit.is_none_or(|l| account.used.slots.get(slot).plus(*amount) <= *l));
                prop_assert!(limit.is_some() || account.unnamed_unlimited);
            }
            let most = account.sessions_limit.ordinary;
            prop_assert!(ordinary == 0 || most.is_none_or(|m| account.used.sessions + ordinary <= m));
        }
    }

    #[test]
    fn decides_about_every_session_once_and_always_the_same(picture in any_snapshot()) {
        let decisions = decide(&picture);
        let mut ids: Vec<Uuid> = decisions.iter().map(|decision| decision.session).collect();
        ids.sort();
        let mut expected: Vec<Uuid> = picture.waiting.iter().map(|session| session.id).collect();
        expected.sort();
        prop_assert_eq!(ids, expected);
        let mut shuffled = picture.clone();
        shuffled.waiting.reverse();
        prop_assert_eq!(decide(&shuffled), decisions);
    }

    #[test]
    fn nobody_passes_a_session_that_found_no_room(picture in any_snapshot()) {
        let decisions = decide(&picture);
        let full = decisions
            .iter()
            .position(|d| matches!(d.outcome, Outcome::Wait(WaitReason::NoRoom(_))));
        for decision in full.map(|at| &decisions[at + 1..]).unwrap_or_default() {
            prop_assert!(matches!(&decision.outcome, Outcome::Wait(reason) if reason.is_skip()));
        }
    }
}
