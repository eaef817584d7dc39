//! Reads what a manager answers, and no more of it than makes sense: the other end may be broken, or
//! not be what it says.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use eventsource_stream::{Event, Eventsource};
use futures_util::{Stream, StreamExt};
use protocol::problem::Problem;

use crate::{Client, Error};

/// The longest answer that is held in memory, in bytes. The longest that there are, logs and lists
/// of many thousand sessions, stay below a quarter of that.
const LONGEST: usize = 64 << 20;

/// An answer that has begun and stops for so long does not go on.
const PAUSE: Duration = Duration::from_secs(30);

/// The longest event of a stream of events, in bytes.
const LONGEST_EVENT: usize = 1 << 20;

impl Client {
    /// All of an answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it is cut off, [`Error::Silent`] when it stops, [`Error::Answer`] when it is longer than 64 MiB.
    pub(crate) async fn whole(&self, response: reqwest::Response) -> Result<Bytes, Error> {
        let mut chunks = response.bytes_stream();
        let mut all = BytesMut::new();
        loop {
            let next = tokio::time::timeout(PAUSE, chunks.next()).await;
            let Some(chunk) = next.map_err(|_| self.silent(PAUSE))? else {
                return Ok(all.freeze());
            };
            let chunk = chunk.map_err(|error| self.unreachable(error.without_url()))?;
            if all.len() + chunk.len() > LONGEST {
                return Err(Error::answer("a request", "the answer has no end"));
            }
            all.extend_from_slice(&chunk);
        }
    }
}

/// The events of a stream, which ends with an error when one of them has no end.
pub(crate) fn events<E: std::fmt::Display>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send,
) -> impl Stream<Item = Result<Event, String>> + Send {
    // Bytes since the last empty line, which ends an event.
    let bounded = bytes.scan(Some(0), |open, chunk| {
        let next = open.map(|before| {
            let chunk = chunk.map_err(|error| error.to_string())?;
            let now = match end_of_event(&chunk) {
                Some(end) => chunk.len() - end,
                None => before + chunk.len(),
            };
            if now > LONGEST_EVENT {
                return Err("an event has no end".to_owned());
            }
            *open = Some(now);
            Ok(chunk)
        });
        if !matches!(next, Some(Ok(_))) {
            *open = None;
        }
        std::future::ready(next)
    });
    bounded
        .eventsource()
        .map(|event| event.map_err(|error| error.to_string()))
}

/// Where the last empty line of a piece ends. One that is cut in two is missed, which only makes
/// the event that follows count for more.
fn end_of_event(chunk: &[u8]) -> Option<usize> {
    let ends = |mark: &[u8]| {
        let at = chunk.windows(mark.len()).rposition(|it| it == mark)?;
        Some(at + mark.len())
    };
    [&b"\n\n"[..], b"\r\r", b"\r\n\r\n"]
        .into_iter()
        .filter_map(ends)
        .max()
}

/// Whether something for browsers came where none belongs.
pub(crate) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// The error for an answer of `status` with this body, whoever wrote it.
pub(crate) fn refused(status: u16, body: &[u8]) -> Error {
    let problem = serde_json::from_slice::<Problem>(body)
        .ok()
        .filter(|problem| !(problem.kind.is_empty() && problem.title.is_empty()))
        .unwrap_or_else(|| {
            // A proxy in between, or a storage: keep a line of what it said.
            let text = String::from_utf8_lossy(body);
            let line: String = text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect();
            let title = http::StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("error");
            let problem = Problem::new("unknown", title);
            // A page for browsers begins with nothing that anybody wants to read.
            if line.is_empty() || is_page(body) {
                problem
            } else {
                problem.msg(line)
            }
        });
    Error::Manager {
        status,
        problem: Box::new(problem),
    }
}

#[cfg(test)]
mod properties {
    use futures_util::FutureExt;
    use futures_util::stream;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: Vec<Vec<u8>>) -> Vec<Result<Event, String>> {
        let pieces = pieces
            .into_iter()
            .map(|piece| Ok::<_, String>(Bytes::from(piece)));
        let all = events(stream::iter(pieces)).collect::<Vec<_>>();
        all.now_or_never().expect("nothing to wait for")
    }

    fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
        let (mut rest, mut pieces) = (bytes, Vec::new());
        for length in lengths {
            let (piece, after) = rest.split_at((*length).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    proptest! {
        #[test]
        fn any_stream_is_events_or_an_error(
            bytes in prop_oneof![
                vec(any::<u8>(), 0..200),
                "((data|event|id|retry): ?[a-z0-9]{0,6}(\r\n|\n|\r)|\n|:.{0,3}\n){0,12}".prop_map(String::into_bytes),
            ],
            lengths in vec(0usize..20, 0..20),
        ) {
            let _ = read(cut(&bytes, &lengths));
        }

        #[test]
        fn what_is_written_is_read(said in vec(("[a-z_]{1,12}", "[a-z0-9{}:, ]{1,20}"), 0..8), lengths in vec(1usize..20, 0..20)) {
            let text: String = said.iter().map(|(name, data)| format!(": ping\n\nevent: {name}\ndata: {data}\n\n")).collect();
            let heard: Vec<(String, String)> = read(cut(text.as_bytes(), &lengths))
                .into_iter()
                .map(|event| event.map(|event| (event.event, event.data)).unwrap())
                .collect();
            let said: Vec<_> = said.into_iter().map(|(name, data)| (name, data.trim_start_matches(' ').to_owned())).collect();
            let heard: Vec<_> = heard.into_iter().map(|(name, data)| (name, data.trim_start_matches(' ').to_owned())).collect();
            prop_assert_eq!(heard, said);
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let piece = vec![b'x'; 64 << 10];
        let endless = std::iter::once(b"data: ".to_vec()).chain(std::iter::repeat_n(piece, 1000));
        let heard = read(endless.collect());
        assert!(
            matches!(&heard[..], [Err(reason)] if reason.contains("no end")),
            "{}",
            heard.len()
        );
    }
}
