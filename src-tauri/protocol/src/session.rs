//! Sessions and kernels: statuses, what may follow what, and what may be done when
//! (protocol page "Sessions" §3).

mod action;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use action::{Action, Hindrance, allowed};

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// Every value, in the protocol's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownValue;

            /// Upper and lower case mean the same, as for the manager.
            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                let same = |value: &&Self| value.as_str().eq_ignore_ascii_case(text);
                Self::ALL.iter().find(same).copied().ok_or_else(|| UnknownValue {
                    kind: stringify!($name),
                    text: text.to_owned(),
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownValue;

            fn try_from(text: String) -> Result<Self, UnknownValue> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}

/// A word that the protocol does not have at this place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {kind}")]
pub struct UnknownValue {
    /// The type that was read.
    pub kind: &'static str,
    /// What stood there.
    pub text: String,
}

wire_enum! {
    /// Where a session is in its life.
    SessionStatus {
        /// Accepted, waits for resources.
        Pending = "PENDING",
        /// Gave up for now; goes back to the queue with a lower priority.
        Deprioritizing = "DEPRIORITIZING",
        /// Waits for the victims of a preemption to free its resources.
        Reserved = "RESERVED",
        /// Has resources and an agent.
        Scheduled = "SCHEDULED",
        /// Its image is being looked at.
        Preparing = "PREPARING",
        /// Its image is being fetched.
        Pulling = "PULLING",
        /// Its image is there.
        Prepared = "PREPARED",
        /// Its kernels are being made.
        Creating = "CREATING",
        /// It can be worked in.
        Running = "RUNNING",
        /// Its kernels are being started again.
        Restarting = "RESTARTING",
        /// Some of its kernels have trouble.
        RunningDegraded = "RUNNING_DEGRADED",
        /// Chosen to make room for another.
        Preempted = "PREEMPTED",
        /// On its way back to the queue.
        Rescheduling = "RESCHEDULING",
        /// Its kernels are being ended.
        Terminating = "TERMINATING",
        /// Over.
        Terminated = "TERMINATED",
        /// Broken; nobody knows what is left of it.
        Error = "ERROR",
        /// Ended before it ran.
        Cancelled = "CANCELLED",
    }
}

wire_enum! {
    /// Where a kernel is in its life.
    KernelStatus {
        /// Its session waits for resources.
        Pending = "PENDING",
        /// Its session waits for the victims of a preemption.
        Reserved = "RESERVED",
        /// Has resources and an agent.
        Scheduled = "SCHEDULED",
        /// Its image is being looked at.
        Preparing = "PREPARING",
        /// Its image is being built.
        Building = "BUILDING",
        /// Its image is being fetched.
        Pulling = "PULLING",
        /// Its image is there.
        Prepared = "PREPARED",
        /// It is being made.
        Creating = "CREATING",
        /// It can be worked in.
        Running = "RUNNING",
        /// It is being started again.
        Restarting = "RESTARTING",
        /// Its resources are being changed.
        Resizing = "RESIZING",
        /// It is frozen.
        Suspended = "SUSPENDED",
        /// It is being ended.
        Terminating = "TERMINATING",
        /// Over.
        Terminated = "TERMINATED",
        /// Broken.
        Error = "ERROR",
        /// Ended before it ran.
        Cancelled = "CANCELLED",
    }
}

wire_enum! {
    /// What a session is for.
    SessionType {
        /// Lives until somebody ends it.
        Interactive = "interactive",
        /// Runs one command and ends.
        Batch = "batch",
        /// Serves a model.
        Inference = "inference",
        /// Serves the system itself, such as SFTP for a folder.
        System = "system",
    }
}

wire_enum! {
    /// How a batch session came out.
    SessionResult {
        /// Not known, or not a batch session.
        Undefined = "undefined",
        /// Exit code 0.
        Success = "success",
        /// Another exit code, or it was ended.
        Failure = "failure",
    }
}

wire_enum! {
    /// Where the kernels of a session stand.
    ClusterMode {
        /// All on one agent.
        SingleNode = "single-node",
        /// Spread over agents.
        MultiNode = "multi-node",
    }
}

impl SessionStatus {
    /// Over for good: nothing follows.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Terminated | Self::Cancelled | Self::Error)
    }

    /// Kernels may be running somewhere.
    pub const fn has_kernels(self) -> bool {
        matches!(
            self,
            Self::Creating
                | Self::Running
                | Self::Restarting
                | Self::RunningDegraded
                | Self::Preempted
                | Self::Rescheduling
                | Self::Terminating
        )
    }

    /// Its resources are taken from what others may have.
    pub const fn occupies_resources(self) -> bool {
        !self.is_terminal() && !matches!(self, Self::Pending | Self::Deprioritizing)
    }

    /// The name of the server-sent event that says a session entered this status.
    pub fn event_name(self) -> String {
        match self {
            Self::Pending => "session_enqueued".to_owned(),
            Self::Running => "session_started".to_owned(),
            other => format!("session_{}", other.as_str().to_ascii_lowercase()),
        }
    }
}

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The scheduler gave it resources and an agent.
    Scheduled,
    /// Its image is looked at.
    Preparing,
    /// Its image is fetched.
    Pulling,
    /// Its image is there.
    Prepared,
    /// Its kernels are being made.
    Creating,
    /// All its kernels answer.
    Started,
    /// Its start failed in a way that another try may mend.
    Rescheduled,
    /// Its kernels are started again.
    Restarting,
    /// Somebody or something ends it.
    Terminate,
    /// All its kernels are gone.
    Terminated,
    /// It is ended at once, the cleaning comes after.
    ForceTerminated,
    /// The scheduler gave it up for now.
    Deprioritized,
    /// Others are to make room for it.
    Reserved,
    /// It has to make room for another.
    Preempted,
    /// It goes back to the queue for that.
    Rescheduling,
    /// Some of its kernels have trouble.
    Degraded,
    /// Nobody knows what is left of it.
    Failed,
}

/// What may not happen in this status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a session that is {status} can't become {event:?}")]
pub struct InvalidTransition {
    /// Where the session is.
    pub status: SessionStatus,
    /// What was to happen.
    pub event: Event,
}

/// The one state machine: the status that follows `status` when `event` happens.
///
/// An event that has already taken effect gives the same status again, so that a reconciler that
/// was killed after its commit can simply repeat itself.
pub fn next(status: SessionStatus, event: Event) -> Result<SessionStatus, InvalidTransition> {
    use SessionStatus as S;
    let next = match (status, event) {
        (S::Pending | S::Reserved | S::Scheduled, Event::Scheduled) => S::Scheduled,
        (S::Scheduled | S::Preparing, Event::Preparing) => S::Preparing,
        (S::Scheduled | S::Preparing | S::Pulling, Event::Pulling) => S::Pulling,
        (S::Scheduled | S::Preparing | S::Pulling | S::Prepared, Event::Prepared) => S::Prepared,
        (S::Scheduled | S::Prepared | S::Creating, Event::Creating) => S::Creating,
        (S::Creating | S::Restarting | S::Running | S::RunningDegraded, Event::Started) => {
            S::Running
        }
        (
            S::Pending
            | S::Scheduled
            | S::Preparing
            | S::Pulling
            | S::Prepared
            | S::Creating
            | S::Deprioritizing
            | S::Reserved
            | S::Rescheduling,
            Event::Rescheduled,
        ) => S::Pending,
        (S::Running | S::RunningDegraded | S::Restarting, Event::Restarting) => S::Restarting,
        (S::Pending | S::Deprioritizing, Event::Deprioritized) => S::Deprioritizing,
        (S::Pending | S::Reserved, Event::Reserved) => S::Reserved,
        (S::Running | S::RunningDegraded | S::Preempted, Event::Preempted) => S::Preempted,
        (S::Preempted | S::Rescheduling, Event::Rescheduling) => S::Rescheduling,
        (S::Running | S::RunningDegraded, Event::Degraded) => S::RunningDegraded,
        (status, Event::Failed) if !status.is_terminal() => S::Error,
        (S::Pending | S::Deprioritizing | S::Cancelled, Event::Terminate) => S::Cancelled,
        (S::Pending | S::Deprioritizing, Event::ForceTerminated) => S::Cancelled,
        (status, Event::ForceTerminated) if !status.is_terminal() => S::Terminated,
        (status, Event::Terminate) if !status.is_terminal() => S::Terminating,
        (S::Terminating | S::Terminated, Event::Terminated) => S::Terminated,
        (status, Event::Terminated) if status.has_kernels() => S::Terminated,
        _ => return Err(InvalidTransition { status, event }),
    };
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SessionStatus as S;

    const EVENTS: [Event; 17] = [
        Event::Scheduled,
        Event::Preparing,
        Event::Pulling,
        Event::Prepared,
        Event::Creating,
        Event::Started,
        Event::Rescheduled,
        Event::Restarting,
        Event::Terminate,
        Event::Terminated,
        Event::ForceTerminated,
        Event::Deprioritized,
        Event::Reserved,
        Event::Preempted,
        Event::Rescheduling,
        Event::Degraded,
        Event::Failed,
    ];

    #[test]
    fn the_usual_life() {
        let life = [
            (Event::Scheduled, S::Scheduled),
            (Event::Preparing, S::Preparing),
            (Event::Prepared, S::Prepared),
            (Event::Creating, S::Creating),
            (Event::Started, S::Running),
            (Event::Terminate, S::Terminating),
            (Event::Terminated, S::Terminated),
        ];
        let mut status = S::Pending;
        for (event, expected) in life {
            status = next(status, event).unwrap();
            assert_eq!(status, expected);
        }
    }

    #[test]
    fn making_room_for_another() {
        let life = [
            (Event::Preempted, S::Preempted),
            (Event::Rescheduling, S::Rescheduling),
            (Event::Rescheduled, S::Pending),
            (Event::Deprioritized, S::Deprioritizing),
            (Event::Rescheduled, S::Pending),
            (Event::Reserved, S::Reserved),
            (Event::Scheduled, S::Scheduled),
        ];
        let mut status = S::Running;
        for (event, expected) in life {
            status = next(status, event).unwrap();
            assert_eq!(status, expected);
        }
    }

    #[test]
    fn a_session_is_started_again_where_it_is() {
        assert_eq!(next(S::Running, Event::Restarting), Ok(S::Restarting));
        assert_eq!(next(S::Restarting, Event::Started), Ok(S::Running));
        assert_eq!(next(S::Restarting, Event::Terminate), Ok(S::Terminating));
        assert!(next(S::Pending, Event::Restarting).is_err());
        assert_eq!(next(S::Running, Event::Degraded), Ok(S::RunningDegraded));
        assert_eq!(next(S::RunningDegraded, Event::Started), Ok(S::Running));
    }

    #[test]
    fn nothing_follows_the_end() {
        for status in S::ALL.iter().copied().filter(|s| s.is_terminal()) {
            for event in EVENTS {
                if let Ok(after) = next(status, event) {
                    assert_eq!(after, status, "{event:?}");
                }
            }
        }
    }

    #[test]
    fn every_event_may_be_repeated() {
        for status in S::ALL {
            for event in EVENTS {
                if let Ok(after) = next(*status, event) {
                    assert!(
                        after == S::Pending
                            || after.is_terminal()
                            || next(after, event) == Ok(after)
                    );
                }
            }
        }
    }

    #[test]
    fn whatever_lives_can_be_ended() {
        for status in S::ALL.iter().filter(|s| !s.is_terminal()) {
            let ending = next(*status, Event::Terminate).unwrap();
            assert!(ending == S::Terminating || ending == S::Cancelled);
            assert!(next(*status, Event::ForceTerminated).unwrap().is_terminal());
        }
    }

    #[test]
    fn reads_any_case() {
        assert_eq!("running".parse(), Ok(S::Running));
        assert_eq!("BATCH".parse(), Ok(SessionType::Batch));
        assert!("asleep".parse::<S>().is_err());
    }
}
