//! Who gets in, and what those who don't are told: real HTTP requests to a real engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use support::{CLOCK, NoKernels, TestEngine, answer, data_dir, local, slug};

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn database(engine: &TestEngine) -> db::rusqlite::Connection {
    db::connect(
        &data_dir(&engine.home).join("engine.db"),
        db::Durability::Full,
    )
    .unwrap()
}

fn add_vector_keypair(engine: &TestEngine) {
    database(engine)
        .execute(
            "INSERT INTO keypair (access_key, secret_key, user, resource_policy, rate_limit,
                created_at, modified_at)
             SELECT ?1, ?2, id, 'default', 10000, 0, 0 FROM user",
            [ACCESS_KEY, SECRET_KEY],
        )
        .unwrap();
}

/// The protocol's own signatures, sent as its own clients send them.
#[tokio::test]
async fn the_protocols_vectors_over_http() {
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    add_vector_keypair(&engine);
    let vectors = [
        (
            "GET",
            "127.0.0.1:8081",
            "/auth/test",
            "2026-08-23T01:02:03.456789+00:00",
            None,
            "v9.20250722",
            "d6a7b4d22a7cf7ca23d7c1dc8dcfa41b147a8f3d07c63b89d16a372f9150af4f",
            200,
        ),
        (
            "GET",
            "api.backend.ai",
            "/session/_/match?id=abc",
            "2026-08-23T01:02:03+00:00",
            Some("text/plain"),
            "v9.20250722",
            "40e08e4e4c97a02d23c9e35f4ebeb988797f3e7de910efa17e866a062d5f69cf",
            200,
        ),
        (
            "POST",
            "api.backend.ai",
            "/session/mysess/upload",
            "2024-02-29T23:59:59.000001+00:00",
            Some("multipart/form-data; boundary=x"),
            "v6.20220615",
            "f240b483b8229bef7e03f948b80a8db2c9fb1487ca65ccead0039433c72b4e4e",
            404,
        ),
        (
            "GET",
            "api.backend.ai:8443",
            "/stream/session/my-sess/tcpproxy?app=sshd&port=2200",
            "2026-08-23T01:02:03+00:00",
            None,
            "v9.20250722",
            "63417fc21a5c5e6140f0db4fe5537dc247148cf9cec0868a8b53a4389c2915f8",
            400,
        ),
    ];
    for (method, host, target, date, content_type, version, signature, status) in vectors {
        let moment: Timestamp = date.parse().unwrap();
        CLOCK.store(moment.as_second() + 60, Ordering::SeqCst);
        let send = |signature: String, date: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let mut request = engine
                .client
                .request(method, format!("{}{target}", engine.login.endpoint))
                .header("Host", host)
                .header("Date", date)
                .header("X-BackendAI-Version", version)
                .header(
                    "Authorization",
                    format!(
                        "BackendAI signMethod=HMAC-SHA256, credential={ACCESS_KEY}:{signature}"
                    ),
                );
            if let Some(content_type) = content_type {
                request = request.header("Content-Type", content_type);
            }
            request.send()
        };
        let (got, body) = answer(send(signature.into(), date).await.unwrap()).await;
        assert_eq!(got, status, "{target}: {body}");
        assert!(!slug(&body).contains("auth"), "{target}: {body}");

        let wrong = signature.replace(['a', 'b'], "0");
        let (got, body) = answer(send(wrong, date).await.unwrap()).await;
        assert_eq!((got, slug(&body)), (401, "auth-failed"), "{target}");
        assert_eq!(body["error_code"], "user_auth_unauthorized");

        CLOCK.store(moment.as_second() + 16 * 60, Ordering::SeqCst);
        let (got, body) = answer(send(signature.into(), date).await.unwrap()).await;
        assert_eq!((got, slug(&body)), (400, "invalid-auth-params"), "{target}");
        assert_eq!(body["msg"], "Date/time sync error");
    }
    CLOCK.store(0, Ordering::SeqCst);

    refusals(&engine).await;
    rate_limit(&engine).await;
    passwords(&engine).await;
    engine.stop().await;
}

/// Changes the keypair of the vectors, as an administrator does.
async fn change_keypair(engine: &TestEngine, properties: Value) {
    let query = format!(
        "mutation($p: ModifyKeyPairInput!) {{ \
         modify_keypair(access_key: \"{ACCESS_KEY}\", props: $p) {{ ok msg }} }}"
    );
    let body = json!({ "query": query, "variables": { "p": properties } });
    let (status, body) = engine.post("/admin/gql", body).await;
    assert_eq!(
        (status, &body["data"]["modify_keypair"]["ok"]),
        (200, &json!(true)),
        "{body}"
    );
}

async fn refusals(engine: &TestEngine) {
    let nobody = engine
        .client
        .get(format!("{}/auth/test", engine.login.endpoint))
        .send();
    let response = nobody.await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["server"], "BackendAI");
    let (status, body) = answer(response).await;
    assert_eq!((status, slug(&body)), (401, "auth-failed"));

    let stranger = engine
        .signed_by(Method::GET, "/auth/test", "AKIANOBODY", "x")
        .send();
    let (status, body) = answer(stranger.await.unwrap()).await;
    assert_eq!((status, slug(&body)), (401, "auth-failed"));

    let no_version = engine.signed(Method::GET, "/auth/test").build().unwrap();
    let mut no_version = no_version;
    no_version.headers_mut().remove("x-backendai-version");
    let (status, body) = answer(engine.client.execute(no_version).await.unwrap()).await;
    assert_eq!((status, slug(&body)), (400, "invalid-auth-params"));

    change_keypair(engine, json!({ "is_active": false })).await;
    let inactive = engine
        .signed_by(Method::GET, "/auth/test", ACCESS_KEY, SECRET_KEY)
        .send();
    let (status, body) = answer(inactive.await.unwrap()).await;
    assert_eq!((status, slug(&body)), (401, "auth-failed"));
    change_keypair(engine, json!({ "is_active": true })).await;

    // Wrong headers on a public page are nobody's business.
    let public = engine
        .client
        .get(&engine.login.endpoint)
        .header("Authorization", "nonsense");
    let (status, body) = answer(public.send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(body["version"], "v9.20250722");
    assert_eq!(body["gangway"]["capabilities"][0], "local-login");

    let (status, body) = engine.get("/no/such/page").await;
    assert_eq!((status, slug(&body)), (404, "url-not-found"));
    let (status, body) = engine.delete("/auth/test").await;
    assert_eq!((status, slug(&body)), (405, "method-not-allowed"));
    let (status, body) = answer(
        engine
            .signed(Method::POST, "/session")
            .body("{")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((status, slug(&body)), (400, "generic-bad-request"));
    assert_eq!(body["title"], "Malformed request body.");
}

async fn rate_limit(engine: &TestEngine) {
    change_keypair(engine, json!({ "rate_limit": 3 })).await;
    let ask = || {
        engine
            .signed_by(Method::GET, "/auth/test", ACCESS_KEY, SECRET_KEY)
            .send()
    };
    let mut last = ask().await.unwrap();
    assert_eq!(last.headers()["x-ratelimit-limit"], "3");
    assert_eq!(last.headers()["x-ratelimit-window"], "900");
    while last.status() == 200 {
        last = ask().await.unwrap();
    }
    assert_eq!(last.headers()["x-ratelimit-remaining"], "0");
    let (status, body) = answer(last).await;
    assert_eq!((status, slug(&body)), (429, "rate-limit-exceeded"));
    // The owner of the computer has no limit.
    let own = engine
        .signed(Method::GET, "/auth/test")
        .send()
        .await
        .unwrap();
    assert_eq!(own.headers()["x-ratelimit-limit"], "None");
}

async fn passwords(engine: &TestEngine) {
    let authorize = |password: &str| {
        let body = json!({
            "type": "keypair", "domain": "default",
            "username": engine.login.email, "password": password,
        });
        engine.post("/auth/authorize", body)
    };
    let (status, body) = authorize("").await;
    assert_eq!(
        (status, slug(&body)),
        (401, "auth-failed"),
        "there is no password yet"
    );
    let change = |old: &str| json!({ "old_password": old, "new_password": "correct horse", "new_password2": "correct horse" });
    assert_eq!(
        engine
            .post("/auth/update-password", change("guess"))
            .await
            .0,
        401
    );
    assert_eq!(
        engine.post("/auth/update-password", change("")).await.0,
        200
    );
    assert_eq!(
        engine.post("/auth/update-password", change("")).await.0,
        401
    );
    assert_eq!(authorize("wrong horse").await.0, 401);
    let (status, body) = authorize("correct horse").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["data"]["access_key"], engine.login.access_key.as_str());
    assert_eq!(body["data"]["role"], "superadmin");
    expired_password(engine).await;
}

/// Where passwords get too old, who knows the old one gives a new one without being logged in.
async fn expired_password(engine: &TestEngine) {
    let email = engine.login.email.clone();
    let login = |password: &str| {
        let body = json!({
            "type": "keypair", "domain": "default", "username": email, "password": password,
        });
        engine.post("/auth/authorize", body)
    };
    let renew = |current: &str, new: &str| {
        let body = json!({
            "domain": "default", "username": email,
            "current_password": current, "new_password": new,
        });
        engine.post("/auth/update-password-no-auth", body)
    };
    let (status, body) = renew("correct horse", "battery staple").await;
    assert_eq!(
        (status, slug(&body)),
        (400, "generic-bad-request"),
        "{body}"
    );

    let key = "ai/backend/config/manager/auth/max_password_age";
    let set = json!({ "key": key, "value": "0.001s" });
    assert_eq!(engine.post("/config/set", set).await.0, 200);
    let (status, body) = login("correct horse").await;
    assert_eq!((status, slug(&body)), (401, "password-expired"), "{body}");
    assert_eq!(
        login("wrong horse").await.1["msg"],
        "User credential mismatch."
    );

    assert_eq!(renew("wrong horse", "battery staple").await.0, 401);
    for bad in ["short", "correct horse"] {
        let (status, body) = renew("correct horse", bad).await;
        assert_eq!((status, slug(&body)), (400, "rejected-by-hook"), "{body}");
    }
    let (status, body) = renew("correct horse", "battery staple").await;
    assert_eq!(status, 201, "{body}");
    assert!(body["password_changed_at"].is_string(), "{body}");

    let set = json!({ "key": key, "value": "1h" });
    assert_eq!(engine.post("/config/set", set).await.0, 200);
    assert_eq!(login("battery staple").await.0, 200);
    assert_eq!(login("correct horse").await.0, 401);
    let delete = json!({ "key": key, "prefix": false });
    assert_eq!(engine.post("/config/delete", delete).await.0, 200);
}

/// The socket hands out the owner's keypair; nobody else can open it.
#[tokio::test]
async fn the_owners_socket() {
    use std::os::unix::fs::PermissionsExt;
    let engine = TestEngine::start(Arc::new(NoKernels)).await;
    let mode =
        |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(engine.home.path().join("run/engine.sock")), 0o600);
    assert_eq!(mode(engine.home.path().join("run")), 0o700);
    assert_eq!(mode(data_dir(&engine.home)), 0o700);
    assert_eq!(mode(data_dir(&engine.home).join("engine.json")), 0o600);
    assert_eq!(mode(data_dir(&engine.home).join("engine.db")), 0o600);

    assert!(engine.login.email.ends_with("@localhost"));
    assert_eq!(engine.login.project, "default");
    let (status, body) = local(&engine.home, "GET", "/gangway/status").await;
    assert_eq!((status, &body["sessions"]), (200, &json!(0)));
    assert_eq!(body["endpoint"], engine.login.endpoint.as_str());

    // A second engine on the same data is refused.
    let second = engine::start(support::options(&engine.home, Arc::new(NoKernels))).await;
    assert!(matches!(second, Err(engine::StartError::Running(_))));

    // The next one has the same port, keypair and data.
    let login = engine.login.clone();
    let home = engine.stop().await;
    let engine = TestEngine::start_in(home, Arc::new(NoKernels)).await;
    assert_eq!(engine.login.endpoint, login.endpoint);
    assert_eq!(engine.login.secret_key, login.secret_key);
    assert_eq!(
        local(&engine.home, "POST", "/gangway/shutdown").await.0,
        204
    );
    engine.engine.as_ref().unwrap().told_to_stop().await;
    engine.stop().await;
}
