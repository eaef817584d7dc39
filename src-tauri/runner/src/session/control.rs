//! Answers the engine.

use std::{io, os::fd::AsFd, sync::Arc, time::Duration};

use protocol::runner::{
    Answer, Fault, FaultKind, Hello, OLDEST_VERSION, Request, SshInfo, Status, VERSION, Welcome,
    launch::{ExitNote, USER},
};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use super::{Session, apps, execute, files, frame, install, stats};

/// How long a connection to a port of the session may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the engine for the life of the session.
pub(super) async fn serve(listener: UnixListener, session: Arc<Session>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let session = session.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, session).await {
                        tracing::debug!(%error, "the engine went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't hear the engine");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, session: Arc<Session>) -> io::Result<()> {
    let Some(raw) = frame::read::<serde_json::Value>(&mut stream).await? else {
        return Ok(());
    };
    let welcome = Welcome {
        version: VERSION,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    };
    frame::write(&mut stream, &welcome).await?;
    // An engine that is newer may ask for what this runner has never heard of.
    match serde_json::from_value::<Hello>(raw) {
        Ok(hello) if hello.version >= OLDEST_VERSION => {
            answer(stream, session, hello.request).await
        }
        Ok(_) => {
            refuse(
                &mut stream,
                FaultKind::Unsupported,
                "the engine is too old for this session",
            )
            .await
        }
        Err(error) => {
            refuse(
                &mut stream,
                FaultKind::Unsupported,
                &format!("this session's runner is too old: {error}"),
            )
            .await
        }
    }
}

async fn refuse(stream: &mut UnixStream, kind: FaultKind, message: &str) -> io::Result<()> {
    let message = message.to_owned();
    frame::write(stream, &Answer::Failed(Fault { kind, message })).await
}

async fn answer(mut stream: UnixStream, session: Arc<Session>, request: Request) -> io::Result<()> {
    let answer = match request {
        Request::Status => Ok(Answer::Status(Status {
            uptime: session.started.elapsed().as_secs_f64(),
            service_ports: session.service_ports(),
            batch_exit: None,
        })),
        Request::Connect { port } => match connect(port).await {
            Ok(target) => {
                return frame::write_with(&mut stream, &Answer::Descriptor, target.as_fd()).await;
            }
            Err(fault) => Err(fault),
        },
        Request::StartService { name, options } => Ok(Answer::Service(
            session.services.start(&session, &name, options).await,
        )),
        Request::StartProgress { name } => Ok(Answer::StartProgress {
            progress: session.services.progress(&name),
        }),
        Request::ShutdownService { name } => session.services.stop(&name).map(|()| Answer::Done),
        Request::Apps => Ok(Answer::Apps {
            apps: apps::states(&session),
        }),
        Request::Ssh => Ok(Answer::Ssh(SshInfo {
            user: USER.to_owned(),
            host_key: session.host_key.public_line(),
            service: "sshd".to_owned(),
        })),
        Request::Execute(order) => return execute::run(stream, &session, order).await,
        Request::Interrupt { run_id } => session
            .runs
            .interrupt(run_id.as_deref())
            .map(|()| Answer::Done),
        Request::Stats => Ok(Answer::Stats {
            metrics: stats::read(),
        }),
        Request::Notices => Ok(Answer::Notices {
            notices: session.notices.all(),
        }),
        Request::Install { app } => return install::run(stream, &session, &app).await,
        Request::OpenFile { path, mode } => {
            match files::blocking(move || files::open(&path, mode)).await {
                Ok(file) => {
                    return frame::write_with(&mut stream, &Answer::Descriptor, file.as_fd()).await;
                }
                Err(fault) => Err(fault),
            }
        }
        Request::ListFiles { path } => files::blocking(move || files::list(&path))
            .await
            .map(|entries| Answer::Files { entries }),
        Request::MakeDirectory { path } => files::blocking(move || files::make_directory(&path))
            .await
            .map(|()| Answer::Done),
        Request::RenameFile { from, to } => files::blocking(move || files::rename(&from, &to))
            .await
            .map(|()| Answer::Done),
        Request::RemoveFile { path } => files::blocking(move || files::remove(&path))
            .await
            .map(|()| Answer::Done),
        Request::Unsaved { limit } => files::blocking(move || Ok(files::unsaved(&session, limit)))
            .await
            .map(Answer::Unsaved),
        Request::Terminate { grace_ms } => {
            frame::write(&mut stream, &Answer::Done).await?;
            session
                .lifetime
                .end(&ExitNote::Terminated, Duration::from_millis(grace_ms))
                .await;
            return Ok(());
        }
    };
    frame::write(&mut stream, &answer.unwrap_or_else(Answer::Failed)).await
}

/// Connects to a port of the session. Programs listen on either loopback address, or on all.
async fn connect(port: u16) -> Result<std::net::TcpStream, Fault> {
    let attempt = async {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                TcpStream::connect(("::1", port)).await
            }
            other => other,
        }
    };
    let refused = |message: String| Fault {
        kind: FaultKind::Refused,
        message,
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(Ok(stream)) => {
            // The engine relays what comes in pieces as it comes.
            let _ = stream.set_nodelay(true);
            stream
                .into_std()
                .map_err(|error| refused(error.to_string()))
        }
        Ok(Err(_)) => Err(refused(format!(
            "nothing listens on port {port} of the session"
        ))),
        Err(_) => Err(refused(format!(
            "port {port} of the session does not answer"
        ))),
    }
}
