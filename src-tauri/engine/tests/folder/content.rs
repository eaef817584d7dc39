//! What is in the files: up in pieces, down in ranges or as a zip, and no room for more.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{NoKernels, TestEngine, answer, data_dir, slug};
use crate::{address, download_address, engine, make, names, patch, put, read, upload_address};

#[tokio::test]
async fn an_upload_in_pieces() {
    let engine = engine().await;
    make(&engine, "data").await;
    let address = upload_address(&engine, "data", "f", 6).await;
    let head = |address: String| async {
        let response = engine.client.head(address).send().await.unwrap();
        let offset = response
            .headers()
            .get("upload-offset")
            .map(|v| v.to_str().unwrap().to_owned());
        (response.status(), offset)
    };
    assert_eq!(
        head(address.clone()).await,
        (StatusCode::OK, Some("0".to_owned()))
    );
    let first = patch(&engine, &address, 0)
        .body("abc")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["upload-offset"]),
        (204, &"3".parse().unwrap())
    );
    // A client that missed the answer is told where to go on.
    let (status, body) = answer(
        patch(&engine, &address, 0)
            .body("abc")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((status, slug(&body)), (409, "upload-offset-mismatch"));
    assert_eq!(head(address.clone()).await.1.unwrap(), "3");
    assert!(
        names(&engine, "data", "").await.is_empty(),
        "not seen before it is whole"
    );
    let (status, body) = answer(
        patch(&engine, &address, 3)
            .body("defg")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((status, slug(&body)), (400, "invalid-length"));
    let last = patch(&engine, &address, 3)
        .body("def")
        .send()
        .await
        .unwrap();
    assert_eq!(last.status(), 204);
    assert_eq!(read(&engine, "data", "f").await, "abcdef");
    assert_eq!(head(address).await.1.unwrap(), "6");

    // An empty file, into a directory that the client adds.
    let address = upload_address(&engine, "data", "empty", 0).await + "&dst_dir=into/this";
    assert_eq!(
        patch(&engine, &address, 0).send().await.unwrap().status(),
        204
    );
    assert_eq!(read(&engine, "data", "into/this/empty").await, "");
    engine.stop().await;
}

#[tokio::test]
async fn a_download_goes_on() {
    let engine = engine().await;
    make(&engine, "data").await;
    put(&engine, "data", "말 \"x\".bin", "0123456789").await;
    let address = download_address(&engine, "data", "말 \"x\".bin").await;
    let whole = engine.client.get(&address).send().await.unwrap();
    let headers = whole.headers().clone();
    assert_eq!(headers["content-length"], "10");
    let disposition = headers["content-disposition"].to_str().unwrap();
    assert!(
        disposition.contains("filename*=UTF-8''%EB%A7%90%20%22x%22%2Ebin"),
        "{disposition}"
    );
    assert_eq!(whole.text().await.unwrap(), "0123456789");

    let ranged = |range: &'static str| engine.client.get(&address).header("Range", range);
    for (range, part, says) in [
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=2-3", "23", "bytes 2-3/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
    ] {
        let response = ranged(range).send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(response.headers()["content-range"], says);
        assert_eq!(response.text().await.unwrap(), part);
    }
    assert_eq!(ranged("bytes=10-").send().await.unwrap().status(), 416);
    // As the official client resumes: by the date, or by the tag; another file comes whole.
    for header in ["last-modified", "etag"] {
        let same = headers[header].to_str().unwrap();
        let response = ranged("bytes=9-")
            .header("If-Range", same)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 206, "{header}");
    }
    let other = ranged("bytes=9-")
        .header("If-Range", "\"other\"")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (other.status().as_u16(), other.text().await.unwrap().len()),
        (200, 10)
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_directory_comes_as_a_zip() {
    let engine = engine().await;
    make(&engine, "data").await;
    put(&engine, "data", "d/one", "1").await;
    put(&engine, "data", "d/e/two", "22").await;
    let address = download_address(&engine, "data", "d").await;
    let (status, body) = answer(engine.client.get(&address).send().await.unwrap()).await;
    assert_eq!(status, 400, "{body}");
    let response = engine
        .client
        .get(address + "&archive=true")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/zip");
    assert!(
        response.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .contains("d.zip")
    );
    assert_eq!(
        unpacked(response).await,
        [("e/two".into(), "22".into()), ("one".into(), "1".into())]
    );

    let chosen = json!({ "files": ["d/one", "d/e"] });
    let address = address_of_archive(&engine, chosen).await;
    let response = engine.client.get(address).send().await.unwrap();
    assert_eq!(
        unpacked(response).await,
        [
            ("d/e/two".into(), "22".into()),
            ("d/one".into(), "1".into())
        ]
    );
    engine.stop().await;
}

async fn address_of_archive(engine: &TestEngine, files: Value) -> String {
    address(engine, "/folders/data/request-download-archive", files).await
}

async fn unpacked(response: reqwest::Response) -> Vec<(String, String)> {
    let bytes = response.bytes().await.unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index(index).unwrap();
        if file.is_file() {
            let name = file.name().unwrap().into_owned();
            files.push((name, std::io::read_to_string(file).unwrap()));
        }
    }
    files.sort();
    files
}

/// A small file system in the place of the folders; only root can make one.
#[tokio::test]
async fn a_full_disk_is_said_so() {
    use nix::mount::{MsFlags, mount, umount};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let folders = data_dir(&home).join("folders");
    std::fs::create_dir_all(&folders).unwrap();
    let small = Some("size=1m");
    if mount(
        Some("none"),
        &folders,
        Some("tmpfs"),
        MsFlags::empty(),
        small,
    )
    .is_err()
    {
        return; // Not allowed here.
    }
    let engine = TestEngine::start_in(home, Arc::new(NoKernels)).await;
    make(&engine, "data").await;
    let target = "/folders/data/request-upload";
    let (status, body) = engine
        .post(target, json!({ "path": "big", "size": 2_000_000 }))
        .await;
    assert_eq!((status, slug(&body)), (507, "no-space"), "{body}");
    assert!(
        body["msg"]
            .as_str()
            .unwrap()
            .contains("2000000 bytes needed"),
        "{body}"
    );

    // Both fit when they are announced; together they do not.
    let size = 700_000;
    let first = upload_address(&engine, "data", "first", size).await;
    let second = upload_address(&engine, "data", "second", size).await;
    let content = vec![b'x'; size];
    let sent = patch(&engine, &first, 0)
        .body(content.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 204);
    let (status, body) = answer(
        patch(&engine, &second, 0)
            .body(content.clone())
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((status, slug(&body)), (507, "no-space"), "{body}");
    assert_eq!(names(&engine, "data", "").await, ["first"]);
    // Room is made, and the upload goes on where it stopped.
    let gone = json!({ "files": ["first"] });
    assert_eq!(engine.post("/folders/data/delete-files", gone).await.0, 200);
    let head = engine.client.head(&second).send().await.unwrap();
    let offset: usize = head.headers()["upload-offset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(offset < size);
    let rest = content[offset..].to_vec();
    assert_eq!(
        patch(&engine, &second, offset)
            .body(rest)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let home = engine.stop().await;
    umount(&folders).unwrap();
    drop(home);
}
