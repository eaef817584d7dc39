//! `/fair-share` over HTTP: how a resource group counts usage, and everybody's share of it.

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::extract::Body;
use crate::app::fair_share::{self, Of, Standing};
use crate::auth::Superadmin;
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/fair-share/resource-groups/{group}/spec",
            get(spec).patch(set_spec),
        )
        .route("/fair-share/domains/{group}/{domain}", get(domain))
        .route(
            "/fair-share/domains/{group}/{domain}/weight",
            put(domain_weight),
        )
        .route("/fair-share/projects/{group}/{project}", get(project))
        .route(
            "/fair-share/projects/{group}/{project}/weight",
            put(project_weight),
        )
        .route("/fair-share/users/{group}/{project}/{user}", get(user))
        .route(
            "/fair-share/users/{group}/{project}/{user}/weight",
            put(user_weight),
        )
}

async fn spec(
    State(app): State<App>,
    _: Superadmin,
    Path(group): Path<String>,
) -> Result<Json<Value>, Problem> {
    let spec = fair_share::spec_of(&app, &group).await?;
    Ok(Json(
        json!({ "resource_group": group, "fair_share_spec": spec_record(&spec) }),
    ))
}

fn spec_record(spec: &scheduler::fair_share::Spec) -> Value {
    let weights: Map<String, Value> = spec
        .resource_weights
        .iter()
        .map(|(slot, weight)| (slot.clone(), weight.to_string().into()))
        .collect();
    json!({
        "half_life_days": spec.half_life_days,
        "lookback_days": spec.lookback_days,
        "decay_unit_days": spec.decay_unit_days,
        "default_weight": spec.default_weight.to_string(),
        "resource_weights": weights,
    })
}

async fn set_spec(
    State(app): State<App>,
    _: Superadmin,
    Path(group): Path<String>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<Value>, Problem> {
    let spec = fair_share::set_spec(&app, &group, body).await?;
    Ok(Json(
        json!({ "resource_group": group, "fair_share_spec": spec_record(&spec) }),
    ))
}

async fn answer(app: &App, group: String, of: Of) -> Result<Json<Value>, Problem> {
    let Standing {
        spec,
        weight,
        share,
        lookback,
    } = fair_share::standing(app, &group, &of).await?;
    let usage: Map<String, Value> = share
        .decayed
        .iter()
        .map(|(slot, seconds)| (slot.clone(), seconds.to_string().into()))
        .collect();
    let mut own = spec_record(&spec);
    own["weight"] = json!(weight.unwrap_or(spec.default_weight).to_string());
    own["uses_default"] = json!(weight.is_none());
    let mut item = json!({
        "resource_group": group,
        "spec": own,
        "calculation_snapshot": {
            "fair_share_factor": share.factor.to_string(),
            "total_decayed_usage": usage,
            "normalized_usage": share.normalized.to_string(),
            "lookback_start": lookback.0,
            "lookback_end": lookback.1,
            "last_calculated_at": crate::store::At((app.clock)()).iso(),
        },
    });
    match of {
        Of::Domain(name) => item["domain_name"] = json!(name),
        Of::Project(id) => item["project_id"] = json!(id),
        Of::User(user, project) => {
            item["user_uuid"] = json!(user);
            item["project_id"] = json!(project);
        }
    }
    Ok(Json(json!({ "item": item })))
}

#[derive(Deserialize)]
struct Weight {
    weight: Option<Value>,
}

impl Weight {
    fn read(self) -> Result<Option<f64>, Problem> {
        let number = match self.weight {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_f64(),
        };
        number
            .filter(|weight: &f64| weight.is_finite() && *weight > 0.0)
            .map(Some)
            .ok_or_else(|| Problem::invalid_params("weight: a number above 0 is needed."))
    }
}

async fn set(app: &App, group: String, of: Of, body: Weight) -> Result<Json<Value>, Problem> {
    fair_share::set_weight(app, &group, &of, body.read()?).await?;
    answer(app, group, of).await
}

async fn domain(
    State(app): State<App>,
    _: Superadmin,
    Path((group, domain)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    answer(&app, group, Of::Domain(domain)).await
}

async fn domain_weight(
    State(app): State<App>,
    _: Superadmin,
    Path((group, domain)): Path<(String, String)>,
    Body(body): Body<Weight>,
) -> Result<Json<Value>, Problem> {
    set(&app, group, Of::Domain(domain), body).await
}

async fn project(
    State(app): State<App>,
    _: Superadmin,
    Path((group, project)): Path<(String, Uuid)>,
) -> Result<Json<Value>, Problem> {
    answer(&app, group, Of::Project(project)).await
}

async fn project_weight(
    State(app): State<App>,
    _: Superadmin,
    Path((group, project)): Path<(String, Uuid)>,
    Body(body): Body<Weight>,
) -> Result<Json<Value>, Problem> {
    set(&app, group, Of::Project(project), body).await
}

async fn user(
    State(app): State<App>,
    _: Superadmin,
    Path((group, project, user)): Path<(String, Uuid, Uuid)>,
) -> Result<Json<Value>, Problem> {
    answer(&app, group, Of::User(user, project)).await
}

async fn user_weight(
    State(app): State<App>,
    _: Superadmin,
    Path((group, project, user)): Path<(String, Uuid, Uuid)>,
    Body(body): Body<Weight>,
) -> Result<Json<Value>, Problem> {
    set(&app, group, Of::User(user, project), body).await
}
