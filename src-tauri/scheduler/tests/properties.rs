//! What holds of every picture: nothing is given twice, no limit is broken, nobody is forgotten.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::session::ClusterMode;
use protocol::slots::{CPU, CUDA_DEVICE, Quantity, ResourceSlots};
use scheduler::fair_share::{Bucket, Spec, share};
use scheduler::{
    Account, Agent, AgentChoice, Decision, Kernel, Outcome, Session, SessionsLimit, Snapshot,
    Strategy as Order, Usage, WaitReason, decide,
};
use support::{session, slots, snapshot};
use uuid::Uuid;

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
    let strategy = prop_oneof![
        Just(Order::Fifo),
        Just(Order::Lifo),
        Just(Order::Drf),
        Just(Order::FairShare)
    ];
    let choice = prop_oneof![
        Just(AgentChoice::Dispersed),
        Just(AgentChoice::Concentrated),
        Just(AgentChoice::RoundRobin),
        Just(AgentChoice::Legacy)
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
            Outcome::Reserve { .. } | Outcome::Wait(_) => None,
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
                let free = agent.free();
                let asked = slots.0.iter().filter(|(_, amount)| **amount > Quantity::ZERO);
                let mut fits = asked.map(|(slot, amount)| *amount <= free.get(slot));
                prop_assert!(fits.all(|fits| fits), "{slots:?} of {free:?}");
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

    /// What a cycle leaves waiting for room finds none even when it is asked alone.
    #[test]
    fn nobody_is_refused_what_there_is(picture in any_snapshot()) {
        let mut left = picture.clone();
        for (session, placed) in started(&picture) {
            for (kernel, agent) in placed {
                let agent = left.agents.iter_mut().find(|it| it.id == agent.id).unwrap();
                agent.occupied.add(&kernel.slots);
                agent.containers += 1;
            }
            if let Some(account) = left.users.get_mut(&session.user) {
                account.used.slots.add(&session.requested());
                *if session.private {
                    &mut account.used.private_sessions
                } else {
                    &mut account.used.sessions
                } += 1;
            }
            if let Some(account) = left.projects.get_mut(&session.project) {
                account.used.slots.add(&session.requested());
                account.used.sessions += 1;
            }
        }
        let refused = |decision: &&Decision| matches!(decision.outcome, Outcome::Wait(WaitReason::NoRoom(_)));
        for decision in decide(&picture).iter().filter(refused) {
            let alone = picture.waiting.iter().filter(|it| it.id == decision.session);
            left.waiting = alone.cloned().collect();
            let kernels = left.waiting.iter().map(|it| it.kernels.len()).sum::<usize>();
            // Where round robin begins decides which way several kernels are tried.
            prop_assume!(picture.choice != AgentChoice::RoundRobin || kernels == 1);
            // Several kernels on several agents are placed one by one, the best agent first, which
            // may miss a way to place them all; one kernel never misses its place.
            let again = decide(&left);
            prop_assert!(matches!(again[0].outcome, Outcome::Wait(_)), "{again:?}");
        }
    }

    /// A session ends up running once those before it are gone: cycle after cycle, with whatever
    /// runs ended in between, everybody who can run at all does.
    #[test]
    fn nobody_waits_for_ever(picture in any_snapshot()) {
        let mut picture = picture;
        for agent in &mut picture.agents {
            agent.occupied = ResourceSlots::default();
            agent.containers = 0;
        }
        for account in picture.users.values_mut().chain(picture.projects.values_mut()) {
            account.used = Usage::default();
        }
        // What could never run even alone would hold back those behind it for ever, which is the
        // rule: the engine refuses to take it in.
        let able = |session: &Session| {
            let alone = Snapshot { waiting: vec![session.clone()], ..picture.clone() };
            matches!(decide(&alone)[0].outcome, Outcome::Start(_))
        };
        let mut left: Vec<Session> = picture.waiting.iter().filter(|it| able(it)).cloned().collect();
        for _ in 0..left.len() {
            let round = Snapshot { waiting: left.clone(), ..picture.clone() };
            let begun: Vec<Uuid> = started(&round).iter().map(|(session, _)| session.id).collect();
            prop_assert!(!begun.is_empty() || left.is_empty());
            left.retain(|session| !begun.contains(&session.id));
        }
        prop_assert!(left.is_empty(), "{left:?}");
    }

    /// Under DRF who gets ahead of somebody of the same priority has no larger dominant share.
    #[test]
    fn dominant_shares_never_fall_along_the_queue(picture in any_snapshot()) {
        let picture = Snapshot { strategy: Order::Drf, ..picture };
        let capacity = picture.agents.iter().fold(ResourceSlots::default(), |mut sum, agent| {
            sum.add(&agent.capacity);
            sum
        });
        let share = |session: &Session| {
            let used = picture.users.get(&session.user).map(|it| &it.used.slots);
            let shares = used.into_iter().flat_map(|used| &used.0).map(|(slot, amount)| {
                let all = capacity.get(slot).as_f64();
                if all > 0.0 { amount.as_f64() / all } else { 0.0 }
            });
            shares.fold(0.0, f64::max)
        };
        let queue: Vec<&Session> = decide(&picture)
            .iter()
            .map(|it| picture.waiting.iter().find(|session| session.id == it.session).unwrap())
            .collect();
        for pair in queue.windows(2) {
            prop_assert!(pair[0].priority >= pair[1].priority);
            if pair[0].priority == pair[1].priority {
                prop_assert!(share(pair[0]) <= share(pair[1]));
            }
        }
    }

    /// Who uses more never has the larger factor.
    #[test]
    fn a_factor_falls_with_usage(
        cpus in 1..64u64,
        days in vec((0..40i64, 0.0..1e7f64), 0..12),
        more in 0.0..1e7f64,
        weight in proptest::option::of(0.1..10.0f64),
    ) {
        let capacity = slots(cpus, 64);
        let bucket = |(days_ago, seconds): (i64, f64)| Bucket {
            days_ago,
            usage: [(CPU.to_owned(), seconds)].into(),
        };
        let mut used: Vec<Bucket> = days.into_iter().map(bucket).collect();
        let spec = Spec::default();
        let before = share(&spec, weight, &capacity, &used).factor;
        used.push(bucket((0, more)));
        let after = share(&spec, weight, &capacity, &used).factor;
        prop_assert!((0.0..=1.0).contains(&after) && after <= before, "{before} {after}");
    }
}
