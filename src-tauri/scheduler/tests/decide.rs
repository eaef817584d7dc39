//! What the scheduler decides.

mod support;

use protocol::session::ClusterMode;
use protocol::slots::{CPU, CUDA_DEVICE, Quantity, ResourceSlots};
use scheduler::{
    Account, AgentChoice, Dependency, Outcome, Session, SessionsLimit, StartsAt, Strategy, Usage,
    WaitReason, decide,
};
use support::{agent, session, slots, snapshot, where_to, why};
use uuid::Uuid;

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

#[test]
fn one_that_was_tried_often_enough_gives_way() {
    let mut large = session(1, &[slots(8, 1)]);
    large.tries = 2;
    let mut picture = snapshot(
        vec![agent("a", 4, 8)],
        vec![large, session(2, &[slots(1, 1)])],
    );
    picture.retries_to_skip = 3;
    assert!(matches!(&decide(&picture)[1].outcome, Outcome::Wait(reason) if reason.is_skip()));
    picture.waiting[0].tries = 3;
    assert!(why(&decide(&picture), 0).contains("cpu: missing=4"));
    assert_eq!(where_to(&decide(&picture), 1), ["a"]);
    picture.strategy = Strategy::Drf;
    assert!(matches!(&decide(&picture)[1].outcome, Outcome::Wait(reason) if reason.is_skip()));
}

#[test]
fn takes_turns_and_weighs_as_the_group_wishes() {
    let agents = vec![agent("a", 4, 8), agent("b", 4, 8), agent("c", 4, 8)];
    let four = |number| session(number, &[slots(1, 1)]);
    let mut picture = snapshot(agents, (1..=4).map(four).collect());
    picture.choice = AgentChoice::RoundRobin;
    picture.last_agent = Some("a".to_owned());
    let decisions = decide(&picture);
    let turns: Vec<_> = (0..4).map(|at| where_to(&decisions, at)[0]).collect();
    assert_eq!(turns, ["b", "c", "a", "b"]);
    // Legacy looks at the precious slots only: an agent with a GPU is as good as any.
    picture.choice = AgentChoice::Legacy;
    picture.agents[2]
        .capacity
        .0
        .insert(CUDA_DEVICE.to_owned(), Quantity::whole(1));
    assert_eq!(where_to(&decide(&picture), 0), ["c"]);
}

#[test]
fn who_has_used_least_goes_first() {
    let of = |number: u128, user: u128, project: u128, domain: &str| Session {
        user: Uuid::from_u128(user),
        project: Uuid::from_u128(project),
        domain: domain.to_owned(),
        ..session(number, &[slots(1, 1)])
    };
    let mut picture = snapshot(
        vec![agent("a", 8, 8)],
        vec![
            of(1, 1, 1, "greedy"),
            of(2, 2, 2, "modest"),
            of(3, 3, 3, "modest"),
            of(4, 4, 3, "modest"),
            of(5, 5, 3, "modest"),
        ],
    );
    picture.strategy = Strategy::FairShare;
    picture.factors.domains = [("greedy".to_owned(), 0.5), ("modest".to_owned(), 0.9)].into();
    picture.factors.projects = [(Uuid::from_u128(2), 0.7), (Uuid::from_u128(3), 0.8)].into();
    picture.factors.users = [(1, 1, 1.0), (2, 2, 1.0), (3, 3, 0.2), (4, 3, 0.3)]
        .map(|(user, project, factor)| ((Uuid::from_u128(user), Uuid::from_u128(project)), factor))
        .into();
    let order: Vec<u128> = decide(&picture)
        .iter()
        .map(|decision| decision.session.as_u128())
        .collect();
    assert_eq!(order, [4, 3, 2, 1, 5]);
    picture.waiting[0].priority = 20;
    assert_eq!(decide(&picture)[0].session.as_u128(), 1);
}
