//! A table without lines between its cells. On a narrow terminal its least important columns are dropped.

use console::{measure_text_width, truncate_str};

use crate::cli::terminal::{Terminal, Tone};

/// No column is cut to less than this.
const NARROWEST: usize = 8;
const GAP: usize = 2;

/// A column: its heading, and when it is dropped. The highest number goes first, 0 never.
pub type TableColumn = (&'static str, u8);

#[derive(Debug)]
pub struct Table {
    columns: Vec<TableColumn>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    pub fn new(columns: &[TableColumn]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn add(&mut self, row: Vec<(Tone, String)>) {
        self.rows.push(row);
    }

    pub fn plain(&mut self, row: impl IntoIterator<Item = impl Into<String>>) {
        self.add(row.into_iter().map(|cell| (Tone::Plain, cell.into())).collect());
    }

    pub fn render(&self, terminal: Terminal) -> String {
        let width_of = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|(_, cell)| measure_text_width(cell));
            let heading = self.columns.get(at).map_or(0, |(name, _)| name.len());
            cells.max().unwrap_or(0).max(heading)
        };
        let mut shown: Vec<(usize, usize)> = (0..self.columns.len()).map(|at| (at, width_of(at))).collect();
        if let Some(limit) = terminal.width() {
            self.narrow(&mut shown, limit);
        }
        let headings: Vec<(Tone, String)> =
            self.columns.iter().map(|(name, _)| (Tone::Heading, (*name).to_owned())).collect();
        let lines = std::iter::once(&headings).chain(&self.rows).map(|row| line(row, &shown, terminal));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Drops columns until the rest fits, then cuts the widest.
    fn narrow(&self, shown: &mut Vec<(usize, usize)>, limit: usize) {
        let total =
            |shown: &[(usize, usize)]| shown.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP);
        let gives_way = |at: usize| self.columns.get(at).map_or(0, |(_, order)| *order);
        while total(shown) > limit {
            let next = shown.iter().map(|(at, _)| *at).filter(|at| gives_way(*at) > 0).max_by_key(|at| gives_way(*at));
            let Some(next) = next else { break };
            shown.retain(|(at, _)| *at != next);
        }
        while total(shown) > limit {
            let Some((_, widest)) = shown.iter_mut().max_by_key(|(_, width)| *width) else { break };
            if *widest <= NARROWEST {
                break;
            }
            *widest -= 1;
        }
    }
}

fn line(row: &[(Tone, String)], shown: &[(usize, usize)], terminal: Terminal) -> String {
    let mut line = String::new();
    let mut pending = 0;
    for (at, width) in shown {
        let Some((tone, cell)) = row.get(*at) else { continue };
        let cell = truncate_str(cell, *width, "…");
        let own = measure_text_width(&cell);
        if own > 0 {
            line.push_str(&" ".repeat(pending));
            line.push_str(&terminal.paint(*tone, &cell));
            pending = 0;
        }
        pending += width - own.min(*width) + GAP;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("SERVICE", 0), ("PHASE", 0), ("EVIDENCE", 1), ("REQUESTS", 2)]);
        table.plain(["shop", "shifting", "0.2 : 1", "1,204"]);
        table.plain(["a-service-with-a-long-name", "", "", "3"]);
        table
    }

    #[test]
    fn every_column_is_there_without_a_terminal_and_no_line_ends_in_spaces() {
        let wide = table().render(Terminal::of_width(500));
        let lines: Vec<&str> = wide.lines().collect();
        assert_eq!(lines[0], "SERVICE                     PHASE     EVIDENCE  REQUESTS");
        assert_eq!(lines[2], "a-service-with-a-long-name                      3");
    }

    #[test]
    fn columns_give_way_in_their_order_and_then_the_widest_is_cut() {
        assert!(!table().render(Terminal::of_width(50)).contains("REQUESTS"));
        let narrow = table().render(Terminal::of_width(30));
        assert!(!narrow.contains("EVIDENCE") && narrow.contains("shifting"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
        assert!(narrow.contains("a-service-with-a-lo…") || narrow.contains('…'), "{narrow}");
    }
}
