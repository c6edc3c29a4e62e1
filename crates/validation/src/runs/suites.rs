//! The folder of suites, read again each time: what is on disk is what runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use config::suite::Suite;
use config::{self, ConfigError};

/// All suites are read again whenever the list is requested.
const MOST_SUITES: usize = 200;

/// A suite's file, parsed.
#[derive(Debug)]
pub struct LoadedSuite {
    pub name: String,
    pub suite: Result<Suite, ConfigError>,
}

/// Every `*.toml` of the folder, sorted by name. A missing folder has none.
///
/// # Errors
/// The folder cannot be listed.
pub fn all(folder: &Path) -> Result<Vec<LoadedSuite>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot list {}: {error}", folder.display())),
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut named: Vec<(String, PathBuf)> = paths.filter_map(|path| Some((name_of(&path)?, path))).collect();
    named.sort();
    let read = |(at, (name, path)): (usize, (String, PathBuf))| {
        let too_many = || {
            ConfigError::at_large(
                &path,
                format!("the folder has over {MOST_SUITES} suites: move some of them elsewhere"),
            )
        };
        let suite = if at < MOST_SUITES { config::load_suite(&path) } else { Err(too_many()) };
        LoadedSuite { name, suite }
    };
    Ok(named.into_iter().enumerate().map(read).collect())
}

/// One suite by its name.
///
/// # Errors
/// There is none, with the names that exist; or its file is invalid.
pub fn one(folder: &Path, name: &str) -> Result<Suite, SuiteError> {
    let path = folder.join(format!("{name}.toml"));
    if !config::is_suite_name(name) || !path.is_file() {
        let names: Vec<String> = all(folder).unwrap_or_default().into_iter().map(|read| read.name).collect();
        return Err(SuiteError::NoSuch { folder: folder.to_owned(), names });
    }
    config::load_suite(&path).map_err(|refused| SuiteError::Broken(refused.to_string()))
}

/// Why a suite cannot be loaded.
#[derive(Debug, PartialEq, Eq)]
pub enum SuiteError {
    NoSuch { folder: PathBuf, names: Vec<String> },
    Broken(String),
}

/// `None` if it is not a suite: another kind of file, or an editor's temporary file.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_string_lossy();
    let suite = path.extension().is_some_and(|extension| extension == "toml");
    (suite && !name.starts_with('.')).then(|| name.into_owned())
}

/// Settings of suites that were changed at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SuiteSettings(pub BTreeMap<String, SuiteSetting>);

/// The settings of one suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteSetting {
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Milliseconds; 0: no schedule, whatever the file says.
    #[serde(default)]
    pub every_ms: Option<u64>,
    #[serde(default)]
    pub after_rollback: Option<bool>,
}

fn yes() -> bool {
    true
}

impl Default for SuiteSetting {
    fn default() -> SuiteSetting {
        SuiteSetting { enabled: true, every_ms: None, after_rollback: None }
    }
}

impl SuiteSettings {
    pub fn of(&self, suite: &str) -> SuiteSetting {
        self.0.get(suite).cloned().unwrap_or_default()
    }

    /// The schedule of a suite.
    pub fn every_ms(&self, suite: &Suite) -> Option<u64> {
        let file = suite.every.map(|every| every.0);
        self.of(&suite.name).every_ms.or(file).filter(|every| *every > 0)
    }

    pub fn after_rollback(&self, suite: &Suite) -> bool {
        self.of(&suite.name).after_rollback.unwrap_or(suite.after_rollback)
    }
}
