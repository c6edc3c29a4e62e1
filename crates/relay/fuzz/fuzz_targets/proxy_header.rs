//! A header of the PROXY protocol says the same in whatever pieces it comes and whatever follows it, and is never waited for
//! beyond its limit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay::proxy::proxy_header::{FirstBytes, LONGEST_HEADER, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    let settled = (0..=bytes.len()).map(|cut| parse(&bytes[..cut])).find(|read| *read != Ok(FirstBytes::Partial));
    assert_eq!(settled.unwrap_or(Ok(FirstBytes::Partial)), whole, "{}", bytes.escape_ascii());
    match whole {
        Ok(FirstBytes::Header(header)) => {
            assert!(header.length <= bytes.len() && header.length <= LONGEST_HEADER);
            assert_eq!(parse(&bytes[..header.length]), whole);
            assert_eq!(parse(&bytes[..header.length - 1]), Ok(FirstBytes::Partial));
        }
        Ok(FirstBytes::Partial) => assert!(bytes.len() < LONGEST_HEADER),
        Ok(FirstBytes::Other) | Err(_) => {}
    }
});
