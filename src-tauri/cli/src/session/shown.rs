//! Sessions and what they use, as people read them.

use commands::types::{Pulling, Session, Stats};

use crate::account::word;
use crate::output::{grid, pairs, size};

pub(super) fn outcome(session: &Session) -> String {
    format!("{}  {}", session.name, word(&session.status))
}

pub(super) fn row(session: &Session) -> [String; 8] {
    [
        session.name.clone(),
        session.id.to_string().chars().take(8).collect(),
        word(&session.status),
        word(&session.session_type),
        session.image.clone(),
        slot(session, "cpu"),
        slot(session, "mem"),
        session
            .created_at
            .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
            .unwrap_or_default(),
    ]
}

fn slot(session: &Session, name: &str) -> String {
    let amount = session
        .occupied_slots
        .get(name)
        .or(session.requested_slots.get(name));
    match (amount, name) {
        (Some(amount), "mem") => amount.parse().map(size).unwrap_or_else(|_| amount.clone()),
        (Some(amount), _) => amount.clone(),
        (None, _) => String::new(),
    }
}

pub(super) fn human(session: &Session) -> String {
    let apps: Vec<&str> = session
        .service_ports
        .iter()
        .map(|port| port.name.as_str())
        .collect();
    let mut shown = pairs([
        ("Name", session.name.clone()),
        ("Id", session.id.to_string()),
        ("Status", word(&session.status)),
        ("Reason", session.status_info.clone().unwrap_or_default()),
        ("Type", word(&session.session_type)),
        ("Image", session.image.clone()),
        ("CPU", slot(session, "cpu")),
        ("Memory", slot(session, "mem")),
        ("Project", session.project.clone()),
        ("Group", session.resource_group.clone().unwrap_or_default()),
        ("Owner", session.owner.clone().unwrap_or_default()),
        ("Folders", session.mounts.join(", ")),
        ("Apps", apps.join(", ")),
        (
            "Created",
            session
                .created_at
                .map(|time| time.to_string())
                .unwrap_or_default(),
        ),
        (
            "Ended",
            session
                .terminated_at
                .map(|time| time.to_string())
                .unwrap_or_default(),
        ),
        (
            "Exit code",
            session
                .exit_code
                .map(|code| code.to_string())
                .unwrap_or_default(),
        ),
    ]);
    if !session.kernels.is_empty() {
        let rows = session.kernels.iter().map(|kernel| {
            [
                kernel.hostname.clone(),
                kernel.id.to_string(),
                kernel.status.to_lowercase(),
            ]
        });
        shown.push_str(&grid(["KERNEL", "ID", "STATUS"], rows));
    }
    if let Some(waiting) = &session.waiting {
        let tries = waiting.tries;
        shown.push_str(&format!("Waits: {} (tries: {tries})\n", waiting.message));
    }
    if let Some(Pulling { bytes, total }) = session.pulling {
        shown.push_str(&format!("Image: {} of {}\n", size(bytes), size(total)));
    }
    for check in &session.idle_checks {
        let name = check.name.replace('_', " ");
        match check.remaining_s {
            Some(left) if check.grace => {
                shown.push_str(&format!("Idle check: {name}, judged in {left:.0} s\n"));
            }
            Some(left) => {
                shown.push_str(&format!("Idle check: {name}, ends in {left:.0} s\n"));
            }
            None => {}
        }
    }
    for notice in &session.notices {
        shown.push_str(&format!("Notice: {}\n", notice.message));
    }
    shown
}

pub(super) fn stats_text(stats: &Stats) -> String {
    let rows = stats.kernels.iter().flat_map(|(kernel, metrics)| {
        metrics.iter().map(move |(name, metric)| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            [
                kernel.chars().take(8).collect(),
                name.clone(),
                text(&metric.current),
                text(&metric.capacity),
                text(&metric.unit_hint),
            ]
        })
    });
    grid(["KERNEL", "METRIC", "CURRENT", "CAPACITY", "UNIT"], rows)
}
