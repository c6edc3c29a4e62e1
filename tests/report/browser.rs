//! The page in a real browser: nothing is refused, asked for or too wide, and the charts are there.
//!
//! The page is served beside another one that looks into it, because Chromium says what a document has become only when
//! the document itself says it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use validation::report::html;
use wire::Execution;

use super::{sample, samples};

/// Looks into the page in its frame, and writes down what it sees.
const LOOKER: &str = r#"<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body { margin: 0 } iframe { border: 0; height: 4000px }</style>
<script>
function look(frame) {
  const page = frame.contentDocument, width = page.documentElement.clientWidth;
  const scrolls = e => e && (getComputedStyle(e).overflowX === 'auto' || scrolls(e.parentElement));
  const out = e => { const box = e.getBoundingClientRect(); return box.right > width + 0.5 || box.left < -0.5 };
  const wide = [...page.body.querySelectorAll('*')].filter(e => out(e) && !scrolls(e) && !e.closest('.symbols'));
  const plots = [...page.querySelectorAll('svg.plot')];
  const folded = [...page.querySelectorAll('details:not([open])')];
  const inside = details => [...details.children].find(e => e.localName !== 'summary');
  const seen = {
    first: page.body.firstElementChild.className,
    word: page.querySelector('h1').innerText.trim(),
    width, scroll: page.documentElement.scrollWidth,
    wide: wide.map(e => e.localName + '.' + e.getAttribute('class') + ': ' + e.textContent.trim().slice(0, 60)),
    plots: plots.length,
    small: plots.filter(p => p.clientWidth < 200 || p.clientHeight < 100).length,
    unnamed: plots.filter(p => !p.querySelector('title')?.textContent || !p.querySelector('desc')?.textContent).length,
    letters: plots.flatMap(p => [...p.querySelectorAll('text')]).map(t => parseFloat(getComputedStyle(t).fontSize)),
    crowded: plots.filter(p => {
      const boxes = [...p.querySelectorAll('g.x text')].map(t => t.getBoundingClientRect()).filter(b => b.width);
      return boxes.some((b, i) => i && b.left < boxes[i - 1].right);
    }).map(p => p.querySelector('title').textContent),
    alive: page.querySelectorAll('script, img, iframe, object, embed, form, [onerror], [onload]').length,
    folded: folded.length,
    unfolded: folded.filter(d => inside(d).checkVisibility()).length,
  };
  document.title = 'seen';
  document.body.dataset.seen = JSON.stringify(seen);
}
</script>
<body><iframe src="/page" style="width: WIDTHpx" onload="look(this)"></iframe></body>"#;

struct Look {
    seen: Value,
    /// What the console has to say.
    console: Vec<String>,
    asked: Vec<String>,
}

/// Opens a page at a width, `dark` or not.
fn look(page: String, width: u32, dark: bool) -> Look {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let looker = LOOKER.replace("WIDTH", &width.to_string());
    // It ends with the test's process; a browser keeps connections that nothing comes over.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (heard, looker, page) = (heard.clone(), looker.clone(), page.clone());
            std::thread::spawn(move || answer(stream, &heard, &looker, &page));
        }
    });
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--window-size=1300,4000", "--dump-dom"])
        // Whoever else is asked is not found.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("http://127.0.0.1:{port}/"));
    let output = browser.stdin(Stdio::null()).output().expect("chromium is installed");
    let (dom, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let seen = dom.split("data-seen=\"").nth(1).and_then(|rest| rest.split('"').next());
    let seen = seen.unwrap_or_else(|| panic!("nothing was seen: {dom}\n{errors}")).replace("&quot;", "\"");
    let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let asked = asked.lock().unwrap().clone();
    let console = errors.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Look { seen: serde_json::from_str(&seen).unwrap(), console, asked }
}

fn answer(mut stream: std::net::TcpStream, heard: &Mutex<Vec<String>>, looker: &str, page: &str) {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&piece[..read]),
        }
    }
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    let body = if path == "/page" { page } else { looker };
    heard.lock().unwrap().push(path);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

#[track_caller]
fn is_sound(name: &str, look: &Look, width: u32) {
    let Look { seen, console, asked } = look;
    assert!(console.is_empty(), "{name}: {console:#?}");
    assert_eq!(asked, &["/", "/page"], "{name}");
    assert!(seen["first"].as_str().unwrap().starts_with("verdict "), "{name}: {seen}");
    assert!(!seen["word"].as_str().unwrap().is_empty(), "{name}: {seen}");
    assert!(seen["scroll"].as_u64().unwrap() <= u64::from(width), "{name}: {seen:#}");
    for none in ["wide", "crowded"] {
        assert_eq!(seen[none], Value::Array(Vec::new()), "{name} at {width}: {none}");
    }
    for none in ["alive", "unnamed", "small"] {
        assert_eq!(seen[none], 0, "{name}: {none}");
    }
    let letters: Vec<f64> = seen["letters"].as_array().unwrap().iter().map(|size| size.as_f64().unwrap()).collect();
    assert!(letters.iter().all(|size| *size >= 12.0), "{name}: {letters:?}");
}

#[test]
#[ignore = "needs Chromium (.ci/setup)"]
fn every_page_is_read_on_a_phone_and_on_a_desk() {
    for (name, execution) in samples() {
        for (width, dark) in [(360, false), (390, true), (1200, false)] {
            is_sound(name, &look(html(&execution), width, dark), width);
        }
    }
}

#[test]
#[ignore = "needs Chromium (.ci/setup)"]
fn a_load_has_its_charts_on_each_side() {
    let seen = look(html(&sample::rich()), 1200, false).seen;
    // Two loads on two sides: a distribution each, and latencies and rates of each side.
    assert_eq!(seen["plots"], 2 * (1 + 2 * 2), "{seen}");
    assert_eq!(seen["unfolded"], 0, "{seen}");
}

/// The page as it is printed: its rules for paper are taken for those of the screen.
fn on_paper(execution: &Execution) -> String {
    let page = html(execution);
    let policy = page.split("<meta http-equiv").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    page.replace(&format!("<meta http-equiv{policy}>"), "").replace("@media print", "@media all")
}

#[test]
#[ignore = "needs Chromium (.ci/setup)"]
fn paper_shows_what_is_folded() {
    let look = look(on_paper(&sample::rich()), 700, false);
    let seen = &look.seen;
    assert!(seen["folded"].as_u64().unwrap() > 5 && seen["folded"] == seen["unfolded"], "{seen}");
    is_sound("on paper", &look, 700);
}

#[test]
#[ignore = "needs Chromium (.ci/setup)"]
fn a_script_would_be_refused_if_one_came_through() {
    let page = html(&sample::rich())
        .replace("<footer>", "<script>document.title = 1</script><img src=//example.com/a><footer>");
    let look = look(page, 1200, false);
    assert!(look.console.len() >= 2, "{:?}", look.console);
    assert_eq!(look.asked, ["/", "/page"]);
}
