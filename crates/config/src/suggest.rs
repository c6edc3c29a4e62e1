//! Suggestions for a mistyped name.

/// The closest of the known names, or all of them.
pub fn did_you_mean(given: &str, known: &[&str]) -> String {
    match close(given, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected one of: {}", known.join(", ")),
    }
}

/// The closest of the known names, if one is close.
pub fn close<'n>(given: &str, known: &[&'n str]) -> Option<&'n str> {
    let likeness = known.iter().map(|name| (strsim::jaro_winkler(&given.to_lowercase(), name), *name));
    likeness.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness >= 0.8).map(|(_, name)| name)
}
