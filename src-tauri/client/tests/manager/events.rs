//! News of sessions over a connection that ends.

use client::EventFeed;
use futures_util::FutureExt;

use crate::address::{Exchange, near, play};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    transfer-encoding: chunked\r\n\r\n";

async fn chunk(exchange: &mut Exchange, text: &str) {
    exchange
        .say(format!("{:x}\r\n{text}\r\n", text.len()))
        .await;
}

fn news(name: &str, session: &str) -> String {
    format!(
        "event: {name}\ndata: {{\"reason\":\"\",\"sessionName\":\"{session}\",\
         \"ownerAccessKey\":\"A\",\"sessionId\":\"00000000-0000-0000-0000-000000000001\",\
         \"exitCode\":null}}\n\n"
    )
}

async fn next(feed: &mut EventFeed) -> Option<(String, String)> {
    let news = feed.next().await?;
    Some((news.name, news.event.session_name))
}

fn said(name: &str, session: &str) -> Option<(String, String)> {
    Some((name.to_owned(), session.to_owned()))
}

#[tokio::test]
async fn news_go_on_after_the_connection_was_cut() {
    let (address, _) = play(|mut exchange| {
        async move {
            assert!(exchange.line.starts_with("GET /events/session?"));
            exchange.say(STREAM).await;
            match exchange.number {
                // Cut in the middle of a frame.
                0 => {
                    chunk(&mut exchange, &news("session_started", "one")).await;
                    chunk(&mut exchange, "event: session_termi").await;
                }
                _ => chunk(&mut exchange, &news("session_terminated", "one")).await,
            }
        }
        .boxed()
    })
    .await;
    let client = near(address);
    let mut feed = client.session_events().await.unwrap();
    assert_eq!(next(&mut feed).await, said("session_started", "one"));
    assert_eq!(next(&mut feed).await, None, "half a frame is no news");
    let mut feed = client.session_events().await.unwrap();
    assert_eq!(next(&mut feed).await, said("session_terminated", "one"));
}

#[tokio::test]
async fn pings_and_nonsense_are_passed_over_until_the_manager_takes_its_leave() {
    let (address, _) = play(|mut exchange| {
        async move {
            exchange.say(STREAM).await;
            chunk(&mut exchange, ": ping\n\n").await;
            chunk(
                &mut exchange,
                "event: session_started\ndata: {\"no\":1}\n\n",
            )
            .await;
            chunk(&mut exchange, "event: from_the_future\ndata: hello\n\n").await;
            // One frame in two chunks.
            let frame = news("session_started", "two");
            let (begin, end) = frame.split_at(40);
            chunk(&mut exchange, begin).await;
            chunk(&mut exchange, end).await;
            chunk(&mut exchange, "event: server_close\ndata: \n\n").await;
            chunk(&mut exchange, &news("session_started", "late")).await;
            std::future::pending::<()>().await;
        }
        .boxed()
    })
    .await;
    let mut feed = near(address).session_events().await.unwrap();
    assert_eq!(next(&mut feed).await, said("session_started", "two"));
    assert_eq!(next(&mut feed).await, None);
}

#[tokio::test]
async fn a_refused_subscription_says_why() {
    let problem = r#"{"type":"https://api.backend.ai/probs/auth-failed","title":"No."}"#;
    let (address, _) =
        play(move |exchange| exchange.answer("401 Unauthorized", "", problem).boxed()).await;
    let error = near(address).session_events().await.err().unwrap();
    assert_eq!(
        (error.status(), error.slug()),
        (Some(401), Some("auth-failed"))
    );
}
