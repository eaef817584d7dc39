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

/// Writes down that a session was looked at and has to wait.
pub(super) async fn note(app: &App, id: Uuid, reason: &WaitReason) -> Result<(), Problem> {
    let (text, predicate, skip) = (reason.to_string(), reason.predicate(), reason.is_skip());
    app.store
        .write(move |tx| -> Result<_, Problem> {
            let Some(mut session) = store::session::get(tx, id)? else {
                return Ok(());
            };
            let old = session.status_data.pointer("/scheduler/msg");
            // To be passed over again is no news, nor a try: the disk is left alone.
            if !WAITING.contains(&session.status) || (skip && old == Some(&json!(text))) {
                return Ok(());
            }
            let tries = tries(&session) + u64::from(!skip);
            session.status_data["scheduler"] = json!({
                "retries": tries,
                "last_try": At::now().iso(),
                "msg": text,
                "passed_predicates": passed(Some(predicate)),
                "failed_predicates": [{ "name": predicate, "msg": text }],
            });
            session.status_info = Some("no-available-instances".into());
            Ok(store::session::update(tx, &session)?)
        })
        .await
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
