//! `[proxy.access_log]`.

use std::path::Path;

use crate::access::{AccessLog, LogFormat, LogTarget, SampleRate};
use crate::check::one_of;
use crate::file::{AccessLogFile, At};
use crate::read::SourceFile;

/// Checks where the lines go, and which. `base`: the folder that a path is relative to.
pub fn check(source: &mut SourceFile, typed: &At<AccessLogFile>, base: &Path) -> Option<AccessLog> {
    let At { value: file, span } = typed;
    let target = match &file.path {
        Some(path) => target(source, path, base),
        None => {
            let hint = "write path = \"access.log\", or path = \"stdout\"";
            source.missing(span.clone(), "the access log goes nowhere", hint);
            None
        }
    };
    let format = file.format.as_ref().map_or(Some(LogFormat::Json), |word| {
        one_of(source, word, &[("json", LogFormat::Json), ("combined", LogFormat::Combined)])
    });
    let sample = file.sample.as_ref().map_or(Ok(SampleRate::ALL), |percent| SampleRate::from_percent(percent.value.0));
    if let (Err(why), Some(At { span, .. })) = (sample, &file.sample) {
        let hint = "failures are written whatever the sample: 0 writes nothing else".to_owned();
        source.problem(span.clone(), why, Some(hint));
    }
    Some(AccessLog { target: target?, format: format?, sample: sample.ok()? })
}

/// What can be seen of a path without touching it, and by anybody: whether this process may write there, only opening it
/// tells.
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
        Some((message, "make it, or name another: the file is made, its folder is not".to_owned()))
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
