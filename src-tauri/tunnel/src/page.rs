//! The page that a browser gets when an HTTP app can't be shown: plain HTML, no script, nothing
//! loaded from anywhere. Its words come from the caller, who knows the user's language.

use crate::dial::{DialError, Progress, Waits};

/// What the page is about.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Problem<'a> {
    /// The app could not be reached.
    Unreachable(&'a DialError),
    /// The app is on its way up.
    Starting(&'a Progress),
    /// The connection was made, and the app closed it without an answer.
    ClosedEarly {
        /// What the transport said, if anything.
        detail: Option<&'a str>,
    },
    /// The address in the browser is not one of this computer's own names for the port. Seen when
    /// a foreign web site's name is pointed at this computer (DNS rebinding).
    ForeignHost,
    /// Another web page tried to use the app.
    ForeignOrigin,
    /// The browser does not have what it gets when the app is opened from the desktop.
    Stranger,
    /// What arrived is not HTTP/1.1.
    BadRequest,
}

impl Problem<'_> {
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Starting(_) => "503 Service Unavailable",
            Self::Unreachable(error) if error.retry => "503 Service Unavailable",
            Self::Unreachable(_) | Self::ClosedEarly { .. } => "502 Bad Gateway",
            Self::ForeignHost => "421 Misdirected Request",
            Self::ForeignOrigin | Self::Stranger => "403 Forbidden",
            Self::BadRequest => "400 Bad Request",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Unreachable(error) => error.detail.clone(),
            Self::ClosedEarly { detail } => detail.map(str::to_owned),
            Self::Starting(progress) if !progress.lines.is_empty() => {
                Some(progress.lines.join("\n"))
            }
            _ => None,
        }
    }

    /// After how many seconds the page asks the browser to load it again by itself.
    fn reloads(&self) -> Option<u8> {
        match self {
            // Each try waits as well.
            Self::Starting(progress) if !progress.is_late() => Some(1),
            Self::Unreachable(error) if error.retry => Some(3),
            Self::ClosedEarly { .. } => Some(3),
            _ => None,
        }
    }
}

/// The words of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageText {
    /// BCP 47 language tag of the text, as in `ko`.
    pub language: String,
    /// The heading.
    pub title: String,
    /// What happened, in a sentence.
    pub reason: String,
    /// What the reader can do.
    pub advice: Vec<String>,
    /// The heading over the raw details.
    pub detail_heading: String,
}

/// Brings the words of error pages in the user's language.
pub trait Pages: Send + Sync + 'static {
    /// The words for `problem` with the app called `app` in the session called `session`.
    fn text(&self, problem: &Problem<'_>, app: &str, session: &str) -> PageText;
}

/// English words, for programs that have no translations at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnglishPages;

impl Pages for EnglishPages {
    fn text(&self, problem: &Problem<'_>, app: &str, session: &str) -> PageText {
        let (title, reason, advice): (String, String, Vec<&str>) = match problem {
            Problem::Unreachable(error) => (
                format!("{app} can't be reached"),
                format!("{error} (session {session})"),
                if error.retry {
                    vec!["This page loads again by itself every few seconds."]
                } else {
                    vec!["Look at the session in Gangway, then load this page again."]
                },
            ),
            Problem::Starting(progress) => (
                format!("{app} is starting"),
                format!(
                    "{} (session {session}, {} s so far)",
                    match progress.waits {
                        Waits::Manager => "The manager was asked and has not answered yet.",
                        Waits::Preparation => "It is being prepared.",
                        Waits::Port => "It runs, and its port does not answer yet.",
                        Waits::Connection => "Its port answers; the connection is being made.",
                    },
                    progress.elapsed.as_secs()
                ),
                if progress.is_late() {
                    vec!["It takes longer than it may. Load this page again to wait on."]
                } else {
                    vec!["The app opens here by itself as soon as it answers."]
                },
            ),
            Problem::ClosedEarly { .. } => (
                format!("{app} closed the connection"),
                format!("{app} in session {session} closed the connection without an answer."),
                vec![
                    "The app may still be starting: this page loads again by itself.",
                    "If it stays like this, look at the session's log in Gangway.",
                ],
            ),
            Problem::ForeignHost => (
                "Wrong address".to_owned(),
                format!("{app} only answers at the addresses of this computer itself."),
                vec!["Open the app again from Gangway."],
            ),
            Problem::ForeignOrigin => (
                "Refused".to_owned(),
                format!("Another web page tried to use {app} in session {session}."),
                vec!["Open the app again from Gangway."],
            ),
            Problem::Stranger => (
                "Not opened from Gangway".to_owned(),
                format!(
                    "{app} in session {session} is only shown to the browser that Gangway opened."
                ),
                vec!["Open the app again from Gangway."],
            ),
            Problem::BadRequest => (
                "Not a web request".to_owned(),
                format!("{app} in session {session} is a web app and takes HTTP only."),
                vec!["Open a tunnel to the port for other protocols."],
            ),
        };
        PageText {
            language: "en".to_owned(),
            title,
            reason,
            advice: advice.into_iter().map(str::to_owned).collect(),
            detail_heading: "Details".to_owned(),
        }
    }
}

/// A whole HTTP/1.1 response that ends the connection.
pub(crate) fn response(problem: &Problem<'_>, text: &PageText) -> Vec<u8> {
    let mut body = String::with_capacity(2048);
    body.push_str("<!doctype html><html lang=\"");
    escape(&text.language, &mut body);
    body.push_str(
        "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">",
    );
    if let Some(seconds) = problem.reloads() {
        body.push_str(&format!(
            "<meta http-equiv=\"refresh\" content=\"{seconds}\">"
        ));
    }
    body.push_str("<title>");
    escape(&text.title, &mut body);
    body.push_str("</title><style>");
    body.push_str(STYLE);
    body.push_str("</style></head><body><main><h1>");
    escape(&text.title, &mut body);
    body.push_str("</h1><p>");
    escape(&text.reason, &mut body);
    body.push_str("</p><ul>");
    for line in &text.advice {
        body.push_str("<li>");
        escape(line, &mut body);
        body.push_str("</li>");
    }
    body.push_str("</ul>");
    if let Some(detail) = problem.detail() {
        body.push_str("<h2>");
        escape(&text.detail_heading, &mut body);
        body.push_str("</h2><pre>");
        escape(&detail, &mut body);
        body.push_str("</pre>");
    }
    body.push_str("</main></body></html>\n");
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
         Connection: close\r\n\r\n",
        problem.status(),
        body.len()
    );
    let mut whole = head.into_bytes();
    whole.extend_from_slice(body.as_bytes());
    whole
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1f2328;background:#f6f7f9}\
main{max-width:40rem;margin:12vh auto;padding:2rem;background:#fff;border-radius:8px}\
h1{font-size:1.4rem;margin:0 0 .5rem}h2{font-size:1rem}pre{white-space:pre-wrap;background:#f6f7f9;padding:1rem}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181c}main{background:#22252b}pre{background:#16181c}}";

fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_manager_said_can_not_become_markup() {
        let error = DialError {
            stage: crate::Stage::Manager,
            code: "manager".to_owned(),
            message: "no <script>alert(1)</script>".to_owned(),
            detail: Some("<img src=x onerror=alert(1)>".to_owned()),
            retry: false,
        };
        let problem = Problem::Unreachable(&error);
        let page = response(&problem, &EnglishPages.text(&problem, "<b>app", "s\"1"));
        let page = String::from_utf8(page).unwrap();
        assert!(page.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
        for forbidden in ["<script", "<img", "<b>"] {
            assert!(
                !page.contains(forbidden),
                "{forbidden} came through: {page}"
            );
        }
    }
}
