//! The files and folders that `cutover.toml` names: that they are there, and are what they should be.

use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::file::{At, MainFile};
use crate::read::SourceFile;
use crate::suggest::close;

/// Why a file cannot be read, without the words of the operating system.
pub fn why_unreadable(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is a file, not a folder".to_owned(),
        ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
        other => format!("it cannot be read ({other})"),
    }
}

/// The `*.toml` files of a folder, sorted by name.
///
/// # Errors
/// Why it cannot be listed.
pub fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        // Editors leave hidden files beside the real ones.
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// A folder, or a file with services or cases, beside a path that is not there, if its name is close.
pub fn close_to(path: &Path, folders_only: bool) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let all = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| {
        path.is_dir() || !folders_only && path.extension().is_some_and(|extension| extension == "toml")
    };
    let names: Vec<String> =
        all.filter(fits).filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with('.')).collect();
    close(&path.file_name()?.to_string_lossy(), &names).map(str::to_owned)
}

/// What is wrong with the folder of the suites: the place, the message and the way out.
pub fn wrong_suites(file: &MainFile, base: &Path) -> Option<(Range<usize>, String, String)> {
    let at = file.suites.as_ref()?;
    let path = base.join(&at.value);
    let (message, hint) = match std::fs::metadata(&path) {
        _ if at.value.trim().is_empty() => ("`suites` is empty".to_owned(), "write suites = \"suites\"".to_owned()),
        Ok(about) if about.is_dir() => return None,
        Ok(_) => (format!("`{}` is not a folder", at.value), "name the folder that holds the suites".to_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let hint = match close_to(&path, true) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "create the folder, or remove the key if there are no suites".to_owned(),
            };
            (format!("there is no folder `{}`", at.value), hint)
        }
        // Another user may see it.
        Err(_) => return None,
    };
    Some((at.span.clone(), message, hint))
}

/// That the routing file is there, and the folder of the journal. Only for who serves or checks them: they need not be on
/// the machine of who asks a running Cutover.
pub fn check(source: &mut SourceFile, file: &MainFile, base: &Path) {
    if let Some(at) = &file.routing {
        let hint = "write routing = \"routing.toml\", or name a folder";
        match at.value.trim().is_empty() {
            true => source.problem(at.span.clone(), "`routing` is empty", Some(hint.to_owned())),
            false => routing(source, at, &base.join(&at.value)),
        }
    }
    if let Some(at) = file.state.as_ref().and_then(|at| at.value.path.as_ref()) {
        match at.value.trim().is_empty() {
            true => source.problem(at.span.clone(), "`path` is empty", Some("write path = \"cutover.db\"".to_owned())),
            false => journal(source, at, &base.join(&at.value)),
        }
    }
}

fn routing(source: &mut SourceFile, at: &At<String>, path: &Path) {
    let (message, hint) = if !path.exists() {
        let hint = match close_to(path, false) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "create it, or name another: a file, or a folder whose *.toml files hold services".to_owned(),
        };
        (format!("there is no file or folder `{}`", at.value), hint)
    } else if path.is_dir() && toml_files(path).is_ok_and(|files| files.is_empty()) {
        let hint = "put a routing file in it, such as shop.toml, or name the routing file itself".to_owned();
        (format!("the folder `{}` has no *.toml file", at.value), hint)
    } else {
        return;
    };
    source.problem(at.span.clone(), message, Some(hint));
}

fn journal(source: &mut SourceFile, at: &At<String>, path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (message, hint) = if path.is_dir() {
        (format!("`{}` is a folder", at.value), "name a file in it, such as \"cutover.db\"")
    } else if !folder.is_dir() {
        let hint = "create the folder, or name another: Cutover creates the file, but not its folder";
        (format!("there is no folder `{}` for the journal", folder.display()), hint)
    } else {
        return;
    };
    source.problem(at.span.clone(), message, Some(hint.to_owned()));
}
