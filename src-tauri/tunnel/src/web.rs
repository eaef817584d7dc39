//! A connection of a web client: its requests are followed, each after its check, and failures
//! are shown as a page.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use websocket::copy;

use crate::connection::{both, count, noted};
use crate::dial::{DialError, Progress};
use crate::entry::Entry;
use crate::guard::ticket_in;
use crate::http::{Refusal, Requests, Scan};
use crate::page::{self, Problem};
use crate::reach::{Far, hop, reach, refused_now};
use crate::tunnels::{Shared, lock};

/// Web clients close for good when they close, and leave many connections.
const LINGER: Duration = Duration::from_secs(5);
/// The longest pause between two questions after an app that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Web requests are short; bulk goes through larger buffers.
const FIRST_READ: usize = 16 * 1024;

pub(crate) async fn serve(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    mut local: TcpStream,
) -> io::Result<()> {
    let mut requests = Requests::new(entry.port(), entry.public.is_some(), entry.guard());
    let mut held = BytesMut::new();
    // Nothing is dialled before the first request is known to be sound: browsers open spare
    // connections, and each stream starts work in the session.
    let first = match next(&mut requests, &mut local, &mut held).await? {
        Next::Forward(bytes) => bytes,
        Next::End | Next::Opaque => return Ok(()),
        Next::Refuse(Refusal::Stranger { path }) => {
            return stranger(shared, entry, &mut local, &path).await;
        }
        Next::Refuse(refusal) => {
            tracing::warn!(id = %entry.id, ?refusal, "refused a web request");
            return answer(shared, entry, &mut local, &problem(&refusal)).await;
        }
    };
    let mut far = match reach_or_tell(shared, entry, &local, &first).await {
        Reached::Starting(progress) => {
            return answer(shared, entry, &mut local, &Problem::Starting(&progress)).await;
        }
        Reached::Over(reached) => match reached {
            Some(Ok(far)) => far,
            Some(Err(error)) => {
                return answer(shared, entry, &mut local, &Problem::Unreachable(&error)).await;
            }
            None => return Ok(()),
        },
    };
    let moved = AtomicU64::new(0);
    let shows_pages = wants_page(&first);
    far.write_all(&first).await?;
    far.flush().await?;
    count(&entry.up, &moved)(first.len());
    drop(first);

    let (mut from_far, mut to_far) = tokio::io::split(far);
    let (mut from_local, mut to_local) = local.split();
    let ended = {
        let ask = async {
            let meter = count(&entry.up, &moved);
            follow(requests, held, &mut from_local, &mut to_far, meter).await?;
            to_far.shutdown().await
        };
        let reply = async {
            let mut first = vec![0; FIRST_READ];
            let asked = async {
                match shows_pages {
                    true => starting(shared, entry).await,
                    false => std::future::pending().await,
                }
            };
            // A stream that lay ready has its app started only now.
            let read = tokio::select! {
                read = from_far.read(&mut first) => read,
                progress = asked => {
                    let page = rendered(shared, entry, &Problem::Starting(&progress));
                    to_local.write_all(&page).await?;
                    to_local.shutdown().await?;
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            };
            let read = noted(shared, entry, read);
            if !matches!(read, Ok(1..)) {
                // No byte of an answer has come, so a page can't be mistaken for a part of one.
                let page = early(shared, entry, read.as_ref().err()).await;
                to_local.write_all(&page).await?;
            }
            let mut result = read.map(|read| first.truncate(read));
            if result.is_ok() && !first.is_empty() {
                to_local.write_all(&first).await?;
                let mut meter = count(&entry.down, &moved);
                meter(first.len());
                drop(first);
                let copied = copy(&mut from_far, &mut to_local, meter).await;
                result = noted(shared, entry, copied);
            }
            to_local.shutdown().await?;
            // HTTP has no use for a connection whose answers have ended.
            Err(result
                .err()
                .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
        };
        both(ask, reply, LINGER, &moved).await
    };
    from_far.unsplit(to_far).end(entry).await;
    ended
}

/// What became of a request.
enum Reached {
    /// As [`reach`] has it.
    Over(Option<Result<Far, DialError>>),
    /// The app is on its way; the browser asks again.
    Starting(Progress),
}

/// Reaches the app; a browser that wants a page learns soon how far the app is, where that can be
/// told. What was begun for it goes on at the far end.
async fn reach_or_tell(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    local: &TcpStream,
    request: &[u8],
) -> Reached {
    let reaching = reach(shared, entry, local);
    if !wants_page(request) {
        return Reached::Over(reaching.await);
    }
    tokio::select! {
        reached = reaching => Reached::Over(reached),
        progress = starting(shared, entry) => Reached::Starting(progress),
    }
}

/// Completes when the app is known to be on its way and not there soon.
async fn starting(shared: &Shared, entry: &Entry) -> Progress {
    let mut pause = shared.options.soon;
    loop {
        tokio::time::sleep(pause).await;
        if let Some(mut progress) = shared.dial.progress(&entry.target).await {
            if entry.public.is_some() {
                // What an app prints is for its owner.
                progress.lines.clear();
            }
            return progress;
        }
        // It runs, and is slow to answer.
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether a request is a browser's for a page that it will show (Fetch Metadata, else by what it
/// accepts): a script that asks for data can do nothing with another page.
fn wants_page(request: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut headers);
    if parsed.parse(request).is_err() || parsed.method != Some("GET") {
        return false;
    }
    let header = |name: &str| {
        let found = parsed
            .headers
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(name));
        found.map(|it| String::from_utf8_lossy(it.value).to_ascii_lowercase())
    };
    match header("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => {
            header("upgrade").is_none()
                && header("accept").is_some_and(|accepted| accepted.contains("text/html"))
        }
    }
}

/// The page for a connection that ended before its answer began.
async fn early(shared: &Shared, entry: &Entry, error: Option<&io::Error>) -> Vec<u8> {
    match error {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let hop = hop(error);
            let problem = hop.as_ref().map(Problem::Unreachable);
            let detail = error.to_string();
            let other = Problem::ClosedEarly {
                detail: Some(&detail),
            };
            rendered(shared, entry, &problem.unwrap_or(other))
        }
        error => {
            let detail = error.map(ToString::to_string);
            // It may have been made ready long ago; whether there is a way now tells the reason.
            if let Some(reason) = refused_now(shared, entry).await {
                return rendered(shared, entry, &Problem::Unreachable(&reason));
            }
            let problem = Problem::ClosedEarly {
                detail: detail.as_deref(),
            };
            rendered(shared, entry, &problem)
        }
    }
}

/// A browser that does not know the secret: with a ticket it is told.
async fn stranger(
    shared: &Shared,
    entry: &Entry,
    local: &mut TcpStream,
    path: &str,
) -> io::Result<()> {
    let admitted = ticket_in(path).and_then(|(ticket, clean)| {
        let good = lock(&entry.tickets).spend(&ticket);
        good.then(|| entry.guard().map(|guard| guard.admission(&clean)))?
    });
    match admitted {
        Some(response) => finish(local, &response).await,
        None => {
            tracing::warn!(id = %entry.id, "refused a web request without the secret");
            answer(shared, entry, local, &Problem::Stranger).await
        }
    }
}

/// Forwards requests, each after its check, until the local program stops sending.
async fn follow(
    mut requests: Requests,
    mut held: BytesMut,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut meter: impl FnMut(usize),
) -> io::Result<()> {
    loop {
        let bytes = match next(&mut requests, from, &mut held).await? {
            Next::Forward(bytes) => bytes,
            Next::End => return Ok(()),
            Next::Opaque => {
                to.write_all(&held).await?;
                to.flush().await?;
                meter(held.len());
                drop(held);
                return copy(from, to, meter).await;
            }
            Next::Refuse(refusal) => {
                tracing::warn!(?refusal, "refused a later web request");
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        };
        to.write_all(&bytes).await?;
        to.flush().await?;
        meter(bytes.len());
    }
}

enum Next {
    Forward(BytesMut),
    Opaque,
    Refuse(Refusal),
    End,
}

async fn next(
    requests: &mut Requests,
    from: &mut (impl AsyncRead + Unpin),
    held: &mut BytesMut,
) -> io::Result<Next> {
    loop {
        if !held.is_empty() {
            match requests.scan(held) {
                Scan::Forward(length) => return Ok(Next::Forward(held.split_to(length))),
                Scan::Replace(length, bytes) => {
                    let _ = held.split_to(length);
                    return Ok(Next::Forward(BytesMut::from(&bytes[..])));
                }
                Scan::Opaque => return Ok(Next::Opaque),
                Scan::Refuse(refusal) => return Ok(Next::Refuse(refusal)),
                Scan::More => {}
            }
        }
        held.reserve(FIRST_READ);
        if from.read_buf(held).await? == 0 {
            return Ok(Next::End);
        }
    }
}

fn problem(refusal: &Refusal) -> Problem<'static> {
    match refusal {
        Refusal::Host => Problem::ForeignHost,
        Refusal::Origin => Problem::ForeignOrigin,
        Refusal::Malformed => Problem::BadRequest,
        Refusal::Stranger { .. } => Problem::Stranger,
    }
}

fn rendered(shared: &Shared, entry: &Entry, problem: &Problem<'_>) -> Vec<u8> {
    let app = entry.target.service.label();
    let text = shared.pages.text(problem, &app, &entry.target.session_name);
    page::response(problem, &text)
}

async fn answer(
    shared: &Shared,
    entry: &Entry,
    local: &mut TcpStream,
    problem: &Problem<'_>,
) -> io::Result<()> {
    let page = rendered(shared, entry, problem);
    finish(local, &page).await
}

async fn finish(local: &mut TcpStream, response: &[u8]) -> io::Result<()> {
    local.write_all(response).await?;
    local.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the page with it.
    let mut rest = [0; 4096];
    let drain = async { while local.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
    Ok(())
}
