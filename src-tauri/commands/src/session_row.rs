//! A session as it crosses: from what the manager tells.

use std::collections::BTreeMap;

use client::protocol::service_port as wire_port;
use client::protocol::session::{self as wire, Action};
use client::{KernelRow, SessionRow};
use jiff::Timestamp;
use serde_json::Value;

use crate::types::{
    Allowed, AppProtocol, IdleCheck, Notice, Pulling, ServicePort, Session, SessionActions,
    SessionKernel, SessionResult, SessionStatus, SessionType, Waiting,
};

/// Only of a cluster: what a session of one is says all about its kernel.
fn kernels(rows: Vec<KernelRow>) -> Vec<SessionKernel> {
    if rows.len() < 2 {
        return Vec::new();
    }
    let kernel = |row: KernelRow| SessionKernel {
        id: row.id,
        hostname: row.cluster_hostname.unwrap_or_default(),
        role: row.cluster_role.unwrap_or_default(),
        status: row.status.unwrap_or_default(),
    };
    rows.into_iter().map(kernel).collect()
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        let allowed = |action| match wire::allowed(action, row.status, row.session_type) {
            Ok(()) => Allowed {
                allowed: true,
                reason: None,
            },
            Err(hindrance) => Allowed {
                allowed: false,
                reason: key(hindrance),
            },
        };
        let actions = SessionActions {
            terminate: allowed(Action::Terminate),
            open_app: allowed(Action::OpenApp),
            rename: allowed(Action::Rename),
            logs: allowed(Action::ReadLog),
            save: allowed(Action::OpenApp),
            restart: Some(allowed(Action::Restart)),
        };
        let (waiting, pulling) = (waiting(&row), pulling(&row));
        Self {
            id: row.session_id,
            name: row.name,
            status: row.status.into(),
            status_info: row
                .status_info
                .filter(|info| !info.is_empty() && info != "None"),
            session_type: row.session_type.into(),
            image: row.image.unwrap_or_default(),
            project: row.group_name.unwrap_or_default(),
            resource_group: row.scaling_group,
            owner: row.user_email,
            created_at: time(row.created_at.as_deref()),
            terminated_at: time(row.terminated_at.as_deref()),
            occupied_slots: slots(row.occupied_slots),
            requested_slots: slots(row.requested_slots),
            service_ports: row.service_ports.into_iter().map(Into::into).collect(),
            result: row.result.map_or(SessionResult::Undefined, Into::into),
            exit_code: row
                .status_data
                .pointer("/kernel/exit_code")
                .and_then(Value::as_i64)
                .and_then(|code| i32::try_from(code).ok()),
            cluster_size: row.cluster_size.unwrap_or(1),
            kernels: kernels(row.kernels),
            mounts: row.mounts,
            notices: Vec::new(),
            waiting,
            pulling,
            idle_checks: row.idle_checks.iter().map(idle_check).collect(),
            actions,
        }
    }
}

/// Why a session waits; nothing once it has its place.
fn waiting(row: &SessionRow) -> Option<Waiting> {
    use wire::SessionStatus as S;
    if !matches!(row.status, S::Pending | S::Deprioritizing | S::Reserved) {
        return None;
    }
    let scheduler = row.status_data.get("scheduler")?;
    let tries = scheduler.get("retries").and_then(Value::as_u64);
    Some(Waiting {
        message: scheduler.get("msg")?.as_str()?.to_owned(),
        tries: u32::try_from(tries.unwrap_or_default()).unwrap_or(u32::MAX),
        last_try: time(scheduler.get("last_try").and_then(Value::as_str)),
    })
}

/// How far its image is; only this engine tells that.
fn pulling(row: &SessionRow) -> Option<Pulling> {
    let pull = row.status_data.get("pull")?;
    let bytes = |key: &str| pull.get(key).and_then(Value::as_u64);
    (row.status == wire::SessionStatus::Pulling)
        .then(|| {
            Some(Pulling {
                bytes: bytes("bytes")?,
                total: bytes("total")?,
            })
        })
        .flatten()
}

fn idle_check((name, report): (&String, &Value)) -> IdleCheck {
    let remaining = report.get("remaining").and_then(Value::as_f64);
    let kind = report.get("remaining_time_type").and_then(Value::as_str);
    let resources = report.pointer("/extra/resources").cloned();
    IdleCheck {
        name: name.clone(),
        remaining_s: remaining.map(|seconds| seconds.max(0.0)),
        grace: kind == Some("grace_period"),
        // A form that is not known is as if there were none.
        resources: resources
            .and_then(|resources| serde_json::from_value(resources).ok())
            .unwrap_or_default(),
    }
}

fn key(hindrance: wire::Hindrance) -> Option<String> {
    serde_json::to_value(hindrance)
        .ok()?
        .as_str()
        .map(str::to_owned)
}

/// Reads a time of a manager; without an offset it means UTC.
pub(crate) fn time(text: Option<&str>) -> Option<Timestamp> {
    let text = text?;
    text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

fn slots(slots: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    slots
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

impl From<wire_port::ServicePort> for ServicePort {
    fn from(port: wire_port::ServicePort) -> Self {
        Self {
            name: port.name,
            protocol: port.protocol.into(),
            ports: port.ports,
        }
    }
}

impl From<wire_port::ServiceProtocol> for AppProtocol {
    fn from(protocol: wire_port::ServiceProtocol) -> Self {
        use wire_port::ServiceProtocol as P;
        match protocol {
            P::Http => Self::Http,
            P::Tcp => Self::Tcp,
            P::Preopen => Self::Preopen,
            P::Vnc => Self::Vnc,
            P::Rdp => Self::Rdp,
        }
    }
}

impl From<client::protocol::api::gangway::Notice> for Notice {
    fn from(notice: client::protocol::api::gangway::Notice) -> Self {
        Self {
            code: notice.code,
            message: notice.message,
            at: Some(notice.at),
        }
    }
}

impl From<wire::SessionStatus> for SessionStatus {
    fn from(status: wire::SessionStatus) -> Self {
        use wire::SessionStatus as S;
        match status {
            S::Pending => Self::Pending,
            S::Deprioritizing => Self::Deprioritizing,
            S::Reserved => Self::Reserved,
            S::Scheduled => Self::Scheduled,
            S::Preparing => Self::Preparing,
            S::Pulling => Self::Pulling,
            S::Prepared => Self::Prepared,
            S::Creating => Self::Creating,
            S::Running => Self::Running,
            S::Restarting => Self::Restarting,
            S::RunningDegraded => Self::RunningDegraded,
            S::Preempted => Self::Preempted,
            S::Rescheduling => Self::Rescheduling,
            S::Terminating => Self::Terminating,
            S::Terminated => Self::Terminated,
            S::Error => Self::Error,
            S::Cancelled => Self::Cancelled,
        }
    }
}

impl From<wire::SessionType> for SessionType {
    fn from(kind: wire::SessionType) -> Self {
        match kind {
            wire::SessionType::Interactive => Self::Interactive,
            wire::SessionType::Batch => Self::Batch,
            wire::SessionType::Inference => Self::Inference,
            wire::SessionType::System => Self::System,
        }
    }
}

impl From<SessionStatus> for wire::SessionStatus {
    fn from(status: SessionStatus) -> Self {
        use SessionStatus as S;
        match status {
            S::Pending => Self::Pending,
            S::Deprioritizing => Self::Deprioritizing,
            S::Reserved => Self::Reserved,
            S::Scheduled => Self::Scheduled,
            S::Preparing => Self::Preparing,
            S::Pulling => Self::Pulling,
            S::Prepared => Self::Prepared,
            S::Creating => Self::Creating,
            S::Running => Self::Running,
            S::Restarting => Self::Restarting,
            S::RunningDegraded => Self::RunningDegraded,
            S::Preempted => Self::Preempted,
            S::Rescheduling => Self::Rescheduling,
            S::Terminating => Self::Terminating,
            S::Terminated => Self::Terminated,
            S::Error => Self::Error,
            S::Cancelled => Self::Cancelled,
        }
    }
}

impl From<SessionType> for wire::SessionType {
    fn from(kind: SessionType) -> Self {
        match kind {
            SessionType::Interactive => Self::Interactive,
            SessionType::Batch => Self::Batch,
            SessionType::Inference => Self::Inference,
            SessionType::System => Self::System,
        }
    }
}

impl From<wire::SessionResult> for SessionResult {
    fn from(result: wire::SessionResult) -> Self {
        match result {
            wire::SessionResult::Undefined => Self::Undefined,
            wire::SessionResult::Success => Self::Success,
            wire::SessionResult::Failure => Self::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_old_and_new_managers() {
        for text in [
            "2026-08-23T01:02:03.456789+00:00",
            "2026-08-23T10:02:03.456789+09:00",
            "2026-08-23T01:02:03.456789",
        ] {
            let expected = "2026-08-23T01:02:03.456789Z".parse::<Timestamp>().ok();
            assert_eq!(time(Some(text)), expected, "{text}");
        }
        assert_eq!(time(Some("None")), None);
    }
}
