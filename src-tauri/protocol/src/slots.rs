//! Resource slots: what a session asks for and an agent has (protocol page "Semantics" §1).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::binary_size::BinarySize;

/// The slot of whole CPU cores.
pub const CPU: &str = "cpu";
/// The slot of main memory, in bytes.
pub const MEM: &str = "mem";
/// The slot of whole CUDA devices.
pub const CUDA_DEVICE: &str = "cuda.device";

/// How a slot is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotUnit {
    /// Whole things.
    Count,
    /// Bytes.
    Bytes,
}

/// The unit of the slot `name`.
pub fn unit(name: &str) -> SlotUnit {
    if name == MEM {
        SlotUnit::Bytes
    } else {
        SlotUnit::Count
    }
}

/// A quantity of one slot, in thousandths, so that `0.5` of a GPU stays exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any agent has; policies write `Infinity`.
    pub const INFINITE: Self = Self(i128::MAX / 4);

    /// A whole number.
    pub const fn whole(count: u64) -> Self {
        Self(count as i128 * 1000)
    }

    /// The whole part; a negative amount is 0.
    pub const fn floor(self) -> u64 {
        let whole = self.0 / 1000;
        if whole < 0 {
            0
        } else if whole > u64::MAX as i128 {
            u64::MAX
        } else {
            whole as u64
        }
    }

    /// As a fraction, for shares and charts; not for accounting.
    pub fn as_f64(self) -> f64 {
        if self == Self::INFINITE {
            f64::INFINITY
        } else {
            self.0 as f64 / 1000.0
        }
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The sum; infinity stays infinite.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        if self == Self::INFINITE || other == Self::INFINITE {
            Self::INFINITE
        } else {
            Self(self.0.saturating_add(other.0))
        }
    }

    /// The difference; infinity stays infinite.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        if self == Self::INFINITE {
            self
        } else {
            Self(self.0.saturating_sub(other.0))
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::INFINITE {
            return f.write_str("Infinity");
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        if part == 0 {
            write!(f, "{sign}{whole}")
        } else {
            write!(
                f,
                "{sign}{whole}.{}",
                format!("{part:03}").trim_end_matches('0')
            )
        }
    }
}

/// The text is not a quantity of a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an amount")]
pub struct InvalidQuantity(pub String);

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    /// A decimal, `Infinity`, or a size such as `4g`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity(text.to_owned());
        let clean = text.trim();
        if matches!(
            clean.to_ascii_lowercase().as_str(),
            "inf" | "infinity" | "infinite"
        ) {
            return Ok(Self::INFINITE);
        }
        let (sign, digits) = match clean.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, clean),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !plain {
            return clean
                .parse::<BinarySize>()
                .map(|s| Self::whole(s.0))
                .map_err(|_| invalid());
        }
        let part = part.trim_end_matches('0');
        if part.len() > 3 {
            return Err(invalid());
        }
        let whole: i128 = whole.parse().map_err(|_| invalid())?;
        let thousandths: i128 = format!("{part:0<3}").parse().map_err(|_| invalid())?;
        let value = whole
            .checked_mul(1000)
            .and_then(|w| w.checked_add(thousandths));
        value.map(|v| Self(sign * v)).ok_or_else(invalid)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Whole(u64),
            Number(f64),
            Text(String),
        }
        let parsed = match Raw::deserialize(deserializer)? {
            Raw::Whole(count) => return Ok(Self::whole(count)),
            Raw::Number(number) => number.to_string().parse(),
            Raw::Text(text) => text.parse(),
        };
        parsed.map_err(serde::de::Error::custom)
    }
}

/// Amounts by slot name: `{"cpu": "2", "mem": "4294967296"}`. A slot that is not named is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceSlots(pub BTreeMap<String, Quantity>);

impl ResourceSlots {
    /// Whole cores and bytes of memory.
    pub fn cpu_mem(cpu: u64, mem: BinarySize) -> Self {
        [(CPU, Quantity::whole(cpu)), (MEM, Quantity::whole(mem.0))]
            .into_iter()
            .collect()
    }

    /// The amount of `slot`, zero when it is not named.
    pub fn get(&self, slot: &str) -> Quantity {
        self.0.get(slot).copied().unwrap_or_default()
    }

    /// Adds `other`, slot by slot.
    pub fn add(&mut self, other: &Self) {
        for (slot, quantity) in &other.0 {
            match self.0.get_mut(slot) {
                Some(sum) => *sum = sum.plus(*quantity),
                None => {
                    self.0.insert(slot.clone(), *quantity);
                }
            }
        }
    }

    /// Slot by slot, both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.add(other);
        sum
    }

    /// Slot by slot, what is left after taking `other`; can be negative.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (slot, quantity) in &other.0 {
            let entry = rest.0.entry(slot.clone()).or_default();
            *entry = entry.minus(*quantity);
        }
        rest
    }

    /// The first slot of which `available` has too little, with what is missing.
    pub fn lacking<'a>(&'a self, available: &Self) -> Option<(&'a str, Quantity)> {
        self.0.iter().find_map(|(slot, wanted)| {
            let has = available.get(slot);
            (*wanted > has).then(|| (slot.as_str(), wanted.minus(has)))
        })
    }

    /// Whether all of it fits into `available`.
    pub fn fits(&self, available: &Self) -> bool {
        self.lacking(available).is_none()
    }
}

impl<S: Into<String>> FromIterator<(S, Quantity)> for ResourceSlots {
    fn from_iter<T: IntoIterator<Item = (S, Quantity)>>(slots: T) -> Self {
        Self(
            slots
                .into_iter()
                .map(|(slot, quantity)| (slot.into(), quantity))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_and_plain() {
        for (text, written) in [
            ("2", "2"),
            ("0.5", "0.5"),
            ("1.250", "1.25"),
            ("4g", "4294967296"),
            ("8589934592", "8589934592"),
            ("Infinity", "Infinity"),
            ("-1", "-1"),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), written);
        }
        for wrong in ["", "x", "1.2345", "1..2", "--1", "."] {
            assert!(wrong.parse::<Quantity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn slots_read_numbers_and_texts() {
        let slots: ResourceSlots =
            serde_json::from_str(r#"{"cpu": 2, "mem": "4g", "cuda.shares": 0.5}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&slots).unwrap(),
            r#"{"cpu":"2","cuda.shares":"0.5","mem":"4294967296"}"#
        );
    }

    #[test]
    fn says_what_lacks() {
        let wanted = ResourceSlots::cpu_mem(4, BinarySize::gib(1));
        let has = ResourceSlots::cpu_mem(2, BinarySize::gib(8));
        assert_eq!(wanted.lacking(&has), Some((CPU, Quantity::whole(2))));
        assert!(has.minus(&wanted).get(CPU).is_negative());
        assert!(wanted.fits(&has.plus(&has)));
    }
}
