//! What a proxy does with the crate, in as few lines as will do: reads requests off a connection, in pieces of any size,
//! and writes what it would forward.

// Not every test forwards both requests and responses.
#![allow(dead_code)]

use cutover_http1::{
    ChunkEvent, ChunkReader, Framing, Head, HeadLimits, KnownField, Parsed, Refused, RequestKind, encode,
    parse_request, parse_response,
};

/// A request that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub method: String,
    /// In origin-form.
    pub target: String,
    pub body: Vec<u8>,
    /// As it goes to the origin, head and body.
    pub bytes: Vec<u8>,
    /// Where it ends in what came.
    pub end: usize,
    pub keep_alive: bool,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All bytes belonged to whole requests.
    Clean,
    /// A head or a body is not whole.
    Cut,
    /// A request was refused in its head.
    Refused(Refused),
    /// A request was refused in its body: what was forwarded of it is cut off.
    RefusedBody(Refused),
    /// The client asked for the end of the connection, and more bytes came.
    Closed,
}

/// `cuts`: where the bytes are cut into pieces.
pub fn connection(bytes: &[u8], cuts: &[usize]) -> (Vec<Forwarded>, Ending) {
    let (mut all, mut at, mut head) = (Vec::new(), 0, Head::default());
    while at < bytes.len() {
        let mut ends: Vec<usize> = cuts.iter().copied().filter(|cut| (at..bytes.len()).contains(cut)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        match one(&bytes[at..], &ends.iter().map(|end| end - at).collect::<Vec<_>>(), &mut head) {
            Ok(Some(mut forwarded)) => {
                at += forwarded.end;
                forwarded.end = at;
                let closes = !forwarded.keep_alive;
                all.push(forwarded);
                if closes && at < bytes.len() {
                    return (all, Ending::Closed);
                }
            }
            Ok(None) => return (all, Ending::Cut),
            Err(ending) => return (all, ending),
        }
    }
    (all, Ending::Clean)
}

fn one(bytes: &[u8], ends: &[usize], head: &mut Head) -> Result<Option<Forwarded>, Ending> {
    let mut head_len = None;
    head.clear();
    for end in ends {
        if let Parsed::Complete { head_len: length } =
            parse_request(&bytes[..*end], head, &HeadLimits::default()).map_err(Ending::Refused)?
        {
            head_len = Some(length);
            break;
        }
    }
    let Some(head_len) = head_len else { return Ok(None) };
    let request = head.view(bytes);
    let framing = head.request_framing();
    let mut out = Vec::new();
    encode::forwarded_request_line(&mut out, request, "");
    encode::field(&mut out, "Host", b"origin.test");
    let expects = head.expects_continue();
    request.copy_lines(&mut out, |line| match line.id {
        KnownField::Host | KnownField::ContentLength => false,
        KnownField::Expect => expects,
        _ => !line.stays,
    });
    let mut body = Vec::new();
    let end = match framing {
        Framing::None | Framing::UntilClose => {
            encode::end_of_fields(&mut out);
            head_len
        }
        Framing::Length(length) => {
            encode::content_length(&mut out, length);
            encode::end_of_fields(&mut out);
            let end = head_len.saturating_add(length as usize);
            let Some(data) = bytes.get(head_len..end) else { return Ok(None) };
            body.extend_from_slice(data);
            out.extend_from_slice(data);
            end
        }
        Framing::Chunked => {
            encode::chunked(&mut out);
            encode::end_of_fields(&mut out);
            match chunks(bytes, head_len, ends, &mut body, &mut out)? {
                Some(end) => end,
                None => return Ok(None),
            }
        }
    };
    let target = match request.query() {
        Some(query) => format!("{}?{query}", request.path()),
        None => request.path().to_owned(),
    };
    let method = request.method().to_owned();
    Ok(Some(Forwarded { method, target, body, bytes: out, end, keep_alive: head.keep_alive() }))
}

fn chunks(
    bytes: &[u8],
    mut at: usize,
    ends: &[usize],
    body: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Option<usize>, Ending> {
    let mut reader = ChunkReader::default();
    for end in ends {
        loop {
            match reader.next(&bytes[..*end], &mut at).map_err(Ending::RefusedBody)? {
                ChunkEvent::NeedMore => break,
                ChunkEvent::Data(range) => {
                    body.extend_from_slice(&bytes[range.clone()]);
                    encode::chunk_head(out, range.len() as u64);
                    out.extend_from_slice(&bytes[range]);
                    encode::chunk_end(out);
                }
                ChunkEvent::End => {
                    encode::last_chunk(out);
                    if let Some(trailers) = reader.trailers() {
                        trailers.copy_lines(out, |line| !line.stays);
                    }
                    encode::end_of_fields(out);
                    return Ok(Some(at));
                }
            }
        }
    }
    Ok(None)
}

/// A response that goes on to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub body: Vec<u8>,
    /// As it goes to the client.
    pub bytes: Vec<u8>,
    /// Where it ends in what came.
    pub end: usize,
}

/// The response to a GET at the beginning of `bytes`, behind which the origin closes its connection. `None`: it is cut.
pub fn answer(bytes: &[u8], cuts: &[usize]) -> Result<Option<Answered>, Refused> {
    let mut ends: Vec<usize> = cuts.to_vec();
    ends.push(bytes.len());
    let (mut head, mut head_len) = (Head::default(), None);
    for end in &ends {
        if let Parsed::Complete { head_len: length } =
            parse_response(&bytes[..*end], &mut head, &HeadLimits::default())?
        {
            head_len = Some(length);
            break;
        }
    }
    let Some(head_len) = head_len else { return Ok(None) };
    let (framing, mut out, mut body) = (head.response_framing(RequestKind::Other), Vec::new(), Vec::new());
    encode::status_line(&mut out, head.status(), head.view(bytes).reason());
    head.view(bytes).copy_lines(&mut out, |line| !line.stays && line.id != KnownField::ContentLength);
    match framing {
        Framing::Length(length) => encode::content_length(&mut out, length),
        Framing::Chunked => encode::chunked(&mut out),
        Framing::None | Framing::UntilClose => {}
    }
    encode::end_of_fields(&mut out);
    let end = match framing {
        Framing::None => head_len,
        Framing::UntilClose => bytes.len(),
        Framing::Length(length) => head_len.saturating_add(length as usize),
        Framing::Chunked => match chunks(bytes, head_len, &ends, &mut body, &mut out) {
            Ok(Some(end)) => end,
            Ok(None) => return Ok(None),
            Err(Ending::RefusedBody(refused) | Ending::Refused(refused)) => return Err(refused),
            Err(ending) => panic!("{ending:?} is no end of chunks"),
        },
    };
    if framing != Framing::Chunked {
        let Some(data) = bytes.get(head_len..end) else { return Ok(None) };
        body.extend_from_slice(data);
        out.extend_from_slice(data);
    }
    Ok(Some(Answered { body, bytes: out, end }))
}
