//! Notices that a routing file, or a folder of them, has changed.
//!
//! It checks the files' inode, size and times several times a second. That costs one `stat` per file, and detects every
//! kind of change: written in place, renamed over, a symlink swapped at any level (as Kubernetes does), and on file
//! systems that send no events. inotify would be a tenth of a second faster, and blind to some of these.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time between two looks. A file is accepted when two looks agree, so that it is seldom read half written.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// The files at one look; nothing if they cannot be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileStamps(BTreeMap<PathBuf, [i64; 7]>);

impl FileStamps {
    pub fn at(path: &Path) -> FileStamps {
        let mut seen = BTreeMap::new();
        for file in super::routing_files(path).unwrap_or_default() {
            // Follows symlinks: the final file is what counts.
            if let Ok(meta) = std::fs::metadata(&file) {
                let facts = [
                    meta.dev() as i64,
                    meta.ino() as i64,
                    meta.size() as i64,
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.ctime(),
                    meta.ctime_nsec(),
                ];
                seen.insert(file, facts);
            }
        }
        FileStamps(seen)
    }
}

/// Detects a change once it has settled.
#[derive(Debug)]
pub struct FileWatch {
    /// What was last accepted or refused.
    taken: FileStamps,
    last: FileStamps,
}

impl FileWatch {
    /// Starts from a look that was taken before the files were read, so that changes made while they are read are
    /// noticed.
    pub fn from(taken: FileStamps) -> FileWatch {
        FileWatch { last: taken.clone(), taken }
    }

    /// Takes another look; true if the files have changed and stayed the same since the last look.
    pub fn has_changed(&mut self, look: FileStamps) -> bool {
        let settled = look == self.last;
        self.last = look;
        if !settled || self.last == self.taken {
            return false;
        }
        self.taken = self.last.clone();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_changing_a_file_is_seen_once_and_only_when_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("routing.toml");
        let versions = ["v1", "v2"].map(|name| dir.path().join(name));
        for version in &versions {
            std::fs::create_dir(version).unwrap();
            std::fs::write(version.join("routing.toml"), "x = 1").unwrap();
        }
        let data = dir.path().join("..data");
        std::os::unix::fs::symlink(&versions[0], &data).unwrap();
        std::os::unix::fs::symlink(data.join("routing.toml"), &path).unwrap();
        let mut watch = FileWatch::from(FileStamps::at(&path));
        let mut change = |how: &str, change: &dyn Fn()| {
            assert!(!watch.has_changed(FileStamps::at(&path)), "{how}: nothing yet");
            change();
            assert!(!watch.has_changed(FileStamps::at(&path)), "{how}: not settled");
            assert!(watch.has_changed(FileStamps::at(&path)), "{how}: seen");
            assert!(!watch.has_changed(FileStamps::at(&path)), "{how}: seen once");
        };
        change("a symlink above it swapped", &|| {
            let next = dir.path().join("..next");
            std::os::unix::fs::symlink(&versions[1], &next).unwrap();
            std::fs::rename(&next, &data).unwrap();
        });
        change("written in place", &|| std::fs::write(&path, "x = 22").unwrap());
        change("renamed over", &|| {
            let beside = dir.path().join("routing.toml.new");
            std::fs::write(&beside, "x = 3").unwrap();
            std::fs::rename(&beside, &path).unwrap();
        });
        change("deleted", &|| std::fs::remove_file(&path).unwrap());
        change("there again", &|| std::fs::write(&path, "x = 4").unwrap());
    }
}
