//! The ids of sessions whose image's files have several owners: which id of the host stands behind
//! which id inside. A range of ids that nobody else has is needed for that; without one, all of a
//! session is its user's.

use protocol::runner::{
    ids::{IdPlan, IdRange, MapWriters},
    launch::INNER_ID,
};
use serde::{Deserialize, Serialize};

/// Ids that a session has, from 0; of files of other ids an image's user is told.
pub const IDS: u32 = 65_536;
/// Accounts of people and services are below this on every system: no session gets one of theirs.
const FIRST_FREE: u32 = 65_536;

/// Ids that follow each other, of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Which id of the host is which inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    own: u32,
    granted: Vec<Granted>,
}

impl IdMap {
    /// The session's user is `own` on the host, everybody else one of the first [`IDS`] of
    /// `granted`. `None` when those are too few, overlap, hold `own`, or ids that may be somebody's.
    #[must_use]
    pub fn new(own: u32, granted: &[Granted]) -> Option<Self> {
        let mut left = IDS;
        let mut used: Vec<Granted> = Vec::new();
        for range in granted {
            let count = range.count.min(left);
            if count == 0 {
                continue;
            }
            let last = range.first.checked_add(count - 1)?;
            let overlaps = used
                .iter()
                .any(|other| range.first < other.first + other.count && other.first <= last);
            let reserved = range.first < FIRST_FREE || last >= u32::MAX - 1;
            if overlaps || reserved || (range.first..=last).contains(&own) {
                return None;
            }
            used.push(Granted { count, ..*range });
            left -= count;
        }
        (left == 0 && own > 0).then_some(Self { own, granted: used })
    }

    /// What stands on the host behind an id inside; `None` when nothing does.
    #[must_use]
    pub fn host(&self, inside: u32) -> Option<u32> {
        self.ranges().iter().find_map(|range| {
            let offset = inside.checked_sub(range.inside)?;
            (offset < range.count).then(|| range.host + offset)
        })
    }

    /// What an id of the host is inside; `None` when it is nobody there.
    #[must_use]
    pub fn inside(&self, host: u32) -> Option<u32> {
        self.ranges().iter().find_map(|range| {
            let offset = host.checked_sub(range.host)?;
            (offset < range.count).then(|| range.inside + offset)
        })
    }

    /// What is mapped, the session's own id first. The id that would stand behind it in the
    /// granted ranges is left out.
    #[must_use]
    pub fn ranges(&self) -> Vec<IdRange> {
        let mut ranges = vec![IdRange {
            inside: INNER_ID,
            host: self.own,
            count: 1,
        }];
        let mut next = 0;
        for granted in &self.granted {
            let end = next + granted.count;
            let mut add = |inside: u32, end: u32| {
                if inside < end {
                    ranges.push(IdRange {
                        inside,
                        host: granted.first + (inside - next),
                        count: end - inside,
                    });
                }
            };
            if (next..end).contains(&INNER_ID) {
                add(next, INNER_ID);
                add(INNER_ID + 1, end);
            } else {
                add(next, end);
            }
            next = end;
        }
        ranges
    }

    fn granted(&self) -> &[Granted] {
        &self.granted
    }
}

/// Users and groups of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Users.
    pub users: IdMap,
    /// Groups.
    pub groups: IdMap,
    /// Through what an ordinary user gets them.
    pub writers: Option<MapWriters>,
}

/// With which ids something was unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheme {
    /// Users.
    pub users: Vec<Granted>,
    /// Groups.
    pub groups: Vec<Granted>,
}

impl Ids {
    /// For the launcher.
    pub(crate) fn plan(&self) -> IdPlan {
        IdPlan {
            users: self.users.ranges(),
            groups: self.groups.ranges(),
            writers: self.writers.clone(),
        }
    }

    /// To be written down.
    pub(crate) fn scheme(&self) -> Scheme {
        Scheme {
            users: self.users.granted().to_vec(),
            groups: self.groups.granted().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn granted() -> impl Strategy<Value = Vec<Granted>> {
        let range = (0..6_u32, 0..3_u32, 1..70_000_u32).prop_map(|(at, gap, count)| Granted {
            first: 65_536 * (2 * at + 1) + gap,
            count,
        });
        prop::collection::vec(range, 1..5)
    }

    proptest! {
        #[test]
        fn a_map_leads_there_and_back_and_nowhere_else(
            granted in granted(),
            own in 1..900_000_u32,
            probe in any::<u32>(),
        ) {
            let Some(map) = IdMap::new(own, &granted) else { return Ok(()) };
            prop_assert_eq!(map.host(INNER_ID), Some(own));
            for inside in [0, 1, 999, 1000, 1001, IDS - 1, probe % IDS] {
                let host = map.host(inside).unwrap();
                prop_assert_eq!(map.inside(host), Some(inside));
                let theirs = granted.iter().any(|it| (it.first..it.first + it.count).contains(&host));
                prop_assert!(theirs || (inside, host) == (INNER_ID, own));
            }
            for outside in [IDS, u32::MAX, probe.max(IDS)] {
                prop_assert_eq!(map.host(outside), None);
            }
            prop_assert_eq!(map.inside(0), None);
            if let Some(inside) = map.inside(probe) {
                prop_assert_eq!(map.host(inside), Some(probe));
            }
            let ranges = map.ranges();
            prop_assert_eq!(ranges[0].count, 1);
            prop_assert_eq!(ranges.iter().map(|it| it.count).sum::<u32>(), IDS);
            for (number, one) in ranges.iter().enumerate() {
                for other in &ranges[number + 1..] {
                    let apart = |a: u32, b: u32| {
                        a.checked_add(one.count).is_some_and(|end| end <= b)
                            || b.checked_add(other.count).is_some_and(|end| end <= a)
                    };
                    prop_assert!(apart(one.inside, other.inside) && apart(one.host, other.host));
                }
            }
        }
    }

    #[test]
    fn a_range_of_somebody_else_is_refused() {
        let whole = |first| [Granted { first, count: IDS }];
        assert!(IdMap::new(1000, &whole(100_000)).is_some());
        // Too few; accounts; root; the user itself; what stands for nobody at all; overlaps.
        let few = [Granted {
            first: 100_000,
            count: IDS - 1,
        }];
        assert_eq!(IdMap::new(1000, &few), None);
        assert_eq!(IdMap::new(1000, &whole(1000)), None);
        assert_eq!(IdMap::new(70_000, &whole(0)), None);
        assert_eq!(IdMap::new(0, &whole(100_000)), None);
        assert_eq!(IdMap::new(100_001, &whole(100_000)), None);
        assert_eq!(IdMap::new(1000, &whole(u32::MAX - IDS + 1)), None);
        let half = Granted {
            first: 100_000,
            count: 40_000,
        };
        assert_eq!(IdMap::new(1000, &[half, half]), None);
        let apart = Granted {
            first: 200_000,
            ..half
        };
        let map = IdMap::new(1000, &[half, apart]).unwrap();
        assert_eq!(map.host(40_000), Some(200_000));
        assert_eq!(map.host(65_534), Some(225_534));
    }
}
