//! What was compared of a service, by path: how often each kind of difference was seen, and how often active has differed from
//! itself.

use std::collections::{BTreeMap, VecDeque};

use crate::mirror::chance::at_least;
use crate::mirror::comparing::{ComparedCopy, Difference, DifferenceKind};
use crate::mirror::paths;
use crate::mirror::words::{example, predicate, redactor};
use judgement::guard::evidence::grouped;
use relay::proxy::mirror::CopiedRequest;
use wire::{MirrorDifference, MirrorExample};

/// The paths that are told apart; the others are one.
const MOST_PATHS: usize = 100;
/// The kinds of differences on all paths together.
const MOST_GROUPS: usize = 200;
/// Of these, those that noise may open.
const MOST_NOISE: usize = 100;
/// A difference counts if equal sides would show it as one-sidedly less often than once in a hundred comparisons …
const CHANCE: f64 = 0.01;
/// … or if every request of a path shows it, of at least so many, and active never against itself.
const ALWAYS: u64 = 3;
/// By how much the candidate may be slower: the time that active takes, times this …
const TOLERATED: f64 = 1.2;
/// … and so many microseconds more, which nobody notices.
const UNNOTICED: u64 = 1000;
/// A path is slower if more than half of its requests are, beyond what chance allows once in a thousand times …
const SLOW_CHANCE: f64 = 0.001;
/// … and there are this many of them at least …
const LEAST_PAIRS: u64 = 20;
/// … without the first ones of each path, in which caches are filled and connections are opened.
const COLD: u64 = 5;
/// The latest times of each path from which the medians are taken.
const TIMES: usize = 200;

/// A service's comparison. Its size is bounded, however many paths there are.
#[derive(Debug, Default)]
pub struct Tally {
    paths: BTreeMap<String, PathTally>,
    /// By path, kind and place.
    groups: BTreeMap<(String, DifferenceKind, String), GroupTally>,
    left_out: u64,
}

#[derive(Debug, Default)]
struct PathTally {
    compared: u64,
    /// Of the requests that both have answered, without the first ones: those in which the candidate was slower than
    /// tolerated, and the others.
    slower: u64,
    others: u64,
    /// Active's and the candidate's times, in microseconds, the latest last.
    times: VecDeque<[u64; 2]>,
    answered: u64,
}

#[derive(Debug, Default)]
struct GroupTally {
    seen: u64,
    noise: u64,
    what: String,
    example: Option<MirrorExample>,
}

impl Tally {
    /// Adds what a copy has shown. Whether the candidate differs in anything that counts.
    pub fn add(&mut self, request: &CopiedRequest, compared: &ComparedCopy) -> bool {
        // A path or a member may be what the client has identified itself by.
        let redactor = redactor(request);
        let pattern = redactor.text(&paths::pattern(&request.target));
        let is_known = self.paths.contains_key(&pattern) || self.paths.len() < MOST_PATHS;
        let path = if is_known { pattern } else { paths::OTHERS.to_owned() };
        let tally = self.paths.entry(path.clone()).or_default();
        tally.compared += 1;
        if let Some(micros) = compared.micros {
            tally.time(micros);
        }
        let hidden = |difference: &Difference| {
            let place = redactor.text(&paths::place(&difference.place));
            Difference { place, ..difference.clone() }
        };
        for difference in &compared.differences {
            let difference = &hidden(difference);
            let Some(group) = self.group(&path, difference, MOST_GROUPS) else {
                self.left_out += u64::from(difference.kind.counts());
                continue;
            };
            group.seen += 1;
            if group.example.is_none() {
                group.what = predicate(difference);
                group.example = Some(example(request, difference, &redactor));
            }
        }
        for difference in &compared.noise {
            if let Some(group) = self.group(&path, &hidden(difference), MOST_NOISE) {
                group.noise += 1;
            }
        }
        compared.differences.iter().any(|difference| difference.kind.counts())
    }

    fn group(&mut self, path: &str, difference: &Difference, most: usize) -> Option<&mut GroupTally> {
        let key = (path.to_owned(), difference.kind, difference.place.clone());
        if self.groups.len() >= most && !self.groups.contains_key(&key) {
            return None;
        }
        Some(self.groups.entry(key).or_default())
    }

    /// Differences of the candidate for which there was no room. Nobody knows whether they are noise.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The differences, those that count first, and among them those that are seen most often.
    pub fn differences(&self) -> Vec<MirrorDifference> {
        let seen = self.groups.iter().filter(|(_, group)| group.seen > 0);
        let mut all: Vec<MirrorDifference> =
            seen.map(|((path, kind, _), group)| self.told(path, *kind, group)).collect();
        all.extend(self.paths.iter().filter_map(|(path, tally)| tally.slower_in_words(path)));
        all.sort_by(|a, b| (b.counts, b.seen, &a.text).cmp(&(a.counts, a.seen, &b.text)));
        all
    }

    fn told(&self, path: &str, kind: DifferenceKind, group: &GroupTally) -> MirrorDifference {
        let GroupTally { seen, noise, what, example } = group;
        let (seen, noise) = (*seen, *noise);
        let of = self.paths.get(path).map_or(0, |path| path.compared);
        let is_always = noise == 0 && seen == of && of >= ALWAYS;
        MirrorDifference {
            path: path.to_owned(),
            what: what.clone(),
            text: format!("{path} {what} in {} of {}", grouped(seen), grouped(of)),
            counts: kind.counts() && (is_always || at_least(seen, noise) <= CHANCE),
            seen,
            noise,
            of,
            example: example.clone(),
        }
    }
}

impl PathTally {
    fn time(&mut self, [active, candidate]: [u64; 2]) {
        self.answered += 1;
        if self.answered <= COLD {
            return;
        }
        let tolerated = active as f64 * TOLERATED + UNNOTICED as f64;
        if candidate as f64 > tolerated {
            self.slower += 1;
        } else {
            self.others += 1;
        }
        if self.times.len() >= TIMES {
            self.times.pop_front();
        }
        self.times.push_back([active, candidate]);
    }

    /// That the path is slower, if it is: the sign test, because times have no other distribution that can be relied on.
    fn slower_in_words(&self, path: &str) -> Option<MirrorDifference> {
        let of = self.slower + self.others;
        if of < LEAST_PAIRS || at_least(self.slower, self.others) > SLOW_CHANCE {
            return None;
        }
        let median = |side: fn(&[u64; 2]) -> u64| {
            let mut times: Vec<u64> = self.times.iter().map(side).collect();
            times.sort_unstable();
            times.get(times.len() / 2).map_or(0.0, |micros| *micros as f64 / 1000.0)
        };
        let (active, candidate) = (median(|[active, _]| *active), median(|[_, candidate]| *candidate));
        let what = format!("is slower: {candidate:.1} ms where active takes {active:.1} ms");
        Some(MirrorDifference {
            path: path.to_owned(),
            text: format!("{path} {what}, in {} of {}", grouped(self.slower), grouped(of)),
            what,
            counts: true,
            seen: self.slower,
            noise: 0,
            of,
            example: None,
        })
    }
}
