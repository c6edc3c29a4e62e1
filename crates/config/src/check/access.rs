//! `[proxy.access_log]`.

use std::path::Path;

use crate::access::{AccessLog, LogFormat, LogTarget, SampleRate};
use crate::check::{warn_of_fraction, word};
use crate::file::{AccessLogFile, At};
use crate::read::SourceFile;

/// Checks where the lines go, and which are logged. `base`: the folder that a path is relative to.
pub fn check(source: &mut SourceFile, typed: &At<AccessLogFile>, base: &Path) -> Option<AccessLog> {
    let At { value: file, span } = typed;
    if let Some(at) = &file.sample {
        warn_of_fraction(source, "sample", at);
    }
    let Some(path) = &file.path else {
        let hint = "write path = \"access.log\" or path = \"stdout\"";
        source.missing(span.clone(), "the access log has no `path`", hint);
        return None;
    };
    Some(AccessLog {
        target: target(source, path, base)?,
        format: word(&file.format).unwrap_or(LogFormat::Json),
        sample: file.sample.as_ref().map_or(SampleRate::ALL, |at| SampleRate::from(at.value.0)),
    })
}

/// What can be told about a path without touching it. Whether this process may write there is only known once it opens
/// it.
fn target(source: &mut SourceFile, typed: &At<String>, base: &Path) -> Option<LogTarget> {
    if typed.value == "stdout" {
        return Some(LogTarget::Stdout);
    }
    let path = base.join(&typed.value);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let problem = if typed.value.is_empty() || path.is_dir() {
        Some((
            format!("`{}` is a folder", path.display()),
            "name a file in it: \"access.log\", or \"stdout\"".to_owned(),
        ))
    } else if !folder.is_dir() {
        let message = format!("there is no folder `{}` for the access log", folder.display());
        Some((message, "create the folder, or name another: Cutover creates the file, but not its folder".to_owned()))
    } else {
        None
    };
    match problem {
        Some((message, hint)) => {
            source.problem(typed.span.clone(), message, Some(hint));
            None
        }
        None => Some(LogTarget::File(path)),
    }
}
