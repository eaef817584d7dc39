//! Fair shares of a resource group, from what its kernels have used and what administrators weigh
//! (protocol page "Semantics" §4).
//!
//! Usage is not kept apart: the kernels' own rows say when each ran and what it had, so it can't
//! disagree with them.

use std::collections::BTreeMap;

use db::rusqlite::Connection;
use protocol::slots::ResourceSlots;
use scheduler::fair_share::{Bucket, DAY, Factors, Share, Spec, days, share};
use serde_json::Value;
use uuid::Uuid;

use crate::error::Problem;
use crate::state::App;
use crate::store::{self, At};

/// The shares of everybody who has used something, and of `besides`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    pub(crate) domains: BTreeMap<String, Share>,
    pub(crate) projects: BTreeMap<Uuid, Share>,
    /// By user and project.
    pub(crate) users: BTreeMap<(Uuid, Uuid), Share>,
}

/// What a resource group says about counting usage, the rest as in every installation.
pub(crate) fn spec(written: &Value) -> Spec {
    let days = |key: &str, default: u32| {
        let days = written.get(key).and_then(Value::as_u64);
        days.and_then(|days| u32::try_from(days).ok())
            .filter(|days| *days > 0)
            .unwrap_or(default)
    };
    let weight = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    };
    let default = Spec::default();
    Spec {
        half_life_days: days("half_life_days", default.half_life_days),
        lookback_days: days("lookback_days", default.lookback_days),
        decay_unit_days: days("decay_unit_days", default.decay_unit_days),
        default_weight: written
            .get("default_weight")
            .and_then(weight)
            .filter(|weight: &f64| *weight > 0.0)
            .unwrap_or(default.default_weight),
        resource_weights: written
            .get("resource_weights")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(slot, value)| Some((slot.clone(), weight(value)?)))
            .collect(),
    }
}

/// The shares of a resource group at `now`.
pub(crate) fn shares(
    db: &Connection,
    group: &str,
    spec: &Spec,
    capacity: &ResourceSlots,
    now: At,
) -> Result<Shares, Problem> {
    let now = now.0.as_second();
    let first_day = now.div_euclid(DAY) - i64::from(spec.lookback_days);
    let since = jiff::Timestamp::from_second(first_day * DAY).unwrap_or_default();
    let mut usage = Usage::default();
    for used in store::fair_share::used(db, group, At(since))? {
        let begin = used.begin.0.as_second().max(first_day * DAY);
        let end = used.end.map_or(now, |end| end.0.as_second());
        for (day, seconds) in days(begin, end) {
            usage.add(&used, now.div_euclid(DAY) - day, seconds);
        }
    }
    let weights = store::fair_share::weights(db, group)?;
    let share_of = |kind: &str, target: String, days: Days| {
        let buckets: Vec<Bucket> = days
            .into_iter()
            .map(|(days_ago, usage)| Bucket { days_ago, usage })
            .collect();
        let weight = weights.get(&(kind.to_owned(), target)).copied();
        share(spec, weight, capacity, &buckets)
    };
    Ok(Shares {
        domains: usage
            .domains
            .into_iter()
            .map(|(name, days)| (name.clone(), share_of("domain", name, days)))
            .collect(),
        projects: usage
            .projects
            .into_iter()
            .map(|(id, days)| (id, share_of("project", id.to_string(), days)))
            .collect(),
        users: usage
            .users
            .into_iter()
            .map(|((user, project), days)| {
                let target = format!("{project}/{user}");
                ((user, project), share_of("user", target, days))
            })
            .collect(),
    })
}

/// Slot-seconds by day, counted back from today.
type Days = BTreeMap<i64, BTreeMap<String, f64>>;

#[derive(Default)]
struct Usage {
    domains: BTreeMap<String, Days>,
    projects: BTreeMap<Uuid, Days>,
    users: BTreeMap<(Uuid, Uuid), Days>,
}

impl Usage {
    fn add(&mut self, used: &store::fair_share::Used, days_ago: i64, seconds: i64) {
        let lists = [
            self.domains.entry(used.domain.clone()).or_default(),
            self.projects.entry(used.project).or_default(),
            self.users.entry((used.user, used.project)).or_default(),
        ];
        for days in lists {
            let day = days.entry(days_ago).or_default();
            for (slot, amount) in &used.slots.0 {
                *day.entry(slot.clone()).or_default() += amount.as_f64() * seconds as f64;
            }
        }
    }
}

impl Shares {
    /// What the scheduler looks at. Who has used nothing has the best factor.
    pub(crate) fn factors(&self, waiting: impl Iterator<Item = (Uuid, Uuid)>) -> Factors {
        let mut users: BTreeMap<(Uuid, Uuid), f64> = waiting.map(|key| (key, 1.0)).collect();
        users.extend(self.users.iter().map(|(key, share)| (*key, share.factor)));
        Factors {
            domains: self
                .domains
                .iter()
                .map(|(name, share)| (name.clone(), share.factor))
                .collect(),
            projects: self
                .projects
                .iter()
                .map(|(id, share)| (*id, share.factor))
                .collect(),
            users,
        }
    }
}

/// Whose share a request is about.
#[derive(Debug, Clone)]
pub(crate) enum Of {
    Domain(String),
    Project(Uuid),
    /// A user in a project.
    User(Uuid, Uuid),
}

impl Of {
    /// As weights are kept.
    fn key(&self) -> (&'static str, String) {
        match self {
            Self::Domain(name) => ("domain", name.clone()),
            Self::Project(id) => ("project", id.to_string()),
            Self::User(user, project) => ("user", format!("{project}/{user}")),
        }
    }

    fn check(&self, db: &Connection) -> Result<(), Problem> {
        let there = match self {
            Self::Domain(name) => store::domain::get(db, name)?.is_some(),
            Self::Project(id) => store::project::get(db, *id)?.is_some(),
            Self::User(user, project) => {
                store::user::get(db, *user)?.is_some()
                    && store::project::get(db, *project)?.is_some()
            }
        };
        if there {
            return Ok(());
        }
        let (kind, name) = self.key();
        Err(Problem::not_found(kind, "fair-share_read_not-found")
            .msg(format!("There is no {kind} \"{name}\".")))
    }
}

/// Somebody's share, and how it was counted.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) spec: Spec,
    /// `None` is the resource group's default.
    pub(crate) weight: Option<f64>,
    pub(crate) share: Share,
    /// The first and the last day that count, ISO.
    pub(crate) lookback: (String, String),
}

fn group_spec(db: &Connection, group: &str) -> Result<Spec, Problem> {
    let found = store::resource_group::get(db, group)?.ok_or_else(|| {
        Problem::not_found("scaling group", "scaling-group_read_not-found")
            .msg(format!("There is no resource group \"{group}\"."))
    })?;
    Ok(spec(&found.fair_share_spec))
}

/// How a resource group counts usage.
pub(crate) async fn spec_of(app: &App, group: &str) -> Result<Spec, Problem> {
    let group = group.to_owned();
    app.store.read(move |db| group_spec(db, &group)).await
}

/// Changes how a resource group counts usage; what is not named stays, null is the default again.
pub(crate) async fn set_spec(
    app: &App,
    group: &str,
    changes: serde_json::Map<String, Value>,
) -> Result<Spec, Problem> {
    const KEYS: [&str; 5] = [
        "half_life_days",
        "lookback_days",
        "decay_unit_days",
        "default_weight",
        "resource_weights",
    ];
    for key in &KEYS[..3] {
        let days = changes.get(*key).filter(|days| !days.is_null());
        if days.is_some_and(|days| !days.as_u64().is_some_and(|days| (1..=3650).contains(&days))) {
            return Err(Problem::invalid_params(format!(
                "{key}: a number from 1 to 3650 is needed."
            )));
        }
    }
    let group = group.to_owned();
    app.store
        .write(move |tx| {
            group_spec(tx, &group)?;
            let mut written = store::resource_group::get(tx, &group)?
                .and_then(|found| found.fair_share_spec.as_object().cloned())
                .unwrap_or_default();
            for (key, value) in changes {
                if KEYS.contains(&&*key) {
                    written.insert(key, value);
                }
            }
            written.retain(|_, value| !value.is_null());
            let mut change = store::change::Change::default();
            change.set("fair_share_spec", store::Json(Value::Object(written)));
            change.update(tx, "resource_group", "name", &group)?;
            group_spec(tx, &group)
        })
        .await
}

/// Sets a weight; `None` goes back to the resource group's default.
pub(crate) async fn set_weight(
    app: &App,
    group: &str,
    of: &Of,
    weight: Option<f64>,
) -> Result<(), Problem> {
    let (group, of) = (group.to_owned(), of.clone());
    app.store
        .write(move |tx| {
            group_spec(tx, &group)?;
            of.check(tx)?;
            let (kind, target) = of.key();
            Ok(store::fair_share::set_weight(
                tx, &group, kind, &target, weight,
            )?)
        })
        .await
}

/// Somebody's share of a resource group now.
pub(crate) async fn standing(app: &App, group: &str, of: &Of) -> Result<Standing, Problem> {
    let agents = super::resource::agents(app).await?;
    let mut capacity = ResourceSlots::default();
    for agent in agents.iter().filter(|agent| agent.group == group) {
        capacity.add(&agent.capacity);
    }
    let now = At((app.clock)());
    let (group, of) = (group.to_owned(), of.clone());
    app.store
        .read(move |db| {
            let spec = group_spec(db, &group)?;
            of.check(db)?;
            let shares = shares(db, &group, &spec, &capacity, now)?;
            let (kind, target) = of.key();
            let weight = store::fair_share::weights(db, &group)?
                .get(&(kind.to_owned(), target))
                .copied();
            let found = match &of {
                Of::Domain(name) => shares.domains.get(name),
                Of::Project(id) => shares.projects.get(id),
                Of::User(user, project) => shares.users.get(&(*user, *project)),
            };
            let unused = || share(&spec, weight, &capacity, &[]);
            let day = |days: i64| {
                let second = now.0.as_second() - days * DAY;
                let at = jiff::Timestamp::from_second(second).unwrap_or_default();
                at.strftime("%Y-%m-%d").to_string()
            };
            Ok(Standing {
                weight,
                share: found.cloned().unwrap_or_else(unused),
                lookback: (day(i64::from(spec.lookback_days)), day(0)),
                spec,
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_says_only_what_differs() {
        assert_eq!(spec(&json!({})), Spec::default());
        let written = json!({
            "half_life_days": 3, "lookback_days": 0, "default_weight": "2.5",
            "resource_weights": { "cpu": "0.5", "mem": 0, "x": null },
        });
        let read = spec(&written);
        assert_eq!((read.half_life_days, read.lookback_days), (3, 28));
        assert_eq!(read.default_weight, 2.5);
        assert_eq!(read.slot_weight("cpu"), 0.5);
        assert_eq!(read.slot_weight("mem"), 0.0);
        assert_eq!(read.slot_weight("cuda.device"), 10.0);
    }
}
