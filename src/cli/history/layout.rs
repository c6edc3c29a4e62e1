//! How history entries are laid out: on one line each, or on two if the terminal is too narrow.

use crate::cli::terminal::{Terminal, Tone};
use crate::cli::time_of_day;
use wire::HistoryEntry;

/// Up to this width, the actor and reason get their own line.
const NARROW: usize = 110;
const INDENT: usize = 7;

pub struct Layout {
    terminal: Terminal,
    /// The width of the service column.
    service: usize,
}

impl Layout {
    pub fn of(entries: &[HistoryEntry], terminal: Terminal) -> Layout {
        let longest = entries.iter().map(|entry| entry.service.chars().count()).max().unwrap_or(0);
        Layout { terminal, service: longest.max("SERVICE".len()) }
    }

    /// Makes no column narrower than in another layout.
    pub fn at_least(self, other: &Layout) -> Layout {
        Layout { service: self.service.max(other.service), ..self }
    }

    fn is_narrow(&self) -> bool {
        self.terminal.width().is_some_and(|width| width <= NARROW)
    }

    pub fn heading(&self) -> String {
        let columns = self.columns(["ENTRY", "TIME (UTC)", "SERVICE", "KIND", "WEIGHT"]);
        let heading = match self.is_narrow() {
            true => columns.trim_end().to_owned(),
            false => format!("{columns}  ACTOR: REASON"),
        };
        self.terminal.paint(Tone::Heading, &self.terminal.cut(&heading))
    }

    pub fn entry(&self, entry: &HistoryEntry) -> String {
        let weight = match (entry.weight_before, entry.weight_after) {
            (Some(before), Some(after)) if before != after => format!("{before} % -> {after} %"),
            (_, Some(after)) => format!("{after} %"),
            (_, None) => String::new(),
        };
        let time = time_of_day(entry.at_ms);
        let columns = self.columns([&entry.id.to_string(), &time, &entry.service, &entry.kind, &weight]);
        let from = entry.from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
        // The lines of a reload are in `cutover explain`.
        let why = entry.why.split_once('\n').map_or(entry.why.clone(), |(first, _)| format!("{first} …"));
        let who = format!("{}{from}: {why}", entry.who);
        let tone = match entry.kind.as_str() {
            "rollback" | "stop" => Tone::Bad,
            "promote" => Tone::Good,
            "caution" | "refused" | "abort" | "pause" => Tone::Warning,
            _ => Tone::Plain,
        };
        if self.is_narrow() {
            let columns = self.terminal.cut(columns.trim_end());
            let who = self.terminal.wrap(&format!("{}{who}", " ".repeat(INDENT)), INDENT + 2);
            return format!("{}\n{who}", self.terminal.paint(tone, &columns));
        }
        let line = self.terminal.wrap(&format!("{columns}  {who}"), columns.chars().count() + 2);
        match line.strip_prefix(&columns) {
            Some(rest) => format!("{}{rest}", self.terminal.paint(tone, &columns)),
            None => line,
        }
    }

    fn columns(&self, [id, time, service, kind, weight]: [&str; 5]) -> String {
        let width = self.service;
        format!("{id:>5}  {time:<23}  {service:<width$}  {kind:<12}  {weight:<14}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> HistoryEntry {
        let json = serde_json::json!({
            "id": 4, "at_ms": 1_795_348_799_999_u64, "at": "", "generation": 3, "service": "shop", "kind": "rollback",
            "who": "guard", "from": null, "key": null, "weight_before": 25.0, "weight_after": 0.0, "judged": true,
            "ledger": null, "why": "green fails 10 of 10, blue 0 of 27 over the same 319ms: evidence 2,000 : 1 that green is worse",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_entry_fits_80_and_130_columns() {
        for width in [80, 130] {
            let layout = Layout::of(&[entry()], Terminal::of_width(width));
            let shown = format!("{}\n{}", layout.heading(), layout.entry(&entry()));
            assert!(shown.lines().all(|line| line.chars().count() <= width), "{shown}");
            assert!(shown.contains("25 % -> 0 %") && shown.ends_with("worse"), "{shown}");
        }
    }
}
