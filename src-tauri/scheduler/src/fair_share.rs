//! Fair shares: who has used how much of late, and who is next for it (protocol page "Semantics"
//! §4).
//!
//! Usage is counted in slot-seconds by day. Older days count less, half as much after each half-life;
//! what is left is compared with what the group could have given in the whole look-back, weighed by
//! slot, and made a factor between 0 (used very much) and 1 (used nothing).

use std::collections::BTreeMap;

use protocol::slots::{CPU, CUDA_DEVICE, MEM, ResourceSlots};
use uuid::Uuid;

use crate::snapshot::Session;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// How a resource group counts usage (`fair_share_spec`).
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// After so many days usage counts half.
    pub half_life_days: u32,
    /// Usage of so many days counts at all.
    pub lookback_days: u32,
    /// Days are put together in so many, and age together.
    pub decay_unit_days: u32,
    /// The weight of whoever has none of their own.
    pub default_weight: f64,
    /// Weights by slot; a slot that is not named weighs [`Spec::slot_weight`].
    pub resource_weights: BTreeMap<String, f64>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            half_life_days: 7,
            lookback_days: 28,
            decay_unit_days: 1,
            default_weight: 1.0,
            resource_weights: BTreeMap::new(),
        }
    }
}

impl Spec {
    /// How much a slot counts beside the others.
    pub fn slot_weight(&self, slot: &str) -> f64 {
        if let Some(weight) = self.resource_weights.get(slot) {
            return *weight;
        }
        match slot {
            CPU => 1.0,
            MEM => 0.001,
            CUDA_DEVICE | "cuda.shares" => 10.0,
            _ => 1.0,
        }
    }
}

/// What was used on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// 0 is today; days to come count as today.
    pub days_ago: i64,
    /// Slot-seconds.
    pub usage: BTreeMap<String, f64>,
}

/// Somebody's share.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Slot-seconds after decay.
    pub decayed: BTreeMap<String, f64>,
    /// The part of what the group could have given, weighed over the slots.
    pub normalized: f64,
    /// 1 for no usage, towards 0 for much.
    pub factor: f64,
}

/// Computes a share; `weight` is the user's, project's or domain's own.
pub fn share(
    spec: &Spec,
    weight: Option<f64>,
    capacity: &ResourceSlots,
    buckets: &[Bucket],
) -> Share {
    let decayed = decayed(spec, buckets);
    let seconds = f64::from(spec.lookback_days.max(1)) * DAY as f64;
    let mut sum = 0.0;
    let mut weights = 0.0;
    for (slot, amount) in &capacity.0 {
        let capacity = amount.as_f64();
        if !(capacity > 0.0 && capacity.is_finite()) {
            continue;
        }
        let weight = spec.slot_weight(slot);
        let used = decayed.get(slot).copied().unwrap_or_default();
        sum += used / (capacity * seconds) * weight;
        weights += weight;
    }
    let normalized = if weights > 0.0 { sum / weights } else { 0.0 };
    let weight = weight
        .filter(|weight| *weight > 0.0)
        .unwrap_or(spec.default_weight)
        .max(f64::MIN_POSITIVE);
    let factor = (-normalized / weight)
        .clamp(-10.0, 10.0)
        .exp2()
        .clamp(0.0, 1.0);
    Share {
        decayed,
        normalized,
        factor,
    }
}

fn decayed(spec: &Spec, buckets: &[Bucket]) -> BTreeMap<String, f64> {
    let unit = i64::from(spec.decay_unit_days.max(1));
    let half_life = f64::from(spec.half_life_days.max(1));
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for bucket in buckets {
        if bucket.days_ago > i64::from(spec.lookback_days) {
            continue;
        }
        let age = (bucket.days_ago.max(0) / unit) * unit;
        let left = (-(age as f64) / half_life).exp2();
        for (slot, seconds) in &bucket.usage {
            *sums.entry(slot.clone()).or_default() += seconds * left;
        }
    }
    sums
}

/// Cuts the seconds from `begin` to `end` (since 1970) at midnight: (the day since 1970, seconds).
pub fn days(begin: i64, end: i64) -> Vec<(i64, i64)> {
    if begin >= end {
        return Vec::new();
    }
    (begin.div_euclid(DAY)..=(end - 1).div_euclid(DAY))
        .map(|day| {
            let from = begin.max(day * DAY);
            (day, end.min((day + 1) * DAY) - from)
        })
        .collect()
}

/// Everybody's factors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Factors {
    /// By domain; 1 where there is none.
    pub domains: BTreeMap<String, f64>,
    /// By project; 1 where there is none.
    pub projects: BTreeMap<Uuid, f64>,
    /// By user and project. Who has none comes last.
    pub users: BTreeMap<(Uuid, Uuid), f64>,
}

impl Factors {
    /// The lower, the earlier: those without a factor of their own last, then domain, project, user.
    pub(crate) fn rank(&self, session: &Session) -> (bool, [u64; 3]) {
        // Factors lie between 0 and 1: of such numbers the bits have their own order.
        let lower = |factor: f64| (1.0 - factor.clamp(0.0, 1.0)).to_bits();
        let user = self.users.get(&(session.user, session.project));
        let domain = self.domains.get(&session.domain).copied().unwrap_or(1.0);
        let project = self.projects.get(&session.project).copied().unwrap_or(1.0);
        let own = user.copied().unwrap_or(0.0);
        (user.is_none(), [lower(domain), lower(project), lower(own)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::slots::Quantity;

    fn cpus(count: u64) -> ResourceSlots {
        ResourceSlots::from_iter([(CPU, Quantity::whole(count))])
    }

    fn bucket(days_ago: i64, cpu_seconds: f64) -> Bucket {
        Bucket {
            days_ago,
            usage: [(CPU.to_owned(), cpu_seconds)].into(),
        }
    }

    #[test]
    fn the_example_of_the_protocol() {
        let used = [bucket(7, 10.0 * DAY as f64)];
        let share = share(&Spec::default(), Some(1.0), &cpus(10), &used);
        assert_eq!(share.decayed[CPU], 432_000.0);
        assert!((share.normalized - 0.017_857).abs() < 1e-6, "{share:?}");
        assert!((share.factor - 0.987_70).abs() < 1e-5, "{share:?}");
    }

    #[test]
    fn no_usage_is_one_and_old_usage_is_none() {
        let spec = Spec::default();
        assert_eq!(share(&spec, None, &cpus(4), &[]).factor, 1.0);
        let old = [bucket(29, 1e9)];
        assert_eq!(share(&spec, None, &cpus(4), &old).factor, 1.0);
        let today = [bucket(0, 1e6), bucket(-1, 1e6)];
        assert_eq!(share(&spec, None, &cpus(4), &today).decayed[CPU], 2e6);
        assert_eq!(
            share(&spec, None, &ResourceSlots::default(), &today).factor,
            1.0
        );
    }

    #[test]
    fn a_heavier_weight_bears_more() {
        let used = [bucket(0, 4.0 * DAY as f64)];
        let spec = Spec::default();
        let light = share(&spec, Some(0.5), &cpus(4), &used).factor;
        let heavy = share(&spec, Some(2.0), &cpus(4), &used).factor;
        assert!(light < heavy, "{light} {heavy}");
    }

    #[test]
    fn days_of_one_unit_age_together() {
        let spec = Spec {
            decay_unit_days: 7,
            ..Spec::default()
        };
        let decayed = |days| share(&spec, None, &cpus(4), &[bucket(days, 100.0)]).decayed[CPU];
        assert_eq!(decayed(6), 100.0);
        assert_eq!(decayed(7), 50.0);
        assert_eq!(decayed(13), 50.0);
    }

    #[test]
    fn time_is_cut_at_midnight() {
        assert_eq!(days(10, 10), []);
        assert_eq!(days(100, 400), [(0, 300)]);
        assert_eq!(days(DAY - 10, DAY + 700), [(0, 10), (1, 700)]);
    }
}
