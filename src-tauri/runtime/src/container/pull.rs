//! The container engine fetches an image.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

use super::{api::Api, commit, images::inspect};
use crate::{
    RuntimeError,
    image::{Came, Progress, RegistryAccess},
};

/// The longest line of news.
const LONGEST_LINE: usize = 1 << 20;
/// A pull that says nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(600);

/// A line of news, as far as it is of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct News {
    /// The layer.
    id: Option<String>,
    status: Option<String>,
    progress_detail: Option<Progressed>,
    error: Option<String>,
    /// Of an answer that is no stream.
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Progressed {
    current: Option<u64>,
    total: Option<u64>,
}

/// Fetches the manifest `digest` under `name`, or what the tag in it stands for.
pub(super) async fn pull(
    api: &Api,
    name: &str,
    digest: Option<&str>,
    access: Option<&RegistryAccess>,
    progress: Progress,
) -> Result<(), RuntimeError> {
    let problem = |source: Box<dyn std::error::Error + Send + Sync>| RuntimeError::Container {
        doing: format!("pull the image {name}"),
        source,
    };
    let exact = match (digest, name.rsplit_once(':')) {
        (Some(digest), Some((repository, _))) => format!("{repository}@{digest}"),
        _ => name.to_owned(),
    };
    fetch(api, &exact, access, progress)
        .await
        .map_err(problem)?;
    if exact == name {
        return Ok(());
    }
    let found = inspect(api, &exact).await?;
    let id = found.and_then(|found| found.id);
    let id = id.ok_or_else(|| problem("it is not there although it came".into()))?;
    commit::name(api, &id, name).await
}

/// Asks over the socket itself: the library writes credentials so that Podman can't read all of
/// them (the other alphabet of base64).
async fn fetch(
    api: &Api,
    image: &str,
    access: Option<&RegistryAccess>,
    progress: Progress,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = reqwest::Client::builder()
        .unix_socket(api.socket())
        .no_proxy()
        .build()?;
    let mut request = client
        .post("http://localhost/images/create")
        .query(&[("fromImage", image)]);
    if let Some(login) = access.and_then(login) {
        request = request.header("X-Registry-Auth", login);
    }
    let answer = request.send().await?;
    let is_stream = answer.status().is_success();
    let mut pieces = answer.bytes_stream();
    let (mut rest, mut layers) = (Vec::new(), Layers::default());
    loop {
        let piece = tokio::time::timeout(SILENCE, pieces.next());
        let piece = piece.await.map_err(|_| "nothing came for ten minutes")?;
        let is_over = piece.is_none();
        if let Some(piece) = piece {
            rest.extend_from_slice(&piece?);
        }
        if rest.len() > LONGEST_LINE {
            return Err("its answer has no end".into());
        }
        while let Some(end) = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .or(is_over.then_some(rest.len()))
            .filter(|_| !rest.is_empty())
        {
            let line: Vec<u8> = rest.drain(..rest.len().min(end + 1)).collect();
            let Ok(news) = serde_json::from_slice::<News>(&line) else {
                continue;
            };
            // A failure comes in the middle of a success.
            if let Some(refusal) = news.error.clone().or(news.message.clone()) {
                return Err(refusal.trim().into());
            }
            if let Some(came) = layers.take(news) {
                progress(came);
            }
        }
        if is_over {
            break;
        }
    }
    if is_stream {
        Ok(())
    } else {
        Err("it refused without a word".into())
    }
}

/// `X-Registry-Auth`, when somebody logs in.
fn login(access: &RegistryAccess) -> Option<String> {
    let host = access.host();
    let said = match access.username.as_str() {
        "" => return None,
        "<token>" => json!({ "registrytoken": access.password, "serveraddress": host }),
        user => {
            json!({ "username": user, "password": access.password, "serveraddress": host })
        }
    };
    Some(URL_SAFE.encode(said.to_string()))
}

/// How far each layer is.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn take(&mut self, news: News) -> Option<Came> {
        if news.status.as_deref() == Some("Download complete") {
            let (current, total) = self.0.get_mut(&news.id?)?;
            *current = *total;
            return Some(self.sum());
        }
        // Unpacking counts from the beginning again.
        let is_download = news.status.as_deref().is_none_or(|it| it == "Downloading");
        let progressed = news.progress_detail.filter(|_| is_download)?;
        let (current, total) = (progressed.current?, progressed.total?);
        self.0.insert(news.id?, (current, total));
        Some(self.sum())
    }

    fn sum(&self) -> Came {
        let sum = |of: fn(&(u64, u64)) -> u64| self.0.values().map(of).sum();
        Came {
            bytes: sum(|layer| layer.0),
            total: sum(|layer| layer.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_together() {
        let mut layers = Layers::default();
        let mut take = |text: &str| layers.take(serde_json::from_str(text).unwrap());
        assert_eq!(take(r#"{"status":"Pulling fs layer","id":"a"}"#), None);
        let one = r#"{"status":"Downloading","id":"a","progressDetail":{"current":1,"total":4}}"#;
        assert_eq!(take(one), Some(Came { bytes: 1, total: 4 }));
        let other = r#"{"status":"Downloading","id":"b","progressDetail":{"current":2,"total":2}}"#;
        assert_eq!(take(other), Some(Came { bytes: 3, total: 6 }));
        let unpacking =
            r#"{"status":"Extracting","id":"b","progressDetail":{"current":1,"total":9}}"#;
        assert_eq!(take(unpacking), None);
        let whole = r#"{"status":"Download complete","id":"a","progressDetail":{}}"#;
        assert_eq!(take(whole), Some(Came { bytes: 6, total: 6 }));
        let unknown = r#"{"status":"Download complete","id":"c"}"#;
        assert_eq!(take(unknown), None);
    }

    #[test]
    fn a_login_is_in_the_alphabet_of_addresses() {
        let access = |username: &str, password: &str| RegistryAccess {
            url: "https://cr.example".to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
            verify_tls: true,
        };
        assert_eq!(login(&access("", "")), None);
        for password in ["a?~>?~>", "aa?~>?~>", "aaa?~>?~>"] {
            let text = login(&access("user", password)).unwrap();
            assert!(!text.contains(['+', '/']), "{text}");
            let said: serde_json::Value =
                serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
            assert_eq!(said["password"], password);
        }
        let text = login(&access("<token>", "t")).unwrap();
        let said: serde_json::Value =
            serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
        assert_eq!(
            (&said["registrytoken"], &said["username"]),
            (&json!("t"), &json!(null))
        );
    }
}
