//! The installation's settings of the idle checks: keys below `config/idle`.

use std::collections::BTreeMap;

use crate::app::session_batch::seconds;

/// Where they begin.
pub(crate) const ROOT: &str = "config/idle";

/// See the protocol page "Semantics" §6.1. Times are seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Whether silence is checked.
    pub(crate) network: bool,
    /// Whether use is checked.
    pub(crate) utilization: bool,
    /// After so long without data an open connection counts as closed.
    pub(crate) packet_timeout: f64,
    /// The longest silence for those whose policy leaves it to the installation; `None` is never.
    pub(crate) network_threshold: Option<f64>,
    /// Over how long use is averaged for those whose policy leaves it to the installation; `None`
    /// is never.
    pub(crate) window: Option<f64>,
    /// Use is not looked at before.
    pub(crate) initial_grace: f64,
    /// Whether one metric below its threshold is enough; else all must be.
    pub(crate) any_metric: bool,
    pub(crate) thresholds: Vec<Threshold>,
    /// For so long new users are left alone.
    pub(crate) user_grace: Option<f64>,
}

/// The least use of something, to keep a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Threshold {
    /// `cpu_util`, `mem`, `cuda_util`, `cuda_mem`, …
    pub(crate) metric: String,
    /// The first part of the names of the slots that it is about: `cuda`.
    pub(crate) resource: String,
    /// Per cent.
    pub(crate) average: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: true,
            utilization: false,
            packet_timeout: 300.0,
            network_threshold: Some(600.0),
            window: None,
            initial_grace: 0.0,
            any_metric: false,
            thresholds: Vec::new(),
            user_grace: None,
        }
    }
}

impl Settings {
    /// Reads the keys below [`ROOT`]. What can't be read is as if it were not there, and is logged.
    /// As long as nobody has switched anything, silence is checked: the policies decide whether it
    /// ever ends a session.
    pub(crate) fn read(tree: &BTreeMap<String, String>) -> Self {
        let mut settings = Self::default();
        let value = |name: &str| tree.get(&format!("{ROOT}/{name}")).map(|text| text.trim());
        let time = |name: &str| value(name).and_then(|text| time(name, text));
        if let Some(enabled) = value("enabled") {
            let has = |name: &str| enabled.split(',').any(|one| one.trim() == name);
            settings.network = has("network_timeout");
            settings.utilization = has("utilization");
        }
        if let Some(Some(timeout)) = time("app-streaming-packet-timeout") {
            settings.packet_timeout = timeout;
        }
        if let Some(threshold) = time("checkers/network_timeout/threshold") {
            settings.network_threshold = threshold.filter(|seconds| *seconds > 0.0);
        }
        settings.window = time("checkers/utilization/time-window")
            .flatten()
            .filter(|seconds| *seconds > 0.0);
        settings.initial_grace = time("checkers/utilization/initial-grace-period")
            .flatten()
            .unwrap_or_default();
        settings.any_metric = value("checkers/utilization/thresholds-check-operator") == Some("or");
        settings.thresholds = thresholds(tree);
        settings.user_grace =
            time("checkers/user_grace_period/user_initial_grace_period").flatten();
        settings
    }

    /// Whether anything needs to know what sessions use.
    pub(crate) fn looks_at_use(&self) -> bool {
        self.utilization && !self.thresholds.is_empty()
    }
}

/// `Some(None)` is without end.
fn time(name: &str, text: &str) -> Option<Option<f64>> {
    if matches!(
        text.to_ascii_lowercase().as_str(),
        "inf" | "infinite" | "infinity"
    ) {
        return Some(None);
    }
    let read = seconds(text).filter(|seconds| *seconds >= 0.0);
    if read.is_none() && !text.is_empty() {
        tracing::warn!(key = name, value = text, "not a time");
    }
    read.map(Some)
}

fn thresholds(tree: &BTreeMap<String, String>) -> Vec<Threshold> {
    let root = format!("{ROOT}/checkers/utilization/resource-thresholds/");
    let mut thresholds = Vec::new();
    for (key, value) in tree {
        let Some(metric) = key
            .strip_prefix(&root)
            .and_then(|rest| rest.strip_suffix("/average"))
        else {
            continue;
        };
        // Without a number the metric is not considered.
        let Ok(average) = value.trim().parse::<f64>() else {
            continue;
        };
        let resource = match tree.get(&format!("{root}{metric}/name")) {
            Some(name) if !name.is_empty() => name.as_str(),
            _ => ["_util", "_mem", "_used"]
                .into_iter()
                .find_map(|end| metric.strip_suffix(end))
                .unwrap_or(metric),
        };
        thresholds.push(Threshold {
            metric: metric.to_owned(),
            resource: resource.to_owned(),
            average,
        });
    }
    thresholds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| (format!("{ROOT}/{key}"), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn settings_as_administrators_write_them() {
        assert_eq!(Settings::read(&BTreeMap::new()), Settings::default());
        let settings = Settings::read(&tree(&[
            ("enabled", "network_timeout, utilization"),
            ("app-streaming-packet-timeout", "1m"),
            ("checkers/network_timeout/threshold", "inf"),
            ("checkers/utilization/time-window", "12h"),
            ("checkers/utilization/initial-grace-period", "300"),
            ("checkers/utilization/thresholds-check-operator", "or"),
            (
                "checkers/utilization/resource-thresholds/cpu_util/average",
                "30",
            ),
            ("checkers/utilization/resource-thresholds/mem/average", ""),
            (
                "checkers/utilization/resource-thresholds/cuda_mem/average",
                "10",
            ),
            ("checkers/utilization/resource-thresholds/x/average", "1"),
            ("checkers/utilization/resource-thresholds/x/name", "rocm"),
        ]));
        assert!(settings.network && settings.looks_at_use() && settings.any_metric);
        assert_eq!(settings.packet_timeout, 60.0);
        assert_eq!(settings.network_threshold, None);
        assert_eq!(settings.window, Some(43_200.0));
        assert_eq!(settings.initial_grace, 300.0);
        let found: Vec<_> = settings
            .thresholds
            .iter()
            .map(|one| (one.metric.as_str(), one.resource.as_str(), one.average))
            .collect();
        assert_eq!(
            found,
            [
                ("cpu_util", "cpu", 30.0),
                ("cuda_mem", "cuda", 10.0),
                ("x", "rocm", 1.0)
            ]
        );
        assert!(!Settings::read(&tree(&[("enabled", "")])).network);
    }
}
