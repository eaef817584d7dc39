//! A session's files as one archive.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::program::Program;
use crate::small;
use crate::support::slug;

#[tokio::test]
async fn the_files_of_a_session_become_an_archive() {
    let engine = Program::start().await;
    let created = engine.launch("lengthy-name", small()).await;
    let id = created["sessionId"].as_str().unwrap();
    let (code, said) = engine
        .shell(
            id,
            "mkdir deep; echo found > deep/file; ln -s /etc/passwd out; echo",
        )
        .await;
    assert_eq!(code, 0, "{said}");

    let target = format!("/session/{id}/commit");
    let (status, answer) = engine
        .post(&format!("{target}?filename=mine"), json!({}))
        .await;
    assert_eq!(status, 201, "{answer}");
    assert!(
        answer["bgtask_id"].is_string() && answer["kernel"].is_string(),
        "{answer}"
    );
    let path = PathBuf::from(answer["path"].as_str().unwrap());
    let folder = engine.home().join("data/engine/commits/root@localhost");
    assert_eq!(path.parent(), Some(folder.as_path()), "{answer}");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("_lengthy-na_host-latest.tar.gz"), "{name}");

    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.is_file() {
        assert!(Instant::now() < deadline, "no archive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read = |arguments: &[&str]| {
        let output = Command::new("tar")
            .args(arguments)
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(read(&["-tzf"]).contains("deep/file"), "{}", read(&["-tzf"]));
    let output = Command::new("tar")
        .arg("-xzOf")
        .arg(&path)
        .arg("deep/file")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"found\n", "{output:?}");
    // Nothing of the host came along, and nothing unfinished stays.
    assert!(!read(&["-tzf"]).contains("passwd"));
    let status = loop {
        let status = engine.get(&target).await["status"].clone();
        if status == "ready" {
            break status;
        }
        assert!(Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(status, "ready");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);

    engine
        .call(Method::DELETE, &format!("/session/{id}"), None)
        .await;
    engine.until(id, "TERMINATED").await;
    let (status, answer) = engine.post(&target, json!({})).await;
    assert_eq!(
        (status, slug(&answer)),
        (400, "kernel-not-ready"),
        "{answer}"
    );
}
