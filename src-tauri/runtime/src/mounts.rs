//! Which folders may be shown where inside a session.

use std::{
    fs, io,
    path::{Component, Path},
};

use protocol::runner::launch::HOME;

use crate::{Mount, RuntimeError};

/// Top directories that a mount must not cover.
const RESERVED: &[&str] = &[
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin",
    "sys", "tmp", "usr", "var",
];
/// Those of them below which people's homes may lie on the host.
const HOMES: &[&str] = &["root", "tmp", "var"];
/// Mounts, outer ones first; each must have a place of its own that covers nothing of the system.
pub(crate) fn sorted(mounts: &[Mount]) -> Result<Vec<&Mount>, RuntimeError> {
    let mut sorted: Vec<&Mount> = mounts.iter().collect();
    sorted.sort_by_key(|mount| mount.target.components().count());
    for (number, mount) in sorted.iter().enumerate() {
        check(mount)?;
        if sorted[..number]
            .iter()
            .any(|other| other.target == mount.target)
        {
            return Err(RuntimeError::Invalid(format!(
                "two folders are to be mounted at {}",
                mount.target.display()
            )));
        }
    }
    Ok(sorted)
}

fn check(mount: &Mount) -> Result<(), RuntimeError> {
    let refuse = |why: &str| {
        Err(RuntimeError::Invalid(format!(
            "{} {why}",
            mount.target.display()
        )))
    };
    let mut components = mount.target.components();
    if components.next() != Some(Component::RootDir) {
        return refuse("is not an absolute path");
    }
    if !components
        .clone()
        .all(|component| matches!(component, Component::Normal(_)))
    {
        return refuse("must not contain . or ..");
    }
    let top = components
        .next()
        .map(|component| component.as_os_str().to_string_lossy().into_owned());
    match top {
        None => return refuse("can't be mounted over"),
        // Homes of the host may lie there. What is shown read-only where it lies anyway covers
        // nothing that a session has.
        Some(top)
            if HOMES.contains(&top.as_str()) && mount.read_only && mount.source == mount.target => {
        }
        Some(top) if RESERVED.contains(&top.as_str()) => return refuse("belongs to the system"),
        Some(_) => {}
    }
    if Path::new(HOME).starts_with(&mount.target) {
        return refuse("can't be mounted over");
    }
    let found = fs::symlink_metadata(&mount.source).map_err(|source| RuntimeError::Mount {
        path: mount.source.clone(),
        source,
    })?;
    if found.is_dir() || found.is_file() {
        Ok(())
    } else {
        Err(RuntimeError::Mount {
            path: mount.source.clone(),
            source: io::Error::other("it is neither a directory nor a file"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn mount(target: &str) -> Mount {
        Mount {
            source: PathBuf::from("/usr"),
            target: PathBuf::from(target),
            read_only: false,
        }
    }

    #[test]
    fn mounts_cover_nothing_of_the_system() {
        for good in ["/home/work/data", "/home/work/.local", "/data/deep"] {
            assert!(check(&mount(good)).is_ok(), "{good}");
        }
        for bad in [
            "/",
            "/etc/x",
            "/usr",
            "/home/work",
            "/home",
            "relative",
            "/home/work/../x",
            "/run/gangway",
            "/proc/x",
        ] {
            assert!(check(&mount(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn homes_of_the_host_are_shown_where_they_lie_only() {
        let here = std::env::temp_dir().canonicalize().unwrap();
        let own = Mount {
            source: here.clone(),
            target: here.clone(),
            read_only: true,
        };
        assert!(check(&own).is_ok());
        let written = Mount {
            read_only: false,
            ..own.clone()
        };
        assert!(check(&written).is_err());
        let elsewhere = Mount {
            source: PathBuf::from("/usr"),
            ..own
        };
        assert!(check(&elsewhere).is_err());
    }

    #[test]
    fn outer_mounts_come_first_and_places_are_unique() {
        let mounts = [mount("/home/work/a/b"), mount("/home/work/a")];
        let sorted = sorted(&mounts).unwrap();
        assert_eq!(sorted[0].target, Path::new("/home/work/a"));
        assert!(super::sorted(&[mount("/home/work/a"), mount("/home/work/a")]).is_err());
    }
}
