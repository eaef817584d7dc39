//! Places as people write them: paths, `SESSION:path` and `folder://NAME/path`.

use std::path::Path;

use commands::types::{Failure, FailureCode, Location};

/// Reads a place as people write it. A local path with a colon is written `./a:b`.
pub(super) fn place(text: &str) -> Result<Location, Failure> {
    if let Some(rest) = text.strip_prefix("folder://") {
        let (folder, path) = rest.split_once('/').unwrap_or((rest, ""));
        if folder.is_empty() {
            let message = format!("\"{text}\" names no data folder");
            return Err(
                Failure::new(FailureCode::InvalidInput, message).hint("write folder://NAME/path")
            );
        }
        return Ok(Location::Folder {
            folder: folder.to_owned(),
            path: path.to_owned(),
        });
    }
    if let Some((session, path)) = text.split_once(':')
        && !session.is_empty()
        && !session.contains('/')
    {
        return Ok(Location::Session {
            session: session.to_owned(),
            path: path.to_owned(),
        });
    }
    let into = text.ends_with('/');
    let path = std::path::absolute(Path::new(text))
        .map_err(|error| Failure::new(FailureCode::BadPath, format!("{text}: {error}")))?;
    let mut path = path.display().to_string();
    if into && !path.ends_with('/') {
        path.push('/');
    }
    Ok(Location::Local { path })
}

pub(super) fn into_directory(location: Location) -> Location {
    let into = |path: String| {
        if path.ends_with('/') {
            path
        } else {
            path + "/"
        }
    };
    match location {
        Location::Local { path } => Location::Local { path: into(path) },
        Location::Session { session, path } => {
            let path = if path.is_empty() {
                "./".to_owned()
            } else {
                into(path)
            };
            Location::Session { session, path }
        }
        Location::Folder { folder, path } => Location::Folder {
            folder,
            path: into(path),
        },
    }
}

/// What is on this computer can be looked at beforehand.
pub(super) fn check_source(location: &Location, recursive: bool) -> Result<(), Failure> {
    let Location::Local { path } = location else {
        return Ok(());
    };
    match std::fs::metadata(path) {
        Ok(data) if data.is_dir() && !recursive => {
            let message = format!("{path} is a directory");
            Err(Failure::new(FailureCode::InvalidInput, message).hint("add -r"))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            let code = match error.kind() {
                std::io::ErrorKind::PermissionDenied => FailureCode::FileForbidden,
                _ => FailureCode::FileNotFound,
            };
            Err(Failure::new(code, format!("{path}: {error}")))
        }
    }
}

/// A place as it is typed.
pub(super) fn typed(location: &Location) -> String {
    match location {
        Location::Local { path } => path.clone(),
        Location::Session { session, path } => format!("{session}:{path}"),
        Location::Folder { folder, path } => {
            format!("folder://{folder}/{}", path.trim_start_matches('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        let session = |session: &str, path: &str| Location::Session {
            session: session.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(
            place("demo:/tmp/x").expect("good"),
            session("demo", "/tmp/x")
        );
        assert_eq!(place("demo:").expect("good"), session("demo", ""));
        assert_eq!(
            place("folder://data/a/b").expect("good"),
            Location::Folder {
                folder: "data".into(),
                path: "a/b".into()
            }
        );
        assert!(place("folder:///x").is_err());
        for local in ["/a:b", "./a:b", "x/"] {
            assert!(
                matches!(place(local).expect("good"), Location::Local { .. }),
                "{local}"
            );
        }
    }
}
