//! `doctor.run`: what is wrong with this computer, the engine, the keychain, the manager; and what
//! to do about it.

use std::process::Stdio;
use std::time::Duration;

use client::protocol::probe::{Finding, Grade};
use settings::Program;
use tokio::process::Command;

use crate::context::{Context, store};
use crate::types::{Check, CheckList, CheckState, Failure, FailureCode, Nothing, Settings};

/// How long the engine may look; it tries a sandbox.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(context: &Context, _: Nothing) -> Result<CheckList, Failure> {
    let mut checks = vec![configuration(context), runtime_dir(context)];
    checks.extend([program(Program::Engine), program(Program::Runner)]);
    match computer().await {
        Ok(found) => checks.extend(found),
        Err(failure) => checks.push(failed("computer", failure)),
    }
    checks.push(ssh());
    checks.push(engine(context).await);
    checks.push(keychain(context).await);
    checks.push(manager(context).await);
    Ok(CheckList { checks })
}

fn check(name: &str, state: CheckState, detail: impl Into<String>, fix: Option<String>) -> Check {
    Check {
        name: name.to_owned(),
        state,
        detail: detail.into(),
        fix,
    }
}

fn failed(name: &str, failure: Failure) -> Check {
    check(name, CheckState::Failed, failure.message, failure.hint)
}

fn configuration(context: &Context) -> Check {
    let path = context.paths().config_file().display().to_string();
    let read = context.config().and_then(|config| {
        for name in config.profile_names() {
            config.profile(&name)?;
        }
        Ok(config.preferences::<Settings>()?)
    });
    match read {
        Ok(_) => check("configuration", CheckState::Ok, path, None),
        Err(failure) => check(
            "configuration",
            CheckState::Failed,
            failure.message,
            Some(format!("correct or remove {path}")),
        ),
    }
}

fn runtime_dir(context: &Context) -> Check {
    let dir = &context.paths().runtime_dir;
    match settings::private_dir(dir) {
        Ok(()) => check("sockets", CheckState::Ok, dir.display().to_string(), None),
        Err(error) => failed("sockets", error.into()),
    }
}

fn program(program: Program) -> Check {
    match settings::find(program) {
        Ok(path) => check(
            program.name(),
            CheckState::Ok,
            path.display().to_string(),
            None,
        ),
        Err(error) => failed(program.name(), error.into()),
    }
}

/// The system's `ssh`.
fn ssh() -> Check {
    match crate::system::on_path("ssh") {
        Some(path) => check("ssh", CheckState::Ok, path.display().to_string(), None),
        None => check(
            "ssh",
            CheckState::Failed,
            "the program ssh is missing",
            Some("install the package openssh-client".to_owned()),
        ),
    }
}

/// What the engine finds out about this computer, as the user that sandboxes run as. It need not
/// run for that.
async fn computer() -> Result<Vec<Check>, Failure> {
    let failed = |reason: String| {
        let message = format!("the engine could not look at this computer: {reason}");
        Failure::new(FailureCode::EngineFailed, message)
    };
    let asked = Command::new(settings::find(Program::Engine)?)
        .arg("probe")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let findings: Vec<Finding> = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))?;
    Ok(findings.into_iter().map(Check::from).collect())
}

impl From<Finding> for Check {
    fn from(finding: Finding) -> Self {
        let state = match finding.grade {
            Grade::Ok => CheckState::Ok,
            Grade::Warning => CheckState::Warning,
            Grade::Failed => CheckState::Failed,
        };
        check(&finding.name, state, finding.detail, finding.fix)
    }
}

async fn engine(context: &Context) -> Check {
    match crate::engine::status(context, Nothing {}).await {
        Ok(status) if status.running => {
            let detail = format!(
                "{} (version {}, {} live sessions)",
                status.endpoint.unwrap_or_default(),
                status.version.unwrap_or_default(),
                status.sessions.unwrap_or_default()
            );
            check("engine", CheckState::Ok, detail, None)
        }
        Ok(_) => check(
            "engine",
            CheckState::Warning,
            "the engine of this computer does not run",
            Some("start it: `gangway engine start`".to_owned()),
        ),
        Err(failure) => failed("engine", failure),
    }
}

async fn keychain(context: &Context) -> Check {
    let kind = match context
        .profile_name()
        .and_then(|name| context.profile(&name))
    {
        Ok(profile) => profile.keychain,
        Err(failure) => return failed("keychain", failure),
    };
    let status = context.keychain().status(store(kind)).await;
    let (state, fix) = match status.state {
        keychain::State::Ready => (CheckState::Ok, None),
        keychain::State::Locked => (
            CheckState::Warning,
            Some(
                "unlock it (on a desktop, log out and in, or open its program, such as Passwords \
                 and Keys), or keep secrets in an encrypted file: `gangway login --keychain file`"
                    .to_owned(),
            ),
        ),
        keychain::State::Absent => (
            CheckState::Warning,
            Some(
                "keep secrets in an encrypted file: `gangway login --keychain file`; or install \
                 gnome-keyring and log in to a desktop"
                    .to_owned(),
            ),
        ),
    };
    check("keychain", state, status.detail, fix)
}

async fn manager(context: &Context) -> Check {
    let asked = async {
        let client = context.client().await?;
        let found = client.announcement().await?.clone();
        client.check_login().await?;
        Ok::<_, Failure>(format!(
            "{}: manager {}, API {}",
            client.endpoint(),
            found.manager,
            found.version
        ))
    };
    match asked.await {
        Ok(detail) => check("manager", CheckState::Ok, detail, None),
        Err(failure) if failure.code == FailureCode::NotLoggedIn => check(
            "manager",
            CheckState::Warning,
            failure.message,
            failure.hint,
        ),
        Err(failure) => failed("manager", failure),
    }
}
