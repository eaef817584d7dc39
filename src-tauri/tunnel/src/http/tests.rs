use super::*;
use crate::guard::Secret;

#[test]
fn without_the_secret_nothing_is_served_and_the_app_never_sees_it() {
    let guard = Guard::new(Secret::random(), 8888);
    let admission = String::from_utf8(guard.admission("/")).unwrap();
    let cookie = admission.split("Set-Cookie: ").nth(1).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let scan = |headers: &str| {
        let text = format!("POST /x HTTP/1.1\r\nHost: localhost:8888\r\n{headers}\r\nhello");
        let mut requests = Requests::new(8888, false, Some(guard.clone()));
        let mut data = BytesMut::from(text.as_str());
        let first = requests.scan(&data);
        let Scan::Replace(used, bytes) = first else {
            return Err(first);
        };
        let _ = data.split_to(used);
        assert_eq!(requests.scan(&data), Scan::Forward(5));
        Ok(String::from_utf8(bytes).unwrap())
    };
    let passed = scan(&format!(
        "Content-Length: 5\r\nCookie: a=b; {cookie}\r\nX: y\r\n"
    ))
    .unwrap();
    assert_eq!(
        passed,
        "POST /x HTTP/1.1\r\nHost: localhost:8888\r\nContent-Length: 5\r\nCookie: a=b\r\nX: y\r\n\r\n"
    );
    let alone = scan(&format!("Cookie: {cookie}\r\nContent-Length: 5\r\n")).unwrap();
    assert!(!alone.contains("ookie"), "{alone}");
    for wrong in ["Cookie: gangway-8888=guess\r\n", "Cookie: a=b\r\n", ""] {
        let refused = scan(&format!("{wrong}Content-Length: 5\r\n")).unwrap_err();
        assert!(
            matches!(refused, Scan::Refuse(Refusal::Stranger { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn a_public_tunnel_answers_at_addresses_and_not_at_names() {
    let ask = |host: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Requests::new(8888, true, None).scan(&BytesMut::from(text.as_str()))
    };
    assert!(matches!(ask("192.168.1.7:8888"), Scan::Forward(_)));
    assert!(matches!(ask("[fd00::1]:8888"), Scan::Forward(_)));
    assert_eq!(ask("evil.example:8888"), Scan::Refuse(Refusal::Host));
    assert_eq!(
        get("Host: 192.168.1.7:8888\r\n"),
        Scan::Refuse(Refusal::Host)
    );
}

fn first(text: &str) -> Scan {
    Requests::new(8888, false, None).scan(&BytesMut::from(text))
}

fn get(headers: &str) -> Scan {
    first(&format!("GET / HTTP/1.1\r\n{headers}\r\n"))
}

#[test]
fn only_names_of_this_computer_with_the_right_port_are_served() {
    for host in [
        "localhost:8888",
        "127.0.0.1:8888",
        "[::1]:8888",
        "jupyter.a.LOCALHOST:8888",
    ] {
        assert!(
            matches!(get(&format!("Host: {host}\r\n")), Scan::Forward(_)),
            "{host}"
        );
    }
    for host in [
        "evil.example:8888",
        "localhost:8889",
        "localhost",
        "127.0.0.1.nip.example:8888",
        "localhost.evil.example:8888",
        "notlocalhost:8888",
        "",
    ] {
        assert_eq!(
            get(&format!("Host: {host}\r\n")),
            Scan::Refuse(Refusal::Host),
            "{host}"
        );
    }
    assert_eq!(get(""), Scan::Refuse(Refusal::Host), "no Host at all");
    let two = "Host: localhost:8888\r\nHost: evil.example:8888\r\n";
    assert_eq!(get(two), Scan::Refuse(Refusal::Malformed));
}

#[test]
fn a_foreign_page_can_not_open_a_websocket_or_post() {
    let upgrade = "Host: localhost:8888\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let own = format!("{upgrade}Origin: http://localhost:8888\r\n");
    assert!(matches!(get(&own), Scan::Forward(_)));
    for origin in [
        "http://evil.example",
        "http://localhost:9999",
        "null",
        "https://localhost:8888",
    ] {
        let headers = format!("{upgrade}Origin: {origin}\r\n");
        assert_eq!(get(&headers), Scan::Refuse(Refusal::Origin), "{origin}");
    }
    let post = "POST /api HTTP/1.1\r\nHost: localhost:8888\r\nOrigin: null\r\n\r\n";
    assert_eq!(first(post), Scan::Refuse(Refusal::Origin));
}

#[test]
fn a_link_from_a_foreign_page_works_and_a_script_tag_does_not() {
    let link = "Host: localhost:8888\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
    assert!(matches!(get(link), Scan::Forward(_)));
    let script =
        "Host: localhost:8888\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n";
    assert_eq!(get(script), Scan::Refuse(Refusal::Origin));
}

#[test]
fn the_second_request_of_a_connection_is_checked_too() {
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
    ] {
        let good = format!("POST / HTTP/1.1\r\nHost: localhost:8888\r\n{body}");
        let bad = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        let mut whole = BytesMut::from(format!("{good}{bad}").as_str());
        let mut requests = Requests::new(8888, false, None);
        assert_eq!(requests.scan(&whole), Scan::Forward(good.len()));
        let _ = whole.split_to(good.len());
        assert_eq!(requests.scan(&whole), Scan::Refuse(Refusal::Host));
    }
}

#[test]
fn the_same_follows_from_bytes_that_come_one_by_one() {
    let text = "POST / HTTP/1.1\r\nHost: localhost:8888\r\nTransfer-Encoding: chunked\r\n\r\n\
                3\r\nhel\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: localhost:8888\r\n\r\n";
    let mut requests = Requests::new(8888, false, None);
    let (mut held, mut forwarded) = (BytesMut::new(), 0);
    for byte in text.bytes() {
        held.extend_from_slice(&[byte]);
        match requests.scan(&held) {
            Scan::Forward(length) => {
                forwarded += length;
                let _ = held.split_to(length);
            }
            Scan::More => {}
            other => panic!("{other:?} after {forwarded}"),
        }
    }
    assert_eq!(forwarded, text.len());
}

#[test]
fn two_lengths_and_other_protocols_are_refused() {
    let both = "Host: localhost:8888\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(get(both), Scan::Refuse(Refusal::Malformed));
    assert_eq!(
        first("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        Scan::Refuse(Refusal::Malformed)
    );
    assert_eq!(
        first("CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"),
        Scan::Refuse(Refusal::Malformed)
    );
}
