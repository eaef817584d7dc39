//! What the bundled engine reads from the configuration.

use std::path::PathBuf;

use toml_edit::Item;

use crate::{Config, ContainerSocket, Error};

/// The largest factor by which cores or memory are given out more than once.
pub(crate) const MAX_OVERCOMMIT: u32 = 100;

impl Config {
    /// Directories outside of the home in which Python environments lie that sessions of this
    /// computer may be shown: the absolute paths of `environment_places`.
    #[must_use]
    pub fn environment_places(&self) -> Vec<PathBuf> {
        let written = self
            .document
            .get("environment_places")
            .and_then(Item::as_array);
        written
            .into_iter()
            .flatten()
            .filter_map(|place| place.as_str())
            .map(PathBuf::from)
            .filter(|place| place.is_absolute())
            .collect()
    }

    /// Where the API socket of Docker or Podman is, by `container_socket`: an absolute path, with or
    /// without `unix://`, or `none`. Absent: it is looked for.
    #[must_use]
    pub fn container_socket(&self) -> Option<ContainerSocket> {
        let written = self
            .document
            .get("container_socket")
            .and_then(Item::as_str)?;
        if written == "none" {
            return Some(ContainerSocket::Off);
        }
        let path = PathBuf::from(written.strip_prefix("unix://").unwrap_or(written));
        path.is_absolute().then_some(ContainerSocket::At(path))
    }

    /// How many times a core may be promised to sessions, by `cpu_overcommit`; 1 when absent.
    ///
    /// # Errors
    /// [`Error::Value`] when it is not a whole number from 1 to [`MAX_OVERCOMMIT`].
    pub fn cpu_overcommit(&self) -> Result<u32, Error> {
        self.overcommit("cpu_overcommit")
    }

    /// How many times memory may be promised to sessions, by `mem_overcommit`; 1 when absent.
    ///
    /// # Errors
    /// [`Error::Value`] when it is not a whole number from 1 to [`MAX_OVERCOMMIT`].
    pub fn mem_overcommit(&self) -> Result<u32, Error> {
        self.overcommit("mem_overcommit")
    }

    fn overcommit(&self, key: &str) -> Result<u32, Error> {
        let Some(item) = self.document.get(key) else {
            return Ok(1);
        };
        item.as_integer()
            .and_then(|times| u32::try_from(times).ok())
            .filter(|times| (1..=MAX_OVERCOMMIT).contains(times))
            .ok_or_else(|| Error::Value {
                path: self.path.clone(),
                table: key.to_owned(),
                reason: format!("it must be a whole number from 1 to {MAX_OVERCOMMIT}"),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Paths;

    #[test]
    fn overcommit_is_a_whole_number() {
        let home = tempfile::tempdir().expect("a directory");
        let paths = Paths::under(home.path());
        std::fs::create_dir_all(&paths.config_dir).expect("made");
        let read = |text: &str| {
            std::fs::write(paths.config_file(), text).expect("written");
            Config::load(&paths).expect("read").cpu_overcommit()
        };
        assert_eq!(read("").expect("absent"), 1);
        assert_eq!(read("cpu_overcommit = 50").expect("good"), 50);
        for wrong in ["0", "101", "-1", "1.5", "\"2\""] {
            let error = read(&format!("cpu_overcommit = {wrong}")).expect_err(wrong);
            assert!(error.to_string().contains("cpu_overcommit"), "{error}");
        }
    }
}
