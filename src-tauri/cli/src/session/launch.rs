//! `gangway session launch`.

use std::process::ExitCode;

use commands::types::{
    BatchJob, Failure, FailureCode, LaunchRequest, Session, SessionResult, SessionStatus,
    SessionWait,
};

use super::args::LaunchArgs;
use super::exit_code;
use crate::Program;
use crate::account::word;

pub(super) async fn launch(program: &Program, args: LaunchArgs) -> Result<ExitCode, Failure> {
    let (count, wait_result, wait_timeout_s) = (args.count, args.wait_result, args.wait_timeout);
    let request = request(args).await?;
    let mut sessions = Vec::new();
    for number in 1..=count {
        let mut request = request.clone();
        if count > 1 {
            // All are asked for before one of them is waited for.
            request.wait = false;
            request.name = request.name.map(|name| format!("{name}-{number}"));
        }
        let session: Session = program.table.ask("session.launch", &request).await?;
        sessions.push(session);
    }
    let status = if wait_result {
        SessionStatus::Terminated
    } else {
        SessionStatus::Running
    };
    let waits = wait_result || (count > 1 && request.wait && may_begin_now(&request));
    if waits {
        for session in &mut sessions {
            let request = SessionWait {
                session: session.id.to_string(),
                status,
                timeout_s: wait_timeout_s.or(wait_result.then_some(u64::from(u32::MAX))),
            };
            *session = program.table.ask("session.wait", &request).await?;
        }
    }
    let shown = |session: &Session| {
        format!(
            "{}  {}  {}",
            session.name,
            word(&session.status),
            session.id
        )
    };
    match &sessions[..] {
        [session] => program.output.answer(session, shown),
        sessions => program
            .output
            .answer(&serde_json::json!({ "sessions": sessions }), |_| {
                sessions
                    .iter()
                    .map(|session| shown(session) + "\n")
                    .collect()
            }),
    }
    let failed = sessions
        .iter()
        .find(|session| wait_result && session.result != SessionResult::Success);
    Ok(match failed {
        Some(session) => exit_code(session.exit_code.unwrap_or(1)),
        None => ExitCode::SUCCESS,
    })
}

/// What is to begin later, or after others, would be waited for in vain.
fn may_begin_now(request: &LaunchRequest) -> bool {
    let later = request
        .batch
        .as_ref()
        .is_some_and(|job| job.starts_at.is_some());
    !later && request.depends_on.is_empty()
}

async fn request(args: LaunchArgs) -> Result<LaunchRequest, Failure> {
    let bootstrap = match &args.bootstrap {
        Some(path) => Some(tokio::fs::read_to_string(path).await.map_err(|error| {
            Failure::new(
                FailureCode::FileNotFound,
                format!("{}: {error}", path.display()),
            )
        })?),
        None => None,
    };
    Ok(LaunchRequest {
        name: args.name,
        image: args.image,
        session_type: None,
        cpu: args.cpu,
        mem: args.mem,
        shmem: args.shmem,
        gpu: args.gpu,
        resources: args.resource.into_iter().collect(),
        mounts: args.mount,
        environ: args.env.into_iter().collect(),
        preopen_ports: args.preopen_port,
        environments: args
            .environment
            .iter()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
        resource_group: args.resource_group,
        project: args.project,
        batch: args.batch.map(|command| BatchJob {
            command,
            starts_at: args.starts_at,
            timeout: args.timeout,
        }),
        bootstrap,
        depends_on: args.depends_on,
        owner: args.owner,
        priority: args.priority,
        callback_url: args.callback_url,
        cluster_size: args.cluster_size,
        wait: !args.no_wait,
        wait_timeout_s: args.wait_timeout,
    })
}
