//! The order in which waiting sessions are looked at.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use protocol::slots::ResourceSlots;
use uuid::Uuid;

use crate::snapshot::{Session, Snapshot, Strategy};

/// The waiting sessions: the higher priority first, then by the group's strategy. Two that are equal
/// in that keep the order in which they were asked for, and the id settles the rest, so that the
/// order never depends on how the picture was read.
pub(crate) fn queue(snapshot: &Snapshot) -> Vec<&Session> {
    let mut queue: Vec<(Place, &Session)> = match snapshot.strategy {
        Strategy::Fifo | Strategy::Lifo => {
            let place = |session: &Session| Place::of(session, (false, [0; 3]));
            snapshot.waiting.iter().map(|it| (place(it), it)).collect()
        }
        Strategy::Drf => {
            let shares = dominant_shares(snapshot);
            let place = |session: &Session| {
                let share = shares.get(&session.user).copied().unwrap_or_default();
                // Shares are not negative, and of such the bits have the numbers' own order.
                Place::of(session, (false, [share.to_bits(), 0, 0]))
            };
            snapshot.waiting.iter().map(|it| (place(it), it)).collect()
        }
        Strategy::FairShare => {
            let place = |session: &Session| Place::of(session, snapshot.factors.rank(session));
            snapshot.waiting.iter().map(|it| (place(it), it)).collect()
        }
    };
    if snapshot.strategy == Strategy::Lifo {
        queue.sort_unstable_by_key(|(place, _)| (place.0, Reverse(place.2), Reverse(place.3)));
    } else {
        queue.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    }
    queue.into_iter().map(|(_, session)| session).collect()
}

/// Priority, what the strategy says, when it was asked for, id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place(Reverse<u8>, (bool, [u64; 3]), i64, Uuid);

impl Place {
    fn of(session: &Session, rank: (bool, [u64; 3])) -> Self {
        Self(
            Reverse(session.priority),
            rank,
            session.created_millis,
            session.id,
        )
    }
}

/// For each user the largest part that they have of any slot of this group's agents.
fn dominant_shares(snapshot: &Snapshot) -> BTreeMap<Uuid, f64> {
    let capacity = snapshot
        .agents
        .iter()
        .fold(ResourceSlots::default(), |sum, agent| {
            sum.plus(&agent.capacity)
        });
    snapshot
        .users
        .iter()
        .map(|(user, account)| (*user, dominant_share(&account.used.slots, &capacity)))
        .collect()
}

fn dominant_share(used: &ResourceSlots, capacity: &ResourceSlots) -> f64 {
    let shares = used.0.iter().map(|(slot, amount)| {
        let all = capacity.get(slot).as_f64();
        if all > 0.0 {
            amount.as_f64() / all
        } else {
            0.0
        }
    });
    shares.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Account, Agent, Usage};
    use protocol::session::ClusterMode;
    use protocol::slots::{CPU, Quantity};

    fn session(id: u128, created_millis: i64, priority: u8, user: u128) -> Session {
        Session {
            id: Uuid::from_u128(id),
            created_millis,
            priority,
            job_priority: 0,
            tries: 0,
            user: Uuid::from_u128(user),
            project: Uuid::nil(),
            domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            mode: ClusterMode::SingleNode,
            kernels: Vec::new(),
            agents: Vec::new(),
            private: false,
            dependencies: Vec::new(),
            starts_at: None,
        }
    }

    fn order(strategy: Strategy) -> Vec<u128> {
        let cpu = |count| ResourceSlots::from_iter([(CPU, Quantity::whole(count))]);
        let user = |count| Account {
            used: Usage {
                slots: cpu(count),
                ..Usage::default()
            },
            ..Account::unlimited()
        };
        let snapshot = Snapshot {
            strategy,
            waiting: vec![
                session(1, 30, 10, 1),
                session(2, 10, 10, 2),
                session(3, 20, 10, 1),
                session(4, 40, 50, 2),
            ],
            users: [(Uuid::from_u128(1), user(1)), (Uuid::from_u128(2), user(3))].into(),
            agents: vec![Agent {
                id: "a".to_owned(),
                architecture: "x86_64".to_owned(),
                capacity: cpu(4),
                occupied: ResourceSlots::default(),
                containers: 0,
                max_containers: None,
            }],
            ..Snapshot::default()
        };
        queue(&snapshot)
            .into_iter()
            .map(|session| session.id.as_u128())
            .collect()
    }

    #[test]
    fn priority_goes_before_the_strategy() {
        assert_eq!(order(Strategy::Fifo), [4, 2, 3, 1]);
        assert_eq!(order(Strategy::Lifo), [4, 1, 3, 2]);
    }

    #[test]
    fn who_has_least_goes_first() {
        assert_eq!(order(Strategy::Drf), [4, 3, 1, 2]);
    }
}
