//! Ends what has had its time: sessions that are idle, that live too long, or that wait too long.
//! What it measures on the way is what is known of a kernel that ends by itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::session::SessionStatus;
use protocol::slots::MEM;
use runtime::{Kernel, Metric};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{IDLE, Work};
use crate::app::idle::{Facts, INTERVAL, ROOT, Sample, Settings, report};
use crate::app::session;
use crate::error::Problem;
use crate::state::App;
use crate::store::idle::Limits;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;
use crate::store::{self, At};

/// Kernels that are asked at the same time.
const AT_ONCE: usize = 8;
/// How long a kernel may take to tell what it uses.
const PATIENCE: Duration = Duration::from_secs(3);
/// A last access is written down when it is so far from what is written, in milliseconds.
const MINUTE: i64 = 60_000;

/// What one look finds in the store.
struct Seen {
    settings: Settings,
    sessions: Vec<(Session, Vec<KernelRow>)>,
    limits: HashMap<Uuid, Limits>,
    written: HashMap<Uuid, At>,
    /// Milliseconds that sessions of a group may wait.
    patience: HashMap<String, i64>,
}

pub(super) async fn step(work: &Work) -> Result<Duration, Problem> {
    let app = &work.app;
    let seen = app.store.read(look).await?;
    let live: HashSet<Uuid> = seen.sessions.iter().map(|(one, _)| one.id).collect();
    app.activity.keep(|session| live.contains(&session));
    app.idle.keep(|session| live.contains(&session));
    if seen.sessions.is_empty() {
        app.idle.replace(HashMap::new());
        return Ok(IDLE);
    }
    for (session, at) in &seen.written {
        app.activity.recall(*session, at.0.as_millisecond());
    }
    let metrics = measure(app, &seen.sessions).await;
    let now = (app.clock)().as_millisecond();
    let steady = app.activity.steady_millis();
    let mut reports = HashMap::new();
    for (one, kernels) in &seen.sessions {
        if waited_too_long(one, &seen, now) {
            end(app, one, "pending-timeout").await;
            continue;
        }
        // Without a policy nobody has set a limit.
        let Some(limits) = seen.limits.get(&one.user) else {
            continue;
        };
        let facts = Facts {
            settings: &seen.settings,
            limits: *limits,
            kind: one.kind,
            status: one.status,
            created: one.created_at.0.as_millisecond(),
            begins: one.starts_at.unwrap_or(one.created_at).0.as_millisecond(),
            running_since: one.entered(SessionStatus::Running),
            access: app.activity.of(one.id),
            now,
            steady,
        };
        let sample = sample(&seen.settings, one, kernels, &metrics);
        let verdicts = app.idle.judge(one.id, &facts, sample);
        reports.insert(one.id, report(&verdicts));
        if let Some(verdict) = verdicts.iter().find(|verdict| verdict.idle) {
            let reason = verdict.checker.reason();
            tracing::info!(session = %one.id, reason, "had its time");
            end(app, one, reason).await;
        }
    }
    app.idle.replace(reports);
    write_accesses(app, &seen).await?;
    Ok(Duration::from_secs(INTERVAL.into()))
}

/// Ends a session. One that can't be ended now, because it is being saved as an image or because the
/// disk is full, has its turn at the next look; the others do not wait for it.
async fn end(app: &App, one: &Session, reason: &'static str) {
    if let Err(problem) = session::end(app, one, reason, false).await {
        tracing::warn!(session = %one.id, reason, %problem, "can't be ended now");
    }
}

fn look(db: &db::rusqlite::Connection) -> Result<Seen, Problem> {
    let statuses: Vec<_> = SessionStatus::ALL
        .iter()
        .copied()
        .filter(|status| !status.is_terminal() && *status != SessionStatus::Terminating)
        .collect();
    let mut sessions = Vec::new();
    let mut limits = HashMap::new();
    for session in store::session::in_status(db, &statuses)? {
        if !limits.contains_key(&session.user)
            && let Some(found) = store::idle::limits(db, session.user)?
        {
            limits.insert(session.user, found);
        }
        let kernels = match session.status {
            SessionStatus::Running => store::kernel::of_session(db, session.id)?,
            _ => Vec::new(),
        };
        sessions.push((session, kernels));
    }
    let mut patience = HashMap::new();
    for group in store::resource_group::list(db)? {
        let seconds = group
            .scheduler_opts
            .get("pending_timeout")
            .and_then(Value::as_f64)
            .filter(|seconds| *seconds > 0.0);
        if let Some(seconds) = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
            let millis = i64::try_from(seconds.as_millis()).unwrap_or(i64::MAX);
            patience.insert(group.name, millis);
        }
    }
    Ok(Seen {
        settings: Settings::read(&store::config::below(db, ROOT)?),
        sessions,
        limits,
        written: store::idle::last_access(db)?,
        patience,
    })
}

fn waited_too_long(session: &Session, seen: &Seen, now: i64) -> bool {
    let patience = seen.patience.get(&session.resource_group);
    let begins = session.starts_at.map_or(0, |at| at.0.as_millisecond());
    session.status == SessionStatus::Pending
        && patience.is_some_and(|patience| {
            now.saturating_sub(session.waits_since().max(begins)) > *patience
        })
}

/// Asks every running kernel what it uses, a few at a time.
async fn measure(
    app: &App,
    sessions: &[(Session, Vec<KernelRow>)],
) -> HashMap<Uuid, BTreeMap<String, Metric>> {
    let kernels: Vec<_> = sessions
        .iter()
        .flat_map(|(_, kernels)| kernels)
        .filter_map(|row| app.kernels.get(row.id))
        .collect();
    let mut found = HashMap::new();
    for some in kernels.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for kernel in some {
            asked.spawn(ask(Arc::clone(kernel)));
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok(Some((kernel, metrics))) = answer {
                app.measured.put(kernel, json!(metrics));
                found.insert(kernel, metrics);
            }
        }
    }
    found
}

async fn ask(kernel: Arc<dyn Kernel>) -> Option<(Uuid, BTreeMap<String, Metric>)> {
    match tokio::time::timeout(PATIENCE, kernel.stats()).await {
        Ok(Ok(metrics)) => Some((kernel.id(), metrics)),
        Ok(Err(error)) => {
            tracing::debug!(kernel = %kernel.id(), %error, "no statistics");
            None
        }
        Err(_) => None,
    }
}

/// A session's use in per cent of what it holds: the mean of its kernels.
fn sample(
    settings: &Settings,
    session: &Session,
    kernels: &[KernelRow],
    metrics: &HashMap<Uuid, BTreeMap<String, Metric>>,
) -> Option<Sample> {
    if !settings.looks_at_use() {
        return None;
    }
    let known: Vec<_> = kernels
        .iter()
        .filter_map(|row| Some((row, metrics.get(&row.id)?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    let number = |text: &str| text.parse::<f64>().unwrap_or_default();
    let mut sample = Sample::new();
    for threshold in &settings.thresholds {
        let holds = session.occupied_slots.0.keys().any(|slot| {
            slot.split('.').next() == Some(threshold.resource.as_str())
                || *slot == threshold.resource
        });
        if !holds {
            continue;
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for (row, metrics) in &known {
            let metric = metrics.get(&threshold.metric);
            sum += match metric {
                // What a kernel could have is what it was given, whatever the computer has.
                Some(metric) if threshold.metric == "mem" => {
                    match row.occupied_slots.get(MEM).as_f64() {
                        given if given > 0.0 => number(&metric.current) / given * 100.0,
                        _ => 0.0,
                    }
                }
                Some(metric) => number(&metric.pct),
                None => 0.0,
            };
            count += 1.0;
        }
        sample.insert(threshold.metric.clone(), sum / count);
    }
    Some(sample)
}

/// Keeps what the next engine needs to know, at most once a minute for each session.
async fn write_accesses(app: &App, seen: &Seen) -> Result<(), Problem> {
    let mut news = Vec::new();
    for (session, _) in &seen.sessions {
        let Some(access) = app.activity.of(session.id) else {
            continue;
        };
        let written = seen
            .written
            .get(&session.id)
            .map_or(0, |at| at.0.as_millisecond());
        // Also when the clock was set back.
        if (access.last_millis - written).abs() >= MINUTE
            && let Ok(at) = Timestamp::from_millisecond(access.last_millis)
        {
            news.push((session.id, At(at)));
        }
    }
    let live: HashSet<Uuid> = seen.sessions.iter().map(|(one, _)| one.id).collect();
    let over = seen.written.keys().any(|session| !live.contains(session));
    if news.is_empty() && !over {
        return Ok(());
    }
    app.store
        .write(move |tx| -> Result<_, Problem> {
            for (session, at) in &news {
                store::idle::put_last_access(tx, *session, *at)?;
            }
            Ok(store::idle::forget_last_access(tx)?)
        })
        .await
}
