//! Which data folder lies where in a session. Managers tell the names of mounted folders and not
//! their places; the session's own kernel tells both: each mount names what it shows, and a folder
//! of a storage lies under its id.

use ::ssh::client::sftp::{Attributes, Open, Sftp};

use crate::types::Failure;

const TABLE: &str = "/proc/self/mountinfo";
/// A longer table is not one of a session.
const TABLE_MOST: usize = 1 << 20;

/// The session's table of mounts.
pub(crate) async fn read(sftp: &Sftp) -> Result<String, Failure> {
    let file = sftp.open(TABLE, Open::Read, &Attributes::default()).await?;
    // Files of the kernel have no length; they are read to their end.
    let mut reader = file.reader(0, 0);
    let mut bytes = Vec::new();
    while let Some(pieces) = reader.next().await? {
        pieces
            .iter()
            .for_each(|piece| bytes.extend_from_slice(piece));
        if bytes.len() > TABLE_MOST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Which of these folders (by id: 32 hexadecimal digits, with hyphens or without) holds `path`,
/// and where in it.
pub(crate) fn locate(table: &str, ids: &[&str], path: &str) -> Option<(usize, String)> {
    let mut holder: Option<(String, &str)> = None;
    for line in table.lines() {
        let mut fields = line.split(' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else {
            continue;
        };
        let Some(rest) = below(path, &unescaped(point)) else {
            continue;
        };
        // The innermost mount; of two at one place the later covers the other.
        if holder
            .as_ref()
            .is_none_or(|(_, known)| rest.len() <= known.len())
        {
            holder = Some((unescaped(root), rest));
        }
    }
    let (root, rest) = holder?;
    let found = ids.iter().map(|id| inside(&root, &id.replace('-', "")));
    let (index, inner) = found.enumerate().find_map(|(n, it)| Some((n, it?)))?;
    Some((index, format!("{inner}{rest}")))
}

/// What is left of `path` below `folder`: nothing, or something with a slash in front.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// What is left of a path of the storage below the folder with this id: `<id>/files` as our engine
/// has it, `<2 digits>/<2 digits>/<the rest>` as others have it.
fn inside<'a>(root: &'a str, id: &str) -> Option<&'a str> {
    let parts = (id.get(..2)?, id.get(2..4)?, id.get(4..)?);
    let places = [
        format!("/{id}/files"),
        format!("/{}/{}/{}", parts.0, parts.1, parts.2),
    ];
    places.iter().find_map(|place| {
        let rest = &root[root.find(place.as_str())? + place.len()..];
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    })
}

/// Spaces and the like are written as three octal digits.
fn unescaped(field: &str) -> String {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(code.unwrap_or(*byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "\
22 1 0:21 / / rw - overlay overlay rw
30 22 8:1 /var/engine/homes/x /home/work rw - ext4 /dev/sda rw
31 30 8:1 /srv/vol/0123456789abcdef0123456789abcdef/files /home/work/my\\040data rw - ext4 /dev/sda rw
32 30 0:40 /user/fe/dc/ba98765432100123456789abcdef/sub /home/work/other rw - nfs4 nas:/vol rw";
    const IDS: [&str; 2] = [
        "01234567-89ab-cdef-0123-456789abcdef",
        "fedcba98765432100123456789abcdef",
    ];

    fn at(path: &str) -> Option<(usize, String)> {
        locate(TABLE, &IDS, path)
    }

    #[test]
    fn a_file_is_found_in_its_folder_and_nowhere_else() {
        assert_eq!(at("/home/work/my data/a/b"), Some((0, "/a/b".to_owned())));
        assert_eq!(at("/home/work/my data"), Some((0, String::new())));
        assert_eq!(at("/home/work/other/x"), Some((1, "/sub/x".to_owned())));
        for outside in ["/home/work/my datas/a", "/home/work/x", "/tmp/x", "", "x"] {
            assert_eq!(at(outside), None, "{outside}");
        }
        assert_eq!(locate(TABLE, &["0123"], "/home/work/my data/a"), None);
    }

    #[test]
    fn the_mount_on_top_counts() {
        let covered = format!("{TABLE}\n33 31 0:50 / /home/work/my\\040data rw - tmpfs tmpfs rw");
        assert_eq!(locate(&covered, &IDS, "/home/work/my data/a"), None);
    }

    mod properties {
        use super::*;

        proptest! {
            /// The table is the session's word: whatever it is, nothing but a path below a mount comes
            /// of it.
            #[test]
            fn any_table_is_understood_or_ignored(table in "(?s).{0,400}", path in "(/[a-z]{0,3}){0,4}") {
                if let Some((index, inner)) = locate(&table, &IDS, &path) {
                    prop_assert!(index < IDS.len());
                    prop_assert!(inner.is_empty() || inner.starts_with('/'));
                }
            }
        }
    }
}
