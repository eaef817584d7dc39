//! `/scheduling-history` over HTTP: what was done about sessions, step by step.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use protocol::session::SessionStatus;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::Body;
use crate::app::scheduling_history;
use crate::auth::Superadmin;
use crate::error::Problem;
use crate::state::App;
use crate::store::scheduling_history::{Filter, Match, Order, Step};

/// The most rows of one answer.
const MOST: u32 = 1000;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/scheduling-history/sessions/search", post(sessions))
}

#[derive(Deserialize)]
struct Search {
    filter: Option<Wanted>,
    order: Option<Vec<OrderBy>>,
    #[serde(default = "page")]
    limit: u32,
    #[serde(default)]
    offset: u32,
}

fn page() -> u32 {
    50
}

#[derive(Deserialize)]
struct Wanted {
    session_id: Option<SameId>,
    #[serde(default)]
    from_status: Option<Vec<SessionStatus>>,
    #[serde(default)]
    to_status: Option<Vec<SessionStatus>>,
    #[serde(default)]
    result: Option<Vec<String>>,
    phase: Option<Text>,
    error_code: Option<Text>,
    message: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SameId {
    equals: Option<Uuid>,
}

/// What is not known here is refused rather than passed over, which would show too much.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    equals: Option<String>,
    contains: Option<String>,
    starts_with: Option<String>,
}

impl Text {
    fn matches(wanted: Option<Self>) -> Vec<Match> {
        let Self {
            equals,
            contains,
            starts_with,
        } = wanted.unwrap_or_default();
        let all = [
            equals.map(Match::Equals),
            contains.map(Match::Contains),
            starts_with.map(Match::StartsWith),
        ];
        all.into_iter().flatten().collect()
    }
}

#[derive(Deserialize)]
struct OrderBy {
    field: Field,
    #[serde(default)]
    direction: Direction,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Field {
    CreatedAt,
    UpdatedAt,
}

#[derive(Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Asc,
    #[default]
    Desc,
}

async fn sessions(
    State(app): State<App>,
    _: Superadmin,
    Body(body): Body<Search>,
) -> Result<Json<Value>, Problem> {
    if !(1..=MOST).contains(&body.limit) {
        return Err(Problem::invalid_params(format!(
            "limit: a number from 1 to {MOST} is needed."
        )));
    }
    let order = body.order.unwrap_or_default();
    let order = order.first().map_or_else(Order::default, |first| Order {
        by_update: first.field == Field::UpdatedAt,
        ascending: first.direction == Direction::Asc,
    });
    let filter = body.filter.map_or_else(Filter::default, |wanted| Filter {
        session: wanted.session_id.and_then(|same| same.equals),
        from: wanted.from_status.unwrap_or_default(),
        to: wanted.to_status.unwrap_or_default(),
        results: wanted.result.unwrap_or_default(),
        phase: Text::matches(wanted.phase),
        error_code: Text::matches(wanted.error_code),
        message: Text::matches(wanted.message),
    });
    let (limit, offset) = (body.limit, body.offset);
    let (steps, total) = scheduling_history::list(&app, filter, order, limit, offset).await?;
    let items: Vec<Value> = steps.iter().map(item).collect();
    Ok(Json(json!({
        "items": items,
        "pagination": { "total": total, "offset": offset, "limit": limit },
    })))
}

fn item(step: &Step) -> Value {
    json!({
        "id": step.id,
        "session_id": step.session,
        "phase": step.phase,
        "from_status": step.from,
        "to_status": step.to,
        "result": step.result,
        "error_code": step.error_code,
        "message": step.message,
        "sub_steps": [],
        "attempts": step.attempts,
        "created_at": step.created_at.iso(),
        "updated_at": step.updated_at.iso(),
    })
}
