use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Text of a user, or something of ours that was cut.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(BEGIN.as_bytes().to_vec()),
        Just(END.as_bytes().to_vec()),
        Just(b"\n".to_vec()),
        Just(b"Include \"/x\"\n".to_vec()),
        Just(b"Host *\r\n  User me".to_vec()),
        vec(any::<u8>(), 0..30),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn entry(host: &str, user: &str) -> Entry {
    Entry {
        host: host.to_owned(),
        user: user.to_owned(),
        proxy_command: vec![
            "/opt/a b/gangway".to_owned(),
            "ssh-proxy".to_owned(),
            host.to_owned(),
        ],
        identity_file: None,
        known_hosts_file: PathBuf::from("/known hosts"),
        host_key_alias: Some(host.to_owned()),
    }
}

proptest! {
    #[test]
    fn any_file_of_a_user_comes_back_byte_for_byte(text in text()) {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("config");
        fs::write(&user, &text).unwrap();
        let file = ConfigFile::new(&user, folder.path().join("ours"));
        let ours = split(&text).map(|(block, rest)| (block.len(), rest.to_vec()));
        if let Some((length, rest)) = &ours {
            prop_assert_eq!(length + rest.len(), text.len());
        }
        file.install(Part {
            profile: "local",
            entries: &[entry("train", "work")],
            profiles: &[],
        })
        .unwrap();
        prop_assert_eq!(file.status().unwrap(), Status::Installed);
        file.remove().unwrap();
        let left = fs::read(&user).unwrap_or_default();
        prop_assert_eq!(left, ours.map_or(text, |(_, rest)| rest));
    }

    /// What a manager says that a session or its user is called.
    #[test]
    fn a_told_name_is_one_name_or_refused(
        host in "[-a-z*?!. \\n\"#,@]{0,8}|\\PC{0,8}",
        user in "[-a-zA-Z=@ /\\n]{0,12}|\\PC{0,8}",
    ) {
        if let Ok(text) = entry(&host, &user).text() {
            prop_assert!(!host.starts_with('-') && !user.starts_with('-'));
            prop_assert!(host.chars().any(|c| !"*?.[]".contains(c)), "{} is everybody", host);
            prop_assert_eq!(text.lines().count(), 7, "{}", text);
            let first = text.lines().next().unwrap();
            prop_assert_eq!(first.split_whitespace().collect::<Vec<_>>(), ["Host", &host]);
        }
    }
}
