//! What a bad candidate costs, and how often a good one is taken back: `cargo run --release --example blast`.
//!
//! The product's own [`State`](judgement::rollout::State) over virtual time, in worlds drawn from a seed, with the rules of
//! others beside it in the same runs. Prints Markdown, and writes the same as JSON. The same seed gives the same numbers
//! on any machine and any number of threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::PathBuf;

use clap::Parser;
use memory::clock;
use serde_json::json;

use simulation::cells::{self, FaultCell};
use simulation::dice::Dice;
use simulation::healthy::{self, HealthyWorld};
use simulation::runs::{self, RunSpec, SimulatedRun};
use simulation::table::{self, FaultResult, HealthyResult};
use simulation::through::{self, ThroughResult};
use simulation::triggers::{self, TriggerResult};
use simulation::verdicts;
use simulation::worlds::World;

#[derive(Parser, Debug)]
#[command(about = "What a bad candidate costs, and how often a good one is taken back")]
struct Arguments {
    /// Rollouts of each healthy world.
    #[arg(long, default_value_t = 1000)]
    rollouts: usize,
    /// Runs of each faulty candidate.
    #[arg(long, default_value_t = 60)]
    replicates: usize,
    /// How long a healthy rollout takes, over its six weights. The judge's stakes are spread over it, so a longer one
    /// is no more likely to be taken back, and takes longer to simulate.
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file for the JSON; `-` prints it to stdout after the tables.
    #[arg(long, default_value = "target/blast.json")]
    json: PathBuf,
    /// Only tables and worlds whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Do a twentieth of the runs, to see that it works.
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
}

/// How to read the tables.
const PREFACE: &str = "\
All rules judge the same runs: after a decision, a run continues as if the candidate had stayed. What counts is what the candidate
failed, or was slow at, from the start of its fault until the rollback, or until the end of the run if nobody rolls back. For the judge
and the plain triggers this includes 50 ms of requests in flight. For the other rules it does not: they are given each second's counts
exactly and without delay. Three requests in ten are POSTs that could not be rescued; clients see the failures of those that caution did
not turn away. Bound: on average, no rule that is wrong in one rollout in a thousand can do with fewer failures; in mid-rollout, without
knowing when the fault began. (limiter): evidence arrives faster than the judge accepts it, which is 4 nats at once and 50 per
second, because brief trouble on one side is not a fault. Shares are given with their 95 % interval (Wilson).
";

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.rollouts = arguments.rollouts.div_ceil(20);
        arguments.replicates = arguments.replicates.div_ceil(10);
    }
    let began = clock::micros();
    println!("# Blast radius\n");
    println!(
        "Seed {}; {} rollouts of each healthy world, {} min long; {} runs of each faulty candidate.\n",
        arguments.seed, arguments.rollouts, arguments.minutes, arguments.replicates
    );
    println!("{PREFACE}");
    let cells = faults(&arguments);
    if !cells.is_empty() {
        println!("{}", table::found(&cells));
    }
    let worlds = left_alone(&arguments, "healthy", healthy::all(arguments.rollouts, arguments.minutes * 60_000));
    show(table::healthy(&worlds), &worlds);
    let long = left_alone(&arguments, "half an hour", healthy::long(arguments.rollouts.div_ceil(5)));
    show(table::long(&long), &long);
    let through = get_through(&arguments);
    let triggers = fire(&arguments);
    conclude(&cells, &worlds);
    let seconds = elapsed(began);
    println!("\nTook {seconds:.0} s on {} threads.", arguments.threads);
    let document = json!({
        "seed": arguments.seed,
        "rollouts": arguments.rollouts,
        "replicates": arguments.replicates,
        "seconds": seconds,
        "faults": cells.iter().map(FaultResult::json).collect::<Vec<_>>(),
        "minutes": arguments.minutes,
        "half_an_hour": long.iter().map(HealthyResult::json).collect::<Vec<_>>(),
        "healthy": worlds.iter().map(HealthyResult::json).collect::<Vec<_>>(),
        "through": through.iter().map(|cell| {
            json!({ "world": cell.world.name, "rate": cell.rate, "runs": cell.runs, "through": cell.through, "stretch": cell.stretch })
        }).collect::<Vec<_>>(),
        "triggers": triggers.iter().map(|cell| {
            json!({ "trigger": cell.trigger, "rate": cell.rate, "beyond": cell.beyond, "within": cell.within })
        }).collect::<Vec<_>>(),
        "better": verdicts::better(&cells, &worlds),
        "targets": verdicts::targets(&cells, &worlds)
            .iter()
            .map(|target| json!({ "what": target.what, "kept": target.kept, "number": target.number }))
            .collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&document)?;
    if arguments.json.as_os_str() == "-" {
        println!("{text}");
    } else {
        std::fs::write(&arguments.json, text)?;
        println!("The same as JSON: {}", arguments.json.display());
    }
    Ok(())
}

fn elapsed(since: u64) -> f64 {
    (clock::micros() - since) as f64 / 1e6
}

impl Arguments {
    fn wants(&self, group: &str, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| group.contains(only.as_str()) || name.contains(only.as_str()))
    }

    /// All runs of a world. Their dice depend on its name, so that `--only` changes nothing.
    fn runs(&self, world: &World, spec: &RunSpec, runs: usize) -> (Vec<SimulatedRun>, f64) {
        let began = clock::micros();
        let cell = world.name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let work = |replicate| runs::run(world, spec, replicate, Dice::of(self.seed, cell, replicate as u64));
        (runs::on_threads(self.threads, runs, work), elapsed(began))
    }
}

fn faults(arguments: &Arguments) -> Vec<FaultResult> {
    let mut measured: Vec<FaultResult> = Vec::new();
    let mut cells: Vec<FaultCell> = cells::all(arguments.replicates);
    cells.retain(|cell| arguments.wants(cell.group, &cell.name));
    let mut cells = cells.into_iter().peekable();
    while let Some(cell) = cells.next() {
        let group = cell.group;
        let (runs, seconds) = arguments.runs(&cell.world, &cell.spec, cell.runs);
        let (judge, plain, peers) = table::sum_up(&runs, true);
        measured.push(FaultResult { cell, judge, plain, peers, seconds });
        if cells.peek().is_none_or(|next| next.group != group) {
            let took: f64 = measured.iter().filter(|m| m.cell.group == group).map(|m| m.seconds).sum();
            println!("{}\n({took:.1} s)\n", table::faults(group, &measured));
        }
    }
    measured
}

/// Healthy worlds of these lengths, with what was made of them.
fn left_alone(arguments: &Arguments, group: &str, worlds: Vec<HealthyWorld>) -> Vec<HealthyResult> {
    let wanted = worlds.into_iter().filter(|healthy| arguments.wants(group, &healthy.world.name));
    let left = wanted.map(|healthy| {
        let (runs, seconds) = arguments.runs(&healthy.world, &healthy.spec, healthy.runs);
        let (judge, plain, peers) = table::sum_up(&runs, false);
        HealthyResult { healthy, judge, plain, peers, seconds }
    });
    left.collect()
}

/// Of candidates that are as good as active or better, how many are through.
fn get_through(arguments: &Arguments) -> Vec<ThroughResult> {
    let began = clock::micros();
    let mut results = Vec::new();
    for (at, world) in through::WORLDS.into_iter().enumerate() {
        if !arguments.wants("through", world.name) {
            continue;
        }
        for rate in through::RATES {
            let dice = |replicate| Dice::of(arguments.seed, 1000 * at as u64 + rate as u64, replicate as u64);
            let work = |replicate| through::run(world, rate, dice(replicate));
            let runs = runs::on_threads(arguments.threads, arguments.rollouts.div_ceil(5), work);
            results.push(ThroughResult::of(world, rate, &runs));
        }
    }
    if !results.is_empty() {
        println!("{}\n({:.1} s)\n", through::table(&results), elapsed(began));
    }
    results
}

/// How often the default triggers fire, past their limits and within.
fn fire(arguments: &Arguments) -> Vec<TriggerResult> {
    let began = clock::micros();
    let mut results = Vec::new();
    for (at, trigger) in triggers::triggers().into_iter().enumerate() {
        if !arguments.wants("triggers", &trigger.name) {
            continue;
        }
        for rate in triggers::RATES {
            let count = |times: f64, runs: usize| {
                let cell = 100_000 * (at as u64 + 1) + 10 * rate as u64 + u64::from(times > 1.0);
                let dice = |replicate| Dice::of(arguments.seed, cell, replicate as u64);
                let work = |replicate| triggers::fires(&trigger, rate, times, dice(replicate));
                let fired = runs::on_threads(arguments.threads, runs, work);
                [runs, fired.into_iter().filter(|fired| *fired).count()]
            };
            results.push(TriggerResult {
                trigger: trigger.name.clone(),
                rate,
                answers: rate * trigger.hold.0 as f64 / 1000.0,
                beyond: count(1.5, arguments.rollouts),
                within: count(0.75, arguments.rollouts),
                possible: triggers::possible(&trigger, rate),
            });
        }
    }
    if !results.is_empty() {
        println!("{}\n({:.1} s)\n", triggers::table(&results), elapsed(began));
    }
    results
}

fn show(table: String, left: &[HealthyResult]) {
    if !left.is_empty() {
        let took: Vec<String> = left.iter().map(|left| format!("{:.1}", left.seconds)).collect();
        println!("{table}\n({} s)\n", took.join(" + "));
    }
}

fn conclude(cells: &[FaultResult], worlds: &[HealthyResult]) {
    println!("### Targets\n");
    for target in verdicts::targets(cells, worlds) {
        println!("- {}: {}: {}", target.verdict(), target.what, target.number);
    }
    println!("\n### Where another rule is better\n");
    let better = verdicts::better(cells, worlds);
    if better.is_empty() {
        println!("Nowhere in these tables.");
    }
    for line in better {
        println!("- {line}");
    }
}
