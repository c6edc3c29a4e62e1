//! The demo's live view: a few lines that are redrawn, and the events above them.

use std::io::Write;

use crate::cli::demo::clients::ClientTotals;
use crate::cli::demo::outcome::DemoOutcome;
use crate::serve::Running;
use judgement::guard::latency::quantile;
use judgement::guard::window::JudgedTotals;
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::clock;

const BAR: usize = 10;

/// Shows a line, if anyone is still reading.
macro_rules! show {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Draws, or does not.
#[derive(Debug)]
pub struct DemoView {
    shown: bool,
    /// Whether lines can be redrawn.
    terminal: bool,
    colour: bool,
    drawn: usize,
    began: Millis,
    last: Option<(Millis, [JudgedTotals; 2])>,
    rates: [Rates; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    per_second: f64,
    failed: u64,
    p50_ms: f64,
    p99_ms: f64,
}

impl DemoView {
    pub fn none() -> DemoView {
        DemoView { shown: false, ..DemoView::live(false, false) }
    }

    pub fn live(terminal: bool, colour: bool) -> DemoView {
        DemoView { shown: true, terminal, colour, drawn: 0, began: clock::now(), last: None, rates: Default::default() }
    }

    /// An event of the story, which stays on the screen.
    pub fn mark(&mut self, turn: &str) {
        if self.shown {
            self.wipe();
            show!("{:>6.1} s  {}", clock::now().since(self.began).0 as f64 / 1000.0, self.paint("1", turn));
        }
    }

    /// Redraws the current state.
    pub fn draw(&mut self, act: &str, running: &Running, seen: &ClientTotals) {
        if !self.shown || !self.terminal {
            return;
        }
        self.measure(running);
        let snapshot = running.published.load();
        let Some((_, _, split)) = snapshot.table.services().next() else { return };
        let mut lines = vec![String::new(), format!("  {act}")];
        for side in Environment::BOTH {
            let share = if side == split.active { 1.0 - split.weight.ratio() } else { split.weight.ratio() };
            let filled = (share * BAR as f64).round() as usize;
            let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
            let code = if side == Environment::Blue { "34" } else { "32" };
            let Rates { per_second, failed, p50_ms, p99_ms } = *side.of(&self.rates);
            let failed = format!("{failed:>4} fail/s");
            let failed = if failed.trim_start().starts_with("0 ") { failed } else { self.paint("31", &failed) };
            lines.push(format!(
                "  {} {} {:>5.1} %  {per_second:>5.0} req/s {failed}  p50 {p50_ms:.1} ms  p99 {p99_ms:.1} ms",
                self.paint(code, &format!("{side:<5}")),
                self.paint(code, &bar),
                share * 100.0,
            ));
        }
        lines.push(format!("  clients: {} requests, {} failed", seen.requests, seen.failed));
        self.wipe();
        lines.iter().for_each(|line| show!("{line}"));
        self.drawn = lines.len();
        let _ = std::io::stdout().flush();
    }

    /// What the last half second or so was like, from the proxy's counters.
    fn measure(&mut self, running: &Running) {
        let now = clock::now();
        if let Some((then, _)) = &self.last
            && now.since(*then) < Millis(500)
        {
            return;
        }
        let mut totals = <[JudgedTotals; 2]>::default();
        for (_, route) in running.counters.routes() {
            Environment::BOTH.iter().for_each(|side| side.of_mut(&mut totals).add(&route.totals(*side)));
        }
        if let Some((then, before)) = &self.last {
            let seconds = now.since(*then).0 as f64 / 1000.0;
            for side in Environment::BOTH {
                let (new, old) = (side.of(&totals), side.of(before));
                let counts: Vec<u64> = new.latency.iter().zip(&old.latency).map(|(n, o)| n - o).collect();
                let millis = |q| quantile(&counts, q).unwrap_or(0) as f64 / 1000.0;
                let answers = new.counts.answers - old.counts.answers;
                let failed = new.counts.failed - old.counts.failed;
                *side.of_mut(&mut self.rates) = Rates {
                    per_second: answers as f64 / seconds,
                    failed: (failed as f64 / seconds).round() as u64,
                    p50_ms: millis(0.5),
                    p99_ms: millis(0.99),
                };
            }
        }
        self.last = Some((now, totals));
    }

    pub fn summary(&mut self, told: &DemoOutcome) {
        self.wipe();
        let shown = |millis: Option<u64>| millis.map_or("never".to_owned(), |millis| format!("{millis} ms"));
        show!(
            "\n  {}",
            self.paint(
                "1",
                if told.held() { "green was rolled back automatically" } else { "the rollback did not last" }
            )
        );
        if let Some(reason) = &told.reason {
            show!("  why       {reason}");
        }
        show!("  weight    {} % -> {} %", told.weight_before, told.weight_after);
        show!(
            "  detected  {} after green broke; its last request {} after",
            shown(told.detection_ms),
            shown(told.rollback_ms)
        );
        show!(
            "  clients   {} requests, {} failed for clients, {} rescued",
            told.requests,
            told.failed_seen_by_clients,
            told.rescued
        );
    }

    fn wipe(&mut self) {
        if self.drawn > 0 {
            // Move up to the first drawn line, and clear everything below it.
            let _ = write!(std::io::stdout(), "\x1b[{}A\x1b[0J", self.drawn);
            self.drawn = 0;
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
