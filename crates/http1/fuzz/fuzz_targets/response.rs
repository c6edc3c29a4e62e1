//! Responses: written anew, they are read the same, and the pieces do not matter.

#![no_main]

use cutover_http1::{Head, HeadLimits, Parsed, RequestKind, encode, parse_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (limits, mut head, mut pieces) = (HeadLimits::default(), Head::default(), Head::default());
    let whole = parse_response(bytes, &mut head, &limits);
    let mut last = Ok(Parsed::Partial);
    for end in 0..=bytes.len() {
        last = parse_response(&bytes[..end], &mut pieces, &limits);
        if last != Ok(Parsed::Partial) {
            break;
        }
    }
    assert_eq!(whole, last);
    if let Ok(Parsed::Complete { .. }) = whole {
        let mut out = Vec::new();
        encode::status_line(&mut out, head.status(), head.view(bytes).reason());
        head.view(bytes).copy_lines(&mut out, |_| true);
        encode::end_of_fields(&mut out);
        let mut again = Head::default();
        let parsed = parse_response(&out, &mut again, &limits);
        // Our version is 1.1, and so is what it says of the body.
        assert_eq!(parsed, Ok(Parsed::Complete { head_len: out.len() }));
        for request in [RequestKind::Head, RequestKind::Other] {
            assert_eq!(head.response_framing(request), again.response_framing(request));
        }
        assert_eq!((head.status(), head.len()), (again.status(), again.len()));
    }
});
