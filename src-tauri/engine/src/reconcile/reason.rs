//! Why sessions wait, where older and newer clients look for it: what lacked, when it was tried
//! last, and how often (`status_data.scheduler`, protocol page "Sessions" §3.2).

use protocol::session::{Event, SessionStatus};
use scheduler::WaitReason;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::scheduling_history;
use crate::app::session_check::WAITING;
use crate::app::transition::advance;
use crate::error::Problem;
use crate::state::App;
use crate::store::resource_group::ResourceGroup;
use crate::store::session::Session;
use crate::store::{self, At};

/// What is checked, in this order.
const PREDICATES: [&str; 4] = [
    "dependencies",
    "resource_policy",
    "reserved_time",
    "agent_selection",
];

/// What older managers say of a session that failed a check of its own.
const CHECKS_FAILED: &str = "predicate-checks-failed";
/// What they say of one for which there is no room.
const NO_ROOM: &str = "no-available-instances";

/// Tries before a session lets others go first, as in a manager that was not told otherwise.
const TRIES: u64 = 5;
/// By how much its priority falls then.
const STEP: u8 = 10;
/// Why it does.
const DEPRIORITIZED: &str = "deprioritized-for-rescheduling";

/// Whether there is anything to write down: to be passed over again is no news.
pub(super) fn is_news(session: &Session, reason: &WaitReason) -> bool {
    let old = session.status_data.pointer("/scheduler/msg");
    !reason.is_skip() || old != Some(&json!(reason.to_string()))
}

/// What a group says of how often its sessions are tried before they lose their rank
/// (`handler_options` of its `scheduler_opts`); never where it says so with `null`.
pub(super) fn tries_of(group: Option<&ResourceGroup>) -> Option<u64> {
    let said = group.and_then(|group| {
        let option = "/handler_options/schedule-sessions/max_retry_count";
        group.scheduler_opts.pointer(option)
    });
    match said {
        None => Some(TRIES),
        Some(count) => count.as_u64().filter(|count| *count > 0),
    }
}

/// Whether a session has been tried so often that it is to let others go first.
pub(super) fn gives_up(session: &Session, reason: &WaitReason, most: Option<u64>) -> bool {
    let tries = tries(session) + counts(reason);
    let is_due = most.is_some_and(|most| tries.is_multiple_of(most));
    counts(reason) > 0 && session.priority > 0 && is_due
}

/// Puts a session behind those of a higher priority that it was ahead of.
pub(super) async fn deprioritize(app: &App, id: Uuid, reason: WaitReason) -> Result<(), Problem> {
    let events = &[Event::Deprioritized, Event::Rescheduled];
    advance(app, id, events, DEPRIORITIZED, move |session, _| {
        session.priority = session.priority.saturating_sub(STEP);
        wait(session, &reason);
    })
    .await?;
    // Whoever is ahead of it now has not been looked at.
    app.nudge.schedule.notify_one();
    Ok(())
}

/// Writes down that sessions were looked at and have to wait.
pub(super) async fn note(app: &App, notes: Vec<(Uuid, WaitReason)>) -> Result<(), Problem> {
    if notes.is_empty() {
        return Ok(());
    }
    app.store
        .write(move |tx| -> Result<_, Problem> {
            for (id, reason) in &notes {
                let Some(mut session) = store::session::get(tx, *id)? else {
                    continue;
                };
                if WAITING.contains(&session.status) {
                    let (code, text) = (reason.predicate(), reason.to_string());
                    let (why, is_skip) = ((code, text.as_str()), reason.is_skip());
                    scheduling_history::waits(tx, *id, session.status, why, is_skip)?;
                    wait(&mut session, reason);
                    store::session::update(tx, &session)?;
                }
            }
            Ok(())
        })
        .await
}

fn wait(session: &mut Session, reason: &WaitReason) {
    let (text, predicate) = (reason.to_string(), reason.predicate());
    let info = match reason {
        WaitReason::Dependencies(_) | WaitReason::Quota(_) | WaitReason::StartsLater(_) => {
            CHECKS_FAILED
        }
        _ => NO_ROOM,
    };
    session.status_data["scheduler"] = json!({
        "retries": tries(session) + counts(reason),
        "last_try": At::now().iso(),
        "msg": text,
        "passed_predicates": passed(Some(predicate)),
        "failed_predicates": [{ "name": predicate, "msg": text }],
    });
    session.status_info = Some(info.to_owned());
}

/// What a look adds to the number of tries. Only to look for a place in vain counts: nobody behind it
/// waits for the rest.
const fn counts(reason: &WaitReason) -> u64 {
    match reason {
        WaitReason::NoAgents | WaitReason::NoCompatibleAgent { .. } | WaitReason::NoRoom(_) => 1,
        _ => 0,
    }
}

/// Writes into a session that it was given its place.
pub(super) fn placed(session: &mut Session) {
    debug_assert_eq!(session.status, SessionStatus::Scheduled);
    session.status_data["scheduler"] = json!({
        "retries": tries(session),
        "last_try": At::now().iso(),
        "msg": null,
        "passed_predicates": passed(None),
        "failed_predicates": [],
    });
}

fn tries(session: &Session) -> u64 {
    session
        .status_data
        .pointer("/scheduler/retries")
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

/// What was checked before the one that failed; all of it when none did, nothing when the session
/// was not looked at.
fn passed(failed: Option<&str>) -> Vec<Value> {
    let end = match failed {
        None => PREDICATES.len(),
        Some(failed) => PREDICATES
            .iter()
            .position(|name| *name == failed)
            .unwrap_or(0),
    };
    PREDICATES
        .iter()
        .take(end)
        .map(|name| json!({ "name": name }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_has_passed() {
        assert!(passed(Some("dependencies")).is_empty());
        assert!(passed(Some("skipped")).is_empty());
        assert_eq!(
            passed(Some("reserved_time")),
            [
                json!({ "name": "dependencies" }),
                json!({ "name": "resource_policy" })
            ]
        );
        assert_eq!(passed(None).len(), 4);
    }
}
