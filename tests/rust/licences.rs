//! Every dependency has a licence that we accept; the list is in `.deny.toml`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use tests::repository;

/// An SPDX expression, as far as crates use it: names joined by AND, OR (in old crates `/`) and
/// parentheses. A name takes its exception with it.
struct Expression<'a> {
    words: Vec<&'a str>,
    next: usize,
    accepted: &'a BTreeSet<String>,
}

impl Expression<'_> {
    fn either(&mut self) -> bool {
        let mut fine = self.both();
        while self.take("OR") {
            fine |= self.both();
        }
        fine
    }

    fn both(&mut self) -> bool {
        let mut fine = self.one();
        while self.take("AND") {
            fine &= self.one();
        }
        fine
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let fine = self.either();
            return self.take(")") && fine;
        }
        let Some(name) = self.words.get(self.next).copied() else {
            return false;
        };
        self.next += 1;
        if self.take("WITH") {
            let exception = self.words.get(self.next).copied().unwrap_or_default();
            self.next += 1;
            return self.accepted.contains(&format!("{name} WITH {exception}"));
        }
        self.accepted.contains(name)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.next) == Some(&word);
        self.next += usize::from(found);
        found
    }
}

fn acceptable(expression: &str, accepted: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut expression = Expression {
        words,
        next: 0,
        accepted,
    };
    expression.either() && expression.next == expression.words.len()
}

fn accepted() -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(repository::root().join(".deny.toml"))?;
    let file: toml_edit::DocumentMut = text.parse()?;
    let list = file["licenses"]["allow"]
        .as_array()
        .context("licenses.allow")?;
    Ok(list
        .iter()
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect())
}

#[test]
fn every_dependency_has_a_licence_that_we_accept() -> Result<()> {
    let accepted = accepted()?;
    let metadata = repository::metadata(true)?;
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let licence = package["license"].as_str().unwrap_or_default();
        if !acceptable(licence, &accepted) {
            refused.push(format!(
                "{} {}: {licence:?}",
                package["name"], package["version"]
            ));
        }
    }
    ensure!(
        refused.is_empty(),
        "not in .deny.toml:\n{}",
        refused.join("\n")
    );
    Ok(())
}

#[test]
fn an_expression_is_accepted_only_when_its_meaning_is() {
    let accepted = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for fine in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/Apache-2.0",
        "MIT AND (GPL-3.0 OR ISC)",
    ] {
        assert!(acceptable(fine, &accepted), "{fine}");
    }
    for refused in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT WITH x",
        "MIT ISC",
        "(MIT",
    ] {
        assert!(!acceptable(refused, &accepted), "{refused}");
    }
}
