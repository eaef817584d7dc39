//! What may be done with a session when.

use serde::{Deserialize, Serialize};

use super::{SessionStatus, SessionType};

/// Something that a person may want to do with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Open an app, a terminal, a tunnel, or its files.
    OpenApp,
    /// Give it another name.
    Rename,
    /// Start its kernels again.
    Restart,
    /// End it.
    Terminate,
    /// End it without waiting for its agent.
    ForceTerminate,
    /// Save it as an image.
    Commit,
    /// Read its log.
    ReadLog,
}

/// Why an [`Action`] is not possible now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// It has not begun to run.
    #[error("the session is not running yet")]
    NotRunningYet,
    /// It is being ended.
    #[error("the session is being terminated")]
    Terminating,
    /// It is over.
    #[error("the session has ended")]
    Ended,
    /// Only interactive sessions can do that.
    #[error("only an interactive session can do that")]
    NotInteractive,
}

/// Whether `action` makes sense for a session of type `kind` in `status`.
pub const fn allowed(
    action: Action,
    status: SessionStatus,
    kind: SessionType,
) -> Result<(), Hindrance> {
    use SessionStatus as S;
    let ended = status.is_terminal();
    match action {
        Action::ReadLog => match status {
            S::Pending | S::Reserved | S::Scheduled | S::Deprioritizing => {
                Err(Hindrance::NotRunningYet)
            }
            _ => Ok(()),
        },
        Action::ForceTerminate if ended => Err(Hindrance::Ended),
        Action::ForceTerminate => Ok(()),
        _ if ended => Err(Hindrance::Ended),
        _ if matches!(status, S::Terminating) => Err(Hindrance::Terminating),
        Action::Terminate | Action::Rename => Ok(()),
        Action::Commit if !matches!(kind, SessionType::Interactive) => {
            Err(Hindrance::NotInteractive)
        }
        Action::OpenApp | Action::Restart | Action::Commit => match status {
            S::Running | S::RunningDegraded => Ok(()),
            _ => Err(Hindrance::NotRunningYet),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::SessionStatus as S;
    use super::*;

    #[test]
    fn actions_say_why_not() {
        let kind = SessionType::Interactive;
        assert_eq!(allowed(Action::OpenApp, S::Running, kind), Ok(()));
        assert_eq!(
            allowed(Action::OpenApp, S::Pending, kind),
            Err(Hindrance::NotRunningYet)
        );
        assert_eq!(
            allowed(Action::Terminate, S::Terminating, kind),
            Err(Hindrance::Terminating)
        );
        assert_eq!(
            allowed(Action::ForceTerminate, S::Terminating, kind),
            Ok(())
        );
        assert_eq!(
            allowed(Action::Terminate, S::Terminated, kind),
            Err(Hindrance::Ended)
        );
        assert_eq!(
            allowed(Action::Commit, S::Running, SessionType::Batch),
            Err(Hindrance::NotInteractive)
        );
    }
}
