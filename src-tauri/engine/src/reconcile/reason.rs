//! Why sessions wait, where older and newer clients look for it: what lacked, when it was tried
//! last, and how often (`status_data.scheduler`, protocol page "Sessions" §3.2).

use protocol::session::SessionStatus;
use scheduler::WaitReason;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::session_check::WAITING;
use crate::error::Problem;
use crate::state::App;
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

/// Whether there is anything to write down: to be passed over again is no news.
pub(super) fn is_news(session: &Session, reason: &WaitReason) -> bool {
    let old = session.status_data.pointer("/scheduler/msg");
    !reason.is_skip() || old != Some(&json!(reason.to_string()))
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
    // Only to look for a place in vain counts: nobody behind it waits for the rest.
    let (info, tried) = match reason {
        WaitReason::Dependencies(_) | WaitReason::Quota(_) | WaitReason::StartsLater(_) => {
            (CHECKS_FAILED, 0)
        }
        WaitReason::Exhausted { .. } => (NO_ROOM, 0),
        WaitReason::NoAgents | WaitReason::NoCompatibleAgent { .. } | WaitReason::NoRoom(_) => {
            (NO_ROOM, 1)
        }
    };
    session.status_data["scheduler"] = json!({
        "retries": tries(session) + tried,
        "last_try": At::now().iso(),
        "msg": text,
        "passed_predicates": passed(Some(predicate)),
        "failed_predicates": [{ "name": predicate, "msg": text }],
    });
    session.status_info = Some(info.to_owned());
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
