//! The configuration: what a file means once every problem is out of it.
//!
//! `file` is what was typed, `read` finds what cannot be typed so, `check` finds what makes no sense, `watch` notices
//! that a file has changed. A file is taken whole or refused whole: there is no way to get a [`Routing`] with a problem.

pub mod check;
pub mod file;
pub mod read;
pub mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::access;
use crate::config::file::{MainFile, RoutingFile};
use crate::config::read::{MAX_BYTES, Problem, Source};
use crate::guard::Policy;
use crate::rollout::Ask;
use crate::snapshot::Origin;
use crate::time::Millis;
use crate::traffic;

/// What needs a restart to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A routing file, or a folder of them.
    pub routing: PathBuf,
    pub listen: Vec<SocketAddr>,
    /// Workers; 0: one per core.
    pub threads: usize,
    pub trusted_proxies: Vec<IpNet>,
    pub drain: Millis,
    pub access_log: Option<access::Settings>,
    pub admin: SocketAddr,
    pub state: PathBuf,
    pub tick: Millis,
}

/// The services of one or several routing files.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    pub services: Vec<ServiceConfig>,
}

/// A service as the file means it.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    pub traffic: traffic::Service,
    pub ask: Ask,
    pub policy: Policy,
    /// By [`traffic::Environment::index`].
    pub origins: [Arc<Origin>; 2],
    pub rescue: bool,
    /// By route, `default` first.
    pub deadlines: Vec<Millis>,
}

/// A file that was refused: its text, and every problem in it.
#[derive(Debug)]
pub struct Refused {
    pub sources: Vec<Source>,
}

impl Refused {
    fn of(source: Source) -> Refused {
        Refused { sources: vec![source] }
    }

    fn because(name: &Path, why: String) -> Refused {
        let mut source = Source::new(name.display().to_string(), "");
        let missing = !name.exists();
        let hint = "name another with --config; config/ in the sources has both files to begin with";
        source.problem(0..0, why, missing.then(|| hint.to_owned()));
        Refused::of(source)
    }

    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.sources.iter().flat_map(|source| &source.problems)
    }

    /// For a terminal, with line and caret.
    pub fn render(&self, colour: bool) -> String {
        read::render(&self.sources.iter().collect::<Vec<_>>(), colour)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Refused {}

/// Reads `cutover.toml`.
///
/// # Errors
/// [`Refused`] with every problem of the file.
pub fn settings(path: &Path) -> Result<Settings, Refused> {
    let mut source = open(path)?;
    let file: MainFile = source.read();
    for problem in source.problems.iter_mut().filter(|problem| problem.message == "unknown key `service`") {
        let hint = "services stand in the routing file: `cutover check --routing FILE` checks one by itself";
        problem.hint = Some(hint.to_owned());
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let settings = check::main(&mut source, &file, base);
    if source.problems.is_empty() { Ok(settings) } else { Err(Refused::of(source)) }
}

/// Reads the routing file, or every `*.toml` of a folder in the order of their names.
///
/// # Errors
/// [`Refused`] with every problem of every file.
pub fn routing(path: &Path) -> Result<Routing, Refused> {
    let mut sources = Vec::new();
    for path in files(path)? {
        sources.push(open(&path)?);
    }
    let files: Vec<RoutingFile> = sources.iter_mut().map(Source::read).collect();
    let routing = check::routing(&mut sources, &files);
    sources.retain(|source| !source.problems.is_empty());
    if sources.is_empty() { Ok(routing) } else { Err(Refused { sources }) }
}

/// The routing files: the path itself, or what is in the folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, Refused> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |e: std::io::Error| Refused::because(path, format!("cannot list the folder: {e}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        // Editors leave hidden files beside the real ones.
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(Refused::because(path, "the folder holds no *.toml file".to_owned())) } else { Ok(files) }
}

fn open(path: &Path) -> Result<Source, Refused> {
    use std::io::Read;
    let refuse = |why: String| Refused::because(path, why);
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(|e| refuse(format!("cannot read the file: {e}")))?;
    if !kind.is_file() {
        return Err(refuse("this is not a file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|e| refuse(format!("cannot read the file: {e}")))?;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|e| refuse(format!("cannot read the file: {e}")))?;
    if bytes.len() > MAX_BYTES {
        return Err(refuse(format!("the file is over {} MiB", MAX_BYTES >> 20)));
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => Err(refuse("the file is empty".to_owned())),
        Ok(text) => Ok(Source::new(path.display().to_string(), text)),
        Err(e) => {
            let valid = e.utf8_error().valid_up_to();
            let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
            Err(refuse(format!("the file is not UTF-8: see line {line}")))
        }
    }
}

/// Checks a routing text that is in no file: for tests and tools.
///
/// # Errors
/// [`Refused`] with every problem.
pub fn routing_text(name: &str, text: &str) -> Result<Routing, Refused> {
    let mut sources = vec![Source::new(name, text)];
    let files: Vec<RoutingFile> = sources.iter_mut().map(Source::read).collect();
    let routing = check::routing(&mut sources, &files);
    if sources.iter().all(|source| source.problems.is_empty()) { Ok(routing) } else { Err(Refused { sources }) }
}
