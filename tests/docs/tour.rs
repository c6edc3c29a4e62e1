//! The tours of the book and of the README are run, command by command, and what they print is compared.
//!
//! Words must agree exactly. Numbers, times and sizes may differ, except for whole percentages; `…` stands for any text,
//! and alone on a line for any number of lines. The fixed ports that a reader sees are replaced by free ones.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{path, read};
use crate::support::wait_until;

/// One command, and what the page says that it prints.
struct Step {
    command: String,
    expected: Vec<String>,
    /// The lines of the page that hold the output, counted from 0.
    lines: std::ops::Range<usize>,
}

/// The commands of a page's `console` blocks.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut continued) = (false, false);
    for (at, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
            continued = false;
        } else if inside && continued {
            let step = steps.last_mut().unwrap();
            write!(step.command, "\n{line}").unwrap();
            step.lines = at + 1..at + 1;
            continued = line.ends_with('\\');
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), expected: vec![], lines: at + 1..at + 1 });
            continued = line.ends_with('\\');
        } else if inside && let Some(step) = steps.last_mut() {
            step.expected.push(line.to_owned());
            step.lines.end = at + 1;
        }
    }
    steps
}

/// A line with everything taken out that differs from run to run.
fn shape(line: &str) -> String {
    const UNITS: [&str; 7] = ["ms", "s", "m", "h", "d", "us", "µs"];
    let mut shape = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if !c.is_ascii_digit() {
            shape.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && !".,:^".contains(c)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        // A comma or a full stop behind a number ends the sentence, not the number.
        let number_only = number.trim_end_matches([',', '.', ':']);
        let after = if number_only.len() < number.len() { &rest[number_only.len()..] } else { after };
        let is_share = after.starts_with(" %") && number_only.chars().all(|c| c.is_ascii_digit());
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let unit = &after[..letters];
        rest = if UNITS.contains(&unit) { &after[letters..] } else { after };
        shape.push_str(if is_share { number_only } else { "#" });
    }
    let words: Vec<&str> = shape.split_whitespace().collect();
    let mut words = words.join(" ");
    while words.contains("# #") {
        words = words.replace("# #", "#");
    }
    words
}

fn line_fits(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (shape(expected), shape(actual));
    let mut parts = expected.split('…');
    let Some(mut rest) = actual.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn fits(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first.trim() == "…" => (0..=actual.len()).any(|skip| fits(rest, &actual[skip..])),
        Some((first, rest)) => {
            actual.split_first().is_some_and(|(line, others)| line_fits(first, line) && fits(rest, others))
        }
    }
}

#[test]
fn what_a_tour_prints_is_compared_by_its_words() {
    assert!(line_fits(
        "2.0.0: step 1 of 5, 10 %: 4 requests, 14s left",
        "2.0.0: step 1 of 5, 10 %: 19 requests, 1m 2s left"
    ));
    assert!(!line_fits("weight 25 % -> 0 %", "weight 50 % -> 0 %") && !line_fits("healthy", "unhealthy"));
    assert!(line_fits("odds … of #, in …", "odds 9 of #, in 1.6s") && !line_fits("a … c", "a b"));
    let text = |lines: &str| lines.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&text("a\n…\nz"), &text("a\nb\nc\nz")) && !fits(&text("a\n…\nz"), &text("a\nb")));
}

const PORTS: [&str; 5] = ["8080", "9001", "9002", "9700", "8443"];

/// The page's ports, and free ones.
fn free_ports() -> Vec<(&'static str, String)> {
    let held: Vec<TcpListener> = PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let free = held.iter().map(|listener| listener.local_addr().unwrap().port().to_string());
    PORTS.into_iter().zip(free).collect()
}

fn copy(from: &Path, to: &Path, change: &dyn Fn(&str) -> String) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()), change);
        } else if entry.path().extension().is_some_and(|end| end == "toml" || end == "html") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            std::fs::write(to.join(entry.file_name()), change(&text)).unwrap();
        }
    }
}

/// The commands as one script: each writes into a file of its own, and what starts in the background is waited for.
fn script(steps: &[Step], ports: &dyn Fn(&str) -> String) -> String {
    let mut script = "set -m\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n".to_owned();
    let ready = ports("for _ in $(seq 200); do curl -sf -o /dev/null 127.0.0.1:9700/readyz && break; sleep 0.05; done");
    for (at, step) in steps.iter().enumerate() {
        let command = ports(&step.command);
        writeln!(script, "{{ {command}\n}} >out.{at} 2>&1").unwrap();
        let waits = match command.split_once("http.server ") {
            Some((_, rest)) => {
                let port = rest.split_whitespace().next().unwrap();
                format!("for _ in $(seq 200); do curl -sf -o /dev/null 127.0.0.1:{port} && break; sleep 0.05; done")
            }
            // One that is just ending may still answer: `wait` is in the command that starts the next.
            None if command.contains("cutover run") => format!("sleep 0.3; {ready}"),
            None => continue,
        };
        writeln!(script, "{waits}").unwrap();
    }
    script
}

/// Runs a page's tour in a copy of `examples/tour`, and compares or, if asked to, rewrites what it prints.
fn take(page: &str) {
    let text = read(page);
    let steps = steps(&text);
    assert!(steps.len() > 8, "{page} has commands");
    let dir = tempfile::tempdir().unwrap();
    let free = free_ports();
    let ports = |text: &str| free.iter().fold(text.to_owned(), |text, (port, free)| text.replace(port, free));
    let back = |text: &str| free.iter().fold(text.to_owned(), |text, (port, free)| text.replace(free, port));
    copy(&path("examples/tour"), dir.path(), &ports);
    std::fs::write(dir.path().join("tour.sh"), script(&steps, &ports)).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap();
    let search = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash")
        .arg("tour.sh")
        .current_dir(dir.path())
        .env("PATH", search)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.path().join("shell.log")).unwrap())
        .spawn()
        .unwrap();
    let log = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let mut code = None;
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_until("the tour is over", Duration::from_secs(180), || {
            code = shell.try_wait().unwrap();
            code.is_some()
        })
    }));
    if ended.is_err() {
        // Its trap ends what it has started.
        let _ = Command::new("kill").arg(shell.id().to_string()).status();
        let _ = shell.wait();
        let done = (0..steps.len()).take_while(|at| dir.path().join(format!("out.{at}")).exists()).count();
        let last = &steps[done.saturating_sub(1)].command;
        panic!("{page} hangs at `{last}`\n{}\n{}", log("shell.log"), log("cutover.log"));
    }
    let mut wrong = String::new();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, step) in steps.iter().enumerate().rev() {
        let printed = back(&log(&format!("out.{at}")));
        // When the shell says that a job has ended depends on the moment.
        let is_notice = |line: &str| line.starts_with('[') && line.contains("Terminated");
        let printed: Vec<String> =
            printed.lines().filter(|line| !is_notice(line)).map(|line| line.trim_end().to_owned()).collect();
        if !fits(&step.expected, &printed) {
            let (expected, got) = (step.expected.join("\n"), printed.join("\n"));
            wrong.insert_str(0, &format!("$ {}\n--- the page\n{expected}\n--- the program\n{got}\n\n", step.command));
            lines.splice(step.lines.clone(), printed);
        }
    }
    if !wrong.is_empty() && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(page), lines.join("\n") + "\n").unwrap();
    }
    assert!(wrong.is_empty(), "{page} says something else than the program:\n{wrong}{}", log("cutover.log"));
}

#[test]
#[ignore = "needs bash, curl, openssl and python3, and takes a minute"]
fn the_tour_of_the_book_prints_what_it_says() {
    take("docs/src/tour.md");
}

#[test]
#[ignore = "needs bash, curl and python3"]
fn the_tour_of_the_readme_prints_what_it_says() {
    take("README.md");
}
