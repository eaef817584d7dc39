//! The tools that people use, as they use them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where to log in.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) key: PathBuf,
}

/// One of them.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
}

pub(crate) const TOOLS: [Tool; 4] = [
    Tool { name: "sftp" },
    Tool { name: "scp" },
    Tool { name: "rsync" },
    Tool { name: "rclone" },
];

const QUIET: &str = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";

impl Tool {
    /// Whether it is installed.
    pub(crate) fn is_there(&self) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", "command -v \"$0\"", self.name]);
        command
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|it| it.success())
    }

    /// The command that copies; `work` is for its own files.
    pub(crate) fn command(
        &self,
        server: &Server,
        work: &Path,
        (src, dst): (&Path, &Path),
        (up, folder): (bool, bool),
    ) -> Command {
        let (port, key) = (server.port.to_string(), server.key.to_string_lossy());
        let host = format!("{}@127.0.0.1", server.user);
        let (src, dst) = (src.display().to_string(), dst.display().to_string());
        let options = || QUIET.split(' ');
        match self.name {
            "sftp" => {
                let verb = if up { "put" } else { "get" };
                let batch = work.join("batch");
                std::fs::write(&batch, format!("{verb} -r {src} {dst}\n")).unwrap();
                let mut command = Command::new("sftp");
                command
                    .args(options())
                    .args(["-q", "-P", &port, "-i", &key]);
                if folder && up {
                    std::fs::write(&batch, format!("put -r {src}/. {dst}\n")).unwrap();
                }
                command.arg("-b").arg(batch).arg(host);
                command
            }
            "scp" => {
                let mut command = Command::new("scp");
                command
                    .args(options())
                    .args(["-q", "-r", "-P", &port, "-i", &key]);
                if up {
                    command.arg(src).arg(format!("{host}:{dst}"));
                } else {
                    command.arg(format!("{host}:{src}")).arg(dst);
                }
                command
            }
            "rsync" => {
                let mut command = Command::new("rsync");
                let shell = format!("ssh {QUIET} -p {port} -i {key}");
                command.args(["-rtpW", "--inplace", "-e", &shell]);
                let slash = if folder { "/" } else { "" };
                let (src, dst) = (format!("{src}{slash}"), format!("{dst}{slash}"));
                if up {
                    command.arg(src).arg(format!("{host}:{dst}"));
                } else {
                    command.arg(format!("{host}:{src}")).arg(dst);
                }
                command
            }
            _ => {
                let mut command = Command::new("rclone");
                command.args(["--config", "/dev/null", "-q", "--ignore-checksum"]);
                command.arg("--sftp-disable-hashcheck");
                let remote = format!(
                    ":sftp,host=127.0.0.1,port={port},user={},key_file={key},shell_type=none:",
                    server.user
                );
                command.arg(if folder { "copy" } else { "copyto" });
                if up {
                    command.arg(src).arg(format!("{remote}{dst}"));
                } else {
                    command.arg(format!("{remote}{src}")).arg(dst);
                }
                command
            }
        }
    }
}
