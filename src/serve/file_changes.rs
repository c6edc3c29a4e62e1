//! What a reload of the routing file changes, for the journal: which parts of which services, whose the file is, and the
//! lines.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use similar::{ChangeTag, TextDiff};

use config::read::without_passwords;
use config::{RoutingConfig, RoutingContext, ServiceConfig};

/// The most of a diff that goes into the journal, in bytes.
const LONGEST_DIFF: usize = 8 << 10;

/// The routing files that are in force, as far as they must be known to tell what the next ones change.
#[derive(Debug, Default)]
pub struct LoadedFile {
    texts: Vec<(PathBuf, String)>,
    /// The parts of every service, by its name.
    services: Vec<(String, Parts)>,
}

/// The parts of a service by their names, each as a number that differs if the part does.
type Parts = [(&'static str, u64); 9];

impl LoadedFile {
    /// Reads files and looks at all services: not for a thread that serves others.
    pub fn of(path: &Path, routing: &RoutingConfig) -> LoadedFile {
        // A file that cannot be read any more has no lines to show.
        let files = config::routing_files(path).unwrap_or_default();
        let text = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            (path, text)
        };
        LoadedFile { texts: files.into_iter().map(text).collect(), services: services(routing) }
    }

    /// What the journal says of the change from `before` to this; `None` if nothing that is in force has changed.
    pub fn since(&self, before: &LoadedFile) -> Option<String> {
        let mut changes = Vec::new();
        for (name, parts) in &self.services {
            let Some(earlier) = before.parts_of(name) else {
                changes.push(format!("{name}: new"));
                continue;
            };
            let differ = parts.iter().zip(earlier).filter(|(part, earlier)| part != earlier);
            let names: Vec<&str> = differ.map(|((name, _), _)| *name).collect();
            if !names.is_empty() {
                changes.push(format!("{name}: {}", names.join(", ")));
            }
        }
        let gone = before.services.iter().filter(|(name, _)| self.parts_of(name).is_none());
        changes.extend(gone.map(|(name, _)| format!("{name}: gone")));
        (!changes.is_empty())
            .then(|| format!("{} changed {}{}", self.named(before), changes.join("; "), self.lines(before)))
    }

    /// Keeps the texts beside the state, for the next start, so that what is changed until then is on record too.
    pub fn keep(&self, state: &Path) {
        let path = beside(state);
        if let Err(error) = write(&path, &self.texts) {
            tracing::warn!(path = %path.display(), %error, "cannot keep a copy of the routing file");
        }
    }

    /// The file that was in force when the process before this one ended, with its routing, if that differs from this one
    /// and is still valid.
    pub fn of_last_run(&self, state: &Path, context: &RoutingContext<'_>) -> Option<(LoadedFile, RoutingConfig)> {
        let kept = std::fs::read(beside(state)).ok()?;
        let texts: Vec<(PathBuf, String)> = serde_json::from_slice(&kept).ok()?;
        let routing = config::routing_texts(&texts, context).ok()?;
        let before = LoadedFile { texts, services: services(&routing) };
        self.changed(&before).next()?;
        Some((before, routing))
    }

    /// What the journal says of the changes since the last run.
    pub fn since_last_run(&self, before: &LoadedFile) -> String {
        let since = self.since(before).unwrap_or_else(|| format!("{} changed", self.named(before)));
        format!("while Cutover was not running, {since}")
    }

    fn parts_of(&self, service: &str) -> Option<&Parts> {
        self.services.iter().find(|(name, _)| name == service).map(|(_, parts)| parts)
    }

    fn text_of(&self, path: &Path) -> &str {
        self.texts.iter().find(|(other, _)| other == path).map_or("", |(_, text)| text)
    }

    /// The files that differ, and those that are gone.
    fn changed<'a>(&'a self, before: &'a LoadedFile) -> impl Iterator<Item = &'a Path> {
        let gone = before.texts.iter().filter(|(path, _)| !self.texts.iter().any(|(other, _)| other == path));
        let paths = self.texts.iter().chain(gone).map(|(path, _)| path.as_path());
        paths.filter(|path| self.text_of(path) != before.text_of(path))
    }

    /// The files that differ, and whose they are.
    fn named(&self, before: &LoadedFile) -> String {
        let name = |path: &Path| format!("{}{}", path.file_name().unwrap_or_default().to_string_lossy(), owner(path));
        let names: Vec<String> = self.changed(before).map(name).collect();
        if names.is_empty() { "a value from the environment".to_owned() } else { names.join(", ") }
    }

    fn lines(&self, before: &LoadedFile) -> String {
        let mut lines = String::new();
        for path in self.changed(before) {
            diff(before.text_of(path), self.text_of(path), &mut lines);
        }
        lines
    }
}

fn beside(state: &Path) -> PathBuf {
    sidecar::journal::beside(state, ".routing")
}

/// For the owner's eyes only, as headers in it may be secrets; and whole or not at all.
fn write(path: &Path, texts: &[(PathBuf, String)]) -> std::io::Result<()> {
    let draft = path.with_added_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    serde_json::to_writer(&mut file, texts)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

fn services(routing: &RoutingConfig) -> Vec<(String, Parts)> {
    routing.services.iter().map(|config| (config.traffic.name.clone(), parts(config))).collect()
}

fn parts(config: &ServiceConfig) -> Parts {
    let ServiceConfig { traffic, ask, policy, plan, urls, health, freezes, terms, .. } = config;
    let ServiceConfig { origins, rescue, websocket, deadlines, failures, allowed_origins, .. } = config;
    [
        ("hosts, routes and rules", digest(traffic)),
        ("weight", digest(ask)),
        ("guard", digest(policy)),
        ("what counts as a failure", digest(failures)),
        ("rollout", digest(&(plan, freezes))),
        ("urls", digest(&(urls, allowed_origins))),
        ("health checks", digest(health)),
        ("origins", digest(origins)),
        ("limits and headers", digest(&(terms, rescue, websocket, deadlines))),
    ]
}

/// Of all that is shown of a value.
fn digest(value: &dyn std::fmt::Debug) -> u64 {
    struct Digest(DefaultHasher);
    impl std::fmt::Write for Digest {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut digest = Digest(DefaultHasher::new());
    // It never fails.
    let _ = write!(digest, "{value:?}");
    digest.0.finish()
}

/// Whose file it is: that is who could write it, even where somebody else did.
fn owner(path: &Path) -> String {
    let Ok(uid) = path.metadata().map(|metadata| metadata.uid()) else { return String::new() };
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| format!(" (owned by user {uid})"), |user| format!(" (owned by {})", user.name))
}

/// Adds the lines that are gone and new, in the order of the file.
fn diff(before: &str, after: &str, lines: &mut String) {
    // The table that a line is in says what it may hold.
    let (mut old_table, mut new_table) = (String::new(), String::new());
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let line = change.value().trim_end();
        if line.trim_start().starts_with('[') {
            let is_old = change.tag() != ChangeTag::Insert;
            let is_new = change.tag() != ChangeTag::Delete;
            [(is_old, &mut old_table), (is_new, &mut new_table)].into_iter().filter(|(is, _)| *is).for_each(
                |(_, table)| {
                    line.clone_into(table);
                },
            );
        }
        let (sign, table) = match change.tag() {
            ChangeTag::Delete => ('-', &old_table),
            ChangeTag::Insert => ('+', &new_table),
            ChangeTag::Equal => continue,
        };
        let line = without_secrets(line, table);
        if lines.len() + line.len() > LONGEST_DIFF {
            lines.push_str("\n…");
            return;
        }
        lines.push('\n');
        lines.push(sign);
        lines.push_str(&line);
    }
}

/// Words of keys and tables whose values may be secrets.
const SECRET: [&str; 8] = ["header", "secret", "password", "token", "authorization", "cookie", "key", "credential"];

/// A line of a routing file for people who may read the journal and not the file: without passwords in URLs, and of headers
/// and the like only what is named.
fn without_secrets(line: &str, table: &str) -> String {
    let is_secret = |text: &str| {
        let text = text.to_ascii_lowercase();
        SECRET.iter().any(|word| text.contains(word))
    };
    match line.split_once('=') {
        _ if line.trim_start().starts_with('[') || !is_secret(line) && !is_secret(table) => without_passwords(line),
        Some((key, _)) => format!("{key}= …"),
        None => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_headers_are_in_no_diff() {
        for (line, table, expected) in [
            ("weight = 10", "[service.shop.split]", "weight = 10"),
            ("url = \"postgres://me:pass@db\"", "", "url = \"postgres://me:****@db\""),
            ("request_headers = { set = { x-api-key = \"s3=cr3t\" } }", "[service.shop]", "request_headers = …"),
            ("set = { \"x-a\" = \"s3cr3t\" }", "[service.shop.request_headers]", "set = …"),
            ("  \"s3cr3t\",", "[service.shop.request_headers]", "…"),
            ("[service.shop.request_headers]", "[service.shop.request_headers]", "[service.shop.request_headers]"),
        ] {
            assert_eq!(without_secrets(line, table), expected);
        }
        let mut lines = String::new();
        diff("[a]\nx = 1\n", "[a]\nx = 2\n[a.headers]\nauthorization = \"Bearer s3cr3t\"\n", &mut lines);
        assert!(lines.contains("\n-x = 1") && lines.contains("\n+x = 2") && !lines.contains("cr3t"), "{lines}");
    }
}
