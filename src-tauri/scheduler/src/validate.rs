//! The checks that a session must pass before agents are looked at (protocol page "Semantics" §3.3).

use std::collections::BTreeMap;

use protocol::slots::{Quantity, ResourceSlots};
use uuid::Uuid;

use crate::reason::{Exceeded, Over, WaitReason};
use crate::snapshot::{Account, Session, Snapshot};

/// What everybody has and may have, as the cycle goes on.
pub(crate) struct Accounts {
    users: BTreeMap<Uuid, Account>,
    projects: BTreeMap<Uuid, Account>,
    domains: BTreeMap<String, Account>,
    now_millis: i64,
}

impl Accounts {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            users: snapshot.users.clone(),
            projects: snapshot.projects.clone(),
            domains: snapshot.domains.clone(),
            now_millis: snapshot.now_millis,
        }
    }

    /// Counts a session that starts.
    pub(crate) fn take(&mut self, session: &Session, requested: &ResourceSlots) {
        let accounts = [
            self.users.get_mut(&session.user),
            self.projects.get_mut(&session.project),
            self.domains.get_mut(&session.domain),
        ];
        for account in accounts.into_iter().flatten() {
            account.take(session, requested);
        }
    }
}

/// Dependencies, then limits (all of them, so that a user hears of every one at once), then time.
pub(crate) fn check(
    now: &Accounts,
    session: &Session,
    requested: &ResourceSlots,
) -> Result<(), WaitReason> {
    let open: Vec<_> = session
        .dependencies
        .iter()
        .filter(|other| !other.succeeded)
        .cloned()
        .collect();
    if !open.is_empty() {
        return Err(WaitReason::Dependencies(open));
    }
    let exceeded = limits(now, session, requested);
    if !exceeded.is_empty() {
        return Err(WaitReason::Quota(exceeded));
    }
    match &session.starts_at {
        Some(start) if start.millis > now.now_millis => {
            Err(WaitReason::StartsLater(start.text.clone()))
        }
        _ => Ok(()),
    }
}

fn limits(now: &Accounts, session: &Session, requested: &ResourceSlots) -> Vec<Exceeded> {
    let user = now.users.get(&session.user);
    let slots = |account: Option<&Account>, kind: fn(Vec<(String, Over)>) -> Exceeded| {
        let over = account
            .map(|account| over(account, requested))
            .unwrap_or_default();
        (!over.is_empty()).then(|| kind(over))
    };
    [
        slots(user, Exceeded::User),
        user.and_then(|account| concurrency(account, session)),
        slots(now.projects.get(&session.project), Exceeded::Project),
        slots(now.domains.get(&session.domain), Exceeded::Domain),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn concurrency(account: &Account, session: &Session) -> Option<Exceeded> {
    let (used, limit) = if session.private {
        (
            account.used.private_sessions,
            account.sessions_limit.private,
        )
    } else {
        (account.used.sessions, account.sessions_limit.ordinary)
    };
    let limit = limit?;
    (used >= limit).then_some(Exceeded::Concurrency {
        limit,
        private: session.private,
    })
}

fn over(account: &Account, requested: &ResourceSlots) -> Vec<(String, Over)> {
    requested
        .0
        .iter()
        .filter(|(_, amount)| **amount > Quantity::ZERO)
        .filter_map(|(slot, &requested)| {
            let limit = match account.limit.0.get(slot) {
                Some(limit) => *limit,
                None if account.unnamed_unlimited => return None,
                None => Quantity::ZERO,
            };
            let used = account.used.slots.get(slot);
            let over = Over {
                used,
                requested,
                limit,
            };
            (used.plus(requested) > limit).then(|| (slot.clone(), over))
        })
        .collect()
}
