//! The shape of a response: its media type, the length of its body, and how long the origin took to send that.
//!
//! What is usual on a route is learnt from active. A response that is not is odd: nobody's failure by its status, and yet
//! not what clients expect, such as a page of HTML where there was JSON, or an empty body.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// Kinds of media types. Those that take each other's place from one release to the next are one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Unnamed,
    Html,
    Json,
    Script,
    Style,
    Image,
    Font,
    Film,
    Events,
    Xml,
    Text,
    Multipart,
    Other,
}

/// The number of kinds.
pub const MEDIA_KINDS: usize = 13;
/// Lengths and times are counted by their powers of two: 0, then 1, then 2 and 3, and so on.
pub const POWERS: usize = 32;

impl MediaKind {
    /// Whether the length of such a body says anything: a picture that is stored in another way may be a tenth of what it
    /// was.
    const fn has_length(self) -> bool {
        !matches!(self, MediaKind::Image | MediaKind::Font | MediaKind::Film | MediaKind::Events)
    }

    /// Whether the time that such a body takes is the origin's: events come when they happen.
    const fn has_time(self) -> bool {
        !matches!(self, MediaKind::Events)
    }

    /// The kind of a `Content-Type`.
    pub fn of(content_type: &[u8]) -> MediaKind {
        let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
        let essence = content_type.get(..end).unwrap_or_default().trim_ascii();
        let Some(slash) = essence.iter().position(|byte| *byte == b'/') else { return MediaKind::Unnamed };
        let (class, name) = (essence.get(..slash).unwrap_or_default(), essence.get(slash + 1..).unwrap_or_default());
        let class_is = |wanted: &[u8]| class.eq_ignore_ascii_case(wanted);
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        let ends = |wanted: &[u8]| {
            let from = name.len().checked_sub(wanted.len());
            from.and_then(|from| name.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(wanted))
        };
        if ends(b"json") {
            MediaKind::Json
        } else if ends(b"html") || is(b"xhtml+xml") {
            MediaKind::Html
        } else if ends(b"javascript") || ends(b"ecmascript") {
            MediaKind::Script
        } else if class_is(b"image") {
            MediaKind::Image
        } else if class_is(b"font") || is(b"font-woff") || is(b"vnd.ms-fontobject") {
            MediaKind::Font
        } else if class_is(b"audio") || class_is(b"video") {
            MediaKind::Film
        } else if ends(b"xml") {
            MediaKind::Xml
        } else if class_is(b"multipart") {
            MediaKind::Multipart
        } else if class_is(b"text") {
            match () {
                () if is(b"css") => MediaKind::Style,
                () if is(b"event-stream") => MediaKind::Events,
                () => MediaKind::Text,
            }
        } else {
            MediaKind::Other
        }
    }
}

/// A response whose shape can be compared: one with success, to a request that has a body as its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyShape {
    pub media: MediaKind,
    /// The length of the body, in bytes; `None` if it is not known, because the client left.
    pub length: Option<u64>,
    /// The body is compressed, so its length says something else.
    pub is_coded: bool,
    /// How long the origin was waited for between the head and the end of the body.
    pub waited: Millis,
}

/// What is odd about a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Oddity {
    /// A media type that is not usual.
    Media,
    /// No body, although that is not usual.
    Empty,
    /// A body that is over ten times shorter than is usual.
    Short,
    /// A body that is over ten times longer than is usual.
    Long,
    /// A body that takes much longer than is usual.
    Slow,
    /// A redirect to the address that was asked for.
    Loop,
}

/// The number of oddities.
pub const ODDITIES: usize = 6;

impl Oddity {
    /// The index in every array of all.
    pub const ALL: [Oddity; ODDITIES] =
        [Oddity::Media, Oddity::Empty, Oddity::Short, Oddity::Long, Oddity::Slow, Oddity::Loop];

    /// What such responses have, in words. `other`: the environment that is compared with.
    pub fn words(self, other: &str) -> String {
        match self {
            Oddity::Media => format!("a media type that is unusual for {other}"),
            Oddity::Empty => format!("an empty body where {other}'s is not"),
            Oddity::Short => format!("a body ten times shorter than {other}'s shortest"),
            Oddity::Long => format!("a body ten times longer than {other}'s longest"),
            Oddity::Slow => format!("a body that takes much longer than {other}'s"),
            Oddity::Loop => "a redirect to the same address".to_owned(),
        }
    }
}

/// The power of two under which a number is counted.
#[inline]
pub const fn power(number: u64) -> usize {
    let power = (u64::BITS - number.leading_zeros()) as usize;
    if power < POWERS { power } else { POWERS - 1 }
}

/// The first number that is counted under a power.
const fn lowest(power: u64) -> u64 {
    if power == 0 { 0 } else { 1 << (power - 1) }
}

/// Responses by media type, length and time. Only grows, and wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShapeCounts {
    pub media: [u32; MEDIA_KINDS],
    /// Those of bodies that are not compressed, and of all that are empty.
    pub lengths: [u32; POWERS],
    /// Those of bodies that are.
    pub coded: [u32; POWERS],
    pub times: [u32; POWERS],
}

impl BodyShape {
    /// Where its length is counted; `None` if that says nothing.
    pub fn length_power(&self) -> Option<usize> {
        let length = self.length?;
        (length == 0 || self.media.has_length()).then(|| power(length))
    }

    /// Where its time is counted; `None` if that says nothing.
    pub const fn time_power(&self) -> Option<usize> {
        if self.media.has_time() { Some(power(self.waited.0)) } else { None }
    }
}

impl ShapeCounts {
    pub fn add(&mut self, other: &ShapeCounts) {
        let pairs = self.numbers_mut().zip(other.numbers());
        pairs.for_each(|(sum, part)| *sum = sum.wrapping_add(*part));
    }

    fn numbers(&self) -> impl Iterator<Item = &u32> {
        self.media.iter().chain(&self.lengths).chain(&self.coded).chain(&self.times)
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.media.iter_mut().chain(&mut self.lengths).chain(&mut self.coded).chain(&mut self.times)
    }
}

/// What is usual on a route, in one word, so that it can be read and replaced as a whole.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct UsualShape(u64);

const KNOWN: u64 = 1 << 63;
/// Bodies are usual, and empty ones are not.
const FULL: u64 = 1 << 61;
const POWER: u64 = 63;
/// Where the shortest usual length is, and the longest, of bodies that are not compressed and of those that are.
const LENGTHS: LengthBits = LengthBits { known: 1 << 60, shortest: 16, longest: 22 };
const CODED: LengthBits = LengthBits { known: 1 << 59, shortest: 34, longest: 40 };
const SLOWEST: u32 = 28;

/// The bits of usual lengths.
struct LengthBits {
    known: u64,
    shortest: u32,
    longest: u32,
}

impl UsualShape {
    /// Nothing is known, so nothing is odd but a redirect that leads nowhere.
    pub const UNKNOWN: UsualShape = UsualShape(0);

    pub const fn from_bits(bits: u64) -> UsualShape {
        UsualShape(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    const fn power(self, place: u32) -> u64 {
        self.0 >> place & POWER
    }

    const fn has(self, media: MediaKind) -> bool {
        self.0 >> media as u32 & 1 == 1
    }

    /// What is odd about a response, if anything is.
    #[inline]
    pub fn oddity(self, body: &BodyShape) -> Option<Oddity> {
        if self.0 & KNOWN == 0 {
            return None;
        }
        if let Some(length) = body.length {
            if length == 0 && self.0 & FULL != 0 {
                return Some(Oddity::Empty);
            }
            // Without a body, a media type says nothing.
            if length > 0 && !self.has(body.media) {
                return Some(Oddity::Media);
            }
            let LengthBits { known, shortest, longest } = if body.is_coded { CODED } else { LENGTHS };
            if length > 0 && body.media.has_length() && self.0 & known != 0 {
                if length.saturating_mul(TIMES) < lowest(self.power(shortest)) {
                    return Some(Oddity::Short);
                }
                if length > TIMES * lowest(self.power(longest) + 1) {
                    return Some(Oddity::Long);
                }
            }
        }
        let is_slow = body.time_power().is_some_and(|time| time as u64 > self.power(SLOWEST));
        is_slow.then_some(Oddity::Slow)
    }
}

impl fmt::Debug for UsualShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & KNOWN == 0 {
            return f.write_str("UsualShape(unknown)");
        }
        f.debug_struct("UsualShape")
            .field("media", &format_args!("{:b}", self.0 & 0xffff))
            .field("full", &(self.0 & FULL != 0))
            .field("shortest", &lowest(self.power(LENGTHS.shortest)))
            .field("longest", &lowest(self.power(LENGTHS.longest) + 1))
            .field("slowest", &lowest(self.power(SLOWEST) + 1))
            .finish()
    }
}

/// So many times shorter or longer than is usual is odd.
const TIMES: u64 = 10;
/// With fewer responses, nothing is usual.
const LEAST: f64 = 200.0;
/// A media type, or a response without a body, is usual if at least this share of the responses is.
const USUAL: f64 = 0.005;
/// Of lengths and times, this share on either end may be anything.
const REST: f64 = 0.01;
/// A body may take so many powers of two longer than is usual: at least four times …
const SLOWER: usize = 3;
/// … and at least about this.
const LEAST_SLOW: Millis = Millis(500);
/// How far back is remembered what active does. The memory is exponential.
const MEMORY: Millis = Millis::seconds(600);

/// What active's responses on a route look like. It takes O(1) memory.
#[derive(Clone, Debug)]
pub struct ShapeMemory {
    media: [f64; MEDIA_KINDS],
    lengths: [f64; POWERS],
    coded: [f64; POWERS],
    times: [f64; POWERS],
    last: ShapeCounts,
    at: Millis,
}

impl ShapeMemory {
    /// `active`: all that it has counted so far, which is remembered in full.
    pub fn new(now: Millis, active: &ShapeCounts) -> ShapeMemory {
        let last = ShapeCounts::default();
        let (media, none) = ([0.0; MEDIA_KINDS], [0.0; POWERS]);
        let mut memory = ShapeMemory { media, lengths: none, coded: none, times: none, last, at: now };
        memory.look(now, active);
        memory
    }

    /// Takes in what active has counted since. While it has no traffic, nothing is forgotten.
    pub fn look(&mut self, now: Millis, active: &ShapeCounts) {
        if *active == self.last {
            return;
        }
        let kept = (-(now.since(self.at).0 as f64) / MEMORY.0 as f64).exp();
        let sums = self.media.iter_mut().chain(&mut self.lengths).chain(&mut self.coded).chain(&mut self.times);
        for ((sum, now), before) in sums.zip(active.numbers()).zip(self.last.numbers()) {
            *sum = *sum * kept + f64::from(now.wrapping_sub(*before));
        }
        (self.last, self.at) = (*active, now);
    }

    pub fn usual(&self) -> UsualShape {
        let all: f64 = self.media.iter().sum();
        if all < LEAST {
            return UsualShape::UNKNOWN;
        }
        let media = self.media.iter().enumerate().filter(|(_, n)| **n >= USUAL * all);
        let mut bits = media.fold(KNOWN, |bits, (kind, _)| bits | 1 << kind);
        let [empty, bodies @ ..] = &self.lengths;
        if *empty < USUAL * all {
            bits |= FULL;
        }
        let [_, coded @ ..] = &self.coded;
        bits |= length_bits(bodies, &LENGTHS) | length_bits(coded, &CODED);
        let timed: f64 = self.times.iter().sum();
        let slowest = POWERS - 1 - first_beyond(self.times.iter().rev(), REST * timed).min(POWERS - 1);
        let slowest = (slowest + SLOWER - 1).max(power(LEAST_SLOW.0)).min(POWERS - 1);
        UsualShape(bits | (slowest as u64) << SLOWEST)
    }
}

/// The usual lengths, if enough are known.
fn length_bits(bodies: &[f64], at: &LengthBits) -> u64 {
    let all: f64 = bodies.iter().sum();
    if all < LEAST {
        return 0;
    }
    let shortest = first_beyond(bodies.iter(), REST * all) as u64 + 1;
    let longest = (bodies.len() - first_beyond(bodies.iter().rev(), REST * all)) as u64;
    at.known | shortest << at.shortest | longest << at.longest
}

/// The place of the first number at which the sum is over `least`.
fn first_beyond<'n>(numbers: impl Iterator<Item = &'n f64>, least: f64) -> usize {
    let mut sum = 0.0;
    numbers
        .take_while(|n| {
            sum += **n;
            sum <= least
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart_by_what_clients_do_with_them() {
        for (content_type, kind) in [
            ("", MediaKind::Unnamed),
            ("text/html; charset=utf-8", MediaKind::Html),
            ("application/xhtml+xml", MediaKind::Html),
            ("Application/JSON", MediaKind::Json),
            ("application/problem+json;x=y", MediaKind::Json),
            ("text/javascript", MediaKind::Script),
            ("application/x-javascript", MediaKind::Script),
            ("text/css ; charset=x", MediaKind::Style),
            ("image/svg+xml", MediaKind::Image),
            ("image/avif", MediaKind::Image),
            ("font/woff2", MediaKind::Font),
            ("video/mp4", MediaKind::Film),
            ("text/event-stream", MediaKind::Events),
            ("application/atom+xml", MediaKind::Xml),
            ("text/plain", MediaKind::Text),
            ("multipart/byteranges; boundary=1", MediaKind::Multipart),
            ("application/pdf", MediaKind::Other),
            ("nonsense", MediaKind::Unnamed),
        ] {
            assert_eq!(MediaKind::of(content_type.as_bytes()), kind, "{content_type}");
        }
        assert_eq!(MediaKind::Other as usize, MEDIA_KINDS - 1);
    }

    fn counted(bodies: impl IntoIterator<Item = (MediaKind, u64, u64)>) -> ShapeCounts {
        let mut counts = ShapeCounts::default();
        for (media, length, millis) in bodies {
            counts.media[media as usize] += 1;
            counts.lengths[power(length)] += 1;
            counts.times[power(millis)] += 1;
        }
        counts
    }

    fn usual(bodies: impl IntoIterator<Item = (MediaKind, u64, u64)>) -> UsualShape {
        ShapeMemory::new(Millis::ZERO, &counted(bodies)).usual()
    }

    fn oddity(usual: UsualShape, media: MediaKind, length: u64, millis: u64) -> Option<Oddity> {
        usual.oddity(&BodyShape { media, length: Some(length), is_coded: false, waited: Millis(millis) })
    }

    #[test]
    fn what_active_does_is_not_odd_and_what_it_never_does_is() {
        let api = usual((0..1000).map(|n| (MediaKind::Json, 1000 + n, n / 100)));
        for length in [1000, 1999, 500, 105, 20_000] {
            assert_eq!(oddity(api, MediaKind::Json, length, 5), None, "{length}");
        }
        assert_eq!(oddity(api, MediaKind::Html, 1500, 5), Some(Oddity::Media));
        assert_eq!(oddity(api, MediaKind::Json, 0, 5), Some(Oddity::Empty));
        assert_eq!(oddity(api, MediaKind::Json, 50, 5), Some(Oddity::Short));
        assert_eq!(oddity(api, MediaKind::Json, 20_481, 5), Some(Oddity::Long));
        assert_eq!(oddity(api, MediaKind::Json, 1500, 500), None);
        assert_eq!(oddity(api, MediaKind::Json, 1500, 600), Some(Oddity::Slow));
    }

    #[test]
    fn a_mix_of_everything_is_usual_where_active_has_it() {
        let kinds = [MediaKind::Html, MediaKind::Style, MediaKind::Image, MediaKind::Json];
        let site = usual((0..2000).map(|n| (kinds[n % 4], if n % 50 == 0 { 0 } else { 1 << (n % 20) }, 1 << (n % 12))));
        for kind in kinds {
            assert_eq!(oddity(site, kind, 1 << 19, 2000), None);
            assert_eq!(oddity(site, kind, 0, 0), None);
        }
        assert_eq!(oddity(site, MediaKind::Xml, 10, 0), Some(Oddity::Media));
        assert_eq!(oddity(site, MediaKind::Html, 100 << 20, 0), Some(Oddity::Long));
        assert_eq!(oddity(site, MediaKind::Image, 100 << 20, 0), None, "a picture may be of any length");
    }

    #[test]
    fn compressed_bodies_have_lengths_of_their_own() {
        let mut counts = counted((0..500).map(|n| (MediaKind::Html, 90_000 + n, 0)));
        let coded =
            |length| BodyShape { media: MediaKind::Html, length: Some(length), is_coded: true, waited: Millis(0) };
        let plain = ShapeMemory::new(Millis::ZERO, &counts).usual();
        assert_eq!(plain.oddity(&coded(700)), None, "compression was switched on");
        counts.media[MediaKind::Html as usize] += 500;
        counts.coded[power(7000)] += 500;
        let both = ShapeMemory::new(Millis::ZERO, &counts).usual();
        assert_eq!((both.oddity(&coded(7000)), both.oddity(&coded(200))), (None, Some(Oddity::Short)));
        assert_eq!(oddity(both, MediaKind::Html, 7000, 0), None);
        assert_eq!(oddity(both, MediaKind::Html, 700, 0), Some(Oddity::Short));
    }

    #[test]
    fn events_come_when_they_happen() {
        let events = usual((0..500).map(|_| (MediaKind::Events, 500, 300)));
        assert_eq!(oddity(events, MediaKind::Events, 90_000, 3_600_000), None);
    }

    #[test]
    fn a_body_may_take_four_times_as_long_as_is_usual() {
        let film = usual((0..1000).map(|_| (MediaKind::Film, 1 << 20, 1000)));
        assert_eq!(oddity(film, MediaKind::Film, 1 << 20, 4000), None);
        assert_eq!(oddity(film, MediaKind::Film, 1 << 20, 8400), Some(Oddity::Slow));
    }

    #[test]
    fn of_a_client_that_left_only_the_time_is_known() {
        let api = usual((0..1000).map(|n| (MediaKind::Json, 1000 + n, 0)));
        let left = |millis: u64| {
            api.oddity(&BodyShape { media: MediaKind::Html, length: None, is_coded: false, waited: Millis(millis) })
        };
        assert_eq!((left(100), left(3000)), (None, Some(Oddity::Slow)));
    }

    #[test]
    fn a_few_responses_make_nothing_usual_and_old_ones_are_forgotten() {
        let few = (0..150).map(|_| (MediaKind::Json, 1000, 100));
        assert_eq!(usual(few.clone()), UsualShape::UNKNOWN);
        assert_eq!(oddity(UsualShape::UNKNOWN, MediaKind::Html, 0, 1 << 40), None);
        let mut memory = ShapeMemory::new(Millis::ZERO, &counted(few.clone()));
        let all = counted(few.chain((0..100_000).map(|_| (MediaKind::Html, 9000, 100))));
        memory.look(Millis::seconds(1200), &all);
        let usual = memory.usual();
        assert_eq!(oddity(usual, MediaKind::Html, 9000, 1), None);
        assert_eq!(oddity(usual, MediaKind::Json, 9000, 1), Some(Oddity::Media));
        memory.look(Millis::seconds(100_000), &all);
        assert_eq!(memory.usual(), usual, "without traffic nothing is forgotten");
    }
}
