//! Files to be carried, and what to compare them by.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Bytes that no compression and no hole in a file can shorten; the same for the same seed.
#[derive(Debug)]
struct Noise(u64);

impl Noise {
    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_mut(8) {
            // xorshift64*
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
            word.copy_from_slice(&value[..word.len()]);
        }
    }
}

/// Writes a file of `size` bytes.
///
/// # Errors
/// When it can't be written.
pub fn big(path: &Path, size: u64) -> Result<()> {
    let mut noise = Noise(size | 1);
    let mut file = File::create(path).with_context(|| path.display().to_string())?;
    let mut block = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let now = usize::try_from(left.min(block.len() as u64))?;
        noise.fill(&mut block[..now]);
        file.write_all(&block[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// Writes `count` small files into a tree of folders; some are empty, all differ.
///
/// # Errors
/// When they can't be written.
pub fn many(folder: &Path, count: usize) -> Result<()> {
    let mut noise = Noise(count as u64 | 1);
    for index in 0..count {
        let place = folder.join(format!("{:02}", index % 40));
        fs::create_dir_all(&place)?;
        let mut content = vec![0; (index * 37) % 3000];
        noise.fill(&mut content);
        fs::write(place.join(format!("file-{index}.bin")), content)?;
    }
    Ok(())
}

/// SHA-256 of a file, in hex.
///
/// # Errors
/// When it can't be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&block[..read]);
    }
}

/// Every file below `folder` with its SHA-256, every empty folder with none.
///
/// # Errors
/// When something can't be read.
pub fn tree(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let mut empty = true;
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            empty = false;
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                found.insert(name, sha256(&path)?);
            }
        }
        if empty {
            let name = next.strip_prefix(folder)?.to_string_lossy().into_owned();
            found.insert(format!("{name}/"), String::new());
        }
    }
    Ok(found)
}

/// Expects two trees to be the same.
///
/// # Errors
/// Names the first files that differ.
pub fn same(left: &Path, right: &Path) -> Result<()> {
    let (one, other) = (tree(left)?, tree(right)?);
    let differ: Vec<_> = one
        .keys()
        .chain(other.keys())
        .filter(|name| one.get(*name) != other.get(*name))
        .take(5)
        .collect();
    ensure!(
        differ.is_empty(),
        "{} ({} files) and {} ({} files) differ: {differ:?}",
        left.display(),
        one.len(),
        right.display(),
        other.len()
    );
    Ok(())
}
