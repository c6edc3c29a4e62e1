//! Problems as a terminal shows them, and what no terminal is shown.

use super::{FileProblem, ProblemSeverity};

/// The same text with stars where URLs have passwords: what is wrong with a file is shown to more people than the file.
pub fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        // A password that was not encoded may hold anything but what ends a text in TOML.
        let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let from = url.find(':').map_or(url.len(), |colon| colon + 1);
        let userinfo = url.rfind('@').map(|to| from..to);
        let named = url.find("password=").map(|at| at + "password=".len());
        let named =
            named.map(|from| from..url.get(from..).and_then(|rest| rest.find('&')).map_or(url.len(), |at| from + at));
        let hidden = |at: usize| [&userinfo, &named].into_iter().flatten().any(|range| range.contains(&at));
        for (at, c) in url.char_indices() {
            if hidden(at) {
                out.push_str(&"*".repeat(c.len_utf8()));
            } else {
                out.push(c);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The problems as a terminal shows them: file, line, the text underlined, a hint.
pub fn render<'p>(problems: impl Iterator<Item = &'p FileProblem>, severity: ProblemSeverity, colour: bool) -> String {
    use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in problems {
        let level = match severity {
            ProblemSeverity::Error => Level::ERROR,
            ProblemSeverity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&problem.message);
        // Of a file without a text there is nothing to underline.
        let bare = problem.excerpt.trim().is_empty();
        let mut group: Group<'_> = if bare {
            title.element(Origin::path(&problem.file))
        } else {
            let place = AnnotationKind::Primary.span(problem.place.clone());
            let lines = Snippet::source(&problem.excerpt).line_start(problem.line).path(&problem.file);
            title.element(lines.annotation(place))
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint));
        }
        let shown = renderer.render(&[group]);
        // As far in as where there is a line number.
        out.push_str(&if bare { shown.replace('\n', "\n ") } else { shown });
        out.push_str("\n\n");
    }
    out.truncate(out.trim_end().len());
    out
}
