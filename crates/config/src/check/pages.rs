//! `error_pages` and `maintenance`: pages that are read when the file is.

use std::io::{ErrorKind, Read};

use crate::check::{beside, files};
use crate::file::values::StatusRange;
use crate::file::{At, ServiceFile};
use crate::read::SourceFile;
use memory::snapshot::{ErrorPage, ErrorPages, MaintenanceTerms};

/// Of a page, in bytes. A page that says that something is broken should not need more.
const LONGEST_PAGE: u64 = 64 << 10;
const MOST_PAGES: usize = 32;
/// By how the file's name ends.
const MEDIA: [(&str, &str); 5] = [
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("svg", "image/svg+xml"),
];

pub fn error_pages(source: &mut SourceFile, file: &ServiceFile) -> ErrorPages {
    let mut pages = Vec::new();
    if file.error_pages.len() > MOST_PAGES
        && let Some(at) = file.error_pages.values().next()
    {
        let hint = Some("use a class such as \"5xx\" for several statuses".to_owned());
        source.problem(source.key_of(&at.span), format!("`error_pages` has over {MOST_PAGES} pages"), hint);
    }
    for (text, at) in file.error_pages.iter().take(MOST_PAGES) {
        let statuses = StatusRange::parse(text).filter(|range| *range.0.start() >= 400);
        if statuses.is_none() {
            let key = source.key_of(&at.span);
            let hint =
                "write a status such as 502, a class such as \"5xx\", or a range such as \"500-504\", from 400 to 599";
            source.problem(key, format!("`{text}` is not the status of an error"), Some(hint.to_owned()));
        }
        pages.extend(statuses.map(|range| range.0).zip(page(source, at)));
    }
    ErrorPages(pages.into())
}

pub fn maintenance(source: &mut SourceFile, file: &ServiceFile) -> Option<MaintenanceTerms> {
    let typed = &file.maintenance.as_ref()?.value;
    Some(MaintenanceTerms {
        page: typed.page.as_ref().and_then(|at| page(source, at)),
        retry_after: typed.retry_after.as_ref().map(|at| at.value.0.0.div_ceil(1000)),
    })
}

fn page(source: &mut SourceFile, at: &At<String>) -> Option<ErrorPage> {
    let path = beside(source, &at.value);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let media = MEDIA.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, media)| *media);
    if media.is_none() {
        let hint = "name a file that ends in .html, .json, .txt or .svg: clients are told what it is";
        source.problem(at.span.clone(), format!("unknown kind of page `{}`", at.value), Some(hint.to_owned()));
    }
    let read = std::fs::metadata(&path).and_then(|meta| match meta.is_file() {
        true => std::fs::File::open(&path),
        false if meta.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // To open a pipe would be to wait for its other end.
        false => Err(ErrorKind::InvalidInput.into()),
    });
    let mut body = Vec::new();
    let read = read.and_then(|file| file.take(LONGEST_PAGE + 1).read_to_end(&mut body));
    if let Err(error) = read {
        let hint = Some("paths are relative to the routing file".to_owned());
        let why = files::why_unreadable(&error);
        source.problem(at.span.clone(), format!("cannot read the page `{}`: {why}", at.value), hint);
        return None;
    }
    if body.len() as u64 > LONGEST_PAGE {
        let hint = "leave out images and fonts, or name them by their URLs".to_owned();
        source.problem(at.span.clone(), format!("the page `{}` is over 64 KiB", at.value), Some(hint));
        return None;
    }
    Some(ErrorPage { media: media?, body: body.into() })
}
