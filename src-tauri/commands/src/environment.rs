//! Finds Python environments in the user's home. Nothing of them is run: their files tell enough.

use std::fs;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::types::{Environment, EnvironmentKind, EnvironmentList, Failure, Nothing};

/// Where conda and its relatives put themselves.
const CONDA: &[&str] = &["miniconda3", "anaconda3", "miniforge3"];

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<EnvironmentList, Failure> {
    let name = context.profile_name()?;
    // A manager elsewhere can show nothing of this computer.
    let home = match context.profile(&name)?.endpoint {
        None => std::env::home_dir(),
        Some(_) => None,
    };
    Ok(EnvironmentList {
        environments: home.map(|home| find(&home)).unwrap_or_default(),
    })
}

fn find(home: &Path) -> Vec<Environment> {
    let mut places: Vec<(PathBuf, EnvironmentKind)> = Vec::new();
    for name in CONDA {
        let root = home.join(name);
        let named = inside(&root.join("envs"));
        places.extend(named.into_iter().map(|path| (path, EnvironmentKind::Conda)));
        places.push((root, EnvironmentKind::Conda));
    }
    for (folder, kind) in [
        (".pyenv/versions", EnvironmentKind::Pyenv),
        (".virtualenvs", EnvironmentKind::Venv),
    ] {
        let found = inside(&home.join(folder));
        places.extend(found.into_iter().map(|path| (path, kind)));
    }
    let mut found: Vec<Environment> = places
        .into_iter()
        .filter(|(path, _)| path.join("bin/python").exists())
        .map(|(path, kind)| Environment {
            python: version(&path),
            path: path.to_string_lossy().into_owned(),
            kind,
        })
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Directories in `folder` that are no links: a link's goal is found where it lies.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// From what each kind notes of itself, else from the name of the library's directory.
fn version(root: &Path) -> Option<String> {
    let noted = || {
        let text = fs::read_to_string(root.join("pyvenv.cfg")).ok()?;
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            let number = value.trim().split(".final").next()?.to_owned();
            ["version", "version_info"]
                .contains(&key.trim())
                .then_some(number)
        })
    };
    let packaged = || named(&root.join("conda-meta"), "python-", '-');
    let built = || {
        let name = root.file_name()?.to_string_lossy().into_owned();
        name.starts_with(|c: char| c.is_ascii_digit())
            .then_some(name)
    };
    let library = || named(&root.join("lib"), "python", '/');
    noted().or_else(packaged).or_else(built).or_else(library)
}

/// What stands behind `prefix` and before `end` in the name of an entry, when that is a number.
fn named(folder: &Path, prefix: &str, end: char) -> Option<String> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(prefix)?.split(end).next()?.to_owned();
        (number.contains('.') && number.chars().all(|c| c.is_ascii_digit() || c == '.'))
            .then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::EnvironmentKind::{Conda, Pyenv, Venv};
    use super::*;

    #[test]
    fn environments_are_found_at_their_usual_places() {
        let home = tempfile::tempdir().unwrap();
        let make = |path: &str, files: &[&str]| {
            let root = home.path().join(path);
            for file in [&["bin/python"], files].concat() {
                let file = root.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "version = 3.11.2\n").unwrap();
            }
        };
        make("miniconda3", &["conda-meta/python-3.12.4-h1.json"]);
        make("miniconda3/envs/vision", &["lib/python3.10/site.py"]);
        make(".pyenv/versions/3.13.1", &[]);
        make(".virtualenvs/paper", &["pyvenv.cfg"]);
        make("projects/other", &["pyvenv.cfg"]);
        fs::create_dir_all(home.path().join(".virtualenvs/empty")).unwrap();
        let found: Vec<_> = find(home.path())
            .into_iter()
            .map(|one| {
                let path = Path::new(&one.path).strip_prefix(home.path()).unwrap();
                (path.to_owned(), one.kind, one.python.unwrap())
            })
            .collect();
        let row = |path: &str, kind, python: &str| (PathBuf::from(path), kind, python.to_owned());
        assert_eq!(
            found,
            [
                row(".pyenv/versions/3.13.1", Pyenv, "3.13.1"),
                row(".virtualenvs/paper", Venv, "3.11.2"),
                row("miniconda3", Conda, "3.12.4"),
                row("miniconda3/envs/vision", Conda, "3.10"),
            ]
        );
    }
}
