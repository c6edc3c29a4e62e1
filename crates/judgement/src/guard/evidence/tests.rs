//! The evidence: odds are fair by enumeration, every input gives sane results, and delays are as promised.

use super::cells::{CELLS, Cells, rates};
use super::meter::{EvidenceMeter, MeterInput};
use super::*;
use crate::guard::evidence::rate_odds::RateTolerance;
use crate::traffic::split::mix;

const TICK: Millis = Millis(20);
const PLANNED: Millis = Millis::seconds(1800);

fn tick(candidate: (u64, u64), active: (u64, u64)) -> MeterInput {
    MeterInput::new(TICK, rates(candidate.0, candidate.1), rates(active.0, active.1))
}

/// Binomial probabilities of 0..=n.
fn binomial(n: u64, p: f64) -> Vec<f64> {
    let mut out = vec![0.0; n as usize + 1];
    out[0] = 1.0;
    for trial in 0..n as usize {
        for k in (0..=trial + 1).rev() {
            let from_below = if k > 0 { out[k - 1] * p } else { 0.0 };
            out[k] = out[k] * (1.0 - p) + from_below;
        }
    }
    out
}

#[test]
fn the_odds_of_rates_are_fair_under_every_tolerated_pair() {
    for tolerance in [RateTolerance::Failures, RateTolerance::Answers] {
        let worst = worst_mean(tolerance);
        assert!(worst <= 1.0 + 1e-9, "the mean of the odds is {worst}");
        assert!(worst > 0.999, "and they are not just small: {worst}");
    }
}

fn worst_mean(tolerance: RateTolerance) -> f64 {
    let mut worst = 0.0_f64;
    for (n_g, n_b) in [(1, 1), (1, 19), (3, 3), (5, 2), (4, 12), (12, 4)] {
        for (tb, cold) in [(2e-4, 0.0), (5e-4, 0.2), (0.01, 0.0), (0.01, 0.4), (0.2, 0.0), (0.3, 0.1), (0.5, 0.0)] {
            let all: Vec<_> = (0..=n_g)
                .flat_map(|x| (0..=n_b).map(move |y| (x, y)))
                .map(|(x, y)| (x, y, rate_odds::gains(tolerance, tb, [&rates(n_g, x), &rates(n_b, y)], cold).unwrap()))
                .collect();
            for at in 0..30 {
                let b = 10_f64.powf(-5.0 + 4.6 * f64::from(at) / 29.0);
                for part in [0.0, 0.5, 1.0] {
                    let (p_g, p_b) = (binomial(n_g, part * (tolerance.edge(b) + cold).min(1.0)), binomial(n_b, b));
                    for alternative in 0..7 {
                        let chance = |x: &u64, y: &u64| p_g[*x as usize] * p_b[*y as usize];
                        let mean: f64 = all.iter().map(|(x, y, g)| chance(x, y) * g[alternative].exp()).sum();
                        worst = worst.max(mean);
                    }
                }
            }
        }
    }
    worst
}

#[test]
fn against_a_known_rate_the_odds_are_fair_for_every_candidate_within_tolerance() {
    let nothing = [0; CELLS];
    let mut worst = 0.0_f64;
    for tolerance in [RateTolerance::Failures, RateTolerance::Answers] {
        for (tb, cold) in [(2e-4, 0.0), (5e-4, 0.2), (0.01, 0.0), (0.01, 0.005), (0.2, 0.05), (0.5, 0.0)] {
            for n in [1, 5, 20] {
                let gains = |x: u64| rate_odds::gains(tolerance, tb, [&rates(n, x), &nothing], cold).unwrap();
                for part in [0.0, 0.2, 0.9, 1.0] {
                    let p = binomial(n, part * (tolerance.edge(tb) + cold).min(1.0));
                    for alternative in 0..7 {
                        let mean: f64 = (0..=n).map(|x| p[x as usize] * gains(x)[alternative].exp()).sum();
                        worst = worst.max(mean);
                    }
                }
            }
        }
    }
    assert!((0.999..=1.0 + 1e-9).contains(&worst), "the mean of the odds is {worst}");
}

#[test]
fn against_known_latencies_the_odds_are_fair_for_every_candidate_that_is_no_slower() {
    let mut dice = Dice(9 << 32);
    let mut worst = 0.0_f64;
    for round in 0..3000 {
        let q = latency_odds::LatencyReference::new(dice.cells(1));
        let cold = if round % 3 == 0 { 0.0 } else { 0.002 + dice.roll() * 0.9 };
        let mut p: [f64; CELLS] = q.clone().into();
        for cell in (1..CELLS).rev() {
            let moved = if dice.roll() < 0.5 { p[cell] * dice.roll() } else { 0.0 };
            p[cell] -= moved;
            p[cell - 1] += moved;
        }
        let anywhere = if dice.roll() < 0.5 { dice.cells(3) } else { [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0] };
        let gains: [_; CELLS] = std::array::from_fn(|cell| {
            let mut one = [0; CELLS];
            one[cell] = 1;
            q.gains(&one, &[0; CELLS], cold)
        });
        let chances = p.iter().zip(&anywhere).map(|(p, anywhere)| (1.0 - cold) * p + cold * anywhere);
        let mut means = [0.0; 7];
        for (chance, gains) in chances.zip(&gains) {
            means.iter_mut().zip(gains).for_each(|(mean, gain): (&mut f64, _)| *mean += chance * gain.exp());
        }
        worst = means.into_iter().fold(worst, f64::max);
    }
    assert!((0.999..=1.0 + 1e-9).contains(&worst), "the mean of the odds is {worst}");
}

/// Numbers from a seed, in (0, 1).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        ((mix(self.0) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn cells(&mut self, sharpness: i32) -> [f64; CELLS] {
        let cells: [f64; CELLS] = std::array::from_fn(|_| self.roll().powi(sharpness) + 1e-6);
        let sum: f64 = cells.iter().sum();
        cells.map(|cell| cell / sum)
    }

    fn count(&mut self, mean: f64, p: f64) -> (u64, u64) {
        // Arrivals by exponential gaps (Knuth), failures by a coin each.
        let (mut n, mut left) = (0, mean);
        loop {
            left += self.roll().ln();
            if left < 0.0 {
                break;
            }
            n += 1;
        }
        let bad = (0..n).filter(|_| self.roll() < p).count() as u64;
        (n, bad)
    }
}

#[test]
fn the_odds_of_slowness_are_fair_for_every_candidate_that_is_no_slower() {
    let mut dice = Dice(7 << 32);
    let mut worst = 0.0_f64;
    for round in 0..3000 {
        let reference = latency_odds::LatencyReference::new(dice.cells(1));
        // A share of less than a five-hundredth is not forgiven any more.
        let cold = if round % 3 == 0 { 0.0 } else { 0.002 + dice.roll() * 0.9 };
        let p_b = dice.cells([1, 3, 8][round % 3]);
        // Active's cells with mass moved down, and a share anywhere at all.
        let mut p_g = p_b;
        for cell in (1..CELLS).rev() {
            let moved = if dice.roll() < 0.5 { p_g[cell] * dice.roll() } else { 0.0 };
            p_g[cell] -= moved;
            p_g[cell - 1] += moved;
        }
        let anywhere = if dice.roll() < 0.5 { dice.cells(3) } else { [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0] };
        let p_g: [f64; CELLS] = std::array::from_fn(|at| (1.0 - cold) * p_g[at] + cold * anywhere[at]);
        let (n_g, n_b) = (1 + (dice.roll() * 4.0) as u32, 1 + (dice.roll() * 40.0) as u32);
        // The mean of the product is the product of the means: one request in one cell at a time tells each.
        let odds = |green_side: bool, cell: usize| {
            let (mut candidate, mut active): (Cells, Cells) = ([0; CELLS], [0; CELLS]);
            // The odds depend only on the two sides' numbers; the mass in question is moved from cell to cell.
            if green_side {
                (candidate[cell], active[0]) = (n_g, n_b)
            } else {
                (candidate[0], active[cell]) = (n_g, n_b)
            }
            reference.gains(&candidate, &active, cold)
        };
        let base = odds(true, 0);
        for (alternative, at_base) in base.into_iter().enumerate() {
            let per = |green_side: bool, n: u32| -> [f64; CELLS] {
                std::array::from_fn(|cell| (odds(green_side, cell)[alternative] - at_base) / f64::from(n))
            };
            let (candidate, active) = (per(true, n_g), per(false, n_b));
            let mean = |p: &[f64; CELLS], ll: &[f64; CELLS]| p.iter().zip(ll).map(|(p, ll)| p * ll.exp()).sum::<f64>();
            let ln = base[alternative]
                + f64::from(n_g) * mean(&p_g, &candidate).ln()
                + f64::from(n_b) * mean(&p_b, &active).ln();
            worst = worst.max(ln.exp());
        }
    }
    assert!(worst <= 1.0 + 1e-9, "the mean of the odds is {worst}");
    assert!(worst > 0.9, "and they are not just small: {worst}");
}

/// What the reference in Python says about recorded traffic: `tests/evidence/reference.py` writes the file.
#[test]
fn the_meters_agree_with_the_reference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/evidence/sequences.json");
    let recorded: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut compared = 0;
    for (kind, wide) in [("errors", 5), ("latency", 15)] {
        for sequence in recorded[kind].as_array().unwrap() {
            let name = sequence["name"].as_str().unwrap();
            let share = sequence["share"].as_f64().unwrap();
            let mut meter = match kind {
                "errors" => EvidenceMeter::of_rates(share, PLANNED),
                _ => EvidenceMeter::of_slowness(share, PLANNED),
            };
            let number = |value: &serde_json::Value| value.as_u64().unwrap();
            let rows: std::collections::BTreeMap<u64, &serde_json::Value> =
                sequence["rows"].as_array().unwrap().iter().map(|row| (number(&row[0]), row)).collect();
            let expected: std::collections::BTreeMap<u64, &serde_json::Value> =
                sequence["expect"].as_array().unwrap().iter().map(|row| (number(&row[0]), row)).collect();
            let measured: std::collections::BTreeMap<u64, &serde_json::Value> =
                sequence["q"].as_array().into_iter().flatten().map(|row| (number(&row[0]), &row[1])).collect();
            let mut passed = Millis::ZERO;
            for at in 0..number(&sequence["ticks"]) {
                passed = passed.plus(TICK);
                let (row, cut) = (rows.get(&at), measured.get(&at));
                if row.is_some() || cut.is_some() || expected.contains_key(&at) {
                    let cell = |place: usize| row.map_or(0, |row| number(&row[place]));
                    let mut input = if kind == "errors" {
                        MeterInput::new(passed, rates(cell(1), cell(2)), rates(cell(3), cell(4)))
                    } else {
                        let cells = |from: usize| std::array::from_fn(|at| cell(from + at) as u32);
                        MeterInput::new(passed, cells(1), cells(8))
                    };
                    input.extra = row.and_then(|row| row[wide].as_f64()).unwrap_or(0.0);
                    input.cut = cut.map(|q| Box::new(std::array::from_fn(|cell| q[cell].as_f64().unwrap())));
                    if let (Some(cold), Some(half)) = (sequence["cold"][0].as_f64(), sequence["cold"][1].as_f64()) {
                        input.cold = cold * (-(at as f64) * 0.02 / half).exp2();
                    }
                    meter.take(&input);
                    passed = Millis::ZERO;
                }
                if let Some(expect) = expected.get(&at) {
                    let (ln, bad) = (expect[1].as_f64().unwrap(), number(&expect[2]));
                    let got = meter.evidence().ln();
                    assert!((got - ln).abs() < 1e-6, "{name}, tick {at}: ln E is {got}, and {ln} in the reference");
                    assert_eq!(meter.bad(), bad, "{name}, tick {at}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

/// Judged failures until the evidence is 1,000 : 1.
fn failures_until_sure(seed: u64, healthy_ticks: usize, rate: f64, weight: f64, p: f64) -> (u64, usize) {
    let mut dice = Dice(seed << 32);
    let mut meter = EvidenceMeter::of_rates(0.5, PLANNED);
    let per_tick = rate * 0.02;
    for _ in 0..healthy_ticks {
        let (g, b) = (dice.count(per_tick * weight, 0.001), dice.count(per_tick * (1.0 - weight), 0.001));
        meter.take(&tick(g, b));
        assert!(meter.evidence() < 1000.0, "seed {seed}: a false alarm");
    }
    let (mut failures, mut ticks) = (0, 0);
    while meter.evidence() < 1000.0 || meter.bad() < LEAST_BAD {
        let (g, b) = (dice.count(per_tick * weight, p), dice.count(per_tick * (1.0 - weight), 0.001));
        (failures, ticks) = (failures + g.1, ticks + 1);
        meter.take(&tick(g, b));
        assert!(ticks < 100_000, "never");
    }
    (failures, ticks)
}

#[test]
fn a_dead_candidate_is_known_within_fifteen_ticks_and_half_a_second_in_mid_flight() {
    for seed in 0..50 {
        let (failures, ticks) = failures_until_sure(seed, 0, 1000.0, 0.1, 1.0);
        assert!(failures <= 30 && ticks <= 15, "seed {seed}: {failures} in {ticks} ticks");
        let (failures, ticks) = failures_until_sure(seed, 3000, 1000.0, 0.1, 1.0);
        assert!(failures <= 50 && ticks <= 25, "seed {seed} in mid-flight: {failures} in {ticks} ticks");
    }
}

#[test]
fn smaller_faults_take_a_handful_of_failures_too() {
    for (p, most) in [(0.5, 20.0), (0.1, 15.0), (0.02, 30.0)] {
        let mean = (0..40).map(|seed| failures_until_sure(seed, 0, 500.0, 0.1, p).0).sum::<u64>() as f64 / 40.0;
        assert!(mean <= most, "{p}: {mean} failures in the mean");
    }
}

#[test]
fn both_sides_failing_together_say_nothing() {
    let mut meter = EvidenceMeter::of_rates(0.5, PLANNED);
    for _ in 0..500 {
        meter.take(&tick((2, 2), (18, 18)));
    }
    assert!(meter.evidence() < 1.0, "{}", meter.evidence());
}

#[test]
fn ticks_in_which_nothing_happened_may_be_left_out() {
    let mut dice = Dice(3 << 32);
    let (mut every, mut some) = (EvidenceMeter::of_rates(0.5, PLANNED), EvidenceMeter::of_rates(0.5, PLANNED));
    let mut skipped = Millis::ZERO;
    for _ in 0..20_000 {
        let (g, b) = (dice.count(0.01, 0.3), dice.count(0.02, 0.01));
        let input = tick(g, b);
        every.take(&input);
        skipped = skipped.plus(TICK);
        if g.0 + b.0 > 0 {
            some.take(&MeterInput { passed: skipped, ..input });
            skipped = Millis::ZERO;
        }
    }
    assert!((every.evidence() / some.evidence() - 1.0).abs() < 1e-9, "{} and {}", every.evidence(), some.evidence());
}

#[test]
fn a_tape_runs_again_to_the_same_evidence() {
    use super::tape::TapedMeter;
    let mut dice = Dice(11 << 32);
    let mut taped = TapedMeter::new(EvidenceMeter::of_rates(0.5, PLANNED));
    let mut now = Millis::ZERO;
    for round in 0..6000_u64 {
        now = now.plus(TICK);
        let p = if round < 3000 { 0.002 } else { 0.012 };
        let (g, b) = (dice.count(2.0, p), dice.count(18.0, 0.002));
        taped.take(now, tick(g, b));
        if let Some(tape) = &taped.tape {
            assert!(tape.inputs.len() <= 512, "bounded");
            let text = serde_json::to_string(tape).unwrap();
            let again: tape::EvidenceTape = serde_json::from_str(&text).unwrap();
            if round % 97 == 0 {
                let (points, meter) = again.replay();
                assert_eq!(meter.evidence(), taped.meter.evidence(), "round {round}");
                assert_eq!(points.last().unwrap().at, now);
            }
        }
    }
    assert!(taped.tape.is_some(), "the fault is on it");
}

#[test]
fn evidence_is_said_in_two_digits() {
    let said = [0.04, 3.21, 42.0, 4_213.0, 1_234_567.0, 1e12].map(odds);
    assert_eq!(said, ["0.0 : 1", "3.2 : 1", "42 : 1", "4,200 : 1", "1,200,000 : 1", "over 1,000,000,000 : 1"]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
    #[test]
    fn no_input_makes_nonsense(inputs in proptest::collection::vec(
        (0_u64..1 << 40, proptest::array::uniform7(0_u32..), proptest::array::uniform7(0_u32..), 0.0_f64..1.0, 0.0_f64..1.0), 1..40)
    ) {
        let mut meters = [EvidenceMeter::of_rates(0.5, PLANNED), EvidenceMeter::of_slowness(0.3, Millis::ZERO)];
        for (at, (passed, candidate, active, extra, cold)) in inputs.into_iter().enumerate() {
            let small = at % 2 == 0;
            let cells = |cells: Cells| if small { cells.map(|n| n % 5) } else { cells };
            let cut = (at % 3 == 0).then(|| Box::new(candidate.map(|n| f64::from(n) / 4e9)));
            let input = MeterInput { extra, cold, cut, ..MeterInput::new(Millis(passed % 100_000), cells(candidate), cells(active)) };
            for meter in &mut meters {
                meter.take(&input);
                let evidence = meter.evidence();
                proptest::prop_assert!(evidence.is_finite() && evidence >= 0.0, "{evidence}");
            }
        }
        let text = serde_json::to_string(&meters).unwrap();
        let again: [EvidenceMeter; 2] = serde_json::from_str(&text).unwrap();
        proptest::prop_assert_eq!(meters, again);
    }
}

#[test]
fn a_sentence_names_both_sides_and_what_each_did() {
    let counts = |bad, all| SideCounts { bad, all };
    let part = |meter, edge, patience, route: Option<&str>| MeterEvidence {
        meter,
        route: route.map(str::to_owned),
        evidence: 2_000.0,
        bad: 61,
        span: Millis(540),
        candidate: counts(61, 61),
        active: counts(0, 514),
        edge,
        patience,
        oddity: (meter == MeterKind::Shape).then_some(Oddity::Empty),
        before: None,
    };
    let gap = latency_cuts::WidestGap {
        candidate_micros: 7_500,
        active_micros: 2_000,
        candidate: 60,
        active: 1,
        before: None,
    };
    for (part, said) in [
        (part(MeterKind::Errors, None, None, None), "green fails 61 of 61, blue 0 of 514"),
        (part(MeterKind::Errors, None, None, Some("/cart")), "on route /cart, green fails 61 of 61, blue 0 of 514"),
        (
            part(MeterKind::Latency, Some(gap), None, None),
            "green takes over 7.5 ms for 60 of 61, blue over 2.0 ms for 1 of 514",
        ),
        (
            part(MeterKind::Stalls, None, Some(Millis(300)), None),
            "61 of 61 requests to green hang for over 300ms, 0 of 514 to blue",
        ),
        (
            part(MeterKind::Shape, None, None, Some("/api")),
            "on route /api, green answers 61 of 61 with an empty body where blue's is not, blue 0 of 514",
        ),
    ] {
        let sentence = part.sentence(part.evidence, "blue", "green");
        let odds = "over the same 540ms: evidence 2,000 : 1 that green is worse than tolerated";
        let way_out =
            if part.meter == MeterKind::Shape { " (if that is meant, set `compare_shape = false`)" } else { "" };
        assert_eq!(sentence, format!("{said} {odds}{way_out}"));
    }
}
