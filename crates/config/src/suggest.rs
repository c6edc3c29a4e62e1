//! Suggestions for a mistyped name.

/// The closest of the known names, or all of them.
pub fn did_you_mean(given: &str, known: &[&str]) -> String {
    let close = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), name), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= 0.8);
    match close {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("expected one of: {}", known.join(", ")),
    }
}
