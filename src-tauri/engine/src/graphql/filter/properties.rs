use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::graphql::record::Record;

/// Pieces of which filters are made, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("!".to_owned()),
        Just(" & ".to_owned()),
        Just("|".to_owned()),
        Just("name".to_owned()),
        Just(" == ".to_owned()),
        Just("in".to_owned()),
        Just("like".to_owned()),
        Just("[\"a\", 1]".to_owned()),
        Just("null".to_owned()),
        "\"[^\"]{0,5}\"",
        "\\PC{0,3}",
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A filter as people mean it, with what comes of it for the record below.
fn filter() -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![
        Just((r#"name == "A""#.to_owned(), true)),
        Just((r#"size > 3"#.to_owned(), false)),
        Just((r#"name ilike "%a%""#.to_owned(), true)),
        Just((r#"size in [1, 2]"#.to_owned(), true)),
        Just((r#"none isnot null"#.to_owned(), false)),
    ];
    leaf.prop_recursive(6, 64, 4, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|(text, fits)| (format!("!({text})"), !fits)),
            vec((any::<bool>(), inner), 1..4).prop_map(|parts| {
                let mut parts = parts.into_iter();
                let (_, (first, mut all)) = parts.next().unwrap_or_default();
                let mut text = format!("({first})");
                for (and, (part, fits)) in parts {
                    text += &format!(" {} ({part})", if and { '&' } else { '|' });
                    all = if and { all && fits } else { all || fits };
                }
                (text, all)
            }),
        ]
    })
}

fn record() -> Record {
    super::super::record::record(json!({ "name": "a", "size": 2, "none": null }))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[aAbB1]{0,2}".prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_refused(text in prop_oneof![pieces(), "\\PC*"]) {
        if let Ok(filter) = Expression::parse(&text) {
            let _ = filter.fits(&record());
        }
    }

    #[test]
    fn filters_mean_what_they_say((text, fits) in filter()) {
        let parsed = Expression::parse(&text);
        prop_assert_eq!(parsed.and_then(|filter| filter.fits(&record())), Ok(fits), "{}", text);
    }

    #[test]
    fn likes_are_found(before in "[ab%]{0,6}", text in "[ab]{0,12}") {
        let plain = before.replace('%', "");
        let found = like(&text, &format!("%{text}%"));
        prop_assert!(found);
        prop_assert_eq!(like(&text, &plain), text == plain);
        like(&text, &before);
    }

    #[test]
    fn any_records_are_sorted(values in vec((value(), value()), 0..60), down in any::<bool>()) {
        let records: Vec<Record> = values
            .into_iter()
            .map(|(a, b)| super::super::record::record(json!({ "a": a, "b": b })))
            .collect();
        let sign = if down { "-" } else { "+" };
        let records = sorted(records, &format!("{sign}a,b,nothing"));
        for pair in records.windows(2) {
            let (Some(one), Some(other)) = (pair[0].get("a"), pair[1].get("a")) else { continue };
            prop_assert!(!one.is_null() || other.is_null(), "nulls come last");
            if !other.is_null() {
                let ordering = if down { place(other, one) } else { place(one, other) };
                prop_assert!(ordering.is_le());
            }
        }
    }
}

/// Each level would take a piece of the stack.
#[test]
fn what_is_too_deep_is_refused_and_what_is_long_is_not() {
    for open in ["(", "!", "(!", "!("] {
        let text = format!("{}name == 1", open.repeat(200_000));
        assert!(Expression::parse(&text).is_err());
    }
    let text = format!("name == \"a\"{}", " & size == 2".repeat(100_000));
    let long = Expression::parse(&text).unwrap();
    assert_eq!(long.fits(&record()), Ok(true));
}
