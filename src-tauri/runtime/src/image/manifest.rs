//! The two documents that describe an image: its manifest and its configuration (OCI image
//! specification 1.1; Docker's second schema has the same fields).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Digest, ImageError};

/// The most layers of an image: what an overlay and other engines take.
const MOST_LAYERS: usize = 127;
/// Bytes that a manifest or a configuration may have.
pub(super) const MOST_TEXT: u64 = 8 << 20;

/// Something with an address and a size.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The name that an image layout gives to it.
    pub(super) fn name(&self) -> Option<&str> {
        let key = "org.opencontainers.image.ref.name";
        self.annotations.get(key).map(String::as_str)
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    architecture: String,
    #[serde(default)]
    os: String,
}

/// A manifest of one image, or a list of manifests.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

impl Manifest {
    pub(super) fn parse(text: &[u8]) -> Result<Self, ImageError> {
        serde_json::from_slice(text)
            .map_err(|error| ImageError::Malformed(format!("its manifest: {error}")))
    }

    /// Of a list, the manifest that this computer can run.
    pub(super) fn choose(&self) -> Result<&Descriptor, ImageError> {
        let fits = |one: &&Descriptor| {
            one.platform.as_ref().is_none_or(|platform| {
                machine(&platform.architecture) == std::env::consts::ARCH
                    && (platform.os.is_empty() || platform.os == "linux")
            })
        };
        self.manifests.iter().find(fits).ok_or_else(|| {
            let names: Vec<&str> = self
                .manifests
                .iter()
                .filter_map(|one| Some(one.platform.as_ref()?.architecture.as_str()))
                .collect();
            ImageError::Platform(names.join(", "))
        })
    }
}

/// What a configuration says.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// `x86_64`, `aarch64`.
    pub(super) architecture: String,
    pub(super) environ: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    /// Digests of the layers, uncompressed, lowest first.
    pub(super) layers: Vec<Digest>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<Runtime>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Runtime {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

impl Config {
    pub(super) fn parse(text: &[u8]) -> Result<Self, ImageError> {
        let written: Written = serde_json::from_slice(text)
            .map_err(|error| ImageError::Malformed(format!("its configuration: {error}")))?;
        let layers = written.rootfs.diff_ids;
        if layers.is_empty() || layers.len() > MOST_LAYERS {
            return Err(ImageError::Malformed(format!(
                "it has {} layers; 1 to {MOST_LAYERS} are possible",
                layers.len()
            )));
        }
        let (environ, labels) = match written.config {
            None => (Vec::new(), BTreeMap::new()),
            Some(runtime) => (
                runtime.env.unwrap_or_default(),
                runtime.labels.unwrap_or_default(),
            ),
        };
        Ok(Self {
            architecture: machine(&written.architecture).to_owned(),
            environ: environ
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .filter(|(name, value)| {
                    !name.is_empty() && !name.contains('\0') && !value.contains('\0')
                })
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            labels,
            layers,
        })
    }

    /// Refuses what this computer can't run.
    pub(super) fn check_platform(&self) -> Result<(), ImageError> {
        if self.architecture.is_empty() || self.architecture == std::env::consts::ARCH {
            return Ok(());
        }
        Err(ImageError::Platform(self.architecture.clone()))
    }
}

/// The kernel's name of an architecture that images name differently.
fn machine(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_what_sessions_need() {
        let layer = Digest::of(b"layer");
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin","bad"],
            "Labels":{{"ai.backend.role":"COMPUTE"}}}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
        );
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.architecture, "x86_64");
        assert_eq!(config.environ["PATH"], "/bin");
        assert_eq!(config.environ.len(), 1);
        assert_eq!(config.labels["ai.backend.role"], "COMPUTE");
        assert_eq!(config.layers, [layer]);
        let null = br#"{"config":{"Env":null,"Labels":null},"rootfs":{"diff_ids":[]}}"#;
        assert!(matches!(Config::parse(null), Err(ImageError::Malformed(_))));
    }

    #[test]
    fn of_many_platforms_ours_is_taken() {
        let digest = Digest::of(b"");
        let text = format!(
            r#"{{"manifests":[
                {{"digest":"{digest}","size":1,"platform":{{"architecture":"mips","os":"linux"}}}},
                {{"digest":"{digest}","size":2,"platform":{{"architecture":"amd64","os":"windows"}}}},
                {{"digest":"{digest}","size":3,"platform":{{"architecture":"{}","os":"linux"}}}}]}}"#,
            std::env::consts::ARCH
        );
        let list = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(list.choose().unwrap().size, 3);
    }
}
