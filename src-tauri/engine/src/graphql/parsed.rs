//! Queries that were parsed a moment ago: clients ask the same few again and again.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::parser::{Error, parse_query};

/// How many are kept. When there are more, all are forgotten.
const KEPT: usize = 64;
/// The longest that is kept, in bytes.
const LONGEST: usize = 16 * 1024;

type Known = HashMap<String, Arc<ExecutableDocument>>;

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// The document of a query.
pub(super) fn parsed(query: &str) -> Result<Arc<ExecutableDocument>, Error> {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(document) = known().get(query) {
        return Ok(Arc::clone(document));
    }
    let document = Arc::new(parse_query(query)?);
    if query.len() <= LONGEST {
        let mut known = known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(query.to_owned(), Arc::clone(&document));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        for number in 0..=3 * KEPT {
            let query = format!("{{ kept{number} }}");
            let first = parsed(&query).unwrap();
            assert_eq!(first.operations.iter().count(), 1);
            assert!(KNOWN.lock().unwrap().len() <= KEPT);
        }
        let long = format!("{{ {} }}", "field ".repeat(LONGEST));
        parsed(&long).unwrap();
        assert!(!KNOWN.lock().unwrap().contains_key(&long));
        assert!(parsed("{").is_err());
    }
}
