//! The picture of the evidence in README: `cargo run --release --example evidence > docs/src/evidence.svg`.
//!
//! The meter of failures over made-up traffic, the same with every run: 1,000 requests a second, a tenth of them to
//! green, blue failing one in a thousand. One green stays as well as blue, two break in the fifth second.

use judgement::guard::EvidenceBudget;
use judgement::guard::evidence::cells::rates;
use judgement::guard::evidence::meter::{EvidenceMeter, MeterInput};
use judgement::guard::evidence::{LEAST_BAD, MeterKind, odds};
use judgement::time::Millis;

use simulation::dice::Dice;

const TICK: Millis = Millis(20);
const END: Millis = Millis::seconds(10);
const BREAKS: Millis = Millis::seconds(5);
/// A tick, on average: green's and blue's requests.
const ARRIVALS: [f64; 2] = [2.0, 18.0];
const WELL: f64 = 0.001;

/// From here on caution turns requests away.
const CAUTION: f64 = 20.0;
const SURE: f64 = 1.0 / EvidenceBudget::STANDARD.alpha;

// In pixels, and in powers of ten.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 744.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 346.0;
const MOST: f64 = 4.0;
const LEAST: f64 = -4.0;

// Read on white and on near-black alike.
const INK: &str = "#757b84";
const GOOD: &str = "#2f9e57";
const WORSE: &str = "#c7780a";
const WORST: &str = "#dc3545";

/// So many requests on average, and the failed of them.
fn requests(dice: &mut Dice, mean: f64, failing: f64) -> (u64, u64) {
    let all = u64::from(dice.poisson(mean));
    (all, (0..all).filter(|_| dice.chance(failing)).count() as u64)
}

/// The evidence after every tick, until it decides.
struct Run {
    points: Vec<(Millis, f64)>,
    /// Green's failures since it broke, if that has decided.
    failures: Option<u64>,
}

fn run(seed: u64, failing: f64) -> Run {
    let mut dice = Dice::new(seed);
    let mut meter = EvidenceMeter::of_rates(MeterKind::Errors.share(), EvidenceBudget::STANDARD.planned);
    let [to_green, to_blue] = ARRIVALS;
    let mut points = vec![(Millis::ZERO, meter.evidence())];
    let mut failures = 0;
    for tick in 1..=END.0 / TICK.0 {
        let now = Millis(tick * TICK.0);
        let green = requests(&mut dice, to_green, if now > BREAKS { failing } else { WELL });
        let blue = requests(&mut dice, to_blue, WELL);
        meter.take(&MeterInput::new(TICK, rates(green.0, green.1), rates(blue.0, blue.1)));
        points.push((now, meter.evidence()));
        failures += if now > BREAKS { green.1 } else { 0 };
        if meter.evidence() >= SURE && meter.bad() >= LEAST_BAD {
            return Run { points, failures: Some(failures) };
        }
    }
    Run { points, failures: None }
}

fn x(at: Millis) -> f64 {
    LEFT + (RIGHT - LEFT) * at.0 as f64 / END.0 as f64
}

fn y(evidence: f64) -> f64 {
    let power = evidence.max(1e-9).log10().clamp(LEAST, MOST);
    BOTTOM - (BOTTOM - TOP) * (power - LEAST) / (MOST - LEAST)
}

fn text(x: f64, y: f64, anchor: &str, colour: &str, said: &str) {
    println!("<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{said}</text>");
}

fn level(evidence: f64, name: &str, dashes: &str) {
    let at = y(evidence);
    println!(
        "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\" stroke=\"{INK}\" stroke-dasharray=\"{dashes}\"/>"
    );
    text(LEFT - 8.0, at + 4.0, "end", INK, &odds_of(evidence));
    text(LEFT + 6.0, at - 6.0, "start", INK, name);
}

/// `1,000 : 1`, and `1 : 10,000` where the odds are the other way.
fn odds_of(evidence: f64) -> String {
    match evidence {
        e if e > 1.5 => odds(e.round()),
        e if e > 0.5 => "1 : 1".to_owned(),
        e => odds((1.0 / e).round()).split(" : ").next().map_or(String::new(), |n| format!("1 : {n}")),
    }
}

fn axes() {
    for second in 0..=END.0 / 1000 {
        let at = x(Millis::seconds(second));
        println!("<line x1=\"{at:.1}\" y1=\"{BOTTOM}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"{INK}\"/>", BOTTOM + 5.0);
        text(at, BOTTOM + 20.0, "middle", INK, &format!("{second} s"));
    }
    let at = x(BREAKS);
    println!("<line x1=\"{LEFT}\" y1=\"{BOTTOM}\" x2=\"{RIGHT}\" y2=\"{BOTTOM}\" stroke=\"{INK}\"/>");
    println!(
        "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{BOTTOM}\" stroke=\"{INK}\" stroke-dasharray=\"1 4\"/>"
    );
    text(at - 6.0, BOTTOM - 8.0, "end", INK, "two of three greens break");
    text(
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 42.0,
        "middle",
        INK,
        "1,000 requests/s, 10 % of them to green; blue fails 0.1 %",
    );
    for power in [1e4, 1e2, 1e-2, 1e-4] {
        text(LEFT - 8.0, y(power) + 4.0, "end", INK, &odds_of(power));
    }
    level(SURE, "green is taken back", "7 3");
    level(CAUTION, "caution", "7 3");
    level(1.0, "even odds", "2 3");
}

fn curve(run: &Run, from: Millis, colour: &str) {
    let drawn = run.points.iter().filter(|(at, _)| *at >= from);
    let points: Vec<String> = drawn.map(|(at, evidence)| format!("{:.1} {:.1}", x(*at), y(*evidence))).collect();
    println!(
        "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"/>",
        points.join("L")
    );
    if let (Some((at, evidence)), Some(_)) = (run.points.last(), run.failures) {
        println!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>", x(*at), y(*evidence));
    }
}

/// What became of a green that broke, beside the end of its curve.
fn end_of(run: &Run, colour: &str, anchor: &str, off: (f64, f64), what: &str) {
    let (Some((at, evidence)), Some(failures)) = (run.points.last(), run.failures) else { return };
    let seconds = at.since(BREAKS).0 as f64 / 1000.0;
    let (x, y) = (x(*at) + off.0, y(*evidence) + off.1);
    text(x, y, anchor, colour, what);
    text(x, y + 16.0, anchor, colour, &format!("taken back after {seconds:.2} s, {failures} failures"));
}

fn main() {
    let (healthy, tenth, all) = (run(1, WELL), run(1, 0.10), run(1, 1.0));
    println!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"13\" role=\"img\">"
    );
    println!("<title>Evidence over time: a healthy green, one that fails a tenth, one that fails everything</title>");
    axes();
    // The three are one until two of them break.
    curve(&healthy, Millis::ZERO, GOOD);
    curve(&tenth, BREAKS, WORSE);
    curve(&all, BREAKS, WORST);
    let last = healthy.points.last().map_or(1.0, |(_, evidence)| *evidence);
    text(RIGHT, y(last) - 24.0, "end", GOOD, "healthy: as well as blue");
    end_of(&tenth, WORSE, "start", (10.0, 14.0), "fails 10 %");
    end_of(&all, WORST, "end", (-34.0, -26.0), "fails everything");
    println!("</svg>");
}
