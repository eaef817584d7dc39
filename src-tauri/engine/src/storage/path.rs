//! Paths inside a folder, as they come over the wire.

use std::path::{Path, PathBuf};

/// Why a path from the wire was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPath {
    /// It climbs.
    #[error("the path \"{0}\" may not contain \"..\"")]
    Climbs(String),
    /// It can't be a path on any disk.
    #[error("the path has a character that file names can't have")]
    Characters,
    /// The folder itself can't be meant here.
    #[error("the path is empty")]
    Empty,
}

/// A path beneath a folder: no `..`, never absolute. The empty path is the folder itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InnerPath(String);

impl InnerPath {
    /// Reads a path: `.` and doubled or outer slashes are dropped, so `/a//./b/` is `a/b`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPath> {
        if text.contains('\0') {
            return Err(InvalidPath::Characters);
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        if parts.contains(&"..") {
            return Err(InvalidPath::Climbs(text.to_owned()));
        }
        Ok(Self(parts.join("/")))
    }

    /// The same, for what must be inside the folder rather than be the folder.
    pub(crate) fn parse_inside(text: &str) -> Result<Self, InvalidPath> {
        let path = Self::parse(text)?;
        if path.is_root() {
            Err(InvalidPath::Empty)
        } else {
            Ok(path)
        }
    }

    /// Whether it is the folder itself.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path with another beneath it.
    #[must_use]
    pub(crate) fn join(&self, inner: &Self) -> Self {
        match (self.is_root(), inner.is_root()) {
            (true, _) => inner.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, inner.0)),
        }
    }

    /// The directory that it is in; none for the folder itself.
    pub(crate) fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(Self(
            self.0
                .rsplit_once('/')
                .map_or(String::new(), |(parent, _)| parent.to_owned()),
        ))
    }

    /// Its last part; none for the folder itself.
    pub(crate) fn name(&self) -> Option<&str> {
        (!self.is_root()).then(|| self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name))
    }

    /// As text, `""` for the folder itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As the system wants it, `.` for the folder itself.
    pub(super) fn to_system(&self) -> PathBuf {
        if self.is_root() {
            PathBuf::from(".")
        } else {
            Path::new(&self.0).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        for (text, clean) in [
            ("", ""),
            (".", ""),
            ("/", ""),
            ("a/b", "a/b"),
            ("/a//./b/", "a/b"),
        ] {
            assert_eq!(
                InnerPath::parse(text).map(|path| path.0),
                Ok(clean.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_to_climb() {
        for text in ["..", "../x", "a/../../x", "a/..", "/..", "a/../b"] {
            assert_eq!(
                InnerPath::parse(text),
                Err(InvalidPath::Climbs(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(InnerPath::parse("a\0b"), Err(InvalidPath::Characters));
        assert_eq!(InnerPath::parse_inside("./"), Err(InvalidPath::Empty));
        // Dots that only look like climbing are names.
        assert!(InnerPath::parse("a/...").is_ok());
    }

    #[test]
    fn takes_apart_and_puts_together() {
        let path = InnerPath::parse("a/b/c.txt").unwrap();
        assert_eq!(path.name(), Some("c.txt"));
        let parent = path.parent().unwrap();
        assert_eq!(parent.as_str(), "a/b");
        assert_eq!(parent.join(&InnerPath::parse("c.txt").unwrap()), path);
        assert_eq!(
            InnerPath::parse("x").unwrap().parent().unwrap().as_str(),
            ""
        );
    }
}

#[cfg(test)]
mod properties {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_path_from_the_wire_leaves_the_folder(
            text in prop_oneof!["[a./\\\\\\x00]{0,20}", "(\\.{1,3}/|/|a){0,8}", "\\PC*"],
            more in "[a./]{0,10}",
        ) {
            if let Ok(path) = InnerPath::parse(&text) {
                let inside = |path: &InnerPath| {
                    let all = Path::new(path.as_str()).components();
                    all.into_iter().all(|part| matches!(part, Component::Normal(_)))
                };
                prop_assert!(inside(&path), "{:?}", path);
                let again = InnerPath::parse(path.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&path));
                if let Ok(more) = InnerPath::parse(&more) {
                    prop_assert!(inside(&path.join(&more)));
                }
                if let (Some(parent), Some(name)) = (path.parent(), path.name()) {
                    prop_assert_eq!(parent.join(&InnerPath::parse(name).unwrap()), path);
                }
            }
        }
    }
}
