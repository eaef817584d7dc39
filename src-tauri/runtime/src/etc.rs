//! `/etc` of a session: the harmless part of the host's, and files of its own.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use protocol::runner::launch::{HOME, Layer, USER};

use crate::KernelId;

/// What programs look for and what says nothing about people: everything else of the host's `/etc`
/// stays out (passwords, keys, mail, networks, other users' names).
const SHOWN: &[&str] = &[
    "OpenCL",
    "R",
    "X11",
    "alternatives",
    "bash.bashrc",
    "bash_completion.d",
    "ca-certificates",
    "ca-certificates.conf",
    "chromium",
    "chromium.d",
    "crypto-policies",
    "debian_version",
    "emacs",
    "environment.d",
    "fedora-release",
    "fonts",
    "gdb",
    "gitconfig",
    "glvnd",
    "groff",
    "inputrc",
    "java",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "lynx",
    "magic",
    "magic.mime",
    "mailcap",
    "manpath.config",
    "maven",
    "mime.types",
    "nanorc",
    "nodejs",
    "npmrc",
    "openmpi",
    "os-release",
    "papersize",
    "perl",
    "pip.conf",
    "pki",
    "profile",
    "profile.d",
    "protocols",
    "pulse",
    "python",
    "python3",
    "redhat-release",
    "rpc",
    "screenrc",
    "sensors3.conf",
    "services",
    "sgml",
    "shells",
    "skel",
    "ssl",
    "terminfo",
    "texmf",
    "timezone",
    "tmux.conf",
    "vdpau_wrapper.cfg",
    "vim",
    "vulkan",
    "wgetrc",
    "xattr.conf",
    "xdg",
    "xml",
    "zsh",
];

const NAME_SERVICES: &str = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n";

/// Layers for the parts of the host's `/etc` that a session may see.
pub(crate) fn host_layers(etc: &Path) -> Vec<Layer> {
    let mut layers = Vec::new();
    for name in SHOWN {
        let source = etc.join(name);
        let target = Path::new("/etc").join(name);
        let Ok(metadata) = fs::symlink_metadata(&source) else {
            continue;
        };
        if metadata.is_symlink() {
            if let Ok(to) = fs::read_link(&source) {
                layers.push(Layer::Link { to, target });
            }
        } else if is_public(&metadata) {
            layers.push(Layer::Bind {
                source,
                target,
                read_only: true,
                private: false,
            });
        }
    }
    layers
}

/// Our users (or groups), and those of an image that have neither their names nor their numbers.
fn with_others(mut ours: String, others: &str) -> String {
    let part = |line: &str, at: usize| line.split(':').nth(at).unwrap_or_default().to_owned();
    for line in others.lines() {
        let clash = ours
            .lines()
            .any(|known| [0, 2].iter().any(|at| part(known, *at) == part(line, *at)));
        if line.matches(':').count() >= 3 && !clash {
            ours.push_str(line);
            ours.push('\n');
        }
    }
    ours
}

fn is_public(metadata: &fs::Metadata) -> bool {
    let wanted = if metadata.is_dir() { 0o005 } else { 0o004 };
    (metadata.is_dir() || metadata.is_file()) && metadata.permissions().mode() & wanted == wanted
}

/// What the files say.
pub(crate) struct Machine<'a> {
    pub(crate) kernel: KernelId,
    pub(crate) hostname: &'a str,
    pub(crate) shell: &'a str,
    /// User and group id of the session's user, as seen inside.
    pub(crate) user: (u32, u32),
    /// `resolv.conf`.
    pub(crate) resolver: &'a str,
    /// Further lines of `hosts`.
    pub(crate) hosts: &'a str,
    /// `passwd` and `group` of the image.
    pub(crate) others: (&'a str, &'a str),
}

/// Writes the session's own files into `directory`; gives their names.
pub(crate) fn write(directory: &Path, machine: &Machine<'_>) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory)?;
    let Machine {
        hostname,
        shell,
        user: (uid, gid),
        hosts,
        ..
    } = machine;
    // In a cluster the name is that of the address at which the others find it.
    let local = if hosts.is_empty() { hostname } else { "" };
    let passwd = format!(
        "root:x:0:0:root:/root:/usr/sbin/nologin\n{USER}:x:{uid}:{gid}:{USER}:{HOME}:{shell}\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    );
    let group = format!("root:x:0:\ntty:x:5:\n{USER}:x:{gid}:\nnogroup:x:65534:\n");
    let files = [
        ("passwd", with_others(passwd, machine.others.0)),
        ("group", with_others(group, machine.others.1)),
        (
            "hosts",
            format!("127.0.0.1 localhost {local}\n::1 localhost ip6-localhost\n{hosts}"),
        ),
        ("hostname", format!("{hostname}\n")),
        ("nsswitch.conf", NAME_SERVICES.to_owned()),
        ("resolv.conf", machine.resolver.to_owned()),
        ("machine-id", format!("{}\n", machine.kernel.simple())),
    ];
    let mut names = Vec::new();
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        names.push(PathBuf::from(name));
    }
    Ok(names)
}
