//! Whatever the other end writes is understood or refused, and what this end writes is read back.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::binary_size::BinarySize;
use crate::name;
use crate::problem::Problem;
use crate::runner::{Answer, Execute, Fault, FaultKind, Hello, MAX_FRAME, Request, VERSION};
use crate::service_port::{ServicePort, parse_label};
use crate::session::SessionStatus;
use crate::signing::{self, Credential};
use crate::slots::{Quantity, ResourceSlots};
use crate::version::ApiVersion;

/// What was understood is written in a form that means the same.
fn means_the_same<T: FromStr + Display + PartialEq + Debug>(text: &str)
where
    T::Err: Debug,
{
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert_eq!(written.parse::<T>().unwrap(), value, "{text:?} {written:?}");
    }
}

/// Text that is nearly an amount, or anything.
fn amount() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+ ]{0,2}[0-9_]{0,40}[.]?[0-9]{0,5} ?[kmgtpezyKMG]?(i?b|bytes?)?",
        "(?i)-?(inf|infinity|nan|1e[0-9]{1,4})",
        "\\PC{0,12}",
    ]
}

/// The JSON of a value with some bytes of it changed.
fn mutated(json: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut json = json;
    for (at, byte) in changes {
        let at = at.index(json.len());
        json[at] = *byte;
    }
    json
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
}

fn read_back<T: Serialize + DeserializeOwned>(json: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(json) {
        let written = serde_json::to_vec(&value).unwrap();
        let again: T = serde_json::from_slice(&written).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    }
}

proptest! {
    #[test]
    fn any_amount_is_understood_or_refused(text in amount()) {
        means_the_same::<Quantity>(&text);
        // A size is written with two decimals, so only its own number comes back.
        if let Ok(size) = text.parse::<BinarySize>() {
            prop_assert_eq!(size.0.to_string().parse(), Ok(size));
            prop_assert!(size.short().parse::<BinarySize>().is_ok());
        }
        let _ = serde_json::from_str::<Quantity>(&text);
        let _ = serde_json::from_str::<ResourceSlots>(&format!("{{\"cpu\": {text}, \"mem\": \"{text}\"}}"));
    }

    #[test]
    fn any_number_of_bytes_comes_back(bytes in any::<u64>(), part in 0u64..1000) {
        let size = BinarySize(bytes);
        prop_assert_eq!(size.0.to_string().parse(), Ok(size));
        means_the_same::<Quantity>(&format!("{bytes}.{part:03}"));
        let short = size.short().parse::<BinarySize>();
        // Of 16 EiB and a little less the two decimals are more than there can be.
        if let Ok(short) = short {
            prop_assert!(short.0.abs_diff(bytes) <= bytes / 100, "{} {}", bytes, short.0);
        }
    }

    #[test]
    fn any_version_is_understood_or_refused(text in "v?[0-9+]{0,3}[.]?[0-9+]{0,9}|\\PC{0,12}") {
        means_the_same::<ApiVersion>(&text);
        let _ = text.parse::<SessionStatus>();
    }

    #[test]
    fn any_name_is_allowed_or_not(text in "[a-zA-Z0-9_./-]{0,70}|\\PC{0,70}") {
        if name::check_session(&text).is_ok() {
            prop_assert!(!text.starts_with(['-', '.']) && !text.contains('/') && text.is_ascii());
        }
        if name::check_folder(&text).is_ok() {
            prop_assert!(!text.contains(['/', '\0']) && text != ".." && text != ".");
        }
        name::is_reserved(&text);
    }

    #[test]
    fn any_label_is_ports_or_refused(text in "([a-z]{0,3}:(http|tcp|pty)?:\\[?[0-9,]{0,12}\\]?,?){0,3}|\\PC{0,30}") {
        if let Ok(services) = parse_label(&text) {
            let mut ports: Vec<u16> = services.iter().flat_map(|it| it.ports.clone()).collect();
            let count = ports.len();
            ports.sort_unstable();
            ports.dedup();
            prop_assert_eq!(ports.len(), count, "a port twice");
            prop_assert!(ports.iter().all(|port| (1025..=65534).contains(port)));
            prop_assert!(services.iter().all(|service| !service.ports.is_empty()));
            read_back::<Vec<ServicePort>>(&serde_json::to_vec(&services).unwrap());
        }
    }

    #[test]
    fn any_date_is_understood_or_refused(
        text in prop_oneof![
            "[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{0,9})?(Z|[+-][0-9]{2}:[0-9]{2})?",
            "(Mon|Sun), [0-9]{1,2} (Jan|Aug) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4})",
            "\\PC{0,30}",
        ],
        now in any::<i32>(),
    ) {
        let now = Timestamp::from_second(now.into()).unwrap();
        let _ = signing::check_date(&text, now);
        let request = signing::Request {
            method: "GET",
            target: "/",
            authority: "127.0.0.1",
            date: &text,
            content_type: &text,
            version: &text,
        };
        if let Ok(signature) = signing::sign(&request, "secret") {
            prop_assert_eq!(signing::verify(&request, "secret", &signature), Ok(()));
        }
    }

    #[test]
    fn only_the_signature_is_taken(
        method in "[A-Z]{1,6}",
        target in "/[!-~]{0,20}",
        key in "[A-Z0-9]{1,20}",
        secret in "[!-~]{1,40}",
        given in "[0-9a-f]{0,66}|\\PC{0,64}",
        other in "/[!-~]{0,20}",
    ) {
        let request = signing::Request {
            method: &method,
            target: &target,
            authority: "127.0.0.1:8081",
            date: "2026-08-23T01:02:03+09:00",
            content_type: "application/json",
            version: "v9.20250722",
        };
        let header = signing::authorization(&request, &key, &secret).unwrap();
        let credential = Credential::parse(&header).unwrap();
        prop_assert_eq!(credential.access_key, &key);
        prop_assert_eq!(signing::verify(&request, &secret, credential.signature), Ok(()));
        if given != credential.signature {
            prop_assert!(signing::verify(&request, &secret, &given).is_err());
        }
        if other != target {
            let other = signing::Request { target: &other, ..request };
            prop_assert!(signing::verify(&other, &secret, credential.signature).is_err());
        }
    }

    #[test]
    fn any_header_is_a_credential_or_not(text in "(BackendAI|Sorna) (signMethod=|credential=|HMAC-SHA256|[a-z:,= ]){0,8}|\\PC{0,60}") {
        if let Some(credential) = Credential::parse(&text) {
            prop_assert!(text.contains(credential.access_key) && text.contains(credential.signature));
            prop_assert!(!credential.access_key.contains(':'));
        }
    }

    #[test]
    fn any_problem_is_understood_or_refused(
        slug in "[a-z-]{0,20}",
        title in "\\PC{0,20}",
        change in changes(),
    ) {
        let problem = Problem::new(&slug, title).code("x");
        let json = serde_json::to_vec(&problem).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Problem>(&json).unwrap(), problem);
        if let Ok(read) = serde_json::from_slice::<Problem>(&mutated(json, &change)) {
            let _ = (read.slug(), read.text());
        }
    }

    /// Both ends of the channel between engine and runner.
    #[test]
    fn any_message_of_a_runner_is_understood_or_refused(
        path in "\\PC{0,20}",
        port in any::<u16>(),
        bytes in vec(any::<u8>(), 0..80),
        change in changes(),
    ) {
        prop_assert!(bytes.len() < MAX_FRAME);
        let requests = [
            Request::Connect { port },
            Request::ListFiles { path: path.clone() },
            Request::Unsaved { limit: 3 },
            Request::Interrupt { run_id: Some(path.clone()) },
        ];
        for request in requests {
            let json = serde_json::to_vec(&Hello { version: VERSION, request }).unwrap();
            prop_assert!(serde_json::from_slice::<Hello>(&json).is_ok());
            read_back::<Hello>(&mutated(json, &change));
        }
        let answers = [
            Answer::Done,
            Answer::Line { text: path.clone() },
            Answer::Failed(Fault { kind: FaultKind::Other, message: path }),
        ];
        for answer in answers {
            let json = serde_json::to_vec(&answer).unwrap();
            prop_assert!(serde_json::from_slice::<Answer>(&json).is_ok());
            read_back::<Answer>(&mutated(json, &change));
        }
        read_back::<Answer>(&bytes);
        read_back::<Execute>(&bytes);
    }
}
