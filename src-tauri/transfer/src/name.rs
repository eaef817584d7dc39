//! Names that come from elsewhere. A listing is the other side's word: a name in it must not lead
//! out of the folder that it was found in.

use crate::item::FailureCode;
use crate::store::{Entry, StoreError};

/// How the name of an unfinished file begins. Such names are left out when a folder is copied.
pub const PART_PREFIX: &str = ".gangway-part-";

/// The name of `entry`, if it can only mean something inside its folder.
pub(crate) fn checked(entry: &Entry) -> Result<&str, StoreError> {
    let name = entry.name.as_str();
    if !entry.exact {
        let message = format!("the name {name} has characters that can't be written");
        return Err(StoreError::new(FailureCode::UnsafeName, message));
    }
    let dots = name.is_empty() || name == "." || name == "..";
    if dots || name.contains(['/', '\0']) || (cfg!(windows) && is_special_on_windows(name)) {
        let message = format!("the name {name:?} would lead out of its folder");
        return Err(StoreError::new(FailureCode::UnsafeName, message));
    }
    Ok(name)
}

/// Separators, drive letters and streams, and the device names of old.
fn is_special_on_windows(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest != "0")
    };
    name.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
        || name.ends_with(['.', ' '])
        || matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || numbered("COM")
        || numbered("LPT")
}

/// `name` inside `folder`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() || folder.ends_with('/') {
        format!("{folder}{name}")
    } else {
        format!("{folder}/{name}")
    }
}

/// The folder of `path` and the last name; `None` when there is no last name.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_end_matches('/');
    let (folder, name) = match path.rfind('/') {
        Some(0) => ("/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => ("", path),
    };
    (!name.is_empty() && name != "." && name != "..").then_some((folder, name))
}

/// The temporary name of the file that will be `path`, the same each time for one transfer.
pub(crate) fn part(path: &str, transfer: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{transfer}\0{path}"));
    let folder = split(path).map_or("", |(folder, _)| folder);
    join(
        folder,
        &format!("{PART_PREFIX}{}", hex::encode(&digest[..10])),
    )
}

/// Whether a link at `depth` folders below the copied one stays inside it.
pub(crate) fn link_stays_inside(target: &str, depth: usize) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut level = depth;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if level == 0 => return false,
            ".." => level -= 1,
            _ => level += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            exact: true,
            kind: Kind::File,
            size: 0,
            modified: None,
            mode: None,
            target: None,
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\0b"] {
            assert!(checked(&entry(bad)).is_err(), "{bad:?}");
        }
        for good in ["a", "...", ".bashrc", "a b", "한글", "-rf", "~"] {
            assert!(checked(&entry(good)).is_ok(), "{good:?}");
        }
        for bad in ["con", "NUL.txt", "a:b", "c\\d", "lpt1", "x "] {
            assert!(is_special_on_windows(bad), "{bad}");
        }
    }

    #[test]
    fn links_may_go_up_only_as_far_as_the_copied_folder() {
        assert!(link_stays_inside("x/y", 0));
        assert!(link_stays_inside("../x", 1));
        assert!(!link_stays_inside("../x", 0));
        assert!(!link_stays_inside("a/../../x", 0));
        assert!(!link_stays_inside("/etc/passwd", 3));
    }

    #[test]
    fn an_unfinished_file_lies_beside_the_final_one() {
        let part = part("/home/work/data.bin", "one");
        assert!(part.starts_with("/home/work/.gangway-part-"), "{part}");
        assert_eq!(part, super::part("/home/work/data.bin", "one"));
        assert_ne!(part, super::part("/home/work/data.bin", "two"));
        assert_eq!(split("/x"), Some(("/", "x")));
        assert_eq!(split("x/"), Some(("", "x")));
        assert_eq!(split("/"), None);
    }
}
