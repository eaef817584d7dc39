//! Refusals, whoever wrote them.

use client::Error;
use client::protocol::problem::Problem;

use crate::address::{near, play};

/// The error that an answer with this status and body becomes.
async fn refusal(status: &'static str, body: &'static str) -> (u16, Problem, String) {
    let (address, _) = play(move |exchange| Box::pin(exchange.answer(status, "", body))).await;
    let error = near(address).check_login().await.unwrap_err();
    let text = error.to_string();
    match error {
        Error::Manager { status, problem } => (status, *problem, text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_problem_is_kept_whole() {
    let (status, problem, text) = refusal(
        "409 Conflict",
        r#"{"type":"https://api.backend.ai/probs/session-already-exists",
            "title":"The session already exists.","error_code":"session_create_already-exists",
            "msg":"train is taken","data":{"name":"train"},"traceback":"more"}"#,
    )
    .await;
    assert_eq!(status, 409);
    assert_eq!(problem.slug(), "session-already-exists");
    assert_eq!(problem.title, "The session already exists.");
    assert_eq!(
        problem.error_code.as_deref(),
        Some("session_create_already-exists")
    );
    assert_eq!(problem.msg.as_deref(), Some("train is taken"));
    assert_eq!(problem.data.unwrap()["name"], "train");
    assert_eq!(text, "train is taken");
}

#[tokio::test]
async fn what_an_agent_said_is_kept() {
    let (status, problem, text) = refusal(
        "500 Internal Server Error",
        r#"{"type":"https://api.backend.ai/probs/kernel-creation-failed",
            "title":"Kernel creation has failed.",
            "agent-details":{"type":"https://api.backend.ai/probs/agent-timeout","title":"Late"}}"#,
    )
    .await;
    assert_eq!(status, 500);
    assert_eq!(text, "Kernel creation has failed.");
    assert_eq!(problem.agent_details.unwrap()["title"], "Late");
}

#[tokio::test]
async fn the_page_of_a_gateway_is_not_shown_as_markup() {
    for page in [
        "<html>\r\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
        "\n  <!DOCTYPE html>\n<html lang=en><h1>Oops</h1></html>",
    ] {
        let (status, problem, text) = refusal("502 Bad Gateway", page).await;
        assert_eq!((status, text.as_str()), (502, "Bad Gateway"));
        assert_eq!(problem.slug(), "unknown");
    }
}

#[tokio::test]
async fn whatever_else_is_answered_says_at_least_its_status() {
    let (status, _, text) = refusal("403 Forbidden", "").await;
    assert_eq!((status, text.as_str()), (403, "Forbidden"));
    // Not a problem, though JSON: a gateway's own form.
    let (status, problem, text) = refusal("404 Not Found", r#"{"message":"no Route"}"#).await;
    assert_eq!((status, problem.slug()), (404, "unknown"));
    assert!(text.contains("no Route"));
    let (_, _, text) = refusal("400 Bad Request", "upstream sent too big header\nmore").await;
    assert_eq!(text, "upstream sent too big header");
    // To follow it would sign a request for somebody else.
    let (status, _, text) = refusal("302 Found", "").await;
    assert_eq!((status, text.as_str()), (302, "Found"));
}

#[tokio::test]
async fn an_error_of_graphql_in_a_success_is_an_error() {
    let body = r#"{"data":{"images":null},"errors":[{"message":"No such image.",
        "extensions":{"code":"image_read_not-found"}}]}"#;
    let (address, _) = play(move |exchange| Box::pin(exchange.answer("200 OK", "", body))).await;
    let error = near(address).images().await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "No such image.");
}

#[tokio::test]
async fn a_page_in_place_of_an_answer_is_said_to_be_one() {
    for (body, reason) in [
        (
            "<!DOCTYPE html><title>Log in to this network</title>",
            "a web page came",
        ),
        ("\n <html>", "a web page came"),
        ("OK", "expected value"),
        ("", "EOF"),
    ] {
        let (address, _) =
            play(move |exchange| Box::pin(exchange.answer("200 OK", "", body))).await;
        let error = near(address).folders().await.unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(reason) && !text.contains('<'),
            "{body:?}: {text}"
        );
    }
}
