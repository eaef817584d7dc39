//! What was used when, over HTTP.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::Params;
use crate::app::usage::{self, Period};
use crate::auth::{Caller, Superadmin};
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/resource/usage/month", get(month))
        .route("/resource/usage/period", get(period))
        .route("/resource/stats/user/month", get(user_month))
        .route("/resource/stats/admin/month", get(admin_month))
        .route("/resource/recalculate-usage", post(recalculate))
}

#[derive(Deserialize)]
struct MonthQuery {
    month: String,
    #[serde(default, alias = "project_ids")]
    group_ids: Option<String>,
}

/// Ids with commas between them, or a JSON list of them.
fn ids(text: Option<&str>) -> Result<Vec<Uuid>, Problem> {
    let text = text.unwrap_or_default();
    text.split(|c: char| ",[]\"' ".contains(c))
        .filter(|part| !part.is_empty() && *part != "null" && *part != "None")
        .map(|part| {
            part.parse()
                .map_err(|_| Problem::invalid_params(format!("{part} is not a UUID")))
        })
        .collect()
}

async fn month(
    State(app): State<App>,
    _: Superadmin,
    Params(query): Params<MonthQuery>,
) -> Result<Json<Value>, Problem> {
    let period = Period::month(&query.month)?;
    let projects = ids(query.group_ids.as_deref())?;
    usage::account(&app, period, &projects).await.map(Json)
}

#[derive(Deserialize)]
struct PeriodQuery {
    start_date: String,
    end_date: String,
    #[serde(default, alias = "group_id")]
    project_id: Option<String>,
}

async fn period(
    State(app): State<App>,
    _: Superadmin,
    Params(query): Params<PeriodQuery>,
) -> Result<Json<Value>, Problem> {
    let period = Period::days(&query.start_date, &query.end_date)?;
    let projects = ids(query.project_id.as_deref())?;
    usage::account(&app, period, &projects).await.map(Json)
}

async fn user_month(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Value>>, Problem> {
    usage::month(&app, Some(caller.user_id())).await.map(Json)
}

async fn admin_month(State(app): State<App>, _: Superadmin) -> Result<Json<Vec<Value>>, Problem> {
    usage::month(&app, None).await.map(Json)
}

/// Nothing is counted apart from the rows of sessions and kernels, so there is nothing to set
/// right; whoever waits is looked at again.
async fn recalculate(State(app): State<App>, _: Superadmin) -> Json<Value> {
    app.nudge.schedule.notify_one();
    app.nudge.stop.notify_one();
    Json(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_as_clients_write_them() {
        let id = Uuid::from_u128(7);
        assert!(ids(None).unwrap().is_empty());
        assert_eq!(ids(Some(&format!("{id},{id}"))).unwrap(), [id, id]);
        assert_eq!(ids(Some(&format!("['{id}']"))).unwrap(), [id]);
        assert!(ids(Some("x")).is_err());
    }
}
