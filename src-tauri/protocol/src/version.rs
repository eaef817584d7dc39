//! API versions: `v<major>.<yyyymmdd>`, compared as pairs (protocol page "Version negotiation").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the manager API, as in `v9.20250722`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiVersion {
    /// The number before the dot.
    pub major: u16,
    /// The day after the dot, as the number `yyyymmdd`.
    pub revision: u32,
}

impl ApiVersion {
    /// What our engine announces and our client speaks.
    pub const CURRENT: Self = Self {
        major: 9,
        revision: 20250722,
    };
    /// The oldest version that our engine takes requests of.
    pub const OLDEST: Self = Self {
        major: 6,
        revision: 20200815,
    };

    /// The revisions that a manager 26.8 accepts in `X-BackendAI-Version`.
    pub const ACCEPTED: [Self; 14] = [
        Self {
            major: 4,
            revision: 20181215,
        },
        Self {
            major: 4,
            revision: 20190115,
        },
        Self {
            major: 4,
            revision: 20190315,
        },
        Self {
            major: 4,
            revision: 20190615,
        },
        Self {
            major: 5,
            revision: 20191215,
        },
        Self {
            major: 6,
            revision: 20200815,
        },
        Self {
            major: 6,
            revision: 20220315,
        },
        Self {
            major: 6,
            revision: 20220615,
        },
        Self {
            major: 6,
            revision: 20221201,
        },
        Self {
            major: 6,
            revision: 20230315,
        },
        Self {
            major: 7,
            revision: 20230615,
        },
        Self {
            major: 8,
            revision: 20240315,
        },
        Self {
            major: 8,
            revision: 20240915,
        },
        Self {
            major: 9,
            revision: 20250722,
        },
    ];

    /// What both sides speak: the smaller of the two.
    pub fn negotiate(self, other: Self) -> Self {
        self.min(other)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{:08}", self.major, self.revision)
    }
}

/// The text is not of the form `v9.20250722`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an API version such as v9.20250722")]
pub struct InvalidApiVersion(pub String);

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidApiVersion(text.to_owned());
        let (major, revision) = text
            .strip_prefix('v')
            .and_then(|rest| rest.split_once('.'))
            .ok_or_else(invalid)?;
        if revision.len() != 8 {
            return Err(invalid());
        }
        Ok(Self {
            major: major.parse().map_err(|_| invalid())?,
            revision: revision.parse().map_err(|_| invalid())?,
        })
    }
}

impl TryFrom<String> for ApiVersion {
    type Error = InvalidApiVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ApiVersion> for String {
    fn from(version: ApiVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let version: ApiVersion = "v6.20220615".parse().unwrap();
        assert_eq!(version.to_string(), "v6.20220615");
        assert!(version < ApiVersion::CURRENT);
        assert_eq!(version.negotiate(ApiVersion::CURRENT), version);
        for wrong in [
            "",
            "9.20250722",
            "v9",
            "v9.2025",
            "vx.20250722",
            "v9.2025072x",
        ] {
            assert!(wrong.parse::<ApiVersion>().is_err(), "{wrong}");
        }
    }
}
