//! The page as a document: what is on it and in which order, that nothing in it is alive, and how long it may be.

use std::collections::BTreeSet;

use regex::Regex;
use validation::report::html;
use wire::ExecutionState;

use super::{sample, samples};

/// Every tag of a page, as `name` and the rest.
fn tags(page: &str) -> Vec<(String, String)> {
    let tag = Regex::new(r"<([A-Za-z!/][A-Za-z0-9-]*)([^>]*)>").unwrap();
    tag.captures_iter(page).map(|found| (found[1].to_ascii_lowercase(), found[2].to_owned())).collect()
}

#[track_caller]
fn in_order(page: &str, texts: &[&str]) {
    let mut from = 0;
    for text in texts {
        let Some(at) = page[from..].find(text) else { panic!("`{text}` is not behind what goes before it") };
        from += at + text.len();
    }
}

#[test]
fn the_verdict_comes_first_and_failures_come_before_what_passed() {
    in_order(
        &html(&sample::rich()),
        &[
            "<body>\n<header class=\"verdict failed\">",
            "Failed</h1>",
            "7 of 24 parts failed",
            "15 passed, 7 failed, 2 skipped",
            "Started by",
            "https://next--shop.example.net",
            "id=\"summary\"",
            "Cases",
            "Loads",
            "Parity",
            "Data",
            "id=\"failures\"",
            "json $.items[0].score",
            "&#34;score&#34;: 0.75,",
            "<span class=\"take\">-    &#34;state&#34;: &#34;placed&#34;,",
            "gave no complete response within 5s",
            "at most 60ms",
            "Both responses",
            "id = 90112",
            "is missing in green",
            "Skipped",
            "id=\"load-1\"",
            "Latency distribution",
            "Latency over time, blue",
            "Rate over time, green",
            "<details class=\"fold\">",
            "search finds what is there",
            "<footer>",
        ],
    );
}

#[test]
fn every_state_has_its_word_its_sign_and_a_sentence() {
    let of = |state| html(&sample::in_state(state));
    for (state, class, sentence) in [
        (ExecutionState::Running, "running", "Still running."),
        (ExecutionState::Queued, "running", "Waiting for other runs."),
        (ExecutionState::Cancelled, "stopped", "Cancelled before it finished."),
        (ExecutionState::Interrupted, "stopped", "Cutover stopped while it was running."),
    ] {
        let page = of(state);
        let head = format!("<header class=\"verdict {class}\">\n<h1><svg class=\"sign\"");
        in_order(&page, &[&head, "</h1>", sentence, "34 of 120", "browse on green"]);
    }
    in_order(&html(&sample::empty(ExecutionState::Passed)), &["verdict passed", "Passed</h1>", "No part of the suite"]);
    let passed = html(&sample::passed());
    in_order(&passed, &["All 8 parts passed on blue."]);
    assert!(!passed.contains("id=\"failures\"") && !passed.contains("green vs. blue"), "one side has no other");
}

#[test]
fn nothing_on_the_page_is_alive() {
    let known = "!doctype html head meta title style body header h1 h2 h3 h4 h5 svg path symbol use line text g desc p \
                 progress main section dl div dt dd table thead tbody tr th td span a article ol ul li b code pre small \
                 details summary figure figcaption footer";
    let known: BTreeSet<&str> = known.split_whitespace().collect();
    let event = Regex::new(r#"(?i)\s(on[a-z]+|style|src|srcset|action|data)\s*="#).unwrap();
    let reference = Regex::new(r#"href="([^"]*)""#).unwrap();
    for (name, execution) in samples() {
        let page = html(&execution);
        for (tag, rest) in tags(&page) {
            assert!(known.contains(tag.trim_start_matches('/')), "{name}: <{tag}{rest}>");
            assert!(!event.is_match(&rest), "{name}: <{tag}{rest}>");
            for found in reference.captures_iter(&rest) {
                assert!(found[1].starts_with('#'), "{name}: <{tag}{rest}>");
            }
        }
        assert!(!page.contains("url(") && !page.contains("@import"), "{name}");
        assert_eq!(page.matches("default-src 'none'").count(), 0, "{name}: quotation marks are escaped");
        assert!(page.contains("content=\"default-src &#39;none&#39;; style-src &#39;sha256-"), "{name}");
        let obeyed = page.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(obeyed, None, "{name}");
    }
    let hostile = html(&sample::hostile());
    assert!(hostile.contains("&#60;/style&#62;&#60;script&#62;alert(document.domain)"));
    assert!(hostile.contains("[U+202E]gpj.exe") && hostile.contains("שלום"));
}

#[test]
fn every_link_leads_somewhere_on_the_page() {
    let (link, id) = (Regex::new("href=\"#([^\"]*)\"").unwrap(), Regex::new(" id=\"([^\"]*)\"").unwrap());
    for (name, execution) in samples() {
        let page = html(&execution);
        let ids: Vec<String> = id.captures_iter(&page).map(|found| found[1].to_owned()).collect();
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{name}: an id is there twice");
        for found in link.captures_iter(&page) {
            assert!(distinct.contains(&found[1].to_owned()), "{name}: #{} leads nowhere", &found[1]);
        }
    }
}

#[test]
fn a_page_keeps_below_three_megabytes() {
    for (name, execution) in samples() {
        let page = html(&execution);
        assert!(page.len() < 3 << 20, "{name}: {} bytes", page.len());
    }
    // Everything at once, and more of it than anybody reads.
    for (name, all) in [("endless", sample::endless()), ("splinters", sample::splinters())] {
        let page = html(&all);
        std::fs::write(super::folder().join(format!("{name}.html")), &page).unwrap();
        assert!(page.len() < 3 << 20, "{} bytes", page.len());
        let xml = validation::report::junit(&all).unwrap();
        assert!(xml.len() < 16 << 20, "{name}: {} bytes of XML", xml.len());
        in_order(&page, &["Failed</h1>", "more, in the JSON report.", "id=\"loads\"", "Passed", "<footer>"]);
    }
    let long = html(&sample::long(500));
    in_order(&long, &["… and 333 more rows", "Failures <span class=\"number\">167", "Also failed", "Passed"]);
    assert!(long.contains("64.5 KiB, truncated"), "a body is cut, and says so");
}

/// WCAG 2.2, relative luminance.
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
}

#[test]
fn every_text_stands_out_from_its_ground_by_day_and_by_night() {
    let page = html(&sample::passed());
    let (day, night) = page.split_once("prefers-color-scheme: dark").unwrap();
    for (when, css) in [("day", day), ("night", night)] {
        let colour = |name: &str| {
            let found = Regex::new(&format!("--{name}: #([0-9a-f]{{6}})")).unwrap().captures(css);
            luminance(&found.unwrap_or_else(|| panic!("{name}"))[1])
        };
        let grounds = ["good", "bad", "stopped", "running"].map(|name| (name, format!("{name}-ground")));
        let pairs = grounds.iter().flat_map(|(name, own)| [(*name, own.as_str()), ("text", own), ("quiet", own)]);
        let on_ground = ["text", "quiet", "bad", "blue", "green", "ink"].map(|name| (name, "ground"));
        for (text, ground) in pairs.chain(on_ground).chain([("text", "add"), ("text", "take"), ("quiet", "code")]) {
            let (a, b) = (colour(text), colour(ground));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            let least = if ["blue", "green"].contains(&text) { 3.0 } else { 4.5 };
            assert!(contrast >= least, "by {when}, {text} on {ground} has a contrast of {contrast:.2}");
        }
    }
}
