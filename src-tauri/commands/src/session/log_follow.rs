//! A log that goes on: told by our engine as it is written, asked for anew from other managers.

use std::time::Duration;

use client::{Client, Error, LogNews};
use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt};
use uuid::Uuid;

use crate::types::{Failure, LogText};

/// A log is asked for anew: the protocol has no stream of it.
const LOG_PAUSE: Duration = Duration::from_secs(1);
/// How often a stream that broke is begun again, without anything new in between.
const TRIES: u32 = 5;
/// Of a log as long as this, in bytes, the beginning is kept still.
const KEPT: usize = 5 << 20;

/// A stream of a log.
struct Told {
    client: Client,
    id: Uuid,
    news: BoxStream<'static, Result<LogNews, Error>>,
    /// Bytes that were told.
    seen: usize,
    /// Bytes that were told before the stream broke and come again.
    again: usize,
    tries: u32,
}

impl Told {
    async fn next(&mut self) -> Option<Result<LogText, Failure>> {
        loop {
            let broken = match self.news.next().await {
                Some(Ok(LogNews::Text(text))) => {
                    self.tries = 0;
                    let first = self.seen == 0 && self.again == 0;
                    let known = text.ceil_char_boundary(self.again.min(text.len()));
                    self.again -= known.min(self.again);
                    let text = text[known..].to_owned();
                    self.seen += text.len();
                    if first || !text.is_empty() {
                        return Some(Ok(LogText { text }));
                    }
                    continue;
                }
                Some(Ok(LogNews::Done)) => return None,
                Some(Err(error)) => Some(error),
                // Its engine was stopped.
                None => None,
            };
            if let Err(error) = self.begin_again(broken).await {
                return Some(Err(error.into()));
            }
        }
    }

    /// Goes on where the stream broke: the engine may have been started again.
    async fn begin_again(&mut self, mut broken: Option<Error>) -> Result<(), Error> {
        loop {
            self.tries += 1;
            if let Some(error) = broken
                && (self.tries > TRIES || !error.is_temporary())
            {
                return Err(error);
            }
            tokio::time::sleep(LOG_PAUSE).await;
            match self.client.follow_log(&self.id.to_string()).await {
                Ok(news) => {
                    self.news = news.boxed();
                    // Of a longer log there is no telling what is new.
                    self.again = if self.seen > KEPT { 0 } else { self.seen };
                    return Ok(());
                }
                Err(error) => broken = Some(error),
            }
        }
    }
}

/// As the manager tells it.
pub(super) async fn told(
    client: Client,
    id: Uuid,
) -> Result<impl Stream<Item = Result<LogText, Failure>> + Send + use<>, Failure> {
    let news = client.follow_log(&id.to_string()).await?.boxed();
    let told = Told {
        client,
        id,
        news,
        seen: 0,
        again: 0,
        tries: 0,
    };
    Ok(unfold(Some(told), |told| async move {
        let mut told = told?;
        match told.next().await? {
            Ok(text) => Some((Ok(text), Some(told))),
            Err(failure) => Some((Err(failure), None)),
        }
    }))
}

/// By asking again and again.
pub(super) fn asked_for(
    client: Client,
    id: Uuid,
) -> impl Stream<Item = Result<LogText, Failure>> + Send + use<> {
    let state = (client, None, false);
    unfold(state, move |(client, mut seen, over)| async move {
        if over {
            return None;
        }
        loop {
            let step = async {
                let ended = client.session(id).await?.status.is_terminal();
                // Asked for after that, so that nothing is missed at the end.
                let text = client.session_logs(&id.to_string(), None).await?;
                Ok::<_, Error>((text, ended))
            };
            let (text, ended) = match step.await {
                Ok(step) => step,
                Err(error) => return Some((Err(error.into()), (client, seen, true))),
            };
            // The manager keeps the end of a long log: then there is no telling what is new.
            let known = seen.unwrap_or(0);
            let start = if text.is_char_boundary(known) {
                known.min(text.len())
            } else {
                0
            };
            let new = text[start..].to_owned();
            let first = seen.replace(text.len()).is_none();
            if first || !new.is_empty() || ended {
                return Some((Ok(LogText { text: new }), (client, seen, ended)));
            }
            tokio::time::sleep(LOG_PAUSE).await;
        }
    })
}
