//! A secret as it is looked for: character by character, each in any of the encodings in which texts carry characters.
//!
//! Programs disagree about which characters of a URL, a JSON text or a page they escape, and escape some of them twice.
//! A list of the whole secret in every shape would have to know each program's set; here any character may be escaped
//! in any way. A longer secret may be broken over lines between any two characters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// In characters. A shorter secret that is broken over lines is as likely to be no secret.
const SHORTEST_BROKEN: usize = 8;
/// In characters of base64 that only the secret decides, where it is a part of what is encoded.
const SHORTEST_PART: usize = 8;
/// In bytes: the longest escape of a character, and what may stand around the end of a line.
const LONGEST_ESCAPE: usize = 24;
/// What an escape begins with.
const ESCAPES: [u8; 4] = [b'%', b'\\', b'&', b'='];
/// Repeated, as where an escaped text is escaped again.
const MOST_REPEATS: usize = 4;
const NAMED: [(&str, char); 18] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("plus", '+'),
    ("equals", '='),
    ("sol", '/'),
    ("bsol", '\\'),
    ("colon", ':'),
    ("commat", '@'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("excl", '!'),
    ("quest", '?'),
    ("nbsp", '\u{a0}'),
    ("Tab", '\t'),
];

/// How its characters are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alphabet {
    Plain,
    /// `-` is `+` and `_` is `/`.
    Base64,
    /// Upper case is lower case.
    Hex,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    characters: Vec<char>,
    alphabet: Alphabet,
    /// In base64: the character before and behind are made of bits of the secret, too.
    extends: [bool; 2],
}

/// Where a text has a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedleMatch {
    To(usize),
    /// The text ends within it.
    Cut,
}

impl Needle {
    pub fn plain(text: &str) -> Needle {
        Needle { characters: text.chars().collect(), alphabet: Alphabet::Plain, extends: [false; 2] }
    }

    /// A text in hexadecimal digits.
    pub fn hex(text: &str) -> Needle {
        let digits = judgement::hex::text(text.as_bytes());
        Needle { alphabet: Alphabet::Hex, ..Needle::plain(&digits) }
    }

    /// What base64 always has of a text, wherever in the encoded bytes it begins.
    pub fn base64(text: &str) -> Vec<Needle> {
        let whole = Needle { alphabet: Alphabet::Base64, ..Needle::plain(&STANDARD_NO_PAD.encode(text)) };
        let parts = (0..3_usize).map(|before| {
            let bytes = ["\0".repeat(before).as_bytes(), text.as_bytes()].concat();
            // The first characters also hold bits of what is before it, and the last one of what is behind.
            let (first, behind) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            let encoded = STANDARD_NO_PAD.encode(&bytes);
            let part = encoded.get(first..behind).unwrap_or_default();
            let extends = [before > 0, !bytes.len().is_multiple_of(3)];
            Needle { alphabet: Alphabet::Base64, extends, ..Needle::plain(part) }
        });
        let parts = parts.filter(|part| part.characters.len() >= SHORTEST_PART);
        std::iter::once(whole).chain(parts).collect()
    }

    pub fn length(&self) -> usize {
        self.characters.len()
    }

    /// The most bytes that it takes in any usual encoding.
    pub fn reach(&self) -> usize {
        (self.characters.len() + 2).saturating_mul(LONGEST_ESCAPE)
    }

    /// The bytes with which it may begin.
    pub fn begins(&self) -> Vec<u8> {
        let mut all = ESCAPES.to_vec();
        for c in self.characters.first().into_iter().flat_map(|c| self.alike(*c)) {
            let mut buffer = [0; 4];
            all.extend(c.encode_utf8(&mut buffer).bytes().next());
        }
        all
    }

    /// The character, and another one that stands for the same, if there is one.
    fn alike(&self, c: char) -> impl Iterator<Item = char> + use<> {
        let other = match (self.alphabet, c) {
            (Alphabet::Plain, ' ') => Some('+'),
            (Alphabet::Base64, '+') => Some('-'),
            (Alphabet::Base64, '/') => Some('_'),
            (Alphabet::Hex, c) if c.is_ascii_lowercase() => Some(c.to_ascii_uppercase()),
            _ => None,
        };
        std::iter::once(c).chain(other)
    }

    /// Most places where the first character stands are left again by the second one, without more work.
    fn may_be_at(&self, text: &str, from: usize) -> bool {
        let bytes = text.as_bytes();
        let (Some(first), Some(second)) = (bytes.get(from), bytes.get(from + 1)) else { return true };
        let Some(wanted) = self.characters.get(1) else { return true };
        if ESCAPES.contains(first) || !first.is_ascii() || !wanted.is_ascii() {
            return true;
        }
        let goes_on = |byte: &u8| ESCAPES.contains(byte) || matches!(byte, b'\r' | b'\n' | b'<');
        goes_on(second) || self.alike(*wanted).any(|c| u32::from(c) == u32::from(*second))
    }

    /// Whether it is in the text at `from`.
    pub fn find_at(&self, text: &str, from: usize) -> Option<NeedleMatch> {
        if !self.may_be_at(text, from) {
            return None;
        }
        let may_break = self.characters.len() >= SHORTEST_BROKEN;
        let mut places = vec![from];
        for (at, c) in self.characters.iter().enumerate() {
            if at > 0 && may_break {
                let broken: Vec<usize> = places.iter().filter_map(|place| line_end(text, *place)).collect();
                places.extend(broken);
            }
            let mut next: Vec<usize> = Vec::new();
            for place in &places {
                self.alike(*c).for_each(|alike| character(text, *place, alike, &mut next));
            }
            if next.is_empty() {
                let is_cut = places.iter().any(|place| ends_within(text, *place));
                return (is_cut && at > 0).then_some(NeedleMatch::Cut);
            }
            next.sort_unstable();
            next.dedup();
            places = next;
        }
        places.last().map(|end| NeedleMatch::To(*end))
    }

    /// The range with the characters around it that tell something of the secret.
    pub fn widened(&self, text: &str, from: usize, to: usize) -> (usize, usize) {
        let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
        let [before, behind] = self.extends;
        let start = text.get(..from).and_then(|text| text.chars().next_back()).filter(|c| before && is_digit(*c));
        let end = text.get(to..).and_then(|text| text.chars().next()).filter(|c| behind && is_digit(*c));
        let to = to + end.map_or(0, char::len_utf8);
        let padding = text.get(to..).map_or(0, |rest| rest.len() - rest.trim_start_matches('=').len());
        let padding = if self.alphabet == Alphabet::Base64 { padding.min(2) } else { 0 };
        (from - start.map_or(0, char::len_utf8), to + padding)
    }
}

/// The text is at its end, or within an escape that goes beyond it.
fn ends_within(text: &str, place: usize) -> bool {
    let rest = text.get(place..).unwrap_or_default();
    let is_open = |rest: &str| match rest.bytes().next() {
        Some(b'%') => rest.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()),
        Some(b'\\') => rest.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || byte == b'\\'),
        Some(b'&') => rest.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || byte == b'#'),
        _ => false,
    };
    rest.is_empty() || (rest.len() < LONGEST_ESCAPE / 2 && is_open(rest))
}

/// Where the character ends if the text has it here, in any encoding. There may be several: `%25` is `%` and `25`, or
/// only `%`.
fn character(text: &str, at: usize, wanted: char, ends: &mut Vec<usize>) {
    let Some(rest) = text.get(at..) else { return };
    if rest.starts_with(wanted) {
        ends.push(at + wanted.len_utf8());
    }
    let escaped = match rest.bytes().next() {
        Some(b'%') => percent(rest, wanted),
        Some(b'\\') => backslash(rest, wanted),
        Some(b'&') => entity(rest, wanted),
        Some(b'=') => quoted_printable(rest, wanted),
        _ => None,
    };
    ends.extend(escaped.map(|length| at + length));
    // The marks of escapes, escaped any number of times: what follows may belong to the next character.
    for (mark, again) in [('%', "25"), ('&', "amp;")] {
        if wanted == mark && rest.starts_with(mark) {
            let behind = rest.get(1..).unwrap_or_default();
            let times = (1..=MOST_REPEATS).take_while(|n| behind.starts_with(&again.repeat(*n)));
            ends.extend(times.map(|n| at + 1 + n * again.len()));
        }
    }
}

/// `%2F`, `%2f`, `%252F`, `%u00E9`, `%E9`.
fn percent(rest: &str, wanted: char) -> Option<usize> {
    let again = |at: usize| {
        let behind = rest.get(at..).unwrap_or_default();
        at + 2 * (0..MOST_REPEATS).take_while(|n| behind.get(2 * n..2 * n + 2) == Some("25")).count()
    };
    let mut buffer = [0; 4];
    let mut at = 0;
    let bytes = wanted.encode_utf8(&mut buffer).bytes();
    let encoded = bytes.into_iter().try_for_each(|byte| {
        let (from, to) = (rest.get(at..)?.starts_with('%').then_some(at + 1)?, again(at + 1));
        // `%25` may be all of it: the percent sign itself.
        let digits = (from..to + 1).step_by(2).rev().find(|from| hex(rest, *from, 2) == Some(byte.into()))?;
        at = digits + 2;
        Some(())
    });
    if encoded.is_some() {
        return Some(at);
    }
    let at = again(1);
    if rest.get(at..)?.starts_with(['u', 'U']) {
        return utf16(rest, wanted, |rest, at| {
            let behind = rest.get(at..)?.strip_prefix('%')?.strip_prefix(['u', 'U'])?;
            Some((hex(behind, 0, 4)?, at + 6))
        });
    }
    (hex(rest, at, 2) == Some(wanted.into())).then_some(at + 2)
}

/// `\"`, `\/`, `\n`, `\u00e9`, `\u{e9}`, `\xe9`, and these with more backslashes.
fn backslash(rest: &str, wanted: char) -> Option<usize> {
    let slashes = rest.bytes().take_while(|byte| *byte == b'\\').count().min(2 * MOST_REPEATS);
    let behind = rest.get(slashes..)?;
    let short = match wanted {
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        _ => None,
    };
    match behind.chars().next() {
        // The backslash itself, written twice.
        _ if wanted == '\\' && slashes > 1 => Some(slashes),
        Some(c) if Some(c) == short => Some(slashes + 1),
        Some('u') => utf16(rest, wanted, |rest, at| {
            let slashed = rest.get(at..)?;
            let behind = slashed.trim_start_matches('\\');
            let at = at + slashed.len() - behind.len();
            let behind = behind.strip_prefix('u').filter(|_| slashed.len() > behind.len())?;
            match behind.strip_prefix('{') {
                Some(inner) => {
                    let (digits, _) = inner.split_once('}')?;
                    Some((u32::from_str_radix(digits, 16).ok()?, at + digits.len() + 3))
                }
                None => Some((hex(behind, 0, 4)?, at + 5)),
            }
        }),
        Some('x') => {
            bytes_of(rest, wanted).or_else(|| (hex(behind, 1, 2) == Some(wanted.into())).then_some(slashes + 3))
        }
        Some(c) if c == wanted => Some(slashes + c.len_utf8()),
        _ => None,
    }
}

/// `\xc3\xa9`.
fn bytes_of(rest: &str, wanted: char) -> Option<usize> {
    let mut buffer = [0; 4];
    let mut at = 0;
    for byte in wanted.encode_utf8(&mut buffer).bytes() {
        let slashed = rest.get(at..)?;
        let behind = slashed.trim_start_matches('\\');
        at += slashed.len() - behind.len();
        (behind.len() < slashed.len() && behind.starts_with('x') && hex(behind, 1, 2) == Some(byte.into()))
            .then_some(())?;
        at += 3;
    }
    Some(at)
}

/// One or two units of UTF-16, which `unit` reads with where each ends.
fn utf16(rest: &str, wanted: char, unit: impl Fn(&str, usize) -> Option<(u32, usize)>) -> Option<usize> {
    let (first, at) = unit(rest, 0)?;
    if first == u32::from(wanted) {
        return Some(at);
    }
    let mut buffer = [0; 2];
    let [high, low] = wanted.encode_utf16(&mut buffer) else { return None };
    let (second, end) = unit(rest, at)?;
    (first == u32::from(*high) && second == u32::from(*low)).then_some(end)
}

/// `&quot;`, `&#34;`, `&#x22;`, and these escaped again.
fn entity(rest: &str, wanted: char) -> Option<usize> {
    let behind = rest.get(1..)?;
    let again = 4 * (0..MOST_REPEATS).take_while(|n| behind.get(4 * n..4 * n + 4) == Some("amp;")).count();
    // All of it may be the ampersand itself.
    if wanted == '&' && again > 0 {
        return Some(1 + again);
    }
    let behind = behind.get(again..)?;
    let end = behind.bytes().take(LONGEST_ESCAPE / 2).position(|byte| byte == b';')?;
    let name = behind.get(..end)?;
    let is_it = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code.ok() == Some(u32::from(wanted))
        }
        None => NAMED.contains(&(name, wanted)),
    };
    is_it.then_some(1 + again + end + 1)
}

/// `=3D`.
fn quoted_printable(rest: &str, wanted: char) -> Option<usize> {
    let mut buffer = [0; 4];
    let mut at = 0;
    for byte in wanted.encode_utf8(&mut buffer).bytes() {
        (rest.get(at..)?.starts_with('=') && hex(rest, at + 1, 2) == Some(byte.into())).then_some(())?;
        at += 3;
    }
    Some(at)
}

fn hex(text: &str, at: usize, digits: usize) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Where a text goes on behind the end of a line: behind the indentation, and behind the mark of a line of a diff.
fn line_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    // A line of an e-mail or of a script that goes on.
    let rest_of = rest.strip_prefix(['=', '\\']).filter(|rest| rest.starts_with(['\r', '\n'])).unwrap_or(rest);
    const ENDS: [&str; 17] = [
        "\r\n",
        "\n",
        "\r",
        "\\r\\n",
        "\\n",
        "\\r",
        "\\\\r\\\\n",
        "\\\\n",
        "%0D%0A",
        "%0d%0a",
        "%0A",
        "%0a",
        "&#13;&#10;",
        "&#10;",
        "&#xA;",
        "&#xa;",
        "<br>",
    ];
    let behind = ENDS.iter().find_map(|end| rest_of.strip_prefix(end))?;
    let marked =
        if rest_of.starts_with(['\r', '\n']) { behind.strip_prefix(['+', '-']).unwrap_or(behind) } else { behind };
    let indented = marked.trim_start_matches([' ', '\t']);
    let is_far = marked.len() - indented.len() > LONGEST_ESCAPE / 2;
    (!is_far).then(|| text.len() - indented.len())
}
