//! Where no store for the operating system's keychain is built in yet.

use secrecy::SecretString;

use crate::{Error, State, Status};

/// Says that there is no keychain.
#[derive(Default)]
pub(crate) struct System;

fn absent() -> Error {
    Error::Absent {
        detail: "not supported on this system yet".to_owned(),
    }
}

impl System {
    pub(crate) fn status(&self) -> Status {
        Status {
            state: State::Absent,
            detail: absent().to_string(),
        }
    }

    pub(crate) fn get(&self, _name: &str) -> Result<Option<SecretString>, Error> {
        Err(absent())
    }

    pub(crate) fn set(&self, _name: &str, _secret: &SecretString) -> Result<(), Error> {
        Err(absent())
    }

    pub(crate) fn remove(&self, _name: &str) -> Result<(), Error> {
        Err(absent())
    }
}
