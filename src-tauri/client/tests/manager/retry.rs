//! What is sent again over a bad network, and what never is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client::Error;
use client::protocol::api::session::Create;
use futures_util::FutureExt;

use crate::address::{far, near, play};

fn create() -> Create {
    serde_json::from_str(r#"{"name":"train","image":"python:3.12"}"#).unwrap()
}

#[tokio::test]
async fn reading_goes_on_after_a_cut_and_a_busy_gateway() {
    let (address, asked) = play(|mut exchange| {
        async move {
            match exchange.number {
                0 => drop(exchange),
                1 => exchange.answer("502 Bad Gateway", "", "<html>").await,
                // The head came through, half of the body did not.
                2 => {
                    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"cpu\":";
                    exchange.say(cut).await;
                }
                _ => exchange.answer("200 OK", "", r#"{"cpu":"count"}"#).await,
            }
        }
        .boxed()
    })
    .await;
    let types = far(address).slot_types().await.unwrap();
    assert_eq!(types["cpu"], "count");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn reading_gives_up_and_says_why() {
    let busy = r#"{"type":"https://api.backend.ai/probs/server-frozen","title":"Frozen."}"#;
    let (address, asked) =
        play(move |exchange| exchange.answer("503 Service Unavailable", "", busy).boxed()).await;
    let error = far(address).slot_types().await.unwrap_err();
    assert_eq!(
        (error.status(), error.slug()),
        (Some(503), Some("server-frozen"))
    );
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

/// Questions in GraphQL are sent by POST, and change nothing all the same.
#[tokio::test]
async fn a_list_of_sessions_is_asked_for_again() {
    let (address, asked) = play(|mut exchange| {
        async move {
            exchange.body().await;
            match exchange.number {
                0 => {
                    let root = r#"{"version": "v9.20250722", "manager": "26.9.6"}"#;
                    exchange.answer("200 OK", "", root).await;
                }
                1 => exchange.answer("503 Service Unavailable", "", "").await,
                _ => {
                    let body = r#"{"data":{"compute_session_list":{"items":[],"total_count":0}}}"#;
                    exchange.answer("200 OK", "", body).await;
                }
            }
        }
        .boxed()
    })
    .await;
    let client = far(address);
    let page = client.session_page(&client::SessionQuery::default()).await;
    assert_eq!(page.unwrap().total, 0);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_alias_is_given_once() {
    let (address, asked) = play(|mut exchange| {
        async move {
            exchange.body().await;
            exchange.answer("503 Service Unavailable", "", "").await;
        }
        .boxed()
    })
    .await;
    let error = far(address)
        .alias_image("short", Some("long"))
        .await
        .unwrap_err();
    assert!(error.is_temporary());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_not_asked_for_twice() {
    let (address, asked) = play(|exchange| exchange.answer("404 Not Found", "", "").boxed()).await;
    assert!(far(address).slot_types().await.unwrap_err().is_not_found());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_launch_is_sent_once_whatever_happens_to_it() {
    for cut in [true, false] {
        let (address, asked) = play(move |mut exchange| {
            async move {
                exchange.body().await;
                if !cut {
                    let busy = "503 Service Unavailable";
                    exchange.answer(busy, "retry-after: 0\r\n", "").await;
                }
            }
            .boxed()
        })
        .await;
        let error = far(address).launch(&create()).await.unwrap_err();
        match cut {
            true => assert!(matches!(error, Error::Unreachable { .. }), "{error:?}"),
            false => assert_eq!(error.status(), Some(503)),
        }
        let error = far(address).destroy_session("s", false).await.unwrap_err();
        assert!(error.is_temporary());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "one launch, one end");
    }
}

#[tokio::test]
async fn the_engine_of_this_computer_is_asked_once() {
    let (address, asked) = play(|exchange| async move { drop(exchange) }.boxed()).await;
    assert!(near(address).slot_types().await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

const LIMITED: &str = r#"{"type":"https://api.backend.ai/probs/rate-limit-exceeded",
    "title":"You have reached your API query rate limit."}"#;

#[tokio::test]
async fn a_manager_that_asks_for_a_pause_gets_it() {
    let (address, asked) = play(|exchange| {
        async move {
            match exchange.number {
                0 => {
                    let pause = "retry-after: 1\r\n";
                    exchange
                        .answer("429 Too Many Requests", pause, LIMITED)
                        .await;
                }
                _ => exchange.answer("200 OK", "", "{}").await,
            }
        }
        .boxed()
    })
    .await;
    let begin = Instant::now();
    far(address).slot_types().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn nobody_waits_a_quarter_of_an_hour_before_the_screen() {
    let (address, asked) = play(|exchange| {
        exchange
            .answer("429 Too Many Requests", "retry-after: 900\r\n", LIMITED)
            .boxed()
    })
    .await;
    let error = far(address).slot_types().await.unwrap_err();
    assert_eq!(error.status(), Some(429));
    assert_eq!(error.slug(), Some("rate-limit-exceeded"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// As a manager of 26.9 refuses: no `Retry-After`, but the seconds until it counts anew.
#[tokio::test]
async fn a_real_managers_own_word_for_a_pause_is_understood() {
    let body = r#"{"type":"https://api.backend.ai/probs/rate-limit-exceeded","title":"You have reached your API query rate limit.","error_code":"api_access_unavailable"}"#;
    let limits = |reset: u32| {
        format!(
            "content-type: application/problem+json; charset=utf-8\r\nx-ratelimit-limit: 5\r\n\
             x-ratelimit-remaining: 0\r\nx-ratelimit-reset: {reset}\r\n\
             x-ratelimit-window: 900\r\n"
        )
    };
    let (address, asked) = play(move |exchange| {
        async move {
            let long = limits(898);
            exchange.answer("429 Too Many Requests", &long, body).await;
        }
        .boxed()
    })
    .await;
    let error = far(address).slot_types().await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 1, "asked again in vain");
    assert_eq!(
        error.to_string(),
        "You have reached your API query rate limit. Requests are taken again in 898 s."
    );

    let (address, asked) = play(move |exchange| {
        async move {
            let short = limits(1);
            match exchange.number {
                0 => {
                    exchange.answer("429 Too Many Requests", &short, body).await;
                }
                // The same header, and no reason to wait.
                1 => {
                    exchange
                        .answer("503 Service Unavailable", &limits(800), "")
                        .await;
                }
                _ => exchange.answer("200 OK", &short, "{}").await,
            }
        }
        .boxed()
    })
    .await;
    let begin = Instant::now();
    far(address).slot_types().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
