//! The pages of the book and the README: every link leads somewhere, and every file and test that they name exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{path, read};

/// The pages by their path from the root of the repository.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(path("docs/src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            pages.push(format!("docs/src/{name}"));
        }
    }
    assert!(pages.len() > 15, "the pages are where they are looked for");
    pages.sort();
    pages
}

/// A page without its code blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What stands in parentheses behind `](`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)).collect()
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = line.trim_start_matches('#').trim().chars().filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                c if c.is_alphanumeric() => c.to_lowercase().next(),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = prose(&read(&page));
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target: PathBuf = match file {
                "" => path(&page),
                file => path(&page).parent().unwrap().join(file),
            };
            if !target.exists() {
                broken.push(format!("{page}: {link}"));
            } else if let Some(anchor) = anchor
                && !anchors(&prose(&std::fs::read_to_string(&target).unwrap())).contains(anchor)
            {
                broken.push(format!("{page}: {link}: there is no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("docs/src/SUMMARY.md");
    let linked: BTreeSet<&str> = links(&summary).into_iter().collect();
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs/src/")).filter(|page| *page != "SUMMARY.md") {
        assert!(linked.contains(page), "{page} is not in docs/src/SUMMARY.md");
    }
}

const ROOTS: [&str; 8] = ["src/", "crates/", "tests/", "config/", "loadtest/", "docs/", "examples/", ".ci/"];

#[test]
fn every_file_and_test_that_a_page_names_exists() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = prose(&read(&page));
        for named in text.split('`').skip(1).step_by(2).filter(|named| ROOTS.iter().any(|root| named.starts_with(root)))
        {
            let (file, test) = named.split_once(": ").map_or((named, None), |(file, test)| (file, Some(test)));
            if file.contains([' ', '*', '{', '…']) {
                continue;
            }
            if !path(file).exists() {
                wrong.push(format!("{page}: {file} does not exist"));
            } else if let Some(test) = test
                && !has_function(&path(file), test)
            {
                wrong.push(format!("{page}: {file} has no `fn {test}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a file, or one in the folder of the same name, has this function.
fn has_function(file: &Path, name: &str) -> bool {
    let mut files = vec![file.to_owned()];
    if let Ok(folder) = std::fs::read_dir(file.with_extension("")) {
        files.extend(folder.map(|entry| entry.unwrap().path()));
    }
    let wanted = format!("fn {name}(");
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| text.contains(&wanted))
}

#[test]
fn the_readme_fits_on_a_few_screens() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "README.md has {lines} lines: the rest belongs into docs/");
}
