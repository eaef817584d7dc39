//! The plan in bubblewrap's words.

use std::{ffi::OsStr, os::fd::RawFd, os::unix::ffi::OsStrExt};

use protocol::runner::launch::{HOME, INNER_ID, Layer};

use super::overlay::MERGED;

/// Arguments for bubblewrap, each ended by a zero byte, as its `--args` wants them. `sources` are
/// the descriptors of layers whose source is open already.
pub(super) fn bubblewrap(
    layout: &[Layer],
    sources: &[Option<RawFd>],
    hostname: &str,
    filters: &[RawFd],
    user: User,
) -> Vec<u8> {
    let mut list = Arguments::default();
    if user == User::Alone {
        let id = INNER_ID.to_string();
        list.add(["--unshare-user", "--uid", &id, "--gid", &id]);
    }
    list.add([
        "--unshare-pid",
        "--as-pid-1",
        "--unshare-ipc",
        "--unshare-uts",
    ]);
    list.add(["--unshare-cgroup-try", "--hostname", hostname]);
    // The outermost process is the supervisor; from here on everything ends with it.
    list.add([
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--clearenv",
    ]);
    let overlaid = |layer: &Layer| matches!(layer, Layer::Overlay { .. });
    if user == User::OfSeveral && layout.iter().any(overlaid) {
        for right in FILE_RIGHTS {
            list.add(["--cap-add", right]);
        }
    }
    for (number, layer) in layout.iter().enumerate() {
        list.layer(layer, sources.get(number).copied().flatten());
    }
    list.add(["--chdir", HOME]);
    for filter in filters {
        list.add(["--add-seccomp-fd", &filter.to_string()]);
    }
    list.0
}

/// Who a session's user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// The only one that there is.
    Alone,
    /// One of those to whom the files of an image belong.
    OfSeveral,
}

/// A session may change the files of its image, whoever they belong to. These rights hold for
/// files of the session's own ids alone, in a namespace that owns nothing; none of them gives files
/// away or becomes somebody else, so that what it writes into folders is always its user's.
const FILE_RIGHTS: &[&str] = &["CAP_DAC_OVERRIDE", "CAP_FOWNER"];

#[derive(Default)]
struct Arguments(Vec<u8>);

impl Arguments {
    fn add<S: AsRef<OsStr>>(&mut self, words: impl IntoIterator<Item = S>) {
        for word in words {
            self.0.extend_from_slice(word.as_ref().as_bytes());
            self.0.push(0);
        }
    }

    fn layer(&mut self, layer: &Layer, opened: Option<RawFd>) {
        match (layer, opened) {
            (
                Layer::Bind {
                    target, read_only, ..
                },
                Some(source),
            ) => {
                let verb = if *read_only {
                    "--ro-bind-fd"
                } else {
                    "--bind-fd"
                };
                let source = source.to_string();
                self.add([verb.as_ref(), OsStr::new(&source), target.as_os_str()]);
            }
            (layer, _) => self.named(layer),
        }
    }

    fn named(&mut self, layer: &Layer) {
        match layer {
            Layer::Bind {
                source,
                target,
                read_only,
                ..
            } => {
                let verb = if *read_only { "--ro-bind" } else { "--bind" };
                self.add([OsStr::new(verb), source.as_os_str(), target.as_os_str()]);
            }
            Layer::Device { source, target } => self.add([
                OsStr::new("--dev-bind"),
                source.as_os_str(),
                target.as_os_str(),
            ]),
            // Mounted by then.
            Layer::Overlay { area, target, .. } => {
                let merged = area.join(MERGED);
                self.add([OsStr::new("--bind"), merged.as_os_str(), target.as_os_str()]);
            }
            Layer::Tmpfs { target, size, mode } => {
                self.add(["--perms", &format!("{mode:04o}")]);
                if let Some(size) = size {
                    self.add(["--size", &size.to_string()]);
                }
                self.add([OsStr::new("--tmpfs"), target.as_os_str()]);
            }
            Layer::Directory { target } => self.add([OsStr::new("--dir"), target.as_os_str()]),
            Layer::Link { to, target } => {
                self.add([OsStr::new("--symlink"), to.as_os_str(), target.as_os_str()]);
            }
            Layer::Proc { target } => self.add([OsStr::new("--proc"), target.as_os_str()]),
            Layer::Dev { target } => self.add([OsStr::new("--dev"), target.as_os_str()]),
            Layer::ReadOnly { target } => {
                self.add([OsStr::new("--remount-ro"), target.as_os_str()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_open_is_not_named() {
        let bind = |read_only| Layer::Bind {
            source: "/data/folder".into(),
            target: "/home/work/folder".into(),
            read_only,
            private: true,
        };
        let layout = [bind(false), bind(true), bind(true)];
        let words = bubblewrap(&layout, &[Some(7), Some(8), None], "host", &[], User::Alone);
        let words = String::from_utf8(words).unwrap().replace('\0', " ");
        assert!(
            words.contains(
                "--bind-fd 7 /home/work/folder --ro-bind-fd 8 /home/work/folder \
                 --ro-bind /data/folder /home/work/folder "
            ),
            "{words}"
        );
    }
}
