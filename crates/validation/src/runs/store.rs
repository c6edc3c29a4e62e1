//! Runs on the disk: a file each, in a folder beside the state. A run that has no end there when the process starts was
//! interrupted, and says so from then on.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runs::suites::SuiteSettings;
use config::ValidationSettings;
use judgement::guard::evidence::grouped;
use wire::{Execution, ExecutionState};

/// What is longer is neither written nor read. What a run finds is cut to less, part by part: see `room`.
const MOST_BYTES: u64 = 64 << 20;
const SETTINGS: &str = "settings.json";

/// The folder of the runs.
#[derive(Clone, Debug)]
pub struct RunStore {
    folder: PathBuf,
}

impl RunStore {
    /// Opens the folder, or makes it. Where it cannot be made, runs are remembered until the process ends.
    pub fn open(folder: PathBuf) -> RunStore {
        let store = RunStore { folder };
        if let Err(error) = store.make() {
            tracing::warn!(folder = %store.folder.display(), %error, "validation runs cannot be kept");
        }
        store
    }

    /// Every run that can be read, oldest first. What was under way is marked as interrupted, here and on the disk.
    pub fn load(&self) -> Vec<Execution> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<Execution> = entries
            .map(|entry| entry.path())
            .filter(|path| is_run(path))
            .filter_map(|path| match read::<Execution>(&path) {
                Ok(execution) => Some(execution),
                Err(why) => {
                    tracing::warn!(file = %path.display(), why, "a validation run cannot be read: left out");
                    None
                }
            })
            .collect();
        all.sort_by(|a, b| (a.summary.began_at_ms, &a.summary.id).cmp(&(b.summary.began_at_ms, &b.summary.id)));
        for execution in all.iter_mut().filter(|execution| !execution.summary.state.is_over()) {
            execution.summary.state = ExecutionState::Interrupted;
            let known = grouped(execution.parts.len() as u64);
            execution.summary.verdict =
                format!("interrupted: the process ended in the middle of it, after {known} of its parts");
            execution.summary.not_kept = self.put(execution).err();
        }
        all
    }

    /// Writes a run.
    ///
    /// # Errors
    /// The disk does not take it: the log says so too.
    pub fn put(&self, execution: &Execution) -> Result<(), String> {
        let written = self.write(&format!("{}.json", execution.summary.id), execution);
        if let Err(why) = &written {
            tracing::warn!(run = execution.summary.id, why, "a validation run cannot be written down");
        }
        written
    }

    /// # Errors
    /// It cannot be read.
    pub fn get(&self, id: &str) -> Result<Execution, String> {
        read(&self.folder.join(format!("{id}.json")))
    }

    pub fn delete(&self, id: &str) {
        let _ = std::fs::remove_file(self.folder.join(format!("{id}.json")));
    }

    pub fn settings(&self) -> SuiteSettings {
        read(&self.folder.join(SETTINGS)).unwrap_or_default()
    }

    /// # Errors
    /// The disk does not take them.
    pub fn keep_settings(&self, settings: &SuiteSettings) -> Result<(), String> {
        self.write(SETTINGS, settings)
    }

    fn make(&self) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        // What an origin answers may be nobody else's business.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&self.folder);
        made.or_else(|error| if self.folder.is_dir() { Ok(()) } else { Err(error) })
    }

    /// Whole or not at all, whatever ends the process.
    fn write(&self, name: &str, body: &impl Serialize) -> Result<(), String> {
        let (path, draft) = (self.folder.join(name), self.folder.join(format!(".{name}")));
        let text = serde_json::to_string(body).map_err(|error| error.to_string())?;
        if text.len() as u64 > MOST_BYTES {
            return Err(too_long());
        }
        // Somebody may have cleared the folder away.
        let written = self.make().and_then(|()| std::fs::write(&draft, text));
        let written = written.and_then(|()| std::fs::rename(&draft, &path));
        written.map_err(|error| {
            // Half a draft takes room that the disk may not have.
            let _ = std::fs::remove_file(&draft);
            format!("{}: {error}", path.display())
        })
    }
}

/// Which runs are too many or too old: of those given, first those that ended first, with when they did.
pub fn outworn(runs: &[(String, u64)], keep: ValidationSettings, wall: u64) -> Vec<String> {
    let over = runs.len().saturating_sub(keep.keep);
    let old = |ended: u64| wall.saturating_sub(ended) > keep.age.0;
    let outworn = runs.iter().enumerate().filter(|(at, (_, ended))| *at < over || old(*ended));
    outworn.map(|(_, (id, _))| id.clone()).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MOST_BYTES {
        return Err(too_long());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

fn too_long() -> String {
    format!("it is over {} MiB", MOST_BYTES >> 20)
}

fn is_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    name.ends_with(".json") && !name.starts_with('.') && name != SETTINGS
}
