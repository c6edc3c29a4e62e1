//! Runs on disk: one file each, in a folder beside the state. A run that has not ended there when the process starts
//! was interrupted, and is marked so.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runs::automation::AutomationRecord;
use crate::runs::suites::SuiteSettings;
use config::ValidationSettings;
use judgement::guard::evidence::grouped;
use wire::{Execution, ExecutionState};

/// What is longer is neither written nor read. What a run finds is cut to less, part by part: see `budget`.
const MOST_BYTES: u64 = 64 << 20;
const SETTINGS: &str = "settings.json";
const AUTOMATION: &str = "automation.json";

/// The folder of the runs.
#[derive(Clone, Debug)]
pub struct RunStore {
    folder: PathBuf,
}

impl RunStore {
    /// Opens or creates the folder. If it cannot be created, runs are kept until the process ends.
    pub fn open(folder: PathBuf) -> RunStore {
        let store = RunStore { folder };
        if let Err(error) = store.make() {
            tracing::warn!(folder = %store.folder.display(), %error, "cannot create the folder for validation runs; runs are kept in memory only");
        }
        store
    }

    /// Every run that can be read, oldest first. Those that had not ended are marked as interrupted, also on disk.
    pub fn load(&self) -> Vec<Execution> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<Execution> = entries
            .map(|entry| entry.path())
            .filter(|path| is_run(path))
            .filter_map(|path| match read::<Execution>(&path) {
                Ok(execution) => Some(execution),
                Err(why) => {
                    tracing::warn!(file = %path.display(), why, "cannot read a validation run; skipping it");
                    None
                }
            })
            .collect();
        all.sort_by(|a, b| (a.summary.began_at_ms, &a.summary.id).cmp(&(b.summary.began_at_ms, &b.summary.id)));
        for execution in all.iter_mut().filter(|execution| !execution.summary.state.is_over()) {
            execution.summary.state = ExecutionState::Interrupted;
            let known = grouped(execution.parts.len() as u64);
            execution.summary.verdict = format!("interrupted: Cutover stopped, after {known} of its parts");
            execution.summary.not_kept = self.put(execution).err();
        }
        all
    }

    /// Writes a run.
    ///
    /// # Errors
    /// It cannot be written; this is logged too.
    pub fn put(&self, execution: &Execution) -> Result<(), String> {
        let written = self.write(&format!("{}.json", execution.summary.id), execution);
        if let Err(why) = &written {
            tracing::warn!(run = execution.summary.id, why, "cannot save a validation run");
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
    /// They cannot be written.
    pub fn keep_settings(&self, settings: &SuiteSettings) -> Result<(), String> {
        self.write(SETTINGS, settings)
    }

    pub fn automation(&self) -> AutomationRecord {
        read(&self.folder.join(AUTOMATION)).unwrap_or_default()
    }

    /// # Errors
    /// It cannot be written.
    pub fn keep_automation(&self, record: &AutomationRecord) -> Result<(), String> {
        self.write(AUTOMATION, record)
    }

    fn make(&self) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        // Answers of origins may be confidential.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&self.folder);
        made.or_else(|error| if self.folder.is_dir() { Ok(()) } else { Err(error) })
    }

    /// Writes the file completely or not at all, whatever ends the process.
    fn write(&self, name: &str, body: &impl Serialize) -> Result<(), String> {
        let (path, draft) = (self.folder.join(name), self.folder.join(format!(".{name}")));
        let text = serde_json::to_string(body).map_err(|error| error.to_string())?;
        if text.len() as u64 > MOST_BYTES {
            return Err(too_long());
        }
        // The folder may have been deleted.
        let written = self.make().and_then(|()| std::fs::write(&draft, text));
        let written = written.and_then(|()| std::fs::rename(&draft, &path));
        written.map_err(|error| {
            // A partial file wastes space that the disk may not have.
            let _ = std::fs::remove_file(&draft);
            format!("{}: {error}", path.display())
        })
    }
}

/// The runs to delete because there are too many or they are too old; each is given with the time of its end, oldest
/// first.
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
    format!("larger than {} MiB", MOST_BYTES >> 20)
}

fn is_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    name.ends_with(".json") && !name.starts_with('.') && name != SETTINGS && name != AUTOMATION
}
