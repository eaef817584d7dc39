//! Users and what they share.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestEngine, answer, slug};
use crate::{by, change, engine, plain, session, user};

#[tokio::test]
async fn users_come_and_go() {
    let engine = engine().await;
    let ada = user(&engine, "ada", json!({})).await;
    let (status, body) = by(
        &engine,
        &ada,
        Method::POST,
        "/session",
        Some(session("job-1")),
    )
    .await;
    assert_eq!(status, 201, "{body}");

    let twice = change(
        &engine,
        "create_user(email: \"ada@example.com\", props: $p)",
        "",
        json!({ "username": "ada2", "password": "pass-word-1", "need_password_change": false }),
    )
    .await;
    assert_eq!(twice["ok"], false);
    let short = change(
        &engine,
        "create_user(email: \"bob@example.com\", props: $p)",
        "",
        json!({ "username": "bob", "password": "short", "need_password_change": false }),
    )
    .await;
    assert!(
        short["msg"].as_str().unwrap().contains("8 characters"),
        "{short}"
    );

    // An ordinary user changes nobody.
    let query = json!({ "query": "mutation { delete_user(email: \"ada@example.com\") { ok } }" });
    let (_, refused) = by(&engine, &ada, Method::POST, "/admin/gql", Some(query)).await;
    assert!(
        refused["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("superadmin"),
        "{refused}"
    );

    // The session is not over: it holds the user.
    let held = change(
        &engine,
        "purge_user(email: \"ada@example.com\", props: $p)",
        "",
        json!({}),
    )
    .await;
    assert_eq!(held["ok"], false, "{held}");
    let off = plain(&engine, "delete_user(email: \"ada@example.com\")").await;
    assert_eq!(off["ok"], true);
    let (status, _) = by(&engine, &ada, Method::GET, "/auth", None).await;
    assert_eq!(status, 401);

    let on = json!({ "status": "active", "full_name": "Ada", "description": "counts" });
    let on = change(
        &engine,
        "modify_user(email: \"ada@example.com\", props: $p)",
        "user { full_name }",
        on,
    )
    .await;
    assert_eq!(on["user"]["full_name"], "Ada", "{on}");
    let keys = json!({ "is_active": true, "rate_limit": 3 });
    let keys = change(
        &engine,
        &format!("modify_keypair(access_key: \"{}\", props: $p)", ada.1),
        "",
        keys,
    )
    .await;
    assert_eq!(keys["ok"], true, "{keys}");
    let (status, _) = by(&engine, &ada, Method::DELETE, "/session/job-1", None).await;
    assert_eq!(status, 200);
    by(&engine, &ada, Method::GET, "/auth", None).await;
    by(&engine, &ada, Method::GET, "/auth", None).await;
    let (status, body) = by(&engine, &ada, Method::GET, "/auth", None).await;
    assert_eq!((status, slug(&body)), (429, "rate-limit-exceeded"));

    let main = plain(
        &engine,
        &format!("delete_keypair(access_key: \"{}\")", ada.1),
    )
    .await;
    assert!(
        main["msg"].as_str().unwrap().contains("main access key"),
        "{main}"
    );
    let gone = change(
        &engine,
        "purge_user(email: \"ada@example.com\", props: $p)",
        "",
        json!({}),
    )
    .await;
    assert_eq!(gone["ok"], true, "{gone}");
    let owner = plain(
        &engine,
        &format!("delete_user(email: \"{}\")", engine.login.email),
    )
    .await;
    assert!(
        owner["msg"].as_str().unwrap().contains("active superadmin"),
        "{owner}"
    );
}

#[tokio::test]
async fn folders_are_shared() {
    let engine = engine().await;
    let ada = user(&engine, "ada", json!({})).await;
    let bob = user(&engine, "bob", json!({})).await;
    let (status, _) = by(
        &engine,
        &ada,
        Method::POST,
        "/folders",
        Some(json!({ "name": "data" })),
    )
    .await;
    assert_eq!(status, 201);
    let invite = json!({ "perm": "ro", "emails": ["bob@example.com"] });
    let (status, body) = by(
        &engine,
        &ada,
        Method::POST,
        "/folders/data/invite",
        Some(invite),
    )
    .await;
    assert_eq!(
        (status, &body["invited_ids"]),
        (201, &json!(["bob@example.com"])),
        "{body}"
    );
    let (_, list) = by(
        &engine,
        &bob,
        Method::GET,
        "/folders/invitations/list",
        None,
    )
    .await;
    let one = &list["invitations"][0];
    assert_eq!(
        (&one["vfolder_name"], &one["perm"]),
        (&json!("data"), &json!("ro")),
        "{list}"
    );
    let accept = json!({ "inv_id": one["id"] });
    let (status, _) = by(
        &engine,
        &ada,
        Method::POST,
        "/folders/invitations/accept",
        Some(accept.clone()),
    )
    .await;
    assert_eq!(status, 404);
    let (status, body) = by(
        &engine,
        &bob,
        Method::POST,
        "/folders/invitations/accept",
        Some(accept),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let (_, folders) = by(&engine, &bob, Method::GET, "/folders", None).await;
    assert_eq!(folders[0]["permission"], "ro", "{folders}");
    assert_eq!(folders[0]["is_owner"], false);
    let (status, _) = by(
        &engine,
        &bob,
        Method::POST,
        "/folders/data/mkdir",
        Some(json!({ "path": "x" })),
    )
    .await;
    assert_eq!(status, 400);
    let (status, _) = by(&engine, &bob, Method::DELETE, "/folders/data", None).await;
    assert_eq!(status, 403);
    let (_, shared) = by(&engine, &ada, Method::GET, "/folders/_/shared", None).await;
    let folder = shared["shared"][0]["vfolder_id"].clone();
    let wider = json!({ "vfolder": folder, "user": bob.0, "perm": "rw" });
    let (status, body) = by(
        &engine,
        &ada,
        Method::POST,
        "/folders/_/shared",
        Some(wider),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let (status, _) = by(
        &engine,
        &bob,
        Method::POST,
        "/folders/data/mkdir",
        Some(json!({ "path": "x" })),
    )
    .await;
    assert_eq!(status, 200);
    let (status, body) = by(
        &engine,
        &bob,
        Method::POST,
        "/folders/data/leave",
        Some(json!({})),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let (_, folders) = by(&engine, &bob, Method::GET, "/folders", None).await;
    assert_eq!(folders, json!([]));
}

/// A request that a reverse proxy passed on, noting whom it is from.
async fn from(engine: &TestEngine, who: &(String, String, String), noted: &str) -> (u16, Value) {
    let request = engine.signed_by(Method::GET, "/auth/my-ip", &who.1, &who.2);
    answer(
        request
            .header("X-Forwarded-For", noted)
            .send()
            .await
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_user_comes_from_where_they_may_come_from() {
    let engine = engine().await;
    let ada = user(&engine, "ada", json!({})).await;
    let modify = "modify_user(email: \"ada@example.com\", props: $p)";
    let list = |list: Value| json!({ "allowed_client_ip": list });
    let set = async |value: Value| {
        change(&engine, modify, "user { allowed_client_ip }", list(value)).await
    };

    // Without a list everybody is let in, whoever the proxy says that they are.
    let (status, seen) = from(&engine, &ada, "203.0.113.7").await;
    assert_eq!((status, &seen["client_ip"]), (200, &json!("203.0.113.7")));

    let wrong = set(json!(["10.0.0.0/8", "ten"])).await;
    assert_eq!(wrong["ok"], false, "{wrong}");
    assert!(
        wrong["msg"]
            .as_str()
            .unwrap()
            .contains("ten is invalid IP address value"),
        "{wrong}"
    );

    let kept = set(json!(["10.0.0.0/8", "192.168.1.*"])).await;
    assert_eq!(kept["ok"], true, "{kept}");
    for (noted, inside) in [
        ("10.9.8.7", true),
        ("192.168.1.44", true),
        ("192.168.2.44", false),
        // The client wrote the first entry itself, the proxy the second.
        ("10.9.8.7, 203.0.113.7", false),
        ("203.0.113.7, 10.9.8.7, 127.0.0.1", true),
    ] {
        let (status, body) = from(&engine, &ada, noted).await;
        assert_eq!(status, if inside { 200 } else { 401 }, "{noted}: {body}");
    }
    let (_, refused) = from(&engine, &ada, "192.168.2.44").await;
    assert_eq!(slug(&refused), "auth-failed");
    assert_eq!(refused["msg"], "'192.168.2.44' is not allowed IP address");
    // Directly, from this computer.
    let (status, refused) = by(&engine, &ada, Method::GET, "/auth", None).await;
    assert_eq!(
        (status, &refused["msg"]),
        (401, &json!("'127.0.0.1' is not allowed IP address"))
    );
    let (status, refused) = from(&engine, &ada, "nobody").await;
    assert_eq!((status, slug(&refused)), (400, "invalid-auth-params"));

    // An empty list is none.
    assert_eq!(set(json!([])).await["ok"], true);
    assert_eq!(by(&engine, &ada, Method::GET, "/auth", None).await.0, 200);

    // Who owns the computer can't shut themselves out.
    let owner = format!("modify_user(email: \"{}\", props: $p)", engine.login.email);
    let out = change(&engine, &owner, "", list(json!(["10.0.0.1"]))).await;
    assert!(
        out["msg"].as_str().unwrap().contains("add 127.0.0.1"),
        "{out}"
    );
    let kept = change(&engine, &owner, "", list(json!(["10.0.0.1", "127.0.0.1"]))).await;
    assert_eq!(kept["ok"], true, "{kept}");
    assert_eq!(engine.get("/auth").await.0, 200);
}
