//! Finds out which process of a session was killed because memory ran out.

use std::{
    fs::OpenOptions,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use nix::libc;
use protocol::runner::{Notice, NoticeCode};

use crate::cgroup::Group;

/// Kernel messages read at most; the buffer is rarely longer.
const MOST_MESSAGES: usize = 20_000;

/// Counts the kills of one kernel.
#[derive(Debug)]
pub(crate) struct Watch {
    group: Group,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    kills: u64,
    notices: Vec<Notice>,
}

impl Watch {
    pub(crate) fn new(group: Group) -> Self {
        Self {
            group,
            told: Mutex::default(),
        }
    }

    /// All kills so far, one notice for each.
    pub(crate) fn look(&self) -> Vec<Notice> {
        let kills = self.group.memory_kills().unwrap_or(0);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if kills > told.kills {
            let names = self
                .group
                .memory_directory()
                .map(victims)
                .unwrap_or_default();
            for number in told.kills..kills {
                let name = usize::try_from(number)
                    .ok()
                    .and_then(|number| names.get(number));
                let message = match name {
                    Some(name) => {
                        format!("{name} was killed because the session ran out of memory")
                    }
                    None => "a process was killed because the session ran out of memory".to_owned(),
                };
                told.notices.push(Notice {
                    code: NoticeCode::OomKilled,
                    message,
                    at: jiff::Timestamp::now().to_string(),
                });
            }
            told.kills = kills;
        }
        told.notices.clone()
    }
}

/// Names of the processes killed in a group, oldest first, as far as we may read the kernel's log.
pub(crate) fn victims(group: &Path) -> Vec<String> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg");
    let Ok(mut log) = opened else {
        return Vec::new();
    };
    let Some(kernel) = group
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // Each read gives one whole message.
    let mut buffer = vec![0; 8 << 10];
    for _ in 0..MOST_MESSAGES {
        match log.read(&mut buffer) {
            Ok(read @ 1..) => {
                found.extend(victim(&String::from_utf8_lossy(&buffer[..read]), &kernel))
            }
            // The oldest message was overwritten while we were reading it.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            _ => break,
        }
    }
    found
}

/// Name and process id from a message like
/// `oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=/gangway/<id>,task=python3,pid=7,uid=1`.
fn victim(message: &str, kernel: &str) -> Option<String> {
    let (_, fields) = message.split_once("oom-kill:")?;
    let field = |name: &str| {
        fields
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let inside = |group: &str| group.split('/').any(|name| name == kernel);
    if !field("oom_memcg").is_some_and(inside) && !field("task_memcg").is_some_and(inside) {
        return None;
    }
    Some(format!(
        "{} (process {} of this computer)",
        field("task")?,
        field("pid")?
    ))
}

#[cfg(test)]
mod tests {
    use super::victim;

    #[test]
    fn only_kills_of_this_session_count() {
        let line = "6,900,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                    oom_memcg=/gangway/abc,task_memcg=/gangway/abc,task=python3,pid=77,uid=1879048192\n";
        assert_eq!(
            victim(line, "abc").as_deref(),
            Some("python3 (process 77 of this computer)")
        );
        assert_eq!(victim(line, "ab"), None);
        assert_eq!(victim("6,901,1,-;eth0: link up", "abc"), None);
    }
}
