//! What things may be called (protocol pages "Semantics" §2.3 and "Virtual folders" §1;
//! `seeds/004… "Session name"`).

use std::fmt;

/// Why a name was refused. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Too short or too long, in characters.
    #[error("the name must have {min} to {max} characters, \"{name}\" has {}", name.chars().count())]
    Length {
        /// What was given.
        name: String,
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// A character where it may not stand.
    #[error("\"{name}\" may not be used: {rule}")]
    Characters {
        /// What was given.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Taken by the system.
    #[error("\"{0}\" is reserved for internal use")]
    Reserved(String),
}

fn length(name: &str, min: usize, max: usize) -> Result<(), InvalidName> {
    let count = name.chars().count();
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(InvalidName::Length {
            name: name.to_owned(),
            min,
            max,
        })
    }
}

/// Session names: 4 to 64 characters, letters, digits, `_`, and inside also `.` and `-`; ASCII.
pub fn check_session(name: &str) -> Result<(), InvalidName> {
    length(name, 4, 64)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let allowed = name.chars().all(|c| word(c) || c == '.' || c == '-');
    if !allowed || !name.starts_with(word) || !name.ends_with(word) {
        return Err(InvalidName::Characters {
            name: name.to_owned(),
            rule: "use letters, digits and underscores; dots and hyphens only inside",
        });
    }
    if name == "from-template" {
        return Err(InvalidName::Reserved(name.to_owned()));
    }
    Ok(())
}

/// Mount names and paths that belong to the system (protocol page "Sessions" §2.2).
const RESERVED: [&str; 24] = [
    ".terminfo",
    ".jupyter",
    ".tmux.conf",
    ".ssh",
    "/home/work",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/home",
];

/// Whether a mount alias or a folder name belongs to the system.
pub fn is_reserved(name: &str) -> bool {
    let dotfile = name.strip_prefix('.').and_then(|rest| {
        rest.strip_suffix("rc")
            .or_else(|| rest.strip_suffix("_profile"))
    });
    let shell_file = dotfile.is_some_and(|middle| {
        !middle.is_empty()
            && middle
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    });
    RESERVED.contains(&name) || shell_file
}

/// Folder names: 1 to 64 characters, no `/`, no control characters, not `.` or `..`, not reserved.
pub fn check_folder(name: &str) -> Result<(), InvalidName> {
    length(name, 1, 64)?;
    if name.contains('/') || name.chars().any(char::is_control) {
        return Err(InvalidName::Characters {
            name: name.to_owned(),
            rule: "slashes and control characters are not allowed",
        });
    }
    if name == "." || name == ".." || is_reserved(name) {
        return Err(InvalidName::Reserved(name.to_owned()));
    }
    Ok(())
}

/// Environment variable names: letters, digits and underscores, not starting with a digit.
pub fn check_variable(name: &str) -> Result<(), InvalidName> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(InvalidName::Characters {
            name: name.to_owned(),
            rule: "use letters, digits and underscores, and don't begin with a digit",
        });
    }
    Ok(())
}

/// A fresh session name that people can read and say: `session-7f3a9c`, from six random nibbles.
pub fn suggest_session(random: u32) -> impl fmt::Display {
    format!("session-{:06x}", random & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names() {
        for good in ["abcd", "a.b-c_d", "train-1", &"x".repeat(64)] {
            assert_eq!(check_session(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "abc",
            ".abc",
            "abc-",
            "a b c d",
            "세션이름",
            "a/bcd",
            &"x".repeat(65),
        ] {
            assert!(check_session(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check_session(&suggest_session(u32::MAX).to_string()),
            Ok(())
        );
    }

    #[test]
    fn folder_names() {
        for good in ["data", ".local", "데이터", "a b"] {
            assert_eq!(check_folder(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "..",
            "a/b",
            ".ssh",
            ".bashrc",
            ".bash_profile",
            "a\nb",
            &"x".repeat(65),
        ] {
            assert!(check_folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variable_names() {
        assert_eq!(check_variable("_A1"), Ok(()));
        for bad in ["", "1A", "A-B", "A B", "A="] {
            assert!(check_variable(bad).is_err(), "{bad}");
        }
    }
}
