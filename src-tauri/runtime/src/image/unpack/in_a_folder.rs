use std::collections::BTreeMap;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tar::{Builder, Header};

use super::*;
use crate::image::budget::ImageLimits;

/// What stands beside the layer's directory, and must stand there afterwards as it was.
const OUTSIDE: &[u8] = b"nobody else's";

#[derive(Debug)]
struct Told {
    kind: EntryType,
    name: &'static str,
    target: &'static str,
    content: Vec<u8>,
}

const NAMES: [&str; 16] = [
    "a",
    "a/b",
    "a/b/c",
    "link",
    "link/x",
    "link/link/x",
    "./a//b",
    "/a",
    "../out/kept",
    "a/../../out/kept",
    ".wh.a",
    "a/.wh..wh..opq",
    "link/.wh.kept",
    ".wh...",
    ".wh.",
    "",
];

const TARGETS: [&str; 10] = [
    "a",
    "../out",
    "../../out",
    "/",
    "/out",
    "..",
    "a/b",
    "link",
    ".",
    "",
];

fn told() -> impl Strategy<Value = Told> {
    let kind = select(vec![
        EntryType::Regular,
        EntryType::Regular,
        EntryType::Directory,
        EntryType::Symlink,
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::GNUSparse,
        EntryType::GNULongName,
        EntryType::XHeader,
    ]);
    (
        kind,
        select(NAMES.to_vec()),
        select(TARGETS.to_vec()),
        vec(any::<u8>(), 0..600),
    )
        .prop_map(|(kind, name, target, content)| Told {
            kind,
            name,
            target,
            content,
        })
}

/// An archive as nobody careful writes it: names are put in as they are.
fn archive(entries: &[Told]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for told in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(told.kind);
        header.set_mode(0o644);
        header.set_size(told.content.len() as u64);
        header.as_old_mut().name[..told.name.len()].copy_from_slice(told.name.as_bytes());
        header.as_old_mut().linkname[..told.target.len()].copy_from_slice(told.target.as_bytes());
        header.set_cksum();
        builder.append(&header, &told.content[..]).expect("written");
    }
    builder.into_inner().expect("written")
}

fn unpacked(bytes: &[u8], check: impl FnOnce(&Path, Result<Unpacked, ImageError>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let (layer, out) = (folder.path().join("layer"), folder.path().join("out"));
    fs::create_dir(&layer).expect("made");
    fs::create_dir(&out).expect("made");
    fs::write(out.join("kept"), OUTSIDE).expect("written");
    let limits = ImageLimits {
        image_bytes: 1 << 20,
        entries: 100,
        keep_free: 0,
    };
    let mut budget = Budget::new(limits, folder.path());
    let outcome = unpack(bytes, &layer, &Trees::default(), &mut budget);
    assert_eq!(fs::read(out.join("kept")).expect("still there"), OUTSIDE);
    assert_eq!(fs::read_dir(&out).expect("still there").count(), 1);
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2);
    check(&layer, outcome);
}

proptest! {
    #[test]
    fn no_archive_leaves_its_directory(
        entries in vec(told(), 0..12),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = archive(&entries);
        unpacked(&bytes, |_, _| ());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        unpacked(&bytes, |_, _| ());
    }

    #[test]
    fn any_bytes_are_an_archive_or_refused(
        magic in select(vec![&b""[..], GZIP, ZSTD]),
        bytes in vec(any::<u8>(), 0..2000),
    ) {
        unpacked(&[magic, &bytes[..]].concat(), |_, _| ());
    }

    #[test]
    fn what_is_packed_is_unpacked(files in proptest::collection::btree_map("(d[a-z]/){0,2}f[a-z]{0,3}", vec(any::<u8>(), 0..2000), 0..8)) {
        let mut builder = Builder::new(Vec::new());
        for (name, content) in &files {
            let mut header = Header::new_gnu();
            header.set_mode(0o640);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, &content[..]).expect("written");
        }
        let bytes = builder.into_inner().expect("written");
        unpacked(&bytes, |layer, outcome| {
            let outcome = outcome.expect("unpacked");
            assert_eq!(outcome.digest, Digest::of(&bytes));
            assert_eq!(outcome.bytes, files.values().map(|it| it.len() as u64).sum::<u64>());
            let read: BTreeMap<String, Vec<u8>> = files
                .keys()
                .map(|name| (name.clone(), fs::read(layer.join(name)).expect("there")))
                .collect();
            assert_eq!(read, files);
        });
    }
}

/// Compressed, both take some kilobytes.
#[test]
fn a_name_that_fills_the_memory_is_refused() {
    for kind in [
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
    ] {
        let told = Told {
            kind,
            name: "a",
            target: "",
            content: vec![b'x'; 3 << 20],
        };
        let file = Told {
            kind: EntryType::Regular,
            name: "b",
            target: "",
            content: Vec::new(),
        };
        unpacked(&archive(&[told, file]), |_, outcome| {
            let refused = outcome.map(|_| ()).expect_err("too long");
            assert!(format!("{refused:?}").contains("too long"), "{refused:?}");
        });
    }
    // What is no file may still be long, for as much as the image may take.
    let told = Told {
        kind: EntryType::Fifo,
        name: "a",
        target: "",
        content: vec![0; 2 << 20],
    };
    unpacked(&archive(&[told]), |_, outcome| {
        assert!(matches!(outcome.map(|_| ()), Err(ImageError::TooLarge(_))));
    });
}
