//! JUnit XML, the terminal's table, and the schema of the JSON report.

use validation::report::{html, junit, schema, text};
use wire::{Execution, ExecutionState, Finding, Outcome, Part};

use super::{sample, samples};

#[test]
fn junit_says_what_failed_and_where() {
    insta::assert_snapshot!(junit(&sample::rich()).unwrap());
}

/// XML 1.0, production 2.
fn is_of_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[test]
fn junit_is_xml_whatever_an_origin_sends() {
    for (name, execution) in samples() {
        let xml = junit(&execution).unwrap();
        assert!(xml.chars().all(is_of_xml), "{name}");
        assert!(xml.len() < 2 << 20, "{name}: {} bytes", xml.len());
        let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        let suites = &report.test_suites;
        let counts = execution.summary.counts;
        let unfinished =
            usize::from(!matches!(execution.summary.state, ExecutionState::Passed | ExecutionState::Failed));
        assert_eq!(suites.iter().map(|suite| suite.tests).sum::<usize>(), execution.parts.len() + unfinished, "{name}");
        assert_eq!(suites.iter().map(|suite| suite.failures).sum::<usize>(), counts.failed as usize, "{name}");
        assert_eq!(suites.iter().map(|suite| suite.skipped).sum::<usize>(), counts.skipped as usize, "{name}");
        assert_eq!(suites.iter().map(|suite| suite.errors).sum::<usize>(), unfinished, "{name}");
        let cases: Vec<_> = suites.iter().flat_map(|suite| &suite.test_cases).collect();
        assert!(cases.iter().all(|case| case.classname.is_some()), "{name}");
        if name == "hostile" {
            // What was obeyed is seen, not lost.
            assert!(cases.iter().all(|case| case.name.as_str().contains("[U+001B][31;5mred")), "{xml}");
        }
    }
}

#[test]
fn a_run_that_did_not_end_is_not_green_in_ci() {
    for state in
        [ExecutionState::Queued, ExecutionState::Running, ExecutionState::Cancelled, ExecutionState::Interrupted]
    {
        let xml = junit(&sample::in_state(state)).unwrap();
        assert!(xml.contains("errors=\"1\"") && xml.contains(&format!("type=\"{}\"", state.name())), "{xml}");
    }
    let nothing = junit(&sample::empty(ExecutionState::Failed)).unwrap();
    assert!(nothing.contains("errors=\"1\""), "it failed, and no part says so: {nothing}");
}

#[test]
fn the_terminal_shows_a_table_then_failures_and_the_verdict_last() {
    insta::assert_snapshot!(text(&sample::rich(), false, 110));
}

#[test]
fn a_violation_was_found_on_its_own_side() {
    let mut execution = sample::rich();
    execution.parts.retain(|part| matches!(part, Part::Data(data) if data.check == "integrity"));
    let [Part::Data(data)] = &mut execution.parts[..] else { panic!("{:?}", execution.parts) };
    data.outcome = Outcome::Failed;
    let row = Finding { what: "green, row 1".to_owned(), found: "id = 7".to_owned(), ..Finding::default() };
    data.findings = vec![Finding { expected: "no row".to_owned(), ..row }];
    let xml = junit(&execution).unwrap();
    assert!(xml.contains("green, row 1: expected no row, found id = 7"), "{xml}");
    let said = text(&execution, false, 110);
    assert!(said.contains("expected no row") && said.contains("found    id = 7"), "{said}");
    let page = html(&execution);
    assert!(page.contains("<th scope=\"col\">expected</th>"), "{page}");
}

#[test]
fn nothing_that_an_origin_sends_steers_the_terminal() {
    for colour in [false, true] {
        let shown = text(&sample::hostile(), colour, 100);
        let own = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"];
        let rest = own.iter().fold(shown.clone(), |text, code| text.replace(code, ""));
        let steering = rest.chars().find(|c| *c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(c)));
        assert_eq!(steering, None, "{rest}");
        assert_eq!(shown.contains('\x1b'), colour);
        assert!(shown.len() < 64 << 10, "{} bytes", shown.len());
    }
}

#[test]
fn the_terminals_table_keeps_to_its_width() {
    for width in [0, 40, 60, 80, 120, 200] {
        let shown = text(&sample::rich(), false, width);
        let table = shown.lines().take_while(|line| !line.is_empty());
        let widest = table.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width.max(40)), "{width}: {widest}\n{shown}");
    }
    let long = text(&sample::long(500), false, 100);
    assert!(long.lines().count() < 400 && long.contains("… and 900 more parts"), "{long}");
    assert!(long.lines().last().unwrap().starts_with("✗ Failed: "), "{long}");
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let now = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/execution.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == now,
        "docs/src/execution.schema.json is old: UPDATE=1 cargo test --test all -- report::documents"
    );
}

#[test]
fn every_execution_is_as_the_schema_says() {
    let schema = config::suite::Schema::new(schema()).unwrap();
    let written = |execution: &Execution| serde_json::to_value(execution).unwrap();
    for (name, execution) in samples() {
        if name == "hostile" {
            // Its length of time is no number, which JSON cannot say.
            continue;
        }
        let document = written(&execution);
        let violations = schema.check(&document).map_err(|violations| violations.to_string());
        assert_eq!(violations, Ok(()), "{name}");
        let back: Execution = serde_json::from_value(written(&execution)).unwrap();
        assert_eq!(back, execution, "{name}");
    }
    let wrong = |place: &str, value: serde_json::Value| {
        let mut document = written(&sample::rich());
        *document.pointer_mut(place).unwrap() = value;
        assert!(schema.check(&document).is_err(), "{place}");
    };
    wrong("/state", "splendid".into());
    wrong("/parts/0/kind", "guess".into());
    wrong("/parts/0/environment", "red".into());
    wrong("/counts/passed", (-1).into());
    wrong("/parts/0/steps", serde_json::Value::Null);
}
