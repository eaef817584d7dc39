//! Makes images by hand, good ones and hostile ones.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use runtime::image::Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// An archive of changes.
#[derive(Default)]
pub(crate) struct Layer(Vec<Entry>);

struct Entry {
    kind: EntryType,
    name: String,
    link: String,
    text: Vec<u8>,
    mode: u32,
    uid: u64,
}

impl Layer {
    pub(crate) fn file(self, name: &str, text: impl Into<Vec<u8>>) -> Self {
        self.with(EntryType::Regular, name, "", text.into(), 0o644)
    }

    pub(crate) fn program(self, name: &str, text: impl Into<Vec<u8>>) -> Self {
        self.with(EntryType::Regular, name, "", text.into(), 0o755)
    }

    pub(crate) fn directory(self, name: &str, mode: u32) -> Self {
        self.with(EntryType::Directory, name, "", Vec::new(), mode)
    }

    pub(crate) fn symlink(self, name: &str, to: &str) -> Self {
        self.with(EntryType::Symlink, name, to, Vec::new(), 0o777)
    }

    pub(crate) fn link(self, name: &str, to: &str) -> Self {
        self.with(EntryType::Link, name, to, Vec::new(), 0o644)
    }

    pub(crate) fn device(self, name: &str) -> Self {
        self.with(EntryType::Block, name, "", Vec::new(), 0o666)
    }

    pub(crate) fn owned(mut self, uid: u64) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.uid = uid;
        }
        self
    }

    pub(crate) fn mode(mut self, mode: u32) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.mode = mode;
        }
        self
    }

    fn with(mut self, kind: EntryType, name: &str, link: &str, text: Vec<u8>, mode: u32) -> Self {
        self.0.push(Entry {
            kind,
            name: name.to_owned(),
            link: link.to_owned(),
            text,
            mode,
            uid: 0,
        });
        self
    }

    /// Uncompressed. Names are written as they are: the library would refuse the bad ones.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for entry in &self.0 {
            let mut header = Header::new_gnu();
            let old = header.as_old_mut();
            old.name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
            old.linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
            header.set_entry_type(entry.kind);
            header.set_size(entry.text.len() as u64);
            header.set_mode(entry.mode);
            header.set_uid(entry.uid);
            header.set_gid(entry.uid);
            header.set_mtime(1_700_000_000);
            header.set_cksum();
            archive.append(&header, entry.text.as_slice()).unwrap();
        }
        archive.into_inner().unwrap()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

pub(crate) fn config(layers: &[Vec<u8>]) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let layers: Vec<String> = layers.iter().map(|it| Digest::of(it).to_string()).collect();
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/bin:/bin", "FLAVOUR=plain"],
            "Labels": { "ai.backend.kernelspec": "1" },
        },
        "rootfs": { "type": "layers", "diff_ids": layers },
    })
}

/// What `docker save` writes.
pub(crate) fn saved(directory: &Path, name: &str, layers: &[Layer]) -> PathBuf {
    let tars: Vec<Vec<u8>> = layers.iter().map(Layer::tar).collect();
    saved_as(directory, name, &tars, &config(&tars))
}

pub(crate) fn saved_as(
    directory: &Path,
    name: &str,
    layers: &[Vec<u8>],
    config: &Value,
) -> PathBuf {
    let mut whole = Layer::default();
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        whole = whole.file(&name, layer.clone());
        names.push(name);
    }
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": names }]);
    whole = whole
        .file("config.json", config.to_string())
        .file("manifest.json", manifest.to_string());
    let path = directory.join(format!("{}.tar", uuid::Uuid::new_v4()));
    std::fs::write(&path, whole.tar()).unwrap();
    path
}

/// An OCI layout; layers compressed by `compress`.
pub(crate) fn layout(
    directory: &Path,
    layers: &[Layer],
    compress: impl Fn(&[u8]) -> Vec<u8>,
) -> PathBuf {
    let root = directory.join(uuid::Uuid::new_v4().to_string());
    let blobs = root.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({ "digest": digest, "size": bytes.len() })
    };
    let tars: Vec<Vec<u8>> = layers.iter().map(Layer::tar).collect();
    let layers: Vec<Value> = tars.iter().map(|tar| blob(&compress(tar))).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "config": blob(config(&tars).to_string().as_bytes()),
        "layers": layers,
    });
    let mut entry = blob(manifest.to_string().as_bytes());
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "base" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    std::fs::write(root.join("index.json"), index.to_string()).unwrap();
    std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    root
}
