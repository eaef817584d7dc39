//! Who gives way to whom.

mod support;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::session::ClusterMode;
use protocol::slots::{Quantity, ResourceSlots};
use scheduler::{
    Agent, Candidate, Decision, Held, Outcome, Preemption, Session, Snapshot, VictimOrder,
    VictimScope, WaitReason, decide,
};
use support::{agent, session, slots, snapshot};
use uuid::Uuid;

/// A running session of user 1 that holds `cpu` cores and as many GiB at an agent.
fn candidate(number: u128, agent: &str, cpu: u64, job_priority: i32) -> Candidate {
    Candidate {
        id: Uuid::from_u128(number),
        job_priority,
        user: Uuid::from_u128(1),
        project: Uuid::from_u128(2),
        domain: "default".to_owned(),
        running_since_millis: i64::try_from(number).unwrap_or_default(),
        held: [(agent.to_owned(), held(cpu, cpu))].into(),
    }
}

fn held(cpu: u64, gib: u64) -> Held {
    Held {
        slots: slots(cpu, gib),
        containers: 1,
    }
}

/// A full agent `a` of eight cores, on which these run.
fn full(candidates: Vec<Candidate>, order: VictimOrder) -> Snapshot {
    let mut agent = agent("a", 8, 8);
    agent.occupied = slots(8, 8);
    Snapshot {
        preemption: Some(Preemption {
            order,
            candidates,
            ..Preemption::default()
        }),
        now_millis: 1_000,
        ..snapshot(vec![agent], vec![urgent(100, 4)])
    }
}

fn urgent(number: u128, cpu: u64) -> Session {
    Session {
        job_priority: 5,
        ..session(number, &[slots(cpu, cpu)])
    }
}

fn victims(decision: &Decision) -> Vec<u128> {
    match &decision.outcome {
        Outcome::Reserve { victims, .. } => victims.iter().map(Uuid::as_u128).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn lower_ones_of_the_same_owner_give_way() {
    let mut others = candidate(2, "a", 4, 0);
    others.user = Uuid::from_u128(9);
    let equal = candidate(3, "a", 4, 5);
    let mut picture = full(
        vec![others, equal, candidate(4, "a", 4, 4)],
        VictimOrder::Oldest,
    );
    assert_eq!(victims(&decide(&picture)[0]), [4]);
    let wider = picture.preemption.as_mut().map(|it| {
        it.scope = VictimScope::ResourceGroup;
    });
    assert_eq!((wider, victims(&decide(&picture)[0])), (Some(()), vec![2]));
}

#[test]
fn nobody_gives_way_in_vain() {
    // Together they give less than is asked for.
    let mut picture = full(vec![candidate(1, "a", 3, 0)], VictimOrder::Oldest);
    assert!(matches!(
        &decide(&picture)[0].outcome,
        Outcome::Wait(WaitReason::NoRoom(_))
    ));
    // The first one's core is not needed once the second has gone.
    let two = vec![candidate(1, "a", 1, 0), candidate(2, "a", 4, 0)];
    picture = full(two, VictimOrder::Oldest);
    assert_eq!(victims(&decide(&picture)[0]), [2]);
    // Where the group has no such rule, nobody does.
    picture.preemption = None;
    assert_eq!(victims(&decide(&picture)[0]), [0_u128; 0]);
}

#[test]
fn who_has_run_for_too_short_a_time_stays() {
    let mut picture = full(vec![candidate(900, "a", 4, 0)], VictimOrder::Oldest);
    if let Some(rules) = &mut picture.preemption {
        rules.min_runtime_millis = 500;
    }
    assert_eq!(victims(&decide(&picture)[0]), [0_u128; 0]);
    picture.now_millis = 1_400;
    assert_eq!(victims(&decide(&picture)[0]), [900]);
}

#[test]
fn system_sessions_make_nobody_go() {
    let mut picture = full(vec![candidate(1, "a", 4, 0)], VictimOrder::Oldest);
    picture.waiting[0].private = true;
    assert_eq!(victims(&decide(&picture)[0]), [0_u128; 0]);
}

#[test]
fn the_order_says_who_goes() {
    let running = || {
        vec![
            candidate(1, "a", 2, 0),
            candidate(2, "a", 4, 0),
            candidate(3, "a", 2, 0),
        ]
    };
    let gone = |order| victims(&decide(&full(running(), order))[0]);
    assert_eq!(gone(VictimOrder::Oldest), [2]);
    assert_eq!(gone(VictimOrder::Newest), [2]);
    assert_eq!(gone(VictimOrder::FewestSessions), [2]);
    assert_eq!(gone(VictimOrder::SmallestResources), [1, 3]);
    let mut lower = running();
    lower[2].job_priority = -1;
    lower[0].job_priority = -1;
    assert_eq!(
        victims(&decide(&full(lower, VictimOrder::FewestSessions))[0]),
        [1, 3],
        "the job priority goes before the order"
    );
    let equal = vec![candidate(1, "a", 4, 0), candidate(2, "a", 4, 0)];
    let gone = |order| victims(&decide(&full(equal.clone(), order))[0]);
    assert_eq!(gone(VictimOrder::Oldest), [1]);
    assert_eq!(gone(VictimOrder::Newest), [2]);
}

#[test]
fn nobody_goes_where_somebody_is_going_anyway() {
    let running = vec![candidate(1, "a", 4, 0)];
    let mut picture = full(running, VictimOrder::Oldest);
    if let Some(rules) = &mut picture.preemption {
        rules.leaving = [("a".to_owned(), held(4, 4))].into();
    }
    assert!(matches!(&decide(&picture)[0].outcome, Outcome::Wait(_)));
    picture.waiting[0].kernels[0].slots = slots(5, 5);
    assert_eq!(victims(&decide(&picture)[0]), [1]);
}

#[test]
fn what_is_reserved_is_nobody_elses() {
    let running = vec![candidate(1, "a", 4, 0), candidate(2, "a", 4, 0)];
    let mut picture = full(running, VictimOrder::Oldest);
    picture.waiting.push(urgent(101, 4));
    picture.waiting.push(urgent(102, 1));
    let decisions = decide(&picture);
    assert_eq!(victims(&decisions[0]), [1]);
    assert_eq!(victims(&decisions[1]), [2]);
    assert!(matches!(&decisions[2].outcome, Outcome::Wait(_)));
}

#[test]
fn a_session_of_several_agents_goes_as_a_whole() {
    let mut picture = full(Vec::new(), VictimOrder::Oldest);
    let mut other = agent("b", 8, 8);
    other.occupied = slots(8, 8);
    picture.agents.push(other);
    let mut wide = candidate(1, "a", 4, 0);
    wide.held.insert("b".to_owned(), held(4, 4));
    picture.preemption = Some(Preemption {
        candidates: vec![wide],
        ..Preemption::default()
    });
    let mut asked = session(100, &[slots(4, 4), slots(4, 4)]);
    asked.job_priority = 1;
    picture.waiting = vec![asked];
    let decisions = decide(&picture);
    assert_eq!(victims(&decisions[0]), [1]);
    let Outcome::Reserve { placements, .. } = &decisions[0].outcome else {
        unreachable!("just seen");
    };
    let mut agents: Vec<&str> = placements.iter().map(|it| it.agent.as_str()).collect();
    agents.sort_unstable();
    assert_eq!(agents, ["a", "b"]);
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    (
        vec((0..3usize, 0..5u64, 0..5u64), 1..3),
        -1..4i32,
        0..3u128,
        0..2u128,
        0..1_500i64,
    )
        .prop_map(|(held, job_priority, user, project, since)| Candidate {
            job_priority,
            user: Uuid::from_u128(user),
            project: Uuid::from_u128(project),
            running_since_millis: since,
            held: held
                .into_iter()
                .map(|(agent, cpu, gib)| (format!("a{agent}"), self::held(cpu, gib)))
                .collect(),
            ..candidate(0, "a0", 0, 0)
        })
}

fn any_picture() -> impl Strategy<Value = Snapshot> {
    let asked = (
        vec((0..6u64, 0..6u64), 1..3),
        -1..5i32,
        0..3u128,
        any::<bool>(),
    );
    let order = prop_oneof![
        Just(VictimOrder::Oldest),
        Just(VictimOrder::Newest),
        Just(VictimOrder::FewestSessions),
        Just(VictimOrder::SmallestResources),
    ];
    let scope = prop_oneof![
        Just(VictimScope::User),
        Just(VictimScope::Project),
        Just(VictimScope::Domain),
        Just(VictimScope::ResourceGroup),
    ];
    (
        vec(any_candidate(), 0..8),
        vec(asked, 0..6),
        vec((0..4u64, 0..4u64), 3),
        vec((0..4u64, 0..4u64), 3),
        order,
        scope,
        0..1_000i64,
    )
        .prop_map(
            |(mut candidates, asked, spare, going, order, scope, min_runtime_millis)| {
                for (number, candidate) in candidates.iter_mut().enumerate() {
                    candidate.id = Uuid::from_u128(1_000 + number as u128);
                }
                let waiting = asked.into_iter().enumerate();
                let waiting = waiting.map(|(number, (asks, job_priority, user, single))| {
                    let asks: Vec<_> = asks.into_iter().map(|(cpu, gib)| slots(cpu, gib)).collect();
                    Session {
                        job_priority,
                        user: Uuid::from_u128(user),
                        mode: if single {
                            ClusterMode::SingleNode
                        } else {
                            ClusterMode::MultiNode
                        },
                        ..session(number as u128, &asks)
                    }
                });
                let waiting = waiting.collect();
                let leaving: BTreeMap<String, Held> = going
                    .into_iter()
                    .enumerate()
                    .map(|(number, (cpu, gib))| (format!("a{number}"), held(cpu, gib)))
                    .collect();
                let agents = spare.into_iter().enumerate().map(|(number, (cpu, gib))| {
                    let id = format!("a{number}");
                    let holds = |it: &Candidate| it.held.get(&id).cloned().unwrap_or_default();
                    let occupied = candidates
                        .iter()
                        .fold(leaving[&id].slots.clone(), |sum, it| {
                            sum.plus(&holds(it).slots)
                        });
                    Agent {
                        capacity: occupied.plus(&slots(cpu, gib)),
                        occupied,
                        ..agent(&id, 0, 0)
                    }
                });
                let agents = agents.collect();
                Snapshot {
                    preemption: Some(Preemption {
                        order,
                        scope,
                        min_runtime_millis,
                        candidates,
                        leaving,
                    }),
                    now_millis: 1_500,
                    ..snapshot(agents, waiting)
                }
            },
        )
}

/// What each agent has left when everybody has gone who is to go, and all have come who may.
fn left(picture: &Snapshot, decisions: &[Decision], staying: Option<Uuid>) -> Vec<ResourceSlots> {
    let candidates = || picture.preemption.iter().flat_map(|it| &it.candidates);
    picture
        .agents
        .iter()
        .map(|agent| {
            let going = picture
                .preemption
                .iter()
                .filter_map(|it| it.leaving.get(&agent.id));
            let mut free = going.fold(agent.free(), |sum, it| sum.plus(&it.slots));
            for decision in decisions {
                let (placements, victims) = match &decision.outcome {
                    Outcome::Start(placements) => (placements, &Vec::new()),
                    Outcome::Reserve {
                        placements,
                        victims,
                    } => (placements, victims),
                    Outcome::Wait(_) => continue,
                };
                let gone = candidates()
                    .filter(|it| victims.contains(&it.id) && Some(it.id) != staying)
                    .filter_map(|it| it.held.get(&agent.id));
                for held in gone {
                    free.add(&held.slots);
                }
                for placement in placements.iter().filter(|it| it.agent == agent.id) {
                    let kernels = picture.waiting.iter().flat_map(|it| &it.kernels);
                    for kernel in kernels.filter(|it| it.id == placement.kernel) {
                        free = free.minus(&kernel.slots);
                    }
                }
            }
            free
        })
        .collect()
}

fn fits(left: &[ResourceSlots]) -> bool {
    left.iter()
        .all(|free| free.0.values().all(|amount| *amount >= Quantity::ZERO))
}

proptest! {
    #[test]
    fn there_is_room_once_they_have_gone(picture in any_picture()) {
        let decisions = decide(&picture);
        let left = left(&picture, &decisions, None);
        prop_assert!(fits(&left), "{decisions:?} leave {left:?}");
    }

    #[test]
    fn only_whom_the_rules_name_goes_and_only_once(picture in any_picture()) {
        let rules = picture.preemption.clone().unwrap_or_default();
        let mut gone = Vec::new();
        for decision in decide(&picture) {
            let Outcome::Reserve { victims, .. } = decision.outcome else { continue };
            let session = picture.waiting.iter().find(|it| it.id == decision.session);
            for id in victims {
                prop_assert!(!gone.contains(&id), "twice: {id}");
                gone.push(id);
                let victim = rules.candidates.iter().find(|it| it.id == id);
                let (Some(session), Some(victim)) = (session, victim) else {
                    return Err(TestCaseError::fail("nobody knows them"));
                };
                prop_assert!(victim.job_priority < session.job_priority);
                prop_assert!(picture.now_millis - victim.running_since_millis >= rules.min_runtime_millis);
                let is_in_scope = match rules.scope {
                    VictimScope::User => victim.user == session.user,
                    VictimScope::Project => victim.project == session.project,
                    VictimScope::Domain => victim.domain == session.domain,
                    VictimScope::ResourceGroup => true,
                };
                prop_assert!(is_in_scope);
            }
        }
    }

    /// Of a session that goes to one agent: without any one of those who give way there is no room.
    #[test]
    fn everybody_who_goes_is_needed(picture in any_picture()) {
        let mut picture = picture;
        picture.waiting.truncate(1);
        for session in &mut picture.waiting {
            session.mode = ClusterMode::SingleNode;
        }
        let decisions = decide(&picture);
        for decision in &decisions {
            let Outcome::Reserve { victims, .. } = &decision.outcome else { continue };
            for victim in victims {
                let left = left(&picture, &decisions, Some(*victim));
                prop_assert!(!fits(&left), "{victim} goes in vain: {decisions:?}");
            }
        }
    }

    /// Who can start without that ends nobody: the rule changes nothing for them.
    #[test]
    fn nobody_goes_where_there_is_room(picture in any_picture()) {
        let mut picture = picture;
        picture.waiting.truncate(1);
        let with = decide(&picture);
        picture.preemption = None;
        let without = decide(&picture);
        for (with, without) in with.iter().zip(&without) {
            if matches!(without.outcome, Outcome::Start(_)) {
                prop_assert_eq!(with, without);
            }
        }
    }
}
