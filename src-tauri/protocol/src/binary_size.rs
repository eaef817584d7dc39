//! Sizes as the manager writes them: always 1024, `1g`, `1.5 GiB`, `100 bytes`
//! (protocol page "Semantics", BinarySize text).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: [(char, u32); 8] = [
    ('k', 1),
    ('m', 2),
    ('g', 3),
    ('t', 4),
    ('p', 5),
    ('e', 6),
    ('z', 7),
    ('y', 8),
];

/// An amount of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinarySize(pub u64);

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a size; write a whole number of bytes, or a number with k, m, g or t")]
pub struct InvalidSize(pub String);

impl BinarySize {
    /// `count` times 1024³ bytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// `count` times 1024² bytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The short form that requests carry: `1g`, `1.5g`, `100`.
    pub fn short(self) -> String {
        match self.scaled() {
            Some((number, unit)) => format!("{number}{unit}"),
            None => self.0.to_string(),
        }
    }

    /// The largest unit that leaves at least 1, with at most two decimals; none below 1 KiB.
    fn scaled(self) -> Option<(String, char)> {
        let (unit, power) = UNITS[..6]
            .iter()
            .rev()
            .find(|(_, power)| self.0 >= 1u64 << (10 * power))?;
        let text = format!("{:.2}", self.0 as f64 / (1u64 << (10 * power)) as f64);
        Some((
            text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            *unit,
        ))
    }
}

impl fmt::Display for BinarySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scaled() {
            Some((number, unit)) => write!(f, "{number} {}iB", unit.to_ascii_uppercase()),
            None if self.0 == 1 => f.write_str("1 byte"),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl FromStr for BinarySize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSize(text.to_owned());
        let clean = text.trim().replace('_', "").to_ascii_lowercase();
        let end = clean
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(clean.len());
        let (number, rest) = clean.split_at(end);
        if number.is_empty() {
            return Err(invalid());
        }
        let spaced = rest.starts_with(' ');
        let suffix = rest.trim_start();
        if matches!(suffix, "b" | "byte" | "bytes") {
            // A plain count of bytes wants the space: "100 bytes", never "100bytes".
            return if spaced {
                number.parse().map(Self).map_err(|_| invalid())
            } else {
                Err(invalid())
            };
        }
        let Some(letter) = suffix.chars().next() else {
            return whole(number).map(Self).ok_or_else(invalid);
        };
        let (_, power) = UNITS
            .iter()
            .find(|(unit, _)| *unit == letter)
            .ok_or_else(invalid)?;
        if !matches!(
            &suffix[1..],
            "" | "b" | "byte" | "bytes" | "ib" | "ibyte" | "ibytes"
        ) {
            return Err(invalid());
        }
        if let Ok(count) = number.parse::<u64>() {
            let scale = 1u64
                .checked_shl(10 * power)
                .filter(|_| *power <= 6)
                .ok_or_else(invalid)?;
            return count.checked_mul(scale).map(Self).ok_or_else(invalid);
        }
        let count: f64 = number.parse().map_err(|_| invalid())?;
        let bytes = count * 1024f64.powi(*power as i32);
        if bytes < u64::MAX as f64 {
            Ok(Self(bytes as u64))
        } else {
            Err(invalid())
        }
    }
}

/// A whole number, where a fraction of zero ("536870912.000000") still counts as whole.
fn whole(number: &str) -> Option<u64> {
    match number.split_once('.') {
        None => number.parse().ok(),
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => {
            whole.parse().ok()
        }
        Some(_) => None,
    }
}

impl Serialize for BinarySize {
    /// Quantities travel as decimal strings.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BinarySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(bytes) => Ok(Self(bytes)),
            Raw::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_manager_reads() {
        for (text, bytes) in [
            ("1g", 1 << 30),
            ("1.5g", 1610612736),
            ("1.5 GiB", 1610612736),
            ("64m", 64 << 20),
            ("1KiB", 1024),
            ("1kb", 1024),
            ("1_000k", 1024000),
            ("100 bytes", 100),
            ("1e", 1 << 60),
            ("536870912.000000", 536870912),
            (" 42 ", 42),
        ] {
            assert_eq!(text.parse(), Ok(BinarySize(bytes)), "{text}");
        }
        for wrong in [
            "100bytes",
            "100b",
            "1e3",
            "1.5",
            "",
            "g",
            "-1",
            "1gg",
            "99999999999e",
            "1z",
        ] {
            assert!(wrong.parse::<BinarySize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn writes_what_the_manager_writes() {
        for (bytes, long, short) in [
            (0, "0 bytes", "0"),
            (1, "1 byte", "1"),
            (1024, "1 KiB", "1k"),
            (64 << 20, "64 MiB", "64m"),
            (1234567890, "1.15 GiB", "1.15g"),
            (1610612736, "1.5 GiB", "1.5g"),
        ] {
            assert_eq!(BinarySize(bytes).to_string(), long);
            assert_eq!(BinarySize(bytes).short(), short);
        }
    }
}
