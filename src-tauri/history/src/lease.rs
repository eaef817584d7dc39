//! Which process holds something: its number alone would be taken by another process one day.

use std::fmt;
use std::str::FromStr;

/// A process of this computer, in words that mean it alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Process number.
    pub pid: u32,
    /// When it was started, in clock ticks since the computer was; 0 where the system does not
    /// tell.
    pub start_time: u64,
    /// The start of the computer in which it runs; empty where the system does not tell.
    pub boot_id: String,
}

impl Lease {
    /// This process.
    #[must_use]
    pub fn mine() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            start_time: start_time(pid).unwrap_or(0),
            boot_id: boot_id(),
        }
    }

    /// Whether it means this process.
    #[must_use]
    pub fn is_mine(&self) -> bool {
        *self == Self::mine()
    }

    /// Whether the process is still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id() && start_time(self.pid) == Some(self.start_time)
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.pid, self.start_time, self.boot_id)
    }
}

/// The text is not that of a [`Lease`].
#[derive(Debug, thiserror::Error)]
#[error("not a lease")]
pub struct NotALease;

impl FromStr for Lease {
    type Err = NotALease;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.splitn(3, ':');
        let mut next = || fields.next().ok_or(NotALease);
        let pid = next()?.parse().map_err(|_| NotALease)?;
        let start_time = next()?.parse().map_err(|_| NotALease)?;
        Ok(Self {
            pid,
            start_time,
            boot_id: next()?.to_owned(),
        })
    }
}

#[cfg(target_os = "linux")]
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Field 22 of proc_pid_stat(5). The second field, the program's name, may hold spaces and
/// brackets.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    // A dead process that nobody has waited for holds nothing.
    let state = fields.next()?;
    (state != "Z")
        .then(|| fields.nth(18)?.parse().ok())
        .flatten()
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> String {
    String::new()
}

#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<u64> {
    (pid == std::process::id()).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let mine = Lease::mine();
        assert!(mine.is_alive() && mine.is_mine());
        assert_eq!(mine.to_string().parse::<Lease>().unwrap(), mine);
        assert!(
            !Lease {
                start_time: mine.start_time + 1,
                ..mine.clone()
            }
            .is_alive()
        );
        assert!(
            !Lease {
                boot_id: "another".to_owned(),
                ..mine.clone()
            }
            .is_alive()
        );
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start_time = start_time(child.id());
        child.wait().unwrap();
        if let Some(start_time) = start_time {
            assert!(
                !Lease {
                    pid: child.id(),
                    start_time,
                    ..mine
                }
                .is_alive()
            );
        }
    }
}
