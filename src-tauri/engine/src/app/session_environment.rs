//! Python environments of this computer that a session may read: which are allowed, and what of
//! them comes into the session's `PATH`.

use std::path::{Path, PathBuf};

use protocol::api::session::CreateConfig;
use runtime::Mount;

use crate::auth::Caller;
use crate::error::Problem;
use crate::store::user::User;

/// Checks the environments that a request names. Canonical paths come back.
///
/// Only the owner of the computer may show what lies on it, and only in sessions of their own.
pub(crate) fn resolve(
    caller: &Caller,
    owner: &User,
    config: &CreateConfig,
) -> Result<Vec<PathBuf>, Problem> {
    if config.host_environments.is_empty() {
        return Ok(Vec::new());
    }
    if !caller.is_superadmin() || owner.id != caller.user.id {
        return Err(Problem::forbidden(
            "Only the owner of the computer can show its environments to a session.",
        ));
    }
    check(&config.host_environments, &places())
        .map_err(|refused| Problem::invalid_params(refused.to_string()))
}

/// What a session gets of its environments: mounts, and directories for its `PATH`. What was
/// allowed when the session was asked for may have been replaced since.
pub(crate) fn mounts(environments: &[PathBuf]) -> Result<(Vec<Mount>, Vec<PathBuf>), Refused> {
    let again = check(environments, &places())?;
    if let Some(moved) = environments.iter().find(|path| !again.contains(path)) {
        return Err(Refused::new(moved, "is not what it was"));
    }
    let programs = again
        .iter()
        .flat_map(|path| ["shims", "bin"].map(|name| path.join(name)))
        .filter(|path| path.is_dir())
        .collect();
    let mounts = again
        .into_iter()
        .map(|path| Mount {
            source: path.clone(),
            target: path,
            read_only: true,
        })
        .collect();
    Ok((mounts, programs))
}

/// Why an environment is not shown.
#[derive(Debug, thiserror::Error)]
#[error("host_environments: {path} {why}.")]
pub(crate) struct Refused {
    path: String,
    why: String,
}

impl Refused {
    fn new(path: &Path, why: impl Into<String>) -> Self {
        Self {
            path: path.display().to_string(),
            why: why.into(),
        }
    }
}

/// Below these directories environments may lie: the home of the engine's user, and what the
/// settings name.
fn places() -> Vec<PathBuf> {
    let named = settings::Paths::from_env()
        .and_then(|paths| settings::Config::load(&paths))
        .map(|config| config.environment_places())
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "the settings name no places of environments");
            Vec::new()
        });
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    home.into_iter()
        .chain(named)
        .filter_map(|place| place.canonicalize().ok())
        .collect()
}

fn check(wanted: &[PathBuf], places: &[PathBuf]) -> Result<Vec<PathBuf>, Refused> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in wanted {
        let refuse = |why: &str| Err(Refused::new(path, why));
        if !path.is_absolute() {
            return refuse("is not an absolute path");
        }
        let Ok(real) = path.canonicalize() else {
            return refuse("is not there");
        };
        if !real.is_dir() {
            return refuse("is no directory");
        }
        let inside = |place: &PathBuf| real != *place && real.starts_with(place);
        if !places.iter().any(inside) {
            return refuse("lies outside of your home");
        }
        // The directory that holds all the others is no environment, whatever lies in it.
        if places.iter().any(|place| place.starts_with(&real)) {
            return refuse("holds a whole home");
        }
        let marks = ["bin/python", "bin/conda", "shims"];
        if !marks.iter().any(|mark| real.join(mark).exists()) {
            return refuse("is no Python environment: it has no bin/python, bin/conda or shims");
        }
        if !found.contains(&real) {
            found.push(real);
        }
    }
    // A virtual environment borrows its Python from elsewhere.
    for path in &found {
        let Ok(python) = path.join("bin/python").canonicalize() else {
            continue;
        };
        let in_home = places.iter().any(|place| python.starts_with(place));
        if in_home && !found.iter().any(|shown| python.starts_with(shown)) {
            return Err(Refused::new(
                path,
                format!(
                    "takes its Python from {}: add that one too",
                    python.display()
                ),
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn environment(at: &Path) {
        fs::create_dir_all(at.join("bin")).unwrap();
        fs::write(at.join("bin/python"), "").unwrap();
    }

    fn why(wanted: &Path, places: &[PathBuf]) -> String {
        check(&[wanted.to_owned()], places).unwrap_err().to_string()
    }

    #[test]
    fn environments_of_the_home_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let home = root.join("home");
        let places = [home.clone()];
        environment(&home.join("conda"));
        environment(&home);
        environment(&root.join("elsewhere"));
        fs::create_dir_all(home.join(".ssh")).unwrap();
        symlink(root.join("elsewhere"), home.join("link")).unwrap();
        symlink(home.join("conda"), home.join("alias")).unwrap();

        let real = home.join("conda");
        let both = [real.clone(), home.join("alias")];
        assert_eq!(check(&both, &places).unwrap(), [real]);
        assert!(why(&home.join(".ssh"), &places).contains("no Python environment"));
        assert!(why(&home.join("none"), &places).contains("not there"));
        assert!(why(&home, &places).contains("outside"));
        assert!(why(&home.join("link"), &places).contains("outside"));
        assert!(why(&home.join("conda/../../elsewhere"), &places).contains("outside"));
        assert!(why(Path::new("conda"), &places).contains("absolute"));
        let wide = [home.clone(), root.clone()];
        assert!(why(&home, &wide).contains("whole home"));
        assert!(check(&[root.join("elsewhere")], &wide).is_ok());
    }

    #[test]
    fn a_borrowed_python_has_to_be_shown_too() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let (base, borrower) = (home.join("base"), home.join("venv"));
        environment(&base);
        fs::create_dir_all(borrower.join("bin")).unwrap();
        symlink(base.join("bin/python"), borrower.join("bin/python")).unwrap();
        let places = [home];
        assert!(why(&borrower, &places).contains("add that one too"));
        assert!(check(&[borrower, base], &places).is_ok());
    }
}
