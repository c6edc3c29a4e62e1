//! Three answers to one copy: how the candidate's differs from active's where active does not differ from itself, and the
//! other way round.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use serde_json_path::JsonPath;

use crate::mirror::asking::{Answer, Answers, Heard};
use crate::parity::compare::AnswerPair;
use crate::parity::noise::{Noise, general, shown_kind};
use config::suite::Parity;
use judgement::time::Millis;
use relay::origin::exchange::OriginResponse;
use wire::Finding;

/// What kind of difference it is. In the order in which a person wants to know of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// There was no whole answer.
    NoAnswer,
    Status,
    MediaType,
    /// A redirect leads elsewhere.
    Location,
    /// One body is JSON, and the other one is not.
    NotJson,
    /// One body is empty, and the other one is not.
    Empty,
    /// A member is not there, or a list is shorter.
    Missing,
    /// A member is there, or a list is longer.
    Extra,
    /// A value is of another type.
    Type,
    Value,
    /// Another body that is not JSON. A release that changes a page changes it, so it is shown, and does not count.
    Body,
}

impl DifferenceKind {
    /// Whether a step of a rollout counts it.
    pub const fn counts(self) -> bool {
        !matches!(self, DifferenceKind::Body)
    }
}

/// One difference between two answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    /// In a JSON document: `items[*].price`. Empty elsewhere.
    pub place: String,
    pub active: String,
    pub candidate: String,
}

/// What a copy has shown.
#[derive(Debug, Default)]
pub struct ComparedCopy {
    /// The candidate's own: active does not differ from itself there.
    pub differences: Vec<Difference>,
    /// Active's own: the candidate does not differ from it there.
    pub noise: Vec<Difference>,
    /// There are bodies of which nothing is known: compressed, or too long.
    pub unread: bool,
    /// Active's and the candidate's, if both have answered.
    pub micros: Option<[u64; 2]>,
}

/// The origins' authorities, active's and the candidate's: a redirect to the side itself is the same on both.
pub type Authorities<'a> = [&'a str; 2];

/// Compares three answers; `None` if active has given none, so that there is nothing to compare with.
pub fn compare(answers: &Answers, authorities: Authorities<'_>, ignore: &[JsonPath]) -> Option<ComparedCopy> {
    let [one, other] = &answers.active;
    let (first, second) = match (one, other) {
        (Ok(first), second) => (first, second),
        (second, Ok(first)) => (first, second),
        (Err(_), Err(_)) => return None,
    };
    let [active, candidate] = authorities;
    let comparison = Comparison { first, active, parity: terms(ignore) };
    let own = (&answers.candidate, candidate);
    let again = (second, active);
    Some(ComparedCopy {
        differences: comparison.alone(own, again),
        noise: comparison.alone(again, own),
        unread: answers.active.iter().chain([&answers.candidate]).flatten().any(|heard| is_unread(&heard.response)),
        micros: answers.candidate.as_ref().ok().map(|candidate| [first.micros, candidate.micros]),
    })
}

/// One of active's answers, to which the others are compared.
struct Comparison<'a> {
    first: &'a Answer,
    active: &'a str,
    parity: Parity,
}

impl Comparison<'_> {
    /// Where `one` differs from the first answer, and `other` does not.
    fn alone(&self, one: (&Heard, &str), other: (&Heard, &str)) -> Vec<Difference> {
        match (one, other) {
            ((Err(_), _), (Err(_), _)) => Vec::new(),
            ((Err(why), _), _) => vec![Difference {
                kind: DifferenceKind::NoAnswer,
                place: String::new(),
                active: crate::message::status(self.first.response.status),
                candidate: format!("none: it {why}"),
            }],
            ((Ok(one), side), (Err(_), _)) => self.differences((&one.response, side), &Noise::default(), true),
            ((Ok(one), side), (Ok(other), of)) => {
                let mut noise = Noise::default();
                let (first, second) = without_unread_bodies(&self.first.response, &other.response);
                self.pair(&first, &second, of).teach(&mut noise);
                let is_stable = media_type(&first) == media_type(&second);
                self.differences((&one.response, side), &noise, is_stable)
            }
        }
    }

    /// All differences but those that are noise, each place once. `is_stable`: active's media type is the same each time.
    fn differences(&self, (found, side): (&OriginResponse, &str), noise: &Noise, is_stable: bool) -> Vec<Difference> {
        let (first, second) = without_unread_bodies(&self.first.response, found);
        let mut all: Vec<Difference> =
            self.pair(&first, &second, side).findings(noise, false).into_iter().map(classified).collect();
        let types = [&first, &second].map(media_type);
        if is_stable && types[0] != types[1] {
            let [active, candidate] = types.map(|kind| if kind.is_empty() { "none".to_owned() } else { kind });
            let at = all.iter().take_while(|difference| difference.kind < DifferenceKind::MediaType).count();
            let kind = DifferenceKind::MediaType;
            all.insert(at, Difference { kind, place: String::new(), active, candidate });
        }
        let mut known = BTreeSet::new();
        all.retain(|difference| known.insert((difference.kind, difference.place.clone())));
        all
    }

    fn pair<'p>(&'p self, first: &'p OriginResponse, second: &'p OriginResponse, side: &'p str) -> AnswerPair<'p> {
        let authorities = [self.active.as_bytes(), side.as_bytes()];
        AnswerPair { answers: [first, second], authorities, parity: &self.parity }
    }
}

/// What is compared: as two sides of a suite are, but the media type without its parameters.
fn terms(ignore: &[JsonPath]) -> Parity {
    Parity {
        name: String::new(),
        requests: Vec::new(),
        recording: None,
        sent: Vec::new(),
        unsafe_methods: false,
        most: 0,
        ignore: ignore.to_vec(),
        headers: vec![LOCATION],
        tolerance: 0.0,
        noise: 0,
        differing: 0.0,
        timeout: Millis::ZERO,
    }
}

/// Whether the body was not read to its end, or is compressed although nobody asked for that.
fn is_unread(answer: &OriginResponse) -> bool {
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    let is_encoded = answer.headers.get(CONTENT_ENCODING).is_some_and(|coding| !is_plain(coding));
    let is_empty = answer.length == 0 && answer.body.is_empty();
    answer.length > answer.body.len() as u64 || is_encoded && !is_empty
}

/// Of a body that is unread nothing is known that could be compared.
fn without_unread_bodies(left: &OriginResponse, right: &OriginResponse) -> (OriginResponse, OriginResponse) {
    let (mut left, mut right) = (left.clone(), right.clone());
    if is_unread(&left) || is_unread(&right) {
        for answer in [&mut left, &mut right] {
            (answer.body, answer.length) = (Bytes::new(), 0);
        }
    }
    (left, right)
}

/// `application/json`; empty if there is none.
fn media_type(answer: &OriginResponse) -> String {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What a finding of the comparison means.
fn classified(finding: Finding) -> Difference {
    let Finding { what, expected, found, .. } = finding;
    let place = general(&what);
    let place = place.strip_prefix("json $").map(|place| place.strip_prefix('.').unwrap_or(place).to_owned());
    let kind = match (what.as_str(), &place) {
        ("status", _) => DifferenceKind::Status,
        (_, Some(_)) if found == "nothing" => DifferenceKind::Missing,
        (_, Some(_)) if expected == "nothing" => DifferenceKind::Extra,
        (_, Some(_)) if shown_kind(&expected) != shown_kind(&found) => DifferenceKind::Type,
        (_, Some(_)) => DifferenceKind::Value,
        ("body", _) if [&expected, &found].iter().any(|shown| *shown == "JSON") => DifferenceKind::NotJson,
        ("body", _) if [&expected, &found].iter().any(|shown| *shown == "an empty body") => DifferenceKind::Empty,
        ("body", _) => DifferenceKind::Body,
        _ => DifferenceKind::Location,
    };
    Difference { kind, place: place.unwrap_or_default(), active: expected, candidate: found }
}
