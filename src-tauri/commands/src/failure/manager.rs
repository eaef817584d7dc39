//! What the manager's own words mean, and what keeps it from being reached.

use protocol::problem::Problem;
use serde_json::json;

use crate::types::{Failure, FailureCode as Code};

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        use client::Error as E;
        match error {
            E::Manager {
                status,
                ref problem,
            } => manager(status, problem),
            E::Address { .. } => Self::new(Code::InvalidInput, &error)
                .hint("an address looks like https://manager.example.com"),
            E::Unreachable { .. } => unreachable(&error),
            E::Silent { .. } => Self::new(Code::ManagerUnreachable, &error),
            E::NotManager { .. } => Self::new(Code::NotAManager, &error),
            E::WrongScheme { speaks, .. } => Self::new(Code::WrongScheme, &error)
                .hint(format!("write {speaks}:// before the address")),
            E::LoginExpired { .. } => Self::new(Code::LoginExpired, &error),
            E::OtpNeeded => Self::new(Code::OtpNeeded, &error),
            E::OtpNotSetUp => Self::new(Code::OtpNotSetUp, &error),
            E::Certificate { .. } => Self::caused(Code::CertificateUntrusted, &error),
            E::Answer { .. } => Self::new(Code::BadAnswer, &error),
            E::Unsupported { .. } => Self::new(Code::Unsupported, &error),
            E::Proxy(_) => Self::new(Code::InvalidInput, &error),
            E::Request(_) => Self::new(Code::Internal, &error),
            E::Refused { ref reason, .. } if reason.contains("xist") => {
                Self::new(Code::FileExists, &error)
            }
            E::Refused { .. } => Self::new(Code::FileFailed, &error),
            E::UploadDisturbed { .. } => Self::new(Code::Conflict, &error),
            E::Engine(ref error) => engine(error),
        }
    }
}

fn unreachable(error: &client::Error) -> Failure {
    let failure = Failure::caused(Code::ManagerUnreachable, error);
    // The words of the library that asks the proxy, and ours.
    let says = |part: &str| failure.message.contains(part);
    match says("proxy authorization required") || says("SOCKS error") {
        true => failure.hint(
            "the proxy refused: write its name and password into the settings \
             (http://NAME:PASSWORD@proxy:3128)",
        ),
        false => failure,
    }
}

fn engine(error: &client::EngineError) -> Failure {
    use client::EngineError as E;
    let code = match error {
        E::NotRunning => Code::EngineNotRunning,
        E::Spawn { .. } | E::Ended { .. } | E::Slow { .. } | E::Files { .. } => Code::EngineFailed,
        E::Socket { .. } => Code::ManagerUnreachable,
    };
    Failure::caused(code, error)
}

/// What a manager's refusal means. The slug decides; where one slug has many meanings, the text.
fn manager(status: u16, problem: &Problem) -> Failure {
    let text = problem.text();
    let says = |part: &str| {
        text.to_ascii_lowercase().contains(part)
            || problem.title.to_ascii_lowercase().contains(part)
    };
    let code = match (status, problem.slug()) {
        (_, "invalid-auth-params") if says("sync") || says("clock") => Code::ClockSkew,
        (_, "invalid-auth-params") => Code::BadCredentials,
        (_, "rejected-by-hook") if says("totp") => Code::OtpWrong,
        (_, "password-expired") => Code::PasswordExpired,
        (_, "active-login-session-exists") => Code::LoggedInElsewhere,
        (_, "session-already-exists") => Code::SessionNameTaken,
        (_, "kernel-not-ready") => Code::SessionNotReady,
        (_, "too-many-sessions-matched") => Code::SessionAmbiguous,
        (_, "vfolder-already-exists") => Code::FolderNameTaken,
        (_, "vfolder-filter-status-failed" | "vfolder-deletion-not-allowed") => Code::FolderBusy,
        // Only the words say that the manager's own patience was the shorter one.
        (_, "app-service-start-failed") if says("timed out") => Code::AppTimeout,
        (_, "app-service-start-failed") => Code::AppFailed,
        // The manager has one slug for "more than you may" and "more than there is".
        (_, "quota-exceeded") if text.contains("than any agent") => Code::ResourceLimit,
        (_, "quota-exceeded" | "storage-permission-not-allowed") => Code::QuotaExceeded,
        (_, "rate-limit-exceeded") => Code::RateLimited,
        (_, "insufficient-storage") | (507, _) => Code::DiskFull,
        (412, _) => Code::QuotaExceeded,
        (_, "image-not-found") => Code::ImageNotFound,
        (_, "file-not-found") => Code::FileNotFound,
        (400, _) if says("already exists") && says("folder") => Code::FolderNameTaken,
        (400, _) if says("cannot create more") => Code::QuotaExceeded,
        (400 | 404, _) if says("image reference") || says("no such image") => Code::ImageNotFound,
        (400, _) if says("file is not found") => Code::FileNotFound,
        (400, _) if says("more than") || says("resource limit") || says("not enough") => {
            Code::ResourceLimit
        }
        (401, _) => Code::BadCredentials,
        (403, _) => Code::Forbidden,
        (404, _) if says("app service") => Code::AppNotFound,
        (404, _) if says("folder") => Code::FolderNotFound,
        (404, _) if says("session") => Code::SessionNotFound,
        (404, _) if says("file") || says("path") => Code::FileNotFound,
        (404, _) => Code::NotFound,
        (409, _) => Code::Conflict,
        (429, _) => Code::RateLimited,
        (405 | 501, _) => Code::Unsupported,
        (500.., _) if says("disk") && says("full") => Code::DiskFull,
        (500.., _) => Code::ManagerFailed,
        _ => Code::ManagerRejected,
    };
    let message = match problem.title.as_str() {
        title if title.is_empty() || text == title => text.to_owned(),
        title => format!("{} ({})", text, title.trim_end_matches('.')),
    };
    Failure::new(code, message).details(json!({
        "status": status,
        "type": problem.kind,
        "title": problem.title,
        "error_code": problem.error_code,
        "msg": problem.msg,
        "data": problem.data,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, slug: &str, title: &str, msg: &str) -> Code {
        let problem = Problem::new(slug, title).msg(msg);
        Failure::from(client::Error::Manager {
            status,
            problem: Box::new(problem),
        })
        .code
    }

    #[test]
    fn a_managers_words_get_their_meaning() {
        for (status, slug, title, msg, expected) in [
            (
                500,
                "app-service-start-failed",
                "Failed to start the application service.",
                "jupyter: opening the service port timed out: jupyter",
                Code::AppTimeout,
            ),
            (
                500,
                "app-service-start-failed",
                "Failed to start the application service.",
                "jupyter: the process did not start properly: jupyter",
                Code::AppFailed,
            ),
            (
                404,
                "object-not-found",
                "No such session.",
                "",
                Code::SessionNotFound,
            ),
            (
                404,
                "object-not-found",
                "No such app service.",
                "a:b",
                Code::AppNotFound,
            ),
            (
                404,
                "object-not-found",
                "No such vfolder.",
                "",
                Code::FolderNotFound,
            ),
            (
                400,
                "session-already-exists",
                "Exists.",
                "",
                Code::SessionNameTaken,
            ),
            (
                400,
                "invalid-auth-params",
                "Bad",
                "Date/time sync error",
                Code::ClockSkew,
            ),
            (
                401,
                "auth-failed",
                "Unauthorized access",
                "",
                Code::BadCredentials,
            ),
            (
                400,
                "rejected-by-hook",
                "Operation rejected by a hook plugin.",
                "Invalid TOTP code provided",
                Code::OtpWrong,
            ),
            (403, "generic-forbidden", "Forbidden", "", Code::Forbidden),
            (400, "quota-exceeded", "Limit", "", Code::QuotaExceeded),
            (
                400,
                "invalid-api-params",
                "Missing or invalid API parameters.",
                "VFolder with the given name already exists. (x)",
                Code::FolderNameTaken,
            ),
            (
                500,
                "internal-server-error",
                "Oops",
                "",
                Code::ManagerFailed,
            ),
        ] {
            assert_eq!(code(status, slug, title, msg), expected, "{slug} {title}");
        }
    }

    #[test]
    fn the_managers_own_error_is_kept() {
        let problem = Problem::new("quota-exceeded", "You have reached your resource limit.")
            .msg("Session requests 9 kernels.");
        let failure = Failure::from(client::Error::Manager {
            status: 400,
            problem: Box::new(problem),
        });
        let details = failure.details.expect("kept");
        assert_eq!(details["status"], 400);
        assert_eq!(details["msg"], "Session requests 9 kernels.");
        assert!(failure.message.contains("resource limit"));
    }
}
