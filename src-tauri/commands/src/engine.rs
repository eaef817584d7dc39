//! The bundled engine.

use crate::context::Context;
use crate::types::{EngineStatus, Failure, Nothing, Tag};

pub(crate) async fn status(context: &Context, _: Nothing) -> Result<EngineStatus, Failure> {
    let data_dir = context.paths().engine_dir.display().to_string();
    Ok(match context.engine().status().await? {
        Some(status) => EngineStatus {
            running: true,
            pid: Some(status.pid),
            endpoint: Some(status.endpoint),
            data_dir: status.data_dir,
            version: Some(status.version),
            sessions: u32::try_from(status.sessions).ok(),
        },
        None => EngineStatus {
            running: false,
            pid: None,
            endpoint: None,
            data_dir,
            version: None,
            sessions: None,
        },
    })
}

pub(crate) async fn start(context: &Context, _: Nothing) -> Result<EngineStatus, Failure> {
    context.engine().ensure(&context.engine_launch()?).await?;
    context.changed(Tag::Engine, None);
    context.changed(Tag::Session, None);
    status(context, Nothing {}).await
}

pub(crate) async fn stop(context: &Context, _: Nothing) -> Result<EngineStatus, Failure> {
    context.engine().stop().await?;
    context.changed(Tag::Engine, None);
    status(context, Nothing {}).await
}
