//! A folder that may be copied is copied whole, and one that was not finished leaves nothing.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{NoKernels, TestEngine, data_dir, slug};
use crate::{engine, names, put, read};

/// Where a folder's files lie.
fn files(engine: &TestEngine, id: &str) -> PathBuf {
    data_dir(&engine.home)
        .join("folders")
        .join(id)
        .join("files")
}

async fn cloneable(engine: &TestEngine, name: &str) -> String {
    let wanted = json!({ "name": name, "cloneable": true });
    let (status, item) = engine.post("/folders", wanted).await;
    assert_eq!(status, 201, "{item}");
    item["id"].as_str().unwrap().to_owned()
}

/// All that a task said.
async fn followed(engine: &TestEngine, task: &Value) -> String {
    let task = task.as_str().unwrap();
    let target = format!("/events/background-task?task_id={task}");
    let stream = engine.signed(Method::GET, &target).send().await.unwrap();
    stream.text().await.unwrap()
}

#[tokio::test]
async fn a_folder_is_copied_whole() {
    let engine = engine().await;
    let source = cloneable(&engine, "model").await;
    put(&engine, "model", "deep/er/hello.txt", "hello").await;
    put(&engine, "model", "run.sh", "#!/bin/sh\n").await;
    let from = files(&engine, &source);
    symlink("/nowhere/at all", from.join("deep/link")).unwrap();
    nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::set_permissions(from.join("run.sh"), PermissionsExt::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(from.join("deep"), PermissionsExt::from_mode(0o750)).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
    let script = std::fs::File::open(from.join("run.sh")).unwrap();
    script.set_modified(long_ago).unwrap();

    let wanted = json!({ "target_name": "mine", "usage_mode": "model", "permission": "ro" });
    let (status, made) = engine.post("/folders/model/clone", wanted).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["name"], &made["usage_mode"], &made["permission"]),
        (&json!("mine"), &json!("model"), &json!("ro"))
    );
    assert_eq!(
        (&made["ownership_type"], &made["cloneable"]),
        (&json!("user"), &json!(false))
    );
    assert_eq!(made["creator"], engine.login.email);
    let said = followed(&engine, &made["bgtask_id"]).await;
    assert!(said.contains("event: bgtask_done"), "{said}");
    assert!(
        said.contains("without 1 sockets, pipes and devices"),
        "{said}"
    );

    let id = made["id"].as_str().unwrap();
    let (_, info) = engine.get("/folders/mine").await;
    assert_eq!(
        (&info["status"], &info["id"]),
        (&json!("ready"), &json!(id))
    );
    assert_eq!(names(&engine, "mine", "").await, ["deep", "run.sh"]);
    assert_eq!(read(&engine, "mine", "deep/er/hello.txt").await, "hello");
    let to = files(&engine, id);
    let link = std::fs::read_link(to.join("deep/link")).unwrap();
    assert_eq!(link, PathBuf::from("/nowhere/at all"));
    let mode = |path: &str| to.join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("run.sh"), mode("deep")), (0o755, 0o750));
    let script = to.join("run.sh").metadata().unwrap();
    assert_eq!(script.modified().unwrap(), long_ago);
    // The original is what it was.
    assert_eq!(read(&engine, "model", "deep/er/hello.txt").await, "hello");
    engine.stop().await;
}

#[tokio::test]
async fn what_can_not_be_copied_is_refused() {
    let engine = engine().await;
    let (_, plain) = engine.post("/folders", json!({ "name": "plain" })).await;
    let (status, body) = engine
        .post("/folders/plain/clone", json!({ "target_name": "other" }))
        .await;
    assert_eq!((status, slug(&body)), (403, "generic-forbidden"), "{plain}");
    let options = json!({ "cloneable": true });
    let (status, _) = engine.post("/folders/plain/update-options", options).await;
    assert_eq!(status, 200);
    put(&engine, "plain", "ten", "0123456789").await;
    for (wanted, why) in [
        (json!({ "target_name": "plain" }), "already exists"),
        (
            json!({ "target_name": "other", "target_host": "far:away" }),
            "only within one",
        ),
        (
            json!({ "target_name": "other", "target_quota_scope_id": "project:x" }),
            "not your quota scope",
        ),
    ] {
        let (status, body) = engine.post("/folders/plain/clone", wanted).await;
        assert_eq!((status, slug(&body)), (400, "invalid-api-params"));
        assert!(body["msg"].as_str().unwrap().contains(why), "{body}");
    }
    let (status, _) = engine
        .post("/folders/plain/clone", json!({ "target_name": "" }))
        .await;
    assert_eq!(status, 400);

    // A quota of 15 bytes holds the ten once.
    let change = "mutation { modify_user_resource_policy(name: \"default\", \
                  props: { max_quota_scope_size: 15 }) { ok msg } }";
    let (_, changed) = engine.post("/admin/gql", json!({ "query": change })).await;
    assert_eq!(
        changed["data"]["modify_user_resource_policy"]["ok"], true,
        "{changed}"
    );
    let (status, body) = engine
        .post("/folders/plain/clone", json!({ "target_name": "other" }))
        .await;
    assert_eq!((status, slug(&body)), (400, "vfolder-operation-failed"));
    assert_eq!(
        body["msg"],
        "The quota is 15 bytes: 10 are in use, 10 more do not fit."
    );
    let (_, list) = engine.get("/folders").await;
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    quota_scope(&engine, list[0]["quota_scope_id"].as_str().unwrap()).await;
    engine.stop().await;
}

/// What an administrator chooses for one owner goes before the policy.
async fn quota_scope(engine: &TestEngine, scope: &str) {
    let ask = async |verb: &str, props: &str, host: &str| {
        let query = format!(
            "mutation {{ {verb}({props} quota_scope_id: \"{scope}\", storage_host_name: \"{host}\")
             {{ quota_scope {{ details {{ usage_bytes hard_limit_bytes }} }} }} }}"
        );
        let (_, answer) = engine.post("/admin/gql", json!({ "query": query })).await;
        (
            answer["data"][verb]["quota_scope"]["details"].clone(),
            answer,
        )
    };
    let wide = "props: { hard_limit_bytes: 1000 },";
    let (details, answer) = ask("set_quota_scope", wide, "local:default").await;
    assert_eq!(
        details,
        json!({ "usage_bytes": 10, "hard_limit_bytes": 1000 }),
        "{answer}"
    );
    let (status, body) = engine
        .post("/folders/plain/clone", json!({ "target_name": "other" }))
        .await;
    assert_eq!(status, 201, "{body}");
    let (details, answer) = ask("unset_quota_scope", "", "local:default").await;
    assert_eq!(details["hard_limit_bytes"], 15, "{answer}");
    let (status, body) = engine
        .post("/folders/plain/clone", json!({ "target_name": "third" }))
        .await;
    assert_eq!((status, slug(&body)), (400, "vfolder-operation-failed"));
    let (_, answer) = ask("set_quota_scope", wide, "far:away").await;
    assert!(
        answer["errors"][0]["message"]
            .to_string()
            .contains("far:away"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_copy_that_was_cut_off_leaves_nothing() {
    let engine = engine().await;
    let id = cloneable(&engine, "half").await;
    put(&engine, "half", "hello.txt", "hello").await;
    let copied = files(&engine, &id);
    let home = engine.stop().await;
    // As a kill in the middle of a copy leaves it.
    let database = db::rusqlite::Connection::open(data_dir(&home).join("engine.db")).unwrap();
    database
        .execute("UPDATE folder SET status = 'cloning'", [])
        .unwrap();
    drop(database);
    let engine = TestEngine::start_in(home, std::sync::Arc::new(NoKernels)).await;
    while engine.get("/folders").await.1 != json!([]) {
        tokio::task::yield_now().await;
    }
    assert!(!copied.exists());
    // Its name is free again.
    cloneable(&engine, "half").await;
    engine.stop().await;
}
