//! A running container becomes an image of the container engine's.

use std::{collections::BTreeMap, time::Duration};

use bollard::{
    models::{ContainerConfig, ImageConfig},
    query_parameters::{
        CommitContainerOptionsBuilder, InspectContainerOptions, TagImageOptionsBuilder,
    },
};

use super::{
    api::{Api, LABELS, failed},
    images::{ContainerCommit, inspect},
};
use crate::{RuntimeError, gpu};

/// How long the container engine may take: it reads all that the session changed.
const LIMIT: Duration = Duration::from_secs(3600);
/// What an image without any program of its own starts.
const SHELL: &str = "/bin/sh";

/// Makes the image, without a name; gives its id.
pub(super) async fn commit(api: &Api, order: &ContainerCommit) -> Result<String, RuntimeError> {
    let docker = api.connect().await?.docker;
    let container = docker
        .inspect_container(&order.container, None::<InspectContainerOptions>)
        .await
        .map_err(failed("describe the container"))?;
    let made_of = container.image.unwrap_or_default();
    let base = inspect(api, &made_of).await?;
    let base = base.and_then(|base| base.config).unwrap_or_default();
    let mut labels = order.labels.clone();
    labels.extend(api.commit_labels());
    let changes = changes(&base, &labels);
    let options = CommitContainerOptionsBuilder::default()
        .container(&order.container)
        // The session goes on.
        .pause(false)
        .changes(&changes)
        .build();
    let made = docker
        .with_timeout(LIMIT)
        .commit_container(options, ContainerConfig::default())
        .await
        .map_err(failed("make an image of the container"))?;
    Ok(made.id)
}

/// Gives an image its name.
pub(super) async fn name(api: &Api, id: &str, name: &str) -> Result<(), RuntimeError> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let options = TagImageOptionsBuilder::default()
        .repo(repository)
        .tag(tag)
        .build();
    let docker = api.connect().await?.docker;
    docker
        .tag_image(id, Some(options))
        .await
        .map_err(failed(format!("name the image {name}")))
}

/// What the image says of itself: what the base said, instead of what we told the container, and
/// the labels. In the language of image recipes, a line for each.
fn changes(base: &ImageConfig, labels: &BTreeMap<String, String>) -> String {
    let list = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    let json = |words: &[String]| serde_json::Value::from(words).to_string();
    let mut lines = Vec::new();
    // None at all would leave our own in place.
    let (entry, command) = match (list(&base.entrypoint), list(&base.cmd)) {
        (Some(entry), command) => (entry, command.unwrap_or_default()),
        (None, Some(command)) => (command, Vec::new()),
        (None, None) => (vec![SHELL.to_owned()], Vec::new()),
    };
    lines.push(format!("ENTRYPOINT {}", json(&entry)));
    lines.push(format!("CMD {}", json(&command)));
    let word = |text: &Option<String>, other: &str| {
        let text = text.clone().filter(|text| !text.is_empty());
        text.unwrap_or_else(|| other.to_owned())
    };
    lines.push(format!("USER {}", word(&base.user, "0")));
    lines.push(format!("WORKDIR {}", word(&base.working_dir, "/")));
    let own = base.env.iter().flatten();
    let visible = own
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| *name == gpu::VISIBLE);
    let visible = visible.map_or("", |(_, value)| value);
    lines.push(format!("ENV {}={}", gpu::VISIBLE, quoted(visible)));
    // They made it ours as long as it was a container: whatever runs from the image is not.
    for name in LABELS {
        lines.push(format!("LABEL {}=\"\"", quoted(name)));
    }
    for (name, value) in labels {
        lines.push(format!("LABEL {}={}", quoted(name), quoted(value)));
    }
    lines.join("\n")
}

/// A word of a recipe, whatever is in it.
fn quoted(text: &str) -> String {
    let mut word = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' | '$' => {
                word.push('\\');
                word.push(letter);
            }
            // A line's end would be the command's.
            '\n' | '\r' => word.push(' '),
            other => word.push(other),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_what_its_base_said() {
        let words = |words: &[&str]| Some(words.iter().map(|it| (*it).to_owned()).collect());
        let labels = BTreeMap::from([("a".to_owned(), "b \"c\"\nUSER 0".to_owned())]);
        let base = ImageConfig {
            entrypoint: words(&["/init"]),
            cmd: words(&["serve", "--all"]),
            user: Some("work".to_owned()),
            ..ImageConfig::default()
        };
        let text = changes(&base, &labels);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"ENTRYPOINT ["/init"]"#);
        assert_eq!(lines[1], r#"CMD ["serve","--all"]"#);
        assert_eq!(lines[2..4], ["USER work", "WORKDIR /"]);
        assert_eq!(*lines.last().unwrap(), r#"LABEL "a"="b \"c\" USER 0""#);
        assert_eq!(lines.iter().filter(|it| it.starts_with("USER")).count(), 1);
        let bare = changes(&ImageConfig::default(), &BTreeMap::new());
        assert!(
            bare.starts_with("ENTRYPOINT [\"/bin/sh\"]\nCMD []\nUSER 0\n"),
            "{bare}"
        );
    }
}
