//! What stays open: WebSockets into sessions, and event streams.

pub(crate) mod background;
pub(crate) mod events;
pub(crate) mod execute;
pub(crate) mod log;
pub(crate) mod tcpproxy;

use axum::Router;

use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(background::routes())
        .merge(events::routes())
        .merge(execute::routes())
        .merge(log::routes())
        .merge(tcpproxy::routes())
}
