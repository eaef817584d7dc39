//! What everybody sets for themselves.

use reqwest::Method;
use serde_json::json;

use crate::engine;
use crate::support::{answer, slug};

#[tokio::test]
async fn keys_and_dotfiles_are_kept() {
    let engine = engine().await;
    let (_, none) = engine.get("/auth/ssh-keypair").await;
    assert_eq!(none["ssh_public_key"], "");
    let (_, made) = answer(
        engine
            .signed(Method::PATCH, "/auth/ssh-keypair")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert!(
        made["ssh_private_key"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN OPENSSH")
    );
    let (_, kept) = engine.get("/auth/ssh-keypair").await;
    assert_eq!(kept["ssh_public_key"], made["ssh_public_key"]);
    let upload = json!({ "pubkey": made["ssh_public_key"], "privkey": made["ssh_private_key"] });
    assert_eq!(
        engine.post("/auth/ssh-keypair", upload.clone()).await.0,
        200
    );
    answer(
        engine
            .signed(Method::PATCH, "/auth/ssh-keypair")
            .send()
            .await
            .unwrap(),
    )
    .await;
    let (_, other) = engine.get("/auth/ssh-keypair").await;
    let mixed = json!({ "pubkey": other["ssh_public_key"], "privkey": made["ssh_private_key"] });
    let (status, body) = engine.post("/auth/ssh-keypair", mixed).await;
    assert_eq!((status, slug(&body)), (400, "ssh-keypair-mismatch"));

    let file = json!({ "path": ".vimrc", "data": "set nu\n", "permission": "600" });
    let path = "/user-config/dotfiles";
    assert_eq!(engine.post(path, file.clone()).await.0, 200);
    let (status, body) = engine.post(path, file).await;
    assert_eq!(
        (status, &body["title"]),
        (400, &json!("Dotfile already exists."))
    );
    let (_, one) = engine.get("/user-config/dotfiles?path=.vimrc").await;
    assert_eq!(one["perm"], "600");
    for wrong in ["../x", "/etc/passwd", ".ssh/authorized_keys", ""] {
        let file = json!({ "path": wrong, "data": "" });
        assert_eq!(engine.post(path, file).await.0, 400, "{wrong}");
    }
    let large = json!({ "path": ".large", "data": "x".repeat(70_000) });
    assert_eq!(engine.post(path, large).await.0, 400);
    let shared = json!({ "path": ".team", "data": "x", "group": "default" });
    assert_eq!(engine.post("/group-config/dotfiles", shared).await.0, 200);
    let (_, list) = engine.get("/group-config/dotfiles?group=default").await;
    assert_eq!(list[0]["path"], ".team");
    assert_eq!(
        engine.delete("/user-config/dotfiles?path=.vimrc").await.0,
        200
    );
    assert_eq!(
        engine.delete("/user-config/dotfiles?path=.vimrc").await.0,
        404
    );
    let script = json!({ "script": "echo hi" });
    assert_eq!(
        engine.post("/user-config/bootstrap-script", script).await.0,
        200
    );
    assert_eq!(
        engine.get("/user-config/bootstrap-script").await.1,
        "echo hi"
    );
}
