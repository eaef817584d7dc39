//! The filter and order texts of lists (protocol page "GraphQL" §2):
//! `(status == "RUNNING") & (name ilike "%abc%")`, `-created_at,+name`.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::record::Fields;

/// Why a filter can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidFilter {
    #[error("something is wrong at \"{0}\"")]
    Syntax(String),
    #[error("there is no field \"{0}\" to filter by")]
    UnknownField(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    More,
    MoreOrEqual,
    Less,
    LessOrEqual,
    Contains,
    In,
    Is,
    IsNot,
    Like,
    Ilike,
}

/// Longer spellings stand before those that they begin with.
const OPERATORS: [(&str, Operator); 12] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">=", Operator::MoreOrEqual),
    ("<=", Operator::LessOrEqual),
    (">", Operator::More),
    ("<", Operator::Less),
    ("contains", Operator::Contains),
    ("isnot", Operator::IsNot),
    ("is", Operator::Is),
    ("in", Operator::In),
    ("ilike", Operator::Ilike),
    ("like", Operator::Like),
];

/// How many brackets and negations may stand around each other. Each takes room on the stack, of
/// which whoever sends a filter must not have all.
const DEEPEST: usize = 64;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Compare(String, OperatorOf, Value),
    Not(Box<Self>),
    /// From left to right.
    Chain(Box<Self>, Vec<(Joint, Self)>),
}

/// What stands between two parts of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    And,
    Or,
}

/// An operator, opaque outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OperatorOf(Operator);

impl Expression {
    /// Reads a filter. `&` and `|` have no precedence: they are taken from left to right.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let mut reader = Reader { rest: text };
        let expression = reader.chain(0)?;
        reader.skip();
        if reader.rest.is_empty() {
            Ok(expression)
        } else {
            Err(reader.wrong())
        }
    }

    /// Whether a row passes.
    pub(super) fn fits(&self, row: &impl Fields) -> Result<bool, InvalidFilter> {
        match self {
            Self::Not(inner) => Ok(!inner.fits(row)?),
            Self::Chain(first, rest) => {
                let mut fits = first.fits(row)?;
                for (joint, part) in rest {
                    fits = match joint {
                        Joint::And => fits && part.fits(row)?,
                        Joint::Or => fits || part.fits(row)?,
                    };
                }
                Ok(fits)
            }
            Self::Compare(field, operator, wanted) => {
                let value = row
                    .field(field)
                    .ok_or_else(|| InvalidFilter::UnknownField(field.clone()))?;
                Ok(compare(&value, operator.0, wanted))
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn wrong(&self) -> InvalidFilter {
        InvalidFilter::Syntax(self.rest.chars().take(20).collect())
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn chain(&mut self, depth: usize) -> Result<Expression, InvalidFilter> {
        let first = self.single(depth)?;
        let mut rest = Vec::new();
        loop {
            let joint = if self.take("&") {
                Joint::And
            } else if self.take("|") {
                Joint::Or
            } else if rest.is_empty() {
                return Ok(first);
            } else {
                return Ok(Expression::Chain(Box::new(first), rest));
            };
            rest.push((joint, self.single(depth)?));
        }
    }

    fn single(&mut self, depth: usize) -> Result<Expression, InvalidFilter> {
        if depth > DEEPEST {
            return Err(self.wrong());
        }
        if self.take("!") {
            return Ok(Expression::Not(Box::new(self.single(depth + 1)?)));
        }
        if self.take("(") {
            let inner = self.chain(depth + 1)?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err(self.wrong())
            };
        }
        let field = self.word()?.to_owned();
        self.skip();
        let (spelling, operator) = OPERATORS
            .into_iter()
            .find(|(spelling, _)| self.rest.starts_with(spelling))
            .ok_or_else(|| self.wrong())?;
        self.rest = &self.rest[spelling.len()..];
        Ok(Expression::Compare(
            field,
            OperatorOf(operator),
            self.value()?,
        ))
    }

    fn word(&mut self) -> Result<&'a str, InvalidFilter> {
        self.skip();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
            .unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.wrong());
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(word)
    }

    /// A JSON value: text in double quotes, a number, a list, null, true or false.
    fn value(&mut self) -> Result<Value, InvalidFilter> {
        self.skip();
        if !self.rest.starts_with(['"', '[', '{']) {
            // A number or a word ends where the filter goes on, which JSON knows nothing of.
            let ends = |c: char| c.is_whitespace() || matches!(c, ')' | '&' | '|');
            let end = self.rest.find(ends).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            let value = serde_json::from_str(word).map_err(|_| self.wrong())?;
            self.rest = rest;
            return Ok(value);
        }
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let value = values
            .next()
            .and_then(Result::ok)
            .ok_or_else(|| self.wrong())?;
        self.rest = &self.rest[values.byte_offset()..];
        Ok(value)
    }
}

fn compare(value: &Value, operator: Operator, wanted: &Value) -> bool {
    match operator {
        Operator::Equal | Operator::Is => order(value, wanted) == Some(Ordering::Equal),
        Operator::Unequal | Operator::IsNot => order(value, wanted) != Some(Ordering::Equal),
        Operator::More => order(value, wanted) == Some(Ordering::Greater),
        Operator::Less => order(value, wanted) == Some(Ordering::Less),
        Operator::MoreOrEqual => order(value, wanted).is_some_and(Ordering::is_ge),
        Operator::LessOrEqual => order(value, wanted).is_some_and(Ordering::is_le),
        Operator::In => wanted.as_array().is_some_and(|list| {
            list.iter()
                .any(|one| order(value, one) == Some(Ordering::Equal))
        }),
        Operator::Contains => match value {
            Value::Array(list) => list
                .iter()
                .any(|one| order(one, wanted) == Some(Ordering::Equal)),
            _ => text(value).contains(&text(wanted)),
        },
        Operator::Like => like(&text(value), &text(wanted)),
        Operator::Ilike => like(&text(value).to_lowercase(), &text(wanted).to_lowercase()),
    }
}

/// Words of the protocol are compared without regard to case, as the manager reads them. Null is
/// equal to null alone, and neither more nor less than anything.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        _ => {
            let (one, other) = (text(one), text(other));
            if one.eq_ignore_ascii_case(&other) {
                Some(Ordering::Equal)
            } else {
                Some(one.cmp(&other))
            }
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// SQL's LIKE: `%` is any text.
fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(end) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

/// The rows by `-created_at,+name`; nulls come last.
pub(super) fn sorted<F: Fields>(rows: Vec<F>, text: &str) -> Vec<F> {
    let keys: Vec<(&str, bool)> = text
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(|key| match key.strip_prefix('-') {
            Some(name) => (name, true),
            None => (key.trim_start_matches('+'), false),
        })
        .collect();
    let mut keyed: Vec<(Vec<Option<Value>>, F)> = rows
        .into_iter()
        .map(|row| {
            let values = keys.iter().map(|(key, _)| row.field(key));
            let values = values.map(|value| value.map(Cow::into_owned)).collect();
            (values, row)
        })
        .collect();
    keyed.sort_by(|(one, _), (other, _)| {
        keys.iter()
            .zip(one.iter().zip(other))
            .map(|((_, down), (one, other))| before(one.as_ref(), other.as_ref(), *down))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    keyed.into_iter().map(|(_, row)| row).collect()
}

/// Which of two rows' values for one key comes first, `down` from the largest.
fn before(one: Option<&Value>, other: Option<&Value>, down: bool) -> Ordering {
    let (Some(one), Some(other)) = (one, other) else {
        return Ordering::Equal;
    };
    match (one.is_null(), other.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ if down => place(one, other).reverse(),
        _ => place(one, other),
    }
}

/// Where a value stands in a sorted list. Unlike [`order`] it is consistent for any three values,
/// without which sorting fails: words that differ in case alone stand side by side.
fn place(one: &Value, other: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Bool(_) => 0,
        Value::Number(_) => 1,
        _ => 2,
    };
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => {
            let number = |it: &serde_json::Number| it.as_f64().unwrap_or_default();
            number(one).total_cmp(&number(other))
        }
        _ if kind(one) != kind(other) => kind(one).cmp(&kind(other)),
        _ => {
            let (one, other) = (text(one), text(other));
            let folded = |it: &str| it.to_ascii_lowercase();
            folded(&one).cmp(&folded(&other)).then(one.cmp(&other))
        }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(filter: &str) -> Result<bool, InvalidFilter> {
        let record = super::super::record::record(json!({
            "name": "train-1", "status": "RUNNING", "priority": 10, "tag": null,
            "agents": ["a", "b"], "created_at": "2026-08-23T01:02:03+00:00",
        }));
        Expression::parse(filter)?.fits(&record)
    }

    #[test]
    fn filters() {
        for yes in [
            r#"status == "RUNNING""#,
            r#"status == "running""#,
            r#"(status == "RUNNING") & (name ilike "%AIN%")"#,
            r#"name like "train-%""#,
            r#"!(name like "%x")"#,
            r#"status in ["PENDING", "RUNNING"]"#,
            r#"priority >= 10 & priority<11"#,
            r#"tag is null"#,
            r#"name isnot null"#,
            r#"agents contains "b""#,
            r#"created_at > "2026-08-22T00:00:00+00:00""#,
            r#"status == "PENDING" | priority == 10"#,
            r#"(priority == 10) & (tag is null)|(priority==1)"#,
        ] {
            assert_eq!(passes(yes), Ok(true), "{yes}");
        }
        for no in [
            r#"status != "RUNNING""#,
            r#"name like "rain%""#,
            r#"name ilike "%1%1""#,
            r#"tag == "x""#,
            r#"status == "RUNNING" & name == "other""#,
        ] {
            assert_eq!(passes(no), Ok(false), "{no}");
        }
        assert_eq!(
            passes("size == 1"),
            Err(InvalidFilter::UnknownField("size".to_owned()))
        );
        for wrong in [
            "",
            "name",
            r#"name == "#,
            r#"(name == "x""#,
            r#"name == "x" name"#,
            "name ~ 1",
        ] {
            assert!(
                matches!(passes(wrong), Err(InvalidFilter::Syntax(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn orders() {
        let records = [("b", Some(1)), ("a", None), ("c", Some(2)), ("d", Some(1))]
            .map(|(name, size)| super::super::record::record(json!({ "name": name, "size": size })))
            .into();
        let records = sorted(records, "-size, +name");
        let names: Vec<_> = records
            .iter()
            .map(|record| record["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["c", "b", "d", "a"]);
    }
}
