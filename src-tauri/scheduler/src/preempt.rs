//! Who gives way to a session that finds no room (protocol pages "Semantics" §3.6, "Sessions" §3.2).
//!
//! Only running sessions of a lower job priority within the same scope do, and only where that makes
//! room for all of the session that waits: nobody is ended for a part of it.

use std::collections::BTreeMap;

use protocol::slots::{Quantity, ResourceSlots};
use uuid::Uuid;

use crate::pool::{Pool, Request};
use crate::snapshot::{Session, Snapshot};
use crate::{Outcome, Placement, select};

/// Who goes first among those of one job priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VictimOrder {
    /// Who has run longest.
    #[default]
    Oldest,
    /// Who began last, and loses the least work.
    Newest,
    /// Who gives the most of what lacks, so that few have to go.
    FewestSessions,
    /// Who holds the least.
    SmallestResources,
}

impl VictimOrder {
    /// From `order`; an unknown word means [`VictimOrder::Oldest`], as in the manager.
    pub fn from_name(name: &str) -> Self {
        match name {
            "newest" => Self::Newest,
            "fewest-sessions" => Self::FewestSessions,
            "smallest-resources" => Self::SmallestResources,
            _ => Self::Oldest,
        }
    }
}

/// Among whose sessions a session may look for some to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VictimScope {
    /// Its owner's own.
    #[default]
    User,
    /// Those of its project.
    Project,
    /// Those of its domain.
    Domain,
    /// Everybody's in the resource group.
    ResourceGroup,
}

impl VictimScope {
    /// From `victim_scope`; an unknown word means [`VictimScope::User`], which does the least harm.
    pub fn from_name(name: &str) -> Self {
        match name {
            "project" => Self::Project,
            "domain" => Self::Domain,
            "resource-group" | "resource_group" => Self::ResourceGroup,
            _ => Self::User,
        }
    }
}

/// The rules of a resource group in which sessions give way, and who may be asked to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preemption {
    /// Who goes first.
    pub order: VictimOrder,
    /// Whose sessions count.
    pub scope: VictimScope,
    /// So long a session has run at least before it gives way, in milliseconds.
    pub min_runtime_millis: i64,
    /// The running sessions of the group that may give way at all.
    pub candidates: Vec<Candidate>,
    /// What those still hold of each agent who are going anyway: nobody has to go for that.
    pub leaving: BTreeMap<String, Held>,
}

/// A running session that may have to give way.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: Uuid,
    /// Its rank; it gives way to higher ones.
    pub job_priority: i32,
    /// Its owner.
    pub user: Uuid,
    /// Its project.
    pub project: Uuid,
    /// Its domain.
    pub domain: String,
    /// Since when it runs, in milliseconds since 1970.
    pub running_since_millis: i64,
    /// What it holds at each agent.
    pub held: BTreeMap<String, Held>,
}

/// What a session holds at an agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    /// Its slots.
    pub slots: ResourceSlots,
    /// Its kernels.
    pub containers: usize,
}

/// The candidates of one cycle; each gives way once.
pub(crate) struct Victims<'a> {
    preemption: Option<&'a Preemption>,
    now_millis: i64,
    /// Those of this cycle, in whose places others are already.
    claimed: Vec<&'a Candidate>,
}

/// What still lacks at an agent: slots, and kernels that it may take.
struct Lack<'a> {
    slots: Vec<(&'a str, Quantity)>,
    containers: usize,
}

/// A way to make room at one agent. The lower key is the better way.
struct Way<'a> {
    place: usize,
    effort: Quantity,
    victims: Vec<&'a Candidate>,
}

impl<'a> Victims<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            preemption: snapshot.preemption.as_ref(),
            now_millis: snapshot.now_millis,
            claimed: Vec::new(),
        }
    }

    /// Places a session for which there is no room where lower ones give way; `None` where that does
    /// not help, and then nothing is taken.
    pub(crate) fn make_room(
        &mut self,
        pool: &mut Pool<'_>,
        session: &Session,
        asked: &select::Asked<'_>,
    ) -> Option<Outcome> {
        let preemption = self.preemption.filter(|_| !session.private)?;
        let eligible: Vec<&'a Candidate> = preemption
            .candidates
            .iter()
            .filter(|candidate| self.gives_way(preemption, candidate, session))
            .collect();
        if eligible.is_empty() {
            return None;
        }
        let only = select::compatible(pool, session).ok()?;
        let going = || {
            let chosen = self.claimed.iter().flat_map(|one| &one.held);
            preemption.leaving.iter().chain(chosen)
        };
        going().for_each(|held| change(pool, held, Pool::lend));
        let mut claimed: Vec<&'a Candidate> = Vec::new();
        let mut taken = Vec::new();
        for part in &asked.parts {
            let place = pool.choose(part, only.as_deref()).or_else(|| {
                let way = best(preemption, pool, part, only.as_deref(), &eligible, &claimed)?;
                for victim in way.victims {
                    victim
                        .held
                        .iter()
                        .for_each(|held| change(pool, held, Pool::lend));
                    claimed.push(victim);
                }
                Some(way.place)
            });
            let Some(place) = place else {
                break;
            };
            pool.take(place, part);
            taken.push((place, part));
        }
        // What they hold is theirs until they have gone.
        let lent = claimed.iter().flat_map(|victim| &victim.held);
        going()
            .chain(lent)
            .for_each(|held| change(pool, held, Pool::call_in));
        // Where it is enough to wait for those who are going, nobody else has to.
        if taken.len() < asked.parts.len() || claimed.is_empty() {
            for (place, part) in taken {
                pool.give_back(place, part);
            }
            return None;
        }
        let placements = placements(pool, session, &taken);
        let victims = claimed.iter().map(|victim| victim.id).collect();
        self.claimed.extend(claimed);
        Some(Outcome::Reserve {
            placements,
            victims,
        })
    }

    fn gives_way(&self, rules: &Preemption, candidate: &Candidate, session: &Session) -> bool {
        let in_scope = match rules.scope {
            VictimScope::User => candidate.user == session.user,
            VictimScope::Project => candidate.project == session.project,
            VictimScope::Domain => candidate.domain == session.domain,
            VictimScope::ResourceGroup => true,
        };
        let ran = self
            .now_millis
            .saturating_sub(candidate.running_since_millis);
        in_scope
            && candidate.job_priority < session.job_priority
            && ran >= rules.min_runtime_millis
            && !self.claimed.iter().any(|it| it.id == candidate.id)
    }
}

fn change<'a>(
    pool: &mut Pool<'a>,
    (agent, held): (&String, &Held),
    change: fn(&mut Pool<'a>, usize, &ResourceSlots, usize),
) {
    if let Some(place) = pool.place_of(agent) {
        change(pool, place, &held.slots, held.containers);
    }
}

fn placements(pool: &Pool<'_>, session: &Session, taken: &[(usize, &Request)]) -> Vec<Placement> {
    let parts = taken.iter().enumerate();
    let placed = parts.flat_map(|(part, (place, _))| {
        let agent = &pool.hosts()[*place].agent.id;
        let kernels = select::kernels(session, part).iter();
        kernels.map(|kernel| Placement {
            kernel: kernel.id,
            agent: agent.clone(),
        })
    });
    placed.collect()
}

/// The best way to make room for a request: by what the order spares, then as agents are chosen.
fn best<'a>(
    rules: &Preemption,
    pool: &Pool<'_>,
    request: &Request,
    only: Option<&[usize]>,
    eligible: &[&'a Candidate],
    claimed: &[&Candidate],
) -> Option<Way<'a>> {
    let mut by_place: BTreeMap<usize, Vec<(&'a Candidate, &'a Held)>> = BTreeMap::new();
    for candidate in eligible {
        if claimed.iter().any(|it| it.id == candidate.id) {
            continue;
        }
        for (agent, held) in &candidate.held {
            let place = pool.place_of(agent);
            if let Some(place) = place.filter(|it| only.is_none_or(|only| only.contains(it))) {
                by_place.entry(place).or_default().push((candidate, held));
            }
        }
    }
    let ways = by_place.into_iter().filter_map(|(place, there)| {
        let (slots, containers) = pool.lack(place, request)?;
        let victims = chosen(rules.order, there, &Lack { slots, containers })?;
        let effort = match rules.order {
            VictimOrder::Oldest | VictimOrder::Newest => Quantity::ZERO,
            VictimOrder::FewestSessions => Quantity::whole(victims.len() as u64),
            VictimOrder::SmallestResources => sum(victims.iter().map(|(_, held)| total(held))),
        };
        Some(Way {
            place,
            effort,
            victims: victims.into_iter().map(|(victim, _)| victim).collect(),
        })
    });
    ways.min_by_key(|way| (way.effort, pool.fitness(way.place, request), way.place))
}

/// Those who have to go for what lacks, none of them in vain; `None` when all together give too
/// little.
fn chosen<'a>(
    order: VictimOrder,
    mut there: Vec<(&'a Candidate, &'a Held)>,
    lack: &Lack<'_>,
) -> Option<Vec<(&'a Candidate, &'a Held)>> {
    there.sort_by_cached_key(|(candidate, held)| {
        let since = candidate.running_since_millis;
        let (amount, since) = match order {
            VictimOrder::Oldest => (Quantity::ZERO, since),
            VictimOrder::Newest => (Quantity::ZERO, since.saturating_neg()),
            VictimOrder::FewestSessions => (Quantity::ZERO.minus(lack.share_of(held)), since),
            VictimOrder::SmallestResources => (total(held), since),
        };
        (candidate.job_priority, amount, since, candidate.id)
    });
    let mut chosen: Vec<(&Candidate, &Held)> = Vec::new();
    for one in there {
        if lack.is_met(&chosen) {
            break;
        }
        if lack.is_helped(&chosen, one.1) {
            chosen.push(one);
        }
    }
    if !lack.is_met(&chosen) {
        return None;
    }
    // A later one may have brought all that an earlier one did: the last ones, which rank highest,
    // are spared first.
    for at in (0..chosen.len()).rev() {
        let one = chosen.remove(at);
        if !lack.is_met(&chosen) {
            chosen.insert(at, one);
        }
    }
    Some(chosen)
}

impl Lack<'_> {
    fn left(&self, given: &[(&Candidate, &Held)]) -> (Vec<(&str, Quantity)>, usize) {
        let slots = self.slots.iter().filter_map(|(slot, lack)| {
            let has = sum(given.iter().map(|(_, held)| held.slots.get(slot)));
            (*lack > has).then(|| (*slot, lack.minus(has)))
        });
        let containers: usize = given.iter().map(|(_, held)| held.containers).sum();
        (slots.collect(), self.containers.saturating_sub(containers))
    }

    fn is_met(&self, given: &[(&Candidate, &Held)]) -> bool {
        let (slots, containers) = self.left(given);
        slots.is_empty() && containers == 0
    }

    /// Whether one more brings anything of what still lacks.
    fn is_helped(&self, given: &[(&Candidate, &Held)], held: &Held) -> bool {
        let (slots, containers) = self.left(given);
        let brings = |(slot, _): &(&str, Quantity)| held.slots.get(slot) > Quantity::ZERO;
        slots.iter().any(brings) || (containers > 0 && held.containers > 0)
    }

    /// How much somebody brings of what lacks.
    fn share_of(&self, held: &Held) -> Quantity {
        sum(self
            .slots
            .iter()
            .map(|(slot, lack)| held.slots.get(slot).min(*lack)))
    }
}

fn sum(amounts: impl Iterator<Item = Quantity>) -> Quantity {
    amounts.fold(Quantity::ZERO, Quantity::plus)
}

fn total(held: &Held) -> Quantity {
    sum(held.slots.0.values().copied())
}
