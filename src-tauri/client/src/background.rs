//! Work that the manager does in the background.

use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use uuid::Uuid;

use crate::answer::events;
use crate::call::Call;
use crate::{Client, Error};

/// What a task says.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskNews {
    /// It is so far.
    Updated {
        /// In words.
        message: String,
        /// Of the total, so much is done.
        current: f64,
        /// 0 when it is not known yet.
        total: f64,
    },
    /// It did what it was to do.
    Done {
        /// What came of it.
        message: String,
    },
    /// It failed, or was broken off.
    Failed {
        /// Why.
        message: String,
    },
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    current_progress: f64,
    #[serde(default)]
    total_progress: f64,
}

impl Client {
    /// Follows a task to its end.
    ///
    /// # Errors
    /// When there is no such task, or the manager can't be reached.
    pub async fn follow_task(
        &self,
        task: Uuid,
    ) -> Result<impl Stream<Item = Result<TaskNews, Error>> + Send + use<>, Error> {
        let call = Call::get(&["events", "background-task"]).query("taskId", task.to_string());
        let response = self.send(call).await?;
        let client = self.clone();
        Ok(events(response.bytes_stream()).filter_map(move |event| {
            let parsed = match event {
                Ok(event) => news(&event.event, &event.data),
                Err(error) => Some(Err(client.unreachable(error))),
            };
            std::future::ready(parsed)
        }))
    }
}

fn news(name: &str, data: &str) -> Option<Result<TaskNews, Error>> {
    if !name.starts_with("bgtask_") {
        return None;
    }
    let said: Said = match serde_json::from_str(data) {
        Ok(said) => said,
        Err(error) => return Some(Err(Error::answer("a background task", error))),
    };
    let message = said.message.unwrap_or_default();
    Some(Ok(match name {
        "bgtask_updated" => TaskNews::Updated {
            message,
            current: said.current_progress,
            total: said.total_progress,
        },
        "bgtask_failed" | "bgtask_cancelled" => TaskNews::Failed { message },
        _ => TaskNews::Done { message },
    }))
}
