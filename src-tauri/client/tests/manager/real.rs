//! What real managers answered (26.9.6), word for word where it matters: forms that our own engine
//! does not have.

use std::sync::{Arc, Mutex};

use client::SessionQuery;
use client::protocol::session::{SessionResult, SessionStatus};
use futures_util::FutureExt;
use uuid::Uuid;

use crate::address::{Exchange, near, play};

const ROOT: &str = r#"{"version": "v9.20250722", "manager": "26.9.6"}"#;

/// A manager that answers `GET /` as the real one does, and everything else with `body`.
async fn real(body: &'static str) -> client::Client {
    let (address, _) = play(move |mut exchange: Exchange| {
        async move {
            exchange.body().await;
            // 23.9.10 takes one scope or all of them.
            assert!(!exchange.line.contains("scope=session%2C"));
            let body = match exchange.line.as_str() {
                "GET /" => ROOT,
                _ => body,
            };
            let json = "content-type: application/json; charset=utf-8\r\n";
            exchange.answer("200 OK", json, body).await;
        }
        .boxed()
    })
    .await;
    near(address)
}

const PORTS: &str = r#""[{\"name\": \"sshd\", \"protocol\": \"tcp\", \"host_ports\": [30002], \"is_inference\": false, \"container_ports\": [2200]}, {\"name\": \"ttyd\", \"protocol\": \"http\", \"host_ports\": [30003], \"is_inference\": false, \"container_ports\": [7681]}, {\"name\": \"hello\", \"protocol\": \"http\", \"host_ports\": [30004], \"is_inference\": false, \"container_ports\": [8888]}]""#;

const IDLE: &str = r#""{\"session_lifetime\": {\"remaining\": null, \"remaining_time_type\": \"expire_after\", \"extra\": null}}""#;

/// One session as `compute_session` tells it, with the project's name as `group`.
fn session(group: &str, ports: &str) -> String {
    format!(
        r#"{{"session_id": "86326496-42e5-43e8-b58b-84ac3752bccc", "name": "first-steps", "type": "INTERACTIVE", "image": "local/stable/python:3.11-debian12", "group_name": "{group}", "scaling_group": "default", "user_email": "user@example.com", "status": "RUNNING", "status_info": null, "status_data": null, "result": "UNDEFINED", "created_at": "2026-11-21T18:15:45.088030+00:00", "terminated_at": null, "cluster_size": 1, "occupied_slots": "{{\"mem\": \"536870912\", \"cpu\": \"1\"}}", "requested_slots": "{{\"cpu\": \"1\", \"mem\": \"536870912\"}}", "service_ports": {ports}, "mounts": ["data"], "idle_checks": {IDLE}, "containers": [{{"id": "01a1ff52-48de-7f4f-9fa7-b28f3ad33f27", "cluster_role": "main", "cluster_idx": 1, "cluster_hostname": "main1", "status": "RUNNING", "status_info": null}}]}}"#
    )
}

#[tokio::test]
async fn a_project_keeps_its_name_though_one_session_tells_only_its_first_letter() {
    let body = format!(
        r#"{{"data": {{"compute_session": {}, "compute_session_list": {{"items": [{{"group_name": "default"}}]}}}}, "errors": null}}"#,
        session("d", PORTS)
    );
    let client = real(body.leak()).await;
    let row = client.session(Uuid::nil()).await.unwrap();
    assert_eq!(row.group_name.as_deref(), Some("default"));
    assert_eq!(row.status, SessionStatus::Running);
    assert_eq!(row.mounts, ["data"]);
    assert_eq!(row.occupied_slots["cpu"], "1");
    assert_eq!(row.kernels[0].cluster_hostname.as_deref(), Some("main1"));
    let names: Vec<_> = row.service_ports.iter().map(|port| &*port.name).collect();
    assert_eq!(names, ["sshd", "ttyd", "hello"]);
    assert_eq!(row.service_ports[2].ports, [8888]);
}

#[tokio::test]
async fn a_port_of_a_kind_from_the_future_hides_nothing_else() {
    let ports = PORTS.replace(
        r#"{\"name\": \"ttyd\", \"protocol\": \"http\""#,
        r#"{\"name\": \"ttyd\", \"protocol\": \"telepathy\""#,
    );
    let body = format!(
        r#"{{"data": {{"compute_session_list": {{"items": [{}], "total_count": 1}}}}, "errors": null}}"#,
        session("default", &ports)
    );
    let client = real(body.leak()).await;
    let page = client.session_page(&SessionQuery::default()).await.unwrap();
    assert_eq!(page.total, 1);
    let names: Vec<_> = page.rows[0]
        .service_ports
        .iter()
        .map(|port| &*port.name)
        .collect();
    assert_eq!(names, ["sshd", "hello"]);
}

#[tokio::test]
async fn a_job_that_failed_has_a_result_and_no_exit_code() {
    let body = r#"{"data": {"compute_session_list": {"items": [{"session_id": "516b7e3a-2c96-4b3c-961d-c2ced5749c19", "name": "a-job", "type": "BATCH", "image": "local/stable/python:3.11-debian12", "group_name": "default", "scaling_group": "default", "user_email": "user@example.com", "status": "TERMINATED", "status_info": "task-failed", "status_data": null, "result": "FAILURE", "created_at": "2026-11-21T18:22:08.949495+00:00", "terminated_at": "2026-11-21T18:22:30.470479+00:00", "cluster_size": 1, "occupied_slots": "{}", "requested_slots": "{\"cpu\": \"1\", \"mem\": \"268435456\"}", "service_ports": null, "mounts": [], "idle_checks": null}], "total_count": 1}}, "errors": null}"#;
    let rows = real(body).await.sessions(&[]).await.unwrap();
    assert_eq!(rows[0].result, Some(SessionResult::Failure));
    assert!(rows[0].status_data.is_null() && rows[0].service_ports.is_empty());
}

#[tokio::test]
async fn presets_of_hardware_that_is_not_there_and_limits_without_end() {
    let body = r#"{"presets": [{"id": "01a1fb79-8076-7ea7-9d52-a472bdcbbd08", "name": "cpu02-medium", "resource_slots": {"cpu": "4", "mem": "8589934592", "cuda.shares": "0", "cuda.device": "0"}, "shared_memory": "1073741824", "allocatable": false}, {"id": "01a1fb79-8071-7687-9525-bf6cc3a3a105", "name": "cuda01-small", "resource_slots": {"cpu": "1", "mem": "4294967296", "cuda.device": "1", "cuda.shares": "0.5"}, "shared_memory": null, "allocatable": false}], "keypair_limits": {"cpu": "Infinity", "mem": "Infinity"}, "keypair_using": {"cpu": "0", "mem": "0"}, "keypair_remaining": {"cpu": "Infinity", "mem": "Infinity"}, "group_limits": {"cpu": "NaN", "mem": "NaN"}, "group_using": {"cpu": "NaN", "mem": "NaN"}, "group_remaining": {"cpu": "NaN", "mem": "NaN"}, "scaling_group_remaining": {"cpu": "2.000000", "mem": "24209522688.000000", "cuda.device": "0"}, "scaling_groups": {"default": {"using": {"cpu": "0", "mem": "0"}, "remaining": {"cpu": "2.000000", "mem": "24209522688.000000"}}}}"#;
    let checked = real(body)
        .await
        .check_presets("default", None)
        .await
        .unwrap();
    assert_eq!(checked.presets.len(), 2);
    assert_eq!(
        checked.presets[1]
            .resource_slots
            .get("cuda.shares")
            .to_string(),
        "0.5"
    );
    assert_eq!(checked.scaling_group_remaining.get("cpu").to_string(), "2");
    assert_eq!(
        checked.scaling_groups.keys().collect::<Vec<_>>(),
        ["default"]
    );
}

#[tokio::test]
async fn folders_and_their_files() {
    let body = r#"[{"id": "01a1fb7be5ce785a83fc22a85fccd774", "name": "data", "quota_scope_id": "user:f38dea23-50fa-42a0-b5ae-338f5f4693f4", "host": "local:volume1", "usage_mode": "general", "created_at": "2026-11-21 00:22:43.386196+00:00", "permission": "rw", "creator": "user@example.com", "ownership_type": "user", "user": "f38dea23-50fa-42a0-b5ae-338f5f4693f4", "group": "d4e665c0-2199-4ecb-a2b7-3b86792e5a2a", "cloneable": false, "status": "delete-pending", "is_owner": true, "max_size": 0, "user_email": "", "group_name": "", "type": "", "max_files": 0, "cur_size": 0}]"#;
    let folders = real(body).await.folders().await.unwrap();
    assert_eq!(folders[0].status.as_deref(), Some("delete-pending"));
    let body = r#"{"items": [{"name": "hello.txt", "type": "FILE", "size": 12, "mode": 33188, "created": "2026-11-21T00:45:04.349467+00:00", "modified": "2026-11-21T00:45:04.347573+00:00"}]}"#;
    let files = real(body).await.folder_files("data", "").await.unwrap();
    assert_eq!((&*files[0].name, files[0].size), ("hello.txt", 12));
}

/// A real manager finds no folder by an id in the address of a DELETE; older ones not even by one in
/// the body.
#[tokio::test]
async fn a_folder_goes_into_the_trash_by_its_id() {
    const LIST: &str = r#"[{"id": "01a1fb7be5ce785a83fc22a85fccd774", "name": "data", "host": "local:volume1", "permission": "rw"}]"#;
    for (root, expected) in [
        (
            ROOT,
            "DELETE /folders {\"id\":\"01a1fb7b-e5ce-785a-83fc-22a85fccd774\"}",
        ),
        (
            r#"{"version": "v7.20230615", "manager": "23.9.10"}"#,
            "DELETE /folders/data ",
        ),
    ] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let (address, _) = play(move |mut exchange: Exchange| {
            let seen = seen.clone();
            async move {
                let body = String::from_utf8(exchange.body().await).unwrap();
                let answer = match exchange.line.as_str() {
                    "GET /" => root,
                    "GET /folders" => LIST,
                    line => {
                        seen.lock().unwrap().push(format!("{line} {body}"));
                        ""
                    }
                };
                exchange.answer("200 OK", "", answer).await;
            }
            .boxed()
        })
        .await;
        let client = near(address);
        client
            .trash_folder("01a1fb7be5ce785a83fc22a85fccd774")
            .await
            .unwrap();
        client.trash_folder("data").await.unwrap();
        assert_eq!(*asked.lock().unwrap(), [expected, "DELETE /folders/data "]);
    }
}

/// The storage breaks off when a name can't stand in a header; it is asked once, and not for ever.
#[tokio::test]
async fn a_name_with_a_line_break_is_refused_and_not_waited_for() {
    let (address, _) = play(move |mut exchange: Exchange| {
        async move {
            exchange.body().await;
            let port = exchange.stream.local_addr().unwrap().port();
            match exchange.line.as_str() {
                "GET /" => exchange.answer("200 OK", "", ROOT).await,
                "POST /folders/data/request-download" => {
                    let body =
                        format!(r#"{{"token": "jwt", "url": "http://127.0.0.1:{port}/download"}}"#);
                    exchange.answer("200 OK", "", body).await;
                }
                _ => drop(exchange),
            }
        }
        .boxed()
    })
    .await;
    let client = near(address);
    let error = client.download("data", "new\nline", 0).await.err().unwrap();
    assert!(matches!(error, client::Error::Refused { .. }), "{error:?}");
    assert!(!error.is_temporary());
    let error = client.download("data", "plain", 0).await.err().unwrap();
    assert!(error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn news_of_a_launch_as_they_came() {
    let said = "event: session_pending\r\ndata: {\"reason\":\"Session enqueued\",\"sessionName\":\"first-steps\",\"ownerAccessKey\":\"AKIAIOSFODNN7EXAMPLE\",\"sessionId\":\"bcb55015-19b2-4393-8433-18c93329bcbe\",\"exitCode\":null}\r\n\r\n\
        event: kernel_creating\r\ndata: {\"reason\":\"\",\"sessionName\":\"first-steps\",\"ownerAccessKey\":\"AKIAIOSFODNN7EXAMPLE\",\"sessionId\":\"bcb55015-19b2-4393-8433-18c93329bcbe\",\"exitCode\":null,\"kernelId\":\"01a1ff56-c046-7cac-9f54-c99486d6b9a3\",\"clusterRole\":\"main\",\"clusterIdx\":1}\r\n\r\n\
        : ping\r\n\r\n\
        event: session_terminated\r\ndata: {\"reason\":\"triggered-by-scheduler\",\"sessionName\":\"first-steps\",\"ownerAccessKey\":\"AKIAIOSFODNN7EXAMPLE\",\"sessionId\":\"bcb55015-19b2-4393-8433-18c93329bcbe\",\"exitCode\":null}\r\n\r\n";
    let mut feed = real(said).await.session_events().await.unwrap();
    let mut names = Vec::new();
    while let Some(news) = feed.next().await {
        assert_eq!(news.event.session_name, "first-steps");
        names.push(news.name);
    }
    assert_eq!(
        names,
        ["session_pending", "kernel_creating", "session_terminated"]
    );
}
