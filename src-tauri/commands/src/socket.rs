//! The proxy host's owner-only socket: JSON frames, one to a line. A connection carries one call
//! after the other; closing it cancels the one that runs.

use std::io;

use proxy::ProxyHost;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::seat;
use crate::table::{self, Effect, Surface};
use crate::types::{Failure, FailureCode};

/// No request is larger; somebody who sends more has lost his way.
const LONGEST_FRAME: u64 = 16 * 1024 * 1024;

/// Never logged: a call may carry the passphrase.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Frame {
    /// Run a command of the table.
    Call {
        name: String,
        payload: Value,
        profile: Option<String>,
        /// Of the encrypted file, where this process knows it: the host may not.
        passphrase: Option<String>,
    },
    /// End; with `hand_over`, so that somebody else goes on with everything.
    Leave { hand_over: bool },
    /// The command runs now: whoever asked must not ask another host as well.
    Begun,
    /// This process is the host no longer; nothing was done.
    Gone,
    /// What came of it.
    Answer { value: Value },
    /// Why nothing came of it.
    Failed { failure: Failure },
}

fn broken(error: &io::Error) -> Failure {
    let message = format!("the process for tunnels and transfers can't be reached: {error}");
    Failure::new(FailureCode::ProxyFailed, message)
}

async fn write(stream: &mut (impl AsyncWriteExt + Unpin), frame: &Frame) -> io::Result<()> {
    let mut text = serde_json::to_vec(frame).map_err(io::Error::other)?;
    text.push(b'\n');
    stream.write_all(&text).await
}

async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut text = Vec::new();
    let mut limited = tokio::io::AsyncReadExt::take(stream, LONGEST_FRAME);
    if limited.read_until(b'\n', &mut text).await? == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(io::Error::other)
}

/// Has the host run a command; starts a host when there is none. One that ends meanwhile has not
/// done it, and the next one is asked.
pub(crate) async fn forward(
    context: &Context,
    name: &str,
    payload: Value,
) -> Result<Value, Failure> {
    let call = Frame::Call {
        name: name.to_owned(),
        payload,
        profile: Some(context.profile_name()?),
        passphrase: context
            .keychain()
            .passphrase()
            .map(|it| it.expose_secret().to_owned()),
    };
    let harmless = table::command(name).is_some_and(|it| it.effect == Effect::Read);
    let end = tokio::time::Instant::now() + seat::PATIENCE;
    loop {
        let asked = match proxy::socket::connect(context.paths()).await {
            Ok(stream) => ask_once(stream, &call, harmless).await,
            Err(error) => {
                seat::start_daemon().await?;
                Asked::Nobody(error)
            }
        };
        match asked {
            Asked::Done(outcome) => return outcome,
            Asked::Nobody(error) if tokio::time::Instant::now() >= end => {
                return Err(broken(&error));
            }
            Asked::Nobody(_) => tokio::time::sleep(seat::MOMENT).await,
        }
    }
}

/// What came of asking one host.
enum Asked {
    Done(Result<Value, Failure>),
    /// It ended before it began, so that another one may be asked.
    Nobody(io::Error),
}

/// `harmless`: it does not matter when two hosts do it.
async fn ask_once(stream: UnixStream, call: &Frame, harmless: bool) -> Asked {
    let mut stream = BufReader::new(stream);
    let mut begun = false;
    if let Err(error) = write(&mut stream, call).await {
        return Asked::Nobody(error);
    }
    loop {
        match read(&mut stream).await {
            Ok(Some(Frame::Begun)) => begun = true,
            Ok(Some(Frame::Answer { value })) => return Asked::Done(Ok(value)),
            Ok(Some(Frame::Failed { failure })) => return Asked::Done(Err(failure)),
            Ok(Some(Frame::Gone)) => return Asked::Nobody(io::ErrorKind::ConnectionReset.into()),
            Ok(None) if harmless || !begun => {
                return Asked::Nobody(io::ErrorKind::UnexpectedEof.into());
            }
            Err(error) if harmless || !begun => return Asked::Nobody(error),
            Ok(None) => return Asked::Done(Err(broken(&io::ErrorKind::UnexpectedEof.into()))),
            Err(error) => return Asked::Done(Err(broken(&error))),
            Ok(Some(Frame::Call { .. } | Frame::Leave { .. })) => {
                let error = io::Error::other("an answer was expected");
                return Asked::Done(Err(broken(&error)));
            }
        }
    }
}

async fn ask(stream: UnixStream, frame: &Frame) -> io::Result<Frame> {
    let mut stream = BufReader::new(stream);
    write(&mut stream, frame).await?;
    read(&mut stream)
        .await?
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Asks the host to end, with or without letting somebody go on; returns when it has stopped
/// everything.
pub(crate) async fn ask_to_leave(context: &Context, hand_over: bool) -> Result<(), Failure> {
    let stream = proxy::socket::connect(context.paths())
        .await
        .map_err(|error| broken(&error))?;
    match ask(stream, &Frame::Leave { hand_over })
        .await
        .map_err(|error| broken(&error))?
    {
        Frame::Failed { failure } => Err(failure),
        _ => Ok(()),
    }
}

/// How a host of its own came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Somebody goes on with everything.
    HandOver,
    /// Only what was to be kept comes back.
    Stop,
}

/// Serves other programs of the same user until it is told to end, is idle, or `signalled`: a
/// window has its own way to end.
pub(crate) async fn serve(
    context: Context,
    host: ProxyHost,
    ready: impl FnOnce(),
    signalled: impl Future<Output = ()>,
) -> Result<End, Failure> {
    let listener = proxy::socket::bind(context.paths()).map_err(|error| broken(&error))?;
    ready();
    let told = CancellationToken::new();
    let (tell, mut leaving) = tokio::sync::mpsc::channel(1);
    let tasks = TaskTracker::new();
    let mut signalled = std::pin::pin!(signalled);
    let end = loop {
        tokio::select! {
            stream = proxy::socket::accept(&listener) => match stream {
                Ok(stream) => {
                    let (context, tell) = (context.clone(), tell.clone());
                    let told = told.clone();
                    tasks.spawn(async move {
                        tokio::select! {
                            served = converse(context, stream, tell) => {
                                if let Err(error) = served {
                                    tracing::debug!(%error, "proxy socket");
                                }
                            }
                            () = told.cancelled() => {}
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "proxy socket"),
            },
            Some((end, mut stream)) = leaving.recv() => {
                settle(&context, &host, end).await;
                let _ = write(&mut stream, &Frame::Answer { value: Value::Null }).await;
                break end;
            }
            () = idle(&context, &host) => {
                settle(&context, &host, End::Stop).await;
                break End::Stop;
            }
            () = &mut signalled => {
                settle(&context, &host, End::HandOver).await;
                break End::HandOver;
            }
        }
    };
    told.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(end)
}

/// Ready when nothing was under way for a while, and no editor may save a file that is to be put
/// back.
async fn idle(context: &Context, host: &ProxyHost) {
    loop {
        host.idle().await;
        if !context.stays_for_editors() {
            return;
        }
    }
}

async fn settle(context: &Context, host: &ProxyHost, end: End) {
    context.seat().leave();
    // While the lock is still ours: afterwards the socket may be that of the next host.
    let _ = std::fs::remove_file(context.paths().proxy_socket());
    match end {
        End::HandOver => host.hand_over().await,
        End::Stop => host.stop().await,
    }
}

/// Ready when this process is asked to end.
pub(crate) async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

type Leaving = tokio::sync::mpsc::Sender<(End, BufReader<UnixStream>)>;

async fn converse(context: Context, stream: UnixStream, tell: Leaving) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (name, payload, profile) = match read(&mut stream).await? {
            None => return Ok(()),
            Some(Frame::Call {
                name,
                payload,
                profile,
                passphrase,
            }) => {
                if let Some(passphrase) = passphrase {
                    context.keychain().unlock(passphrase.into());
                }
                (name, payload, profile)
            }
            Some(Frame::Leave { hand_over }) => {
                let end = if hand_over { End::HandOver } else { End::Stop };
                let _ = tell.send((end, stream)).await;
                return Ok(());
            }
            Some(Frame::Answer { .. } | Frame::Failed { .. } | Frame::Begun | Frame::Gone) => {
                return Err(io::Error::other("a call was expected"));
            }
        };
        if context.seat().host().is_none() {
            write(&mut stream, &Frame::Gone).await?;
            continue;
        }
        write(&mut stream, &Frame::Begun).await?;
        let answer = tokio::select! {
            answer = run(context.with_profile(profile), &name, payload) => answer,
            // Nothing comes while a call runs, except the end.
            _ = stream.fill_buf() => return Ok(()),
        };
        let frame = match answer {
            Ok(value) => Frame::Answer { value },
            // It needs the host, and that has left in this moment.
            Err(failure)
                if failure.code == FailureCode::ProxyFailed && context.seat().host().is_none() =>
            {
                Frame::Gone
            }
            Err(failure) => Frame::Failed { failure },
        };
        write(&mut stream, &frame).await?;
    }
}

async fn run(context: Context, name: &str, payload: Value) -> Result<Value, Failure> {
    let command = table::command(name).ok_or_else(|| table::unknown(name))?;
    if !command.surfaces.has(Surface::Socket) {
        let message = format!("the command \"{name}\" can't be called from here");
        return Err(Failure::new(FailureCode::NotAllowedHere, message));
    }
    table::run(&context, name, payload).await
}
