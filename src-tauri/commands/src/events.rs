//! What changes, for whoever shows it: our own changes, and those that the manager tells.

use std::time::Duration;

use futures_util::Stream;
use tokio::sync::broadcast;

use crate::context::Context;
use crate::types::{Changed, Failure, Nothing, Tag};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Changes from now on. Whoever is too slow is told that anything may have changed.
pub(crate) async fn stream(
    context: &Context,
    _: Nothing,
) -> Result<impl Stream<Item = Result<Changed, Failure>> + Send + use<>, Failure> {
    context.watch_logins();
    let follower = tokio::spawn(follow_manager(context.clone()));
    let state = (context.changes(), AbortOnDrop(follower));
    Ok(futures_util::stream::unfold(
        state,
        |(mut changes, follower)| async move {
            match changes.recv().await {
                Ok(change) => Some((Ok(change), (changes, follower))),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((
                    Ok(Changed {
                        tag: Tag::Session,
                        id: None,
                    }),
                    (changes, follower),
                )),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        },
    ))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows the manager of the current profile for as long as somebody listens. After a gap
/// everything may have changed.
async fn follow_manager(context: Context) {
    let mut pause = FIRST_PAUSE;
    loop {
        let feed = async { Ok::<_, Failure>(context.client().await?.session_events().await?) };
        if let Ok(mut feed) = feed.await {
            pause = FIRST_PAUSE;
            context.changed(Tag::Engine, None);
            context.changed(Tag::Session, None);
            let mut profiles = context.changes();
            loop {
                tokio::select! {
                    news = feed.next() => match news {
                        Some(news) => {
                            context.changed(Tag::Session, Some(news.event.session_id.to_string()));
                        }
                        None => break,
                    },
                    change = profiles.recv() => {
                        if matches!(change, Ok(Changed { tag: Tag::Profile, .. })) {
                            break;
                        }
                    }
                }
            }
            context.changed(Tag::Session, None);
            context.changed(Tag::Engine, None);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
