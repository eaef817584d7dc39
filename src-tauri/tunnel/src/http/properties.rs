use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::guard::Secret;

const PORT: u16 = 8888;

/// Sends `stream` in pieces of these lengths: what went on, and why no more did.
fn sent(stream: &[u8], pieces: &[usize]) -> (Vec<u8>, Option<Refusal>) {
    let mut requests = Requests::new(PORT, false, None);
    let (mut held, mut passed) = (BytesMut::new(), Vec::new());
    let mut rest = stream;
    let mut lengths = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().unwrap_or(1).clamp(1, rest.len()));
        rest = after;
        held.extend_from_slice(piece);
        loop {
            match requests.scan(&held) {
                Scan::Forward(count) => passed.extend_from_slice(&held.split_to(count)),
                Scan::Opaque => {
                    passed.extend_from_slice(&held.split());
                    break;
                }
                Scan::More => break,
                Scan::Replace(..) => unreachable!("no secret was set"),
                Scan::Refuse(refusal) => return (passed, Some(refusal)),
            }
            if held.is_empty() {
                break;
            }
        }
    }
    (passed, None)
}

/// A request as a browser sends it, or nearly.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "GET / HTTP/1.1",
        "POST /x?y HTTP/1.1",
        "PUT /z HTTP/1.0",
    ]);
    let header = select(vec![
        "Origin: http://localhost:8888",
        "Origin: http://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Upgrade: websocket",
        "Cookie: a=b",
        "Transfer-Encoding: gzip",
        "Content-Length: +3",
        "Host: localhost:8888",
    ]);
    let body = (0usize..40, any::<bool>(), vec(any::<u8>(), 40));
    (line, vec(header, 0..2), body).prop_map(|(line, headers, (length, chunked, bytes))| {
        let mut text = format!("{line}\r\nHost: 127.0.0.1:8888\r\n").into_bytes();
        for header in headers {
            text.extend_from_slice(format!("{header}\r\n").as_bytes());
        }
        let body = &bytes[..length];
        if chunked {
            text.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            if length > 0 {
                text.extend_from_slice(format!("{length:x};a=b\r\n").as_bytes());
                text.extend_from_slice(body);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\nX: y\r\n\r\n");
        } else {
            text.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
            text.extend_from_slice(body);
        }
        text
    })
}

/// Requests one after the other, a few bytes of which are something else.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (vec(request(), 1..4), vec(change, 0..3)).prop_map(|(requests, changes)| {
        let mut stream = requests.concat();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream
    })
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_the_same_goes_on(
        stream in prop_oneof![4 => stream(), 1 => vec(any::<u8>(), 0..300)],
        pieces in vec(1usize..60, 0..20),
    ) {
        let (whole, refused) = sent(&stream, &[]);
        prop_assert!(stream.starts_with(&whole), "what goes on is what came");
        prop_assert_eq!(sent(&stream, &pieces), (whole, refused));
    }

    #[test]
    fn whole_requests_of_this_computer_go_on(bodies in vec(vec(any::<u8>(), 0..30), 1..4)) {
        let mut stream = Vec::new();
        for body in &bodies {
            let head = format!("POST / HTTP/1.1\r\nHost: a.localhost:8888\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.extend_from_slice(head.as_bytes());
            stream.extend_from_slice(body);
        }
        prop_assert_eq!(sent(&stream, &[]), (stream, None));
    }

    #[test]
    fn no_other_name_gets_through(host in "[a-z0-9.:\\[\\]@-]{0,24}", origin in "[a-z0-9.:/@-]{0,24}") {
        let ask = |text: String| sent(text.as_bytes(), &[]).1;
        let own = ["localhost", "127.0.0.1", "[::1]"];
        let name = host.strip_suffix(":8888").map(|name| name.strip_suffix('.').unwrap_or(name));
        if !name.is_some_and(|name| own.contains(&name) || name.ends_with(".localhost")) {
            let refused = ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            prop_assert!(refused.is_some(), "{}", host);
        }
        if !origin.contains("localhost") && origin != "null" {
            let head = "GET / HTTP/1.1\r\nHost: localhost:8888";
            let refused = ask(format!("{head}\r\nOrigin: http://{origin}x\r\n\r\n"));
            prop_assert_eq!(refused, Some(Refusal::Origin), "{}", origin);
        }
    }

    #[test]
    fn lengths_are_digits_alone(text in "[+-]?[0-9a-fx_ ]{0,20}") {
        for radix in [10, 16] {
            let plain = !text.is_empty() && text.chars().all(|one| one.is_digit(radix));
            prop_assert_eq!(number(&text, radix).is_some(), plain && u64::from_str_radix(&text, radix).is_ok());
        }
    }

    /// Whatever the cookies are: only those with the secret get through, and it goes no further.
    #[test]
    fn the_secret_is_needed_and_stays_here(
        before in "[a-z=; ]{0,20}",
        after in "[a-z=; ]{0,20}",
        known in any::<bool>(),
        guess in "[A-Za-z0-9_-]{43}",
    ) {
        let guard = Guard::new(Secret::random(), PORT);
        let admission = String::from_utf8(guard.admission("/")).unwrap();
        let cookie = admission.split("Set-Cookie: ").nth(1).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let given = if known { cookie.to_owned() } else { format!("gangway-{PORT}={guess}") };
        let text = format!("GET /x HTTP/1.1\r\nHost: localhost:8888\r\nCookie: {before}; {given}; {after}\r\n\r\n");
        let scan = Requests::new(PORT, false, Some(guard)).scan(&BytesMut::from(text.as_str()));
        match scan {
            Scan::Replace(used, bytes) => {
                prop_assert!(known && used == text.len());
                let bytes = String::from_utf8(bytes).unwrap();
                prop_assert!(!bytes.contains(cookie), "{}", bytes);
                prop_assert!(bytes.ends_with("\r\n\r\n"));
            }
            refused => {
                let stranger = matches!(refused, Scan::Refuse(Refusal::Stranger { .. }));
                prop_assert!(!known && stranger);
            }
        }
    }
}
