//! Whether a session is idle, and how long it still has (protocol page "Semantics" §6).
//!
//! Pure rules over what is known at one moment; `reconcile::idle` gathers that and acts.

mod settings;
mod utilization;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use protocol::session::{SessionStatus, SessionType};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(crate) use settings::{ROOT, Settings};
pub(crate) use utilization::{Sample, Window};

use crate::activity::Access;
use crate::store::idle::Limits;

/// Seconds between two looks.
pub(crate) const INTERVAL: u32 = 15;

/// What ends an idle session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Checker {
    /// It has lived for as long as its owner's policy allows.
    SessionLifetime,
    /// Nothing was exchanged with its user.
    NetworkTimeout,
    /// It hardly used what it holds.
    Utilization,
}

impl Checker {
    /// Its name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SessionLifetime => "session_lifetime",
            Self::NetworkTimeout => "network_timeout",
            Self::Utilization => "utilization",
        }
    }

    /// The reason that a session ends with.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::SessionLifetime => "idle-session-lifetime",
            Self::NetworkTimeout => "idle-timeout",
            Self::Utilization => "idle-utilization",
        }
    }
}

/// What one checker says of a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) checker: Checker,
    /// Seconds that are left; `None` when nothing is counted.
    pub(crate) remaining: Option<f64>,
    /// Whether its time is over.
    pub(crate) idle: bool,
    /// Of the utilization checker.
    pub(crate) extra: Value,
}

/// What is known of a session at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) limits: Limits,
    pub(crate) kind: SessionType,
    pub(crate) status: SessionStatus,
    /// When it was asked for: milliseconds since 1970, as all times here.
    pub(crate) created: i64,
    /// When it was asked for, or is to begin.
    pub(crate) begins: i64,
    /// When it began to run.
    pub(crate) running_since: Option<i64>,
    pub(crate) access: Option<Access>,
    pub(crate) now: i64,
    /// The same moment on a clock that nobody sets.
    pub(crate) steady: i64,
}

impl Facts<'_> {
    fn user_grace_end(&self) -> i64 {
        let grace = self.settings.user_grace.unwrap_or_default();
        self.limits
            .user_since
            .0
            .as_millisecond()
            .saturating_add(millis(grace))
    }

    fn left(&self, since: i64, seconds: f64) -> f64 {
        let end = since
            .max(self.user_grace_end())
            .saturating_add(millis(seconds));
        seconds_of(end.saturating_sub(self.now))
    }

    /// The longest life.
    fn lifetime(&self) -> Verdict {
        let limit = self.limits.max_session_lifetime;
        let remaining = (limit > 0).then(|| self.left(self.begins, whole(limit)));
        Verdict {
            checker: Checker::SessionLifetime,
            idle: remaining.is_some_and(|left| left <= 0.0),
            remaining,
            extra: Value::Null,
        }
    }

    /// Silence between the session and its user.
    fn network(&self) -> Option<Verdict> {
        if self.kind == SessionType::Batch || self.status != SessionStatus::Running {
            return None;
        }
        let timeout = match self.limits.idle_timeout {
            0 => None,
            given if given > 0 => Some(whole(given)),
            _ => self.settings.network_threshold,
        };
        // Nothing is known before the first exchange; the clock may have been ahead when it began.
        let access = self.access.unwrap_or_else(|| Access {
            open: 0,
            last_millis: self.running_since.map_or(self.now, |at| at.min(self.now)),
        });
        let last = access.last_millis;
        // A connection through which nothing goes for long counts as closed.
        let silent = seconds_of(self.now.saturating_sub(last));
        let busy = access.open > 0 && silent < self.settings.packet_timeout;
        let remaining = timeout
            .filter(|_| !busy)
            .map(|timeout| self.left(last, timeout));
        Some(Verdict {
            checker: Checker::NetworkTimeout,
            idle: remaining.is_some_and(|left| left < 0.0),
            remaining,
            extra: Value::Null,
        })
    }

    /// Hardly any use of what the session holds.
    fn utilization(&self, window: &mut Window, sample: Option<Sample>) -> Option<Verdict> {
        if self.status != SessionStatus::Running {
            return None;
        }
        let length = match self.limits.idle_timeout {
            0 => return Some(Window::unjudged()),
            given if given > 0 => whole(given),
            _ => self.settings.window?,
        };
        let grace_end = self
            .created
            .max(self.user_grace_end())
            .saturating_add(millis(self.settings.initial_grace));
        // Samples age on the steady clock: one that is set would make the window full at once.
        let grace_left = grace_end.saturating_sub(self.now);
        let grace_end = self.steady.saturating_add(grace_left);
        Some(window.judge(self.settings, length, grace_end, self.steady, sample))
    }

    /// What all checkers that are switched on say; `window` remembers this session's use.
    pub(crate) fn verdicts(&self, window: &mut Window, sample: Option<Sample>) -> Vec<Verdict> {
        // What serves a model lives by other rules, and what has not run yet lives not at all.
        if self.kind == SessionType::Inference || self.running_since.is_none() {
            return Vec::new();
        }
        let mut verdicts = vec![self.lifetime()];
        if self.settings.network {
            verdicts.extend(self.network());
        }
        if self.settings.utilization {
            verdicts.extend(self.utilization(window, sample));
        }
        verdicts
    }
}

/// Verdicts in the form of the protocol.
pub(crate) fn report(verdicts: &[Verdict]) -> Value {
    let mut report = Map::new();
    for verdict in verdicts {
        let remaining = match verdict.remaining {
            Some(_) if verdict.idle => json!(-1),
            Some(left) if left <= 0.0 => json!(-1),
            Some(left) => json!(left),
            None => Value::Null,
        };
        let kind = match verdict.checker {
            Checker::Utilization => "grace_period",
            Checker::SessionLifetime | Checker::NetworkTimeout => "expire_after",
        };
        report.insert(
            verdict.checker.name().into(),
            json!({
                "remaining": remaining,
                "remaining_time_type": kind,
                "extra": verdict.extra,
            }),
        );
    }
    Value::Object(report)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "floats saturate, and no limit is that long"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of some thousand years are exact"
)]
fn seconds_of(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of some thousand years are exact"
)]
fn whole(seconds: i64) -> f64 {
    seconds as f64
}

/// What the checks found last, for those who ask about sessions, and what they remember.
#[derive(Default)]
pub(crate) struct Idle {
    reports: Mutex<HashMap<Uuid, Value>>,
    windows: Mutex<HashMap<Uuid, Window>>,
}

impl Idle {
    /// The report of a session; empty when it is not checked.
    pub(crate) fn report(&self, session: Uuid) -> Value {
        self.reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&session)
            .cloned()
            .unwrap_or_else(|| json!({}))
    }

    /// Replaces all reports.
    pub(crate) fn replace(&self, reports: HashMap<Uuid, Value>) {
        *self.reports.lock().unwrap_or_else(PoisonError::into_inner) = reports;
    }

    /// Judges one session with what is remembered of it.
    pub(crate) fn judge(
        &self,
        session: Uuid,
        facts: &Facts<'_>,
        sample: Option<Sample>,
    ) -> Vec<Verdict> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        facts.verdicts(windows.entry(session).or_default(), sample)
    }

    /// Forgets all sessions but these.
    pub(crate) fn keep(&self, live: impl Fn(Uuid) -> bool) {
        self.windows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|session, _| live(*session));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::At;

    const HOUR: i64 = 3_600_000;

    fn facts(settings: &Settings) -> Facts<'_> {
        Facts {
            settings,
            limits: Limits {
                user_since: At(Timestamp::UNIX_EPOCH),
                idle_timeout: 600,
                max_session_lifetime: 0,
            },
            kind: SessionType::Interactive,
            status: SessionStatus::Running,
            created: HOUR,
            begins: HOUR,
            running_since: Some(HOUR),
            access: None,
            now: HOUR,
            steady: HOUR,
        }
    }

    fn of(verdicts: &[Verdict], checker: Checker) -> Option<&Verdict> {
        verdicts.iter().find(|verdict| verdict.checker == checker)
    }

    #[test]
    fn lifetimes_end_on_the_second() {
        let settings = Settings::default();
        let mut facts = facts(&settings);
        facts.limits.max_session_lifetime = 3600;
        let life = facts.lifetime();
        assert_eq!((life.remaining, life.idle), (Some(3600.0), false));
        facts.now = HOUR * 2;
        assert!(facts.lifetime().idle);
        facts.limits.max_session_lifetime = 0;
        assert_eq!(facts.lifetime().remaining, None);
    }

    #[test]
    fn models_and_what_never_ran_are_not_judged() {
        let settings = Settings::default();
        let mut facts = facts(&settings);
        facts.limits.max_session_lifetime = 60;
        facts.now = HOUR * 24;
        let judge = |facts: &Facts<'_>| facts.verdicts(&mut Window::default(), None);
        assert!(judge(&facts).iter().any(|verdict| verdict.idle));
        facts.kind = SessionType::Inference;
        assert!(judge(&facts).is_empty());
        facts.kind = SessionType::Batch;
        facts.running_since = None;
        facts.status = SessionStatus::Pending;
        assert!(judge(&facts).is_empty());
    }

    #[test]
    fn use_is_judged_some_time_after_the_request() {
        let settings = Settings {
            utilization: true,
            initial_grace: 300.0,
            thresholds: vec![settings::Threshold {
                metric: "mem".to_owned(),
                resource: "mem".to_owned(),
                average: 50.0,
            }],
            ..Settings::default()
        };
        let mut facts = facts(&settings);
        let mut window = Window::default();
        let mut judge = |facts: &Facts<'_>| {
            let sample = [("mem".to_owned(), 1.0)].into();
            facts.utilization(&mut window, Some(sample)).unwrap()
        };
        facts.created = HOUR - 100_000;
        assert_eq!(judge(&facts).remaining, Some(200.0 + 600.0));
        facts.created = HOUR - 301_000;
        assert_eq!(judge(&facts).remaining, Some(600.0));
        // A day by the clock that is set is no time.
        facts.now += 24 * HOUR;
        facts.steady += 15_000;
        assert_eq!(judge(&facts).remaining, Some(585.0));
        assert!(!judge(&facts).idle);
        facts.steady += 600_000;
        assert!(judge(&facts).idle);
    }

    #[test]
    fn silence_is_counted_from_the_last_exchange() {
        let settings = Settings::default();
        let mut facts = facts(&settings);
        facts.now = HOUR + 599_000;
        assert_eq!(facts.network().unwrap().remaining, Some(1.0));
        facts.now = HOUR + 601_000;
        assert!(facts.network().unwrap().idle);
        // An open connection that is in use keeps it alive; one that is silent does not.
        facts.access = Some(Access {
            open: 1,
            last_millis: facts.now - 1000,
        });
        assert_eq!(facts.network().unwrap().remaining, None);
        facts.now += 601_000;
        assert!(facts.network().unwrap().idle);
        // New users have more time, batch jobs all of it.
        let settings = Settings {
            user_grace: Some(86_400.0),
            ..Settings::default()
        };
        facts.settings = &settings;
        assert!(!facts.network().unwrap().idle);
        facts.kind = SessionType::Batch;
        assert_eq!(facts.network(), None);
        facts.kind = SessionType::Interactive;
        facts.limits.idle_timeout = 0;
        assert_eq!(facts.network().unwrap().remaining, None);
    }

    #[test]
    fn reports_are_as_the_protocol_writes_them() {
        let settings = Settings::default();
        let mut facts = facts(&settings);
        facts.limits.max_session_lifetime = 60;
        facts.now += 61_000;
        let verdicts = facts.verdicts(&mut Window::default(), None);
        assert!(of(&verdicts, Checker::Utilization).is_none());
        assert_eq!(
            report(&verdicts),
            json!({
                "session_lifetime":
                    { "remaining": -1, "remaining_time_type": "expire_after", "extra": null },
                "network_timeout":
                    { "remaining": 539.0, "remaining_time_type": "expire_after", "extra": null },
            })
        );
    }
}
