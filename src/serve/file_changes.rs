//! What a reload of the routing file changes, for the journal: which parts of which services, whose the file is, and the
//! lines.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};
use similar::{ChangeTag, TextDiff};

use config::read::without_passwords;
use config::{RoutingConfig, ServiceConfig};

/// The most of a diff that goes into the journal, in bytes.
const LONGEST_DIFF: usize = 8 << 10;

/// A routing file that is in force, as far as it must be known to tell what the next one changes.
#[derive(Debug, Default)]
pub struct LoadedFile {
    text: String,
    /// The parts of every service, by its name.
    services: Vec<(String, Parts)>,
}

/// The parts of a service by their names, each as text that differs if the part does.
type Parts = [(&'static str, String); 8];

impl LoadedFile {
    pub fn of(path: &Path, routing: &RoutingConfig) -> LoadedFile {
        // A file that cannot be read any more has no lines to show.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let services = routing.services.iter().map(|config| (config.traffic.name.clone(), parts(config)));
        LoadedFile { text, services: services.collect() }
    }

    /// What the journal says of the change from `before` to this; `None` if nothing that is in force has changed.
    pub fn since(&self, before: &LoadedFile, path: &Path) -> Option<String> {
        let mut changes = Vec::new();
        let find = |file: &LoadedFile, name: &str| file.services.iter().position(|(other, _)| other == name);
        for (name, parts) in &self.services {
            let Some((_, earlier)) = find(before, name).and_then(|at| before.services.get(at)) else {
                changes.push(format!("{name}: new"));
                continue;
            };
            let differ = parts.iter().zip(earlier).filter(|(part, earlier)| part != earlier);
            let names: Vec<&str> = differ.map(|((name, _), _)| *name).collect();
            if !names.is_empty() {
                changes.push(format!("{name}: {}", names.join(", ")));
            }
        }
        let gone = before.services.iter().filter(|(name, _)| find(self, name).is_none());
        changes.extend(gone.map(|(name, _)| format!("{name}: gone")));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (!changes.is_empty()).then(|| {
            format!("{name}{} changed {}\n{}", owner(path), changes.join("; "), diff(&before.text, &self.text))
        })
    }
}

fn parts(config: &ServiceConfig) -> Parts {
    let ServiceConfig { traffic, ask, policy, plan, urls, health, freezes, terms, .. } = config;
    let ServiceConfig { origins, rescue, websocket, deadlines, allowed_origins, .. } = config;
    [
        ("hosts, routes and rules", format!("{traffic:?}")),
        ("weight", format!("{ask:?}")),
        ("guard", format!("{policy:?}")),
        ("rollout", format!("{plan:?}{freezes:?}")),
        ("urls", format!("{urls:?}{allowed_origins:?}")),
        ("health checks", format!("{health:?}")),
        ("origins", format!("{origins:?}")),
        ("limits and headers", format!("{terms:?}{rescue}{websocket}{deadlines:?}")),
    ]
}

/// Whose file it is: that is who could write it, even where somebody else did.
fn owner(path: &Path) -> String {
    let Ok(uid) = path.metadata().map(|metadata| metadata.uid()) else { return String::new() };
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| format!(" (owned by user {uid})"), |user| format!(" (owned by {})", user.name))
}

/// The lines that are gone and new, in the order of the file.
fn diff(before: &str, after: &str) -> String {
    let mut lines = String::new();
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => continue,
        };
        let line = without_passwords(change.value().trim_end());
        if lines.len() + line.len() > LONGEST_DIFF {
            lines.push_str("\n…");
            break;
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push(sign);
        lines.push_str(&line);
    }
    lines
}
