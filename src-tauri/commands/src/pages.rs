//! The words of the pages that a browser gets when an app can't be shown, in the user's language.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use settings::Config;
use tunnel::{DialError, EnglishPages, PageText, Pages, Problem, Progress, Stage, Waits};

use crate::context::Context;
use crate::types::{Language, Settings};

/// Texts by language and key. `{app}` and `{session}` stand for their names.
type Catalogue = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the settings for every page: they may change while a tunnel is open, in another process
/// too.
pub(crate) struct TranslatedPages(pub(crate) Context);

impl Pages for TranslatedPages {
    fn text(&self, problem: &Problem<'_>, app: &str, session: &str) -> PageText {
        let settings = Config::load(self.0.paths())
            .and_then(|config| config.preferences::<Settings>())
            .unwrap_or_default();
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default();
        words(language(settings.language, &locale), problem, app, session)
            .unwrap_or_else(|| EnglishPages.text(problem, app, session))
    }
}

/// The language that was chosen, or the one of the locale.
fn language(chosen: Language, locale: &str) -> &'static str {
    match (chosen, locale.get(..2)) {
        (Language::Ko, _) | (Language::System, Some("ko")) => "ko",
        (Language::Ja, _) | (Language::System, Some("ja")) => "ja",
        _ => "en",
    }
}

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        // A text that is missing becomes an English one; a test reads the whole file.
        serde_json::from_str(include_str!("pages.json")).unwrap_or_default()
    })
}

/// The words of a page; none where the catalogue lacks one of them.
fn words(
    language: &'static str,
    problem: &Problem<'_>,
    app: &str,
    session: &str,
) -> Option<PageText> {
    let texts = catalogue().get(language)?;
    let say = |key: &str| {
        let text = texts.get(key)?.replace("{app}", app);
        Some(text.replace("{session}", session))
    };
    let (title, reason, advice): (_, _, &[&str]) = match problem {
        Problem::Unreachable(error) if error.retry && error.stage == Stage::Login => (
            "unreachable",
            reason(error),
            &["log_in_again", "reloads_soon"],
        ),
        Problem::Unreachable(error) if error.retry => {
            ("unreachable", reason(error), &["reloads_soon"])
        }
        Problem::Unreachable(error) => ("unreachable", reason(error), &["look_at_session"]),
        Problem::Starting(progress) if progress.is_late() => {
            ("starting", waits(progress), &["starting.late"])
        }
        Problem::Starting(progress) => ("starting", waits(progress), &["starting.opens"]),
        Problem::ClosedEarly { .. } => (
            "closed_early",
            "closed_early.reason",
            &["may_be_starting", "look_at_log"],
        ),
        Problem::ForeignHost => ("foreign_host", "foreign_host.reason", &["open_again"]),
        Problem::ForeignOrigin => ("foreign_origin", "foreign_origin.reason", &["open_again"]),
        Problem::Stranger => ("stranger", "stranger.reason", &["open_again"]),
        Problem::BadRequest => ("bad_request", "bad_request.reason", &["use_a_tunnel"]),
        // A problem that is newer than the catalogue.
        _ => return None,
    };
    let mut advice = advice
        .iter()
        .map(|key| say(key))
        .collect::<Option<Vec<_>>>()?;
    if let Problem::Starting(progress) = problem {
        let [elapsed, limit] =
            [progress.elapsed, progress.limit].map(|it| it.as_secs().to_string());
        advice = advice
            .iter()
            .map(|line| line.replace("{limit}", &limit))
            .collect();
        advice.insert(0, say("starting.elapsed")?.replace("{elapsed}", &elapsed));
    }
    if let Problem::Unreachable(error) = problem {
        // What the failing hop said stays in the words in which it came.
        advice.push(say("said")?.replace("{message}", &error.message));
    }
    Some(PageText {
        language: language.to_owned(),
        title: say(title)?,
        reason: say(reason)?,
        advice,
        detail_heading: say("details")?,
    })
}

fn waits(progress: &Progress) -> &'static str {
    match progress.waits {
        Waits::Manager => "starting.manager",
        Waits::Preparation => "starting.preparation",
        Waits::Port => "starting.port",
        Waits::Connection => "starting.connection",
    }
}

fn reason(error: &DialError) -> &'static str {
    match error.stage {
        Stage::Local | Stage::Network => "unreachable.network",
        Stage::Login => "unreachable.login",
        Stage::Manager => "unreachable.manager",
        Stage::Session => "unreachable.session",
        Stage::App => "unreachable.app",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::{Failure, FailureCode};

    fn error(stage: Stage, retry: bool) -> DialError {
        DialError {
            stage,
            code: "manager_failed".to_owned(),
            message: "the far end said no".to_owned(),
            detail: None,
            retry,
        }
    }

    #[test]
    fn every_page_is_there_in_every_language() {
        let errors: Vec<DialError> = [
            Stage::Network,
            Stage::Login,
            Stage::Manager,
            Stage::Session,
            Stage::App,
        ]
        .into_iter()
        .flat_map(|stage| [error(stage, false), error(stage, true)])
        .collect();
        let mut problems: Vec<Problem<'_>> = errors.iter().map(Problem::Unreachable).collect();
        let on_its_way: Vec<Progress> = [
            Waits::Manager,
            Waits::Preparation,
            Waits::Port,
            Waits::Connection,
        ]
        .into_iter()
        .flat_map(|waits| {
            [1, 61].map(|elapsed| Progress {
                waits,
                elapsed: Duration::from_secs(elapsed),
                limit: Duration::from_secs(60),
                lines: vec!["a line".to_owned()],
            })
        })
        .collect();
        problems.extend(on_its_way.iter().map(Problem::Starting));
        problems.extend([
            Problem::ClosedEarly { detail: None },
            Problem::ForeignHost,
            Problem::ForeignOrigin,
            Problem::Stranger,
            Problem::BadRequest,
        ]);
        for problem in &problems {
            let of = |language| words(language, problem, "jupyterlab", "my-session");
            let [en, ko, ja] = ["en", "ko", "ja"].map(|language| of(language).unwrap());
            assert!(en.title != ko.title && ko.title != ja.title && en.title != ja.title);
            for page in [en, ko, ja] {
                let whole = format!("{} {} {}", page.title, page.reason, page.advice.join(" "));
                assert!(!whole.contains(['{', '}']), "{whole}");
            }
        }
        let text = words("ko", &problems[0], "ttyd", "work-1").unwrap();
        assert_eq!(text.title, "ttyd에 연결할 수 없습니다");
        assert!(text.advice.concat().contains("the far end said no"));
    }

    #[test]
    fn a_page_names_the_reason() {
        for (code, named) in [
            (FailureCode::ManagerUnreachable, "is down"),
            (FailureCode::CertificateUntrusted, "is down"),
            (FailureCode::NotLoggedIn, "does not accept the login"),
            (FailureCode::LoginExpired, "does not accept the login"),
            (FailureCode::LoggedInElsewhere, "does not accept the login"),
            (FailureCode::SessionEnded, "is not running"),
            (FailureCode::SessionNotFound, "is not running"),
            (FailureCode::AppFailed, "does not answer"),
            (FailureCode::ManagerFailed, "refused the connection"),
        ] {
            let error = DialError::from(Failure::new(code, "in the manager's words"));
            let page = words("en", &Problem::Unreachable(&error), "lab", "work-1").unwrap();
            assert!(page.reason.contains(named), "{code:?}: {}", page.reason);
            assert!(page.advice.concat().contains("in the manager's words"));
        }
    }

    #[test]
    fn languages_know_the_same_texts() {
        let keys = |language: &str| catalogue()[language].keys().collect::<Vec<_>>();
        assert_eq!(keys("en"), keys("ko"));
        assert_eq!(keys("en"), keys("ja"));
    }

    #[test]
    fn what_was_chosen_goes_before_the_locale() {
        assert_eq!(language(Language::System, "ko_KR.UTF-8"), "ko");
        assert_eq!(language(Language::System, "ja"), "ja");
        assert_eq!(language(Language::System, "C.UTF-8"), "en");
        assert_eq!(language(Language::En, "ko_KR.UTF-8"), "en");
        assert_eq!(language(Language::Ja, ""), "ja");
    }
}
