//! Files that could not be copied while the others could.

use std::sync::{Mutex, PoisonError};

use crate::copy::Stop;
use crate::item::{Failure, FailureCode};

/// What went wrong with single files of a folder.
#[derive(Default)]
pub(crate) struct Problems(Mutex<Found>);

#[derive(Default)]
struct Found {
    first: Option<Failure>,
    count: u64,
}

impl Problems {
    pub(crate) fn note(&self, failure: Failure) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.count += 1;
        found.first.get_or_insert(failure);
    }

    /// The first of them, and how many there are.
    pub(crate) fn into_result(self) -> Result<(), Stop> {
        let found = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(mut failure) = found.first else {
            return Ok(());
        };
        if found.count > 1 {
            failure.message = format!("{} (and {} more)", failure.message, found.count - 1);
        }
        Err(Stop::Failed {
            failure,
            retry: false,
        })
    }
}

/// Failures that say nothing about the other files.
pub(crate) fn is_of_one_file(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::NotFound
            | FailureCode::PermissionDenied
            | FailureCode::SourceChanged
            | FailureCode::IsADirectory
            | FailureCode::UnsafeName
    )
}
