//! What is known of each service's candidate: written by the thread that compares, read by the API, the metrics, and about
//! once a second by the sidecar.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json_path::JsonPath;

use crate::mirror::asking::Answers;
use crate::mirror::comparing::compare;
use crate::mirror::tally::Tally;
use judgement::guard::evidence::grouped;
use judgement::rollout::shadow::ShadowNews;
use judgement::time::Millis;
use judgement::traffic::Environment;
use judgement::traffic::split::TrafficSplit;
use memory::clock;
use memory::snapshot::{Endpoint, RoutingSnapshot, ServedService};
use relay::proxy::mirror::CopiedRequest;
use sidecar::SidecarHandle;
use wire::MirrorReport;

/// The comparisons of all services. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct MirrorBoard(Arc<Mutex<BTreeMap<String, ServiceComparison>>>);

/// What a comparison is about. As soon as any of it is another one, a new comparison begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonKey {
    rollout: u32,
    comparison: u32,
    active: Environment,
    /// The candidate's URLs, and the version that the file gives it.
    urls: String,
    version: Option<String>,
    /// What is not compared.
    ignore: Box<[Box<str>]>,
}

#[derive(Debug)]
struct ServiceComparison {
    key: ComparisonKey,
    /// Those of the key, read.
    ignore: Arc<[JsonPath]>,
    /// When its first copy was sent, and when the last one had come back.
    began: Millis,
    last: Millis,
    compared: u64,
    unanswered: u64,
    /// Why active did not answer the last of these, as a predicate.
    silence: Option<String>,
    unread: u64,
    tally: Tally,
}

impl ComparisonKey {
    /// The comparison for which copies are sent now; `None` if none are.
    pub fn of(split: &TrafficSplit, serving: &ServedService) -> Option<ComparisonKey> {
        split.shadow.map(|comparison| ComparisonKey::numbered(comparison, split, serving))
    }

    fn numbered(comparison: u32, split: &TrafficSplit, serving: &ServedService) -> ComparisonKey {
        let candidate = split.active.other();
        let version = serving.terms.version(candidate).and_then(|version| version.to_str().ok());
        ComparisonKey {
            rollout: split.rollout,
            comparison,
            active: split.active,
            urls: candidate.of(&serving.origins).urls(),
            version: version.map(str::to_owned),
            ignore: serving.terms.mirror.ignore.clone(),
        }
    }
}

impl MirrorBoard {
    /// Adds what came back for a copy. `endpoints`: active's and the candidate's; `heard` is `None` if they were not asked.
    pub(super) fn add(
        &self,
        key: ComparisonKey,
        serving: &ServedService,
        began: Millis,
        request: &CopiedRequest,
        endpoints: &[Option<Endpoint>; 2],
        heard: Option<Answers>,
    ) {
        let Some(answers) = heard else { return serving.mirrored.drop_copy() };
        let authorities = endpoints.each_ref().map(|side| side.as_ref().map_or("", |side| &*side.authority));
        let ignore = {
            let mut all = self.0.lock();
            opened(&mut all, serving, &key, began).ignore.clone()
        };
        // Outside the lock, because a large document takes a moment.
        let compared = compare(&answers, authorities, &ignore);
        let mut all = self.0.lock();
        let comparison = opened(&mut all, serving, &key, began);
        comparison.last = clock::now();
        match compared {
            None => {
                comparison.unanswered += 1;
                comparison.silence = answers.active.iter().find_map(|heard| heard.as_ref().err()).cloned();
                serving.mirrored.miss();
            }
            // The heads are alike, and that is all that is known.
            Some(compared) if compared.unread && compared.differences.is_empty() => {
                comparison.unread += 1;
                serving.mirrored.miss();
            }
            Some(compared) => {
                comparison.compared += 1;
                let differs = comparison.tally.add(request, &compared);
                serving.mirrored.compare(differs);
            }
        }
    }

    /// Tells the sidecar what was seen of the rollouts that wait for it, and the metrics how many differences there are.
    pub(super) fn tell(&self, snapshot: &RoutingSnapshot, sidecar: &SidecarHandle) {
        let now = clock::now();
        let mut all = self.0.lock();
        // What left the file is over.
        all.retain(|service, _| snapshot.services.iter().any(|serving| serving.name == *service));
        for (id, rules, split) in snapshot.table.services() {
            let (Some(comparison), Some(serving)) = (all.get(&rules.name), snapshot.serving(id)) else { continue };
            let Some(key) = ComparisonKey::of(split, serving).filter(|key| *key == comparison.key) else { continue };
            let (differences, worst) = comparison.counted();
            serving.mirrored.set_differences(differences.into());
            if split.live {
                sidecar.shadowed(ShadowNews {
                    service: rules.name.clone(),
                    rollout: key.rollout,
                    comparison: key.comparison,
                    compared: comparison.compared,
                    unread: comparison.unread,
                    unanswered: comparison.unanswered,
                    lasted: now.since(comparison.began),
                    differences,
                    worst,
                });
            }
        }
    }

    /// What is known of a service's candidate as it is now, or else what the last comparison has shown; `None` for a service
    /// that is not served.
    pub fn report(&self, snapshot: &RoutingSnapshot, service: &str) -> Option<MirrorReport> {
        let (id, _, split) = snapshot.table.services().find(|(_, rules, _)| rules.name == service)?;
        let serving = snapshot.serving(id)?;
        let all = self.0.lock();
        let is_now = |comparison: &ServiceComparison| {
            // Once clients are there no copies are sent, and what they have shown is still known.
            let number = split.shadow.unwrap_or(comparison.key.comparison);
            comparison.key == ComparisonKey::numbered(number, split, serving)
        };
        let last = all.get(service);
        let is_over = last.is_some_and(|comparison| !is_now(comparison));
        // While a new one begins, the one before says nothing about it.
        let known = last.filter(|_| !is_over || split.shadow.is_none());
        let is_over = is_over && known.is_some();
        let active = known.filter(|_| is_over).map_or(split.active, |known| known.key.active);
        let until = known.filter(|_| is_over).map_or_else(clock::now, |known| known.last);
        let (groups, left_out) =
            known.map_or((Vec::new(), 0), |known| (known.tally.differences(), known.tally.left_out()));
        Some(MirrorReport {
            service: service.to_owned(),
            candidate: active.other().into(),
            version: known.and_then(|known| known.key.version.clone()),
            over: is_over,
            why: None,
            sending: split.shadow.is_some(),
            share: serving.terms.mirror.share.percent(),
            rollout: known.map_or(split.rollout, |known| known.key.rollout),
            lasted_ms: known.map_or(0, |known| until.since(known.began).0),
            compared: known.map_or(0, |known| known.compared),
            unanswered: known.map_or(0, |known| known.unanswered),
            unanswered_why: known.and_then(|known| known.silence.clone()),
            unread: known.map_or(0, |known| known.unread),
            copied: serving.mirrored.copied(),
            dropped: serving.mirrored.dropped(),
            differences: groups.iter().filter(|group| group.counts).count() as u32,
            groups,
            left_out,
        })
    }
}

/// The comparison with this key, which begins if it is another one than before.
fn opened<'b>(
    all: &'b mut BTreeMap<String, ServiceComparison>,
    serving: &ServedService,
    key: &ComparisonKey,
    began: Millis,
) -> &'b mut ServiceComparison {
    if all.get(&serving.name).is_some_and(|known| known.key != *key) {
        all.remove(&serving.name);
    }
    all.entry(serving.name.clone()).or_insert_with(|| ServiceComparison {
        key: key.clone(),
        ignore: key.ignore.iter().filter_map(|path| JsonPath::parse(path).ok()).collect(),
        began,
        last: began,
        compared: 0,
        unanswered: 0,
        silence: None,
        unread: 0,
        tally: Tally::default(),
    })
}

impl ServiceComparison {
    /// How many differences count, and the one that is seen most often.
    fn counted(&self) -> (u32, Option<String>) {
        let mut counting = self.tally.differences().into_iter().filter(|group| group.counts);
        let worst = counting.next();
        let rest = counting.count() as u32;
        let (left_out, words) = (self.tally.left_out(), worst.map(|worst| worst.text));
        let number = rest + u32::from(words.is_some()) + u32::from(left_out > 0);
        let others = || format!("{} for which there was no room: `ignore` what always differs", grouped(left_out));
        (number, words.or_else(|| (left_out > 0).then(others)))
    }
}
