//! What SFTP tells and changes about files beside their contents.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use nix::{
    libc,
    sys::{
        stat::{UtimensatFlags, futimens, utimensat},
        statvfs::Statvfs,
        time::TimeSpec,
    },
};

use super::{
    refusal::Refusal,
    wire::{Attributes, Entry},
};

pub(super) fn change(path: &Path, to: &Attributes, follow: bool) -> Result<(), Refusal> {
    if let Some(size) = to.size {
        OpenOptions::new().write(true).open(path)?.set_len(size)?;
    }
    if let Some(mode) = to.mode.filter(|_| follow) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))?;
    }
    if let Some((accessed, modified)) = to.times {
        let flags = if follow {
            UtimensatFlags::FollowSymlink
        } else {
            UtimensatFlags::NoFollowSymlink
        };
        utimensat(
            nix::fcntl::AT_FDCWD,
            path,
            &time(accessed),
            &time(modified),
            flags,
        )?;
    }
    if let Some((user, group)) = to.owner {
        let metadata = fs::symlink_metadata(path)?;
        if (metadata.uid(), metadata.gid()) != (user, group) {
            std::os::unix::fs::lchown(path, Some(user), Some(group))?;
        }
    }
    Ok(())
}

pub(super) fn change_open(file: &File, to: &Attributes) -> Result<(), Refusal> {
    if let Some(size) = to.size {
        file.set_len(size)?;
    }
    if let Some(mode) = to.mode {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    }
    if let Some((accessed, modified)) = to.times {
        futimens(file, &time(accessed), &time(modified))?;
    }
    if let Some((user, group)) = to.owner {
        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != (user, group) {
            std::os::unix::fs::fchown(file, Some(user), Some(group))?;
        }
    }
    Ok(())
}

fn time(seconds: u32) -> TimeSpec {
    TimeSpec::new(i64::from(seconds), 0)
}

pub(super) fn attributes_of(metadata: &Metadata) -> Attributes {
    let seconds = |value: i64| u32::try_from(value).unwrap_or(0);
    Attributes {
        size: Some(metadata.len()),
        owner: Some((metadata.uid(), metadata.gid())),
        mode: Some(metadata.mode()),
        times: Some((seconds(metadata.atime()), seconds(metadata.mtime()))),
    }
}

pub(super) fn plain(name: Vec<u8>) -> Entry {
    Entry {
        long: name.clone(),
        name,
        attributes: Attributes::default(),
    }
}

pub(super) fn entry_of(name: Vec<u8>, metadata: &Metadata) -> Entry {
    let mut long = long_prefix(metadata).into_bytes();
    long.extend_from_slice(&name);
    Entry {
        name,
        long,
        attributes: attributes_of(metadata),
    }
}

/// The line that clients print for `ls -l`, without the name.
fn long_prefix(metadata: &Metadata) -> String {
    let mode = metadata.mode();
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        libc::S_IFCHR => 'c',
        libc::S_IFBLK => 'b',
        _ => '-',
    };
    let bits: String = (0..9)
        .map(|bit| {
            if mode & (0o400 >> bit) == 0 {
                '-'
            } else {
                ['r', 'w', 'x'][bit % 3]
            }
        })
        .collect();
    let date = jiff::Timestamp::from_second(metadata.mtime())
        .map(|at| at.strftime("%b %e %H:%M %Y").to_string())
        .unwrap_or_default();
    format!(
        "{kind}{bits} {:>4} {:<8} {:<8} {:>8} {date} ",
        metadata.nlink(),
        metadata.uid(),
        metadata.gid(),
        metadata.len(),
    )
}

pub(super) fn room_of(room: &Statvfs) -> [u64; 11] {
    [
        room.block_size(),
        room.fragment_size(),
        room.blocks(),
        room.blocks_free(),
        room.blocks_available(),
        room.files(),
        room.files_free(),
        room.files_available(),
        room.filesystem_id(),
        room.flags().bits(),
        room.name_max(),
    ]
}
