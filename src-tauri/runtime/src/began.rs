//! The note of a kernel's first work, in its directory: when that was, and the seeds of its keys. A
//! restarted session is known by the same ones.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// Seeds of the keys of a kernel's SSH server and of the user inside.
pub(crate) type Seeds = [[u8; 32]; 2];

const FILE: &str = "began";

/// Notes that the kernel of the directory `root` takes work.
pub(crate) fn note(root: &Path, seeds: &Seeds) -> io::Result<()> {
    let next = root.join("began.next");
    fs::write(&next, serde_json::to_vec(seeds)?)?;
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600))?;
    fs::rename(next, root.join(FILE))
}

/// The seeds of a kernel that has taken work before.
pub(crate) fn seeds(root: &Path) -> Option<Seeds> {
    serde_json::from_slice(&fs::read(root.join(FILE)).ok()?).ok()
}

/// When it first took work, in seconds since 1970; 0 when it never did.
pub(crate) fn at(root: &Path) -> i64 {
    fs::metadata(root.join(FILE)).map_or(0, |found| found.mtime())
}
