//! Well-formed requests, damaged in one to three places. The same seed gives the same bytes.

struct Dice(u64);

impl Dice {
    /// A number below `sides` (xorshift64*).
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }

    fn pick<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        of[self.roll(of.len())]
    }
}

fn dice(seed: u64) -> Dice {
    Dice((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

const HEADS: [&str; 7] = [
    "GET {mark}/a?b=c HTTP/1.1\r\nHost: shop.test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
    "POST {mark}/form HTTP/1.1\r\nHost: shop.test\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world",
    "POST {mark}/up HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "HEAD {mark}/h HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
    "GET http://shop.test{mark}/abs HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nConnection: TE, x-a\r\nX-A: b\r\n\r\n",
    "PUT {mark}/p HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET {mark}/ws HTTP/1.1\r\nHost: shop.test\r\nX-B: c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
];

/// What is put somewhere.
const SEEDS_OF_EVIL: [&[u8]; 24] = [
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b":",
    b",",
    b";",
    b"_",
    b"\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\n\n",
    b"\r\r\n",
    b"#",
    b"%00",
    b"HTTP/1.1",
    b"\x1b",
    b"\"",
    b"//",
    b"\r\n\r\n",
];

/// Whole lines that are added to the head.
const LINES: [&[u8]; 30] = [
    b"Content-Length: 0",
    b"Content-Length: +5",
    b"Content-Length: 5,5",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 011",
    b"Content-Length:",
    b"content-length: 11",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: \"chunked\"",
    b" Transfer-Encoding: chunked",
    b"Transfer_Encoding: chunked",
    b"transfer-encoding:chunked",
    b"Host: other.test",
    b"Host:",
    b"Connection: content-length",
    b"Connection: transfer-encoding, host",
    b"Connection: close, cookie",
    b"Expect: 100-continue",
    b"Expect: y 100-continue",
    b"Upgrade: h2c",
    b"Trailer: Content-Length",
    b"Proxy-Connection: keep-alive",
];

/// What comes in the place of a chunk's size, or behind it.
const SIZES: [&[u8]; 20] = [
    b"0x5",
    b"+5",
    b"-5",
    b" 5",
    b"5 ",
    b"5;a=b",
    b"5;a=\"\n\"",
    b"5;\r",
    b"5\t;",
    b"05",
    b"00000000000000005",
    b"fffffffffffffffff",
    b"ffffffffffffffff",
    b"7fffffffffffffff",
    b"5h",
    b"",
    b";",
    b"6",
    b"4",
    b"0",
];

pub fn mutant(seed: u64, mark: &str) -> Vec<u8> {
    let mut dice = dice(seed);
    let mut bytes = HEADS[dice.roll(HEADS.len())].replace("{mark}", mark).into_bytes();
    for _ in 0..=dice.roll(3) {
        damage(&mut bytes, &mut dice);
    }
    bytes
}

/// Where the bytes are cut into two packets.
pub fn cut(seed: u64, length: usize) -> usize {
    dice(seed ^ 0x5EED).roll(length + 1)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let line_end = find(bytes, b"\r\n").map_or(0, |end| end + 2);
    match dice.roll(10) {
        0 | 1 => drop(bytes.splice(at..at, dice.pick(&SEEDS_OF_EVIL).to_vec())),
        2..=4 => {
            let line = [dice.pick(&LINES), b"\r\n"].concat();
            drop(bytes.splice(line_end..line_end, line));
        }
        // One of the lines twice.
        5 => {
            let head = find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
            let text = bytes[..head].to_vec();
            let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
            let line = [lines[dice.roll(lines.len())].trim_ascii_end(), b"\r\n"].concat();
            drop(bytes.splice(line_end..line_end, line));
        }
        6 if at < bytes.len() => drop(bytes.remove(at)),
        7 if find(bytes, b"chunked").is_some() => {
            for size in [&b"\r\n5\r\n"[..], b"\r\n6\r\n", b"\r\n0\r\n"] {
                if let Some(place) = find(bytes, size).filter(|_| dice.roll(2) == 0) {
                    drop(bytes.splice(place + 2..place + 3, dice.pick(&SIZES).to_vec()));
                }
            }
        }
        7 | 8 => {
            bytes.extend_from_slice(dice.pick(&[b"x", b"\r\n", b"\0", b"0\r\n\r\n", b"GET /", b"X: y\r\n\r\n", b"\n"]))
        }
        // A line that ends with less.
        _ => {
            if let Some(place) = find(&bytes[at..], b"\r\n") {
                bytes.remove(at + place + dice.roll(2));
            }
        }
    }
}
