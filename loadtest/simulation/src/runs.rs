//! Runs of a world, and what each rule made of them.

use parking_lot::Mutex;

use judgement::guard::{EvidenceBudget, GuardPolicy};
use judgement::time::Millis;

use crate::dice::Dice;
use crate::engine::Engine;
use crate::judge::{LAG, RolloutCost, RolloutEnd, SimulatedJudge, Watcher};
use crate::peer_rules::{PeerRule, RULES, SecondCounts};
use crate::worlds::{FaultKind, TICK, World};

/// How often the plain triggers look.
const PLAIN_TICK: u64 = 100;

/// How a world is run. Times in milliseconds since the fault, or since the start where there is none.
#[derive(Clone, Debug)]
pub struct RunSpec {
    pub budget: EvidenceBudget,
    /// How long the judge is given.
    pub patience: u64,
    /// How many of the runs the plain triggers watch, and for how long.
    pub plain: (usize, u64),
    /// The same for the rules of others.
    pub peers: (usize, u64),
}

/// What one rule made of one run.
#[derive(Clone, Debug, Default)]
pub struct RuleOutcome {
    /// It rolled back, so many seconds after the fault began; before it, if 0 or negative.
    pub after: Option<f64>,
    pub failed: f64,
    pub slow: f64,
    pub hurt: f64,
    pub turned_away: f64,
    pub cautions: u32,
    pub reason: String,
}

/// One run as all who looked have seen it.
#[derive(Clone, Debug)]
pub struct SimulatedRun {
    pub judge: RuleOutcome,
    pub plain: Option<RuleOutcome>,
    /// In the order of [`RULES`]; empty where they did not look.
    pub peers: Vec<RuleOutcome>,
}

/// The standard triggers alone.
pub fn plain() -> GuardPolicy {
    let mut policy = GuardPolicy { evidence: None, ..GuardPolicy::standard() };
    // Beside the evidence the first of them only acts where active answers nothing; alone it acts always.
    policy.triggers.iter_mut().for_each(|trigger| trigger.alone = false);
    policy
}

/// The standard policy with a budget of evidence.
pub fn judged(budget: EvidenceBudget) -> GuardPolicy {
    GuardPolicy { evidence: Some(budget), ..GuardPolicy::standard() }
}

/// A budget for a rollout of this length.
pub fn budget(planned: u64) -> EvidenceBudget {
    EvidenceBudget { planned: Millis(planned), ..EvidenceBudget::STANDARD }
}

/// The `replicate`th run of a world.
pub fn run(world: &World, spec: &RunSpec, replicate: usize, mut dice: Dice) -> SimulatedRun {
    let onset = world.fault.map_or(0, |fault| fault.at);
    let (plain_runs, plain_length) = spec.plain;
    let (peer_runs, peer_length) = spec.peers;
    let (with_plain, with_peers) = (replicate < plain_runs, replicate < peer_runs);
    // Where the fault begins with the rollout, so do the checks of others; else they are at any point of their period.
    let phases: Vec<f64> = RULES.iter().map(|_| dice.unit()).collect();
    let aligned = world.fault.is_some_and(|fault| fault.at == 0);

    let mut watchers = vec![Watcher { policy: judged(spec.budget), every: TICK, until: onset + spec.patience }];
    if with_plain {
        watchers.push(Watcher { policy: plain(), every: PLAIN_TICK, until: onset + plain_length });
    }
    let mut length = spec.patience;
    length = length.max(if with_plain { plain_length } else { 0 });
    length = onset + length.max(if with_peers { peer_length } else { 0 });
    let mut engine = Engine::new(world, length, dice, watchers, with_peers);
    engine.run(length);

    let seen = |judge: &SimulatedJudge| {
        let RolloutCost { failed, hurt, slow, unwanted, turned_away } = judge.cost;
        // What is unwanted is seen by its client, and no failure to those who count them.
        let [failed, hurt, slow, turned_away] =
            [failed + unwanted, hurt + unwanted, slow, turned_away].map(|n| n as f64);
        let end = judge.end.as_ref();
        // Before the fault means decided before it: its lag does not count.
        let lag = |end: &RolloutEnd| if end.at - LAG <= onset { LAG } else { 0 };
        let after = end.map(|end| ((end.at - lag(end)) as f64 - onset as f64) / 1000.0);
        let reason = end.map_or(String::new(), |end| end.reason.clone());
        RuleOutcome { after, failed, slow, hurt, turned_away, cautions: judge.cautions, reason }
    };
    let peers = RULES.iter().zip(phases).map(|((_, rule), phase)| {
        let is_argo = matches!(rule, PeerRule::Argo { .. });
        let phase = if aligned && !is_argo { 0.0 } else { phase };
        peer(world, &engine.seconds, rule.decide(&engine.seconds, phase), onset)
    });
    SimulatedRun {
        judge: seen(&engine.judges[0]),
        plain: engine.judges.get(1).map(seen),
        peers: if with_peers { peers.collect() } else { Vec::new() },
    }
}

/// What a rule's decision cost, from the counts of every second.
fn peer(world: &World, seconds: &SecondCounts, decided: Option<usize>, onset: u64) -> RuleOutcome {
    let onset = (onset / 1000) as usize;
    let end = decided.unwrap_or(seconds.all[1].len()).max(onset);
    let sum = |part: &[u32]| part.iter().map(|n| f64::from(*n)).sum::<f64>();
    let hit = match world.fault.map(|fault| fault.kind) {
        Some(FaultKind::Late(share, _) | FaultKind::Hangs(share)) => share,
        Some(FaultKind::Slower(_)) => 1.0,
        _ => 0.0,
    };
    let failed = sum(&seconds.bad[1][onset..end]);
    RuleOutcome {
        after: decided.map(|at| at as f64 - onset as f64),
        failed,
        hurt: failed,
        slow: hit * sum(&seconds.all[1][onset..end]),
        ..RuleOutcome::default()
    }
}

/// So many jobs on so many threads. What comes out depends on the job's number alone.
pub fn on_threads<T: Send>(threads: usize, jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = Mutex::new(0..jobs);
    // The lock is held no longer than the taking.
    let take = || next.lock().next();
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            while let Some(job) = take() {
                done.push((job, work(job)));
            }
            done
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a run panicked")).collect()
    });
    done.sort_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, out)| out).collect()
}
