//! Paths without what makes each of them its own: `/orders/1042/items` is `/orders/{id}/items`.

/// What stands for an identifier.
pub const ID: &str = "{id}";
/// Where the paths go for which there is no room.
pub const OTHERS: &str = "(other paths)";
/// Of a deeper path the rest is not told apart.
const MOST_SEGMENTS: usize = 8;
/// In characters. A word that is longer is one that nobody has written by hand.
const LONGEST_WORD: usize = 32;
/// In characters. A shorter word with digits, such as `v2` or `top10`, has a meaning.
const SHORTEST_CODE: usize = 8;

/// The pattern of a target, without its query.
pub fn pattern(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut out = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate().skip(1) {
        out.push('/');
        if at > MOST_SEGMENTS {
            out.push('…');
            break;
        }
        out.push_str(if is_id(segment) { ID } else { segment });
    }
    out
}

/// A place in a document, with [`ID`] for members that look like identifiers: they are keys of a map, and no two documents
/// have the same.
pub fn place(place: &str) -> String {
    let mut out = String::with_capacity(place.len());
    let mut rest = place;
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("[\"").and_then(|after| after.split_once("\"]"));
        if let Some((member, after)) = quoted {
            let shown = if is_id(member) { format!("[{ID}]") } else { format!("[\"{member}\"]") };
            out.push_str(&shown);
            rest = after;
            continue;
        }
        // An index, or a name up to what follows it.
        let begins = rest.find(|c| c != '.').unwrap_or(rest.len());
        let end =
            rest.get(begins + 1..).and_then(|behind| behind.find(['.', '['])).map_or(rest.len(), |at| begins + 1 + at);
        let (dots, name) = rest.get(..end).unwrap_or(rest).split_at(begins);
        out.push_str(dots);
        out.push_str(if is_id(name) { ID } else { name });
        rest = rest.get(end..).unwrap_or_default();
    }
    out
}

/// A target as it is shown: its pattern, and the names in its query.
pub fn shown(target: &str) -> String {
    let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let names: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}=***"),
            // It may be a value.
            None => "***".to_owned(),
        })
        .collect();
    let question = if names.is_empty() { "" } else { "?" };
    format!("{}{question}{}", pattern(target), names.join("&"))
}

/// Whether a segment looks like a number, a UUID, a hash, an address or a token.
fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_number = digits > 0 && segment.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_' | b','));
    let is_code = digits > 1 && segment.len() >= SHORTEST_CODE && !segment.contains('.');
    let is_address = segment.contains('@') || segment.contains("%40");
    is_number || is_code || is_address || segment.chars().count() > LONGEST_WORD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_identifiers_are_one_place() {
        for (found, shown) in [
            ("items[*].price", "items[*].price"),
            (r#"carts["0a1b2c3d-0000-4000-8000-000000000001"].items[*]"#, "carts[{id}].items[*]"),
            ("users.ann1234567890.name", "users.{id}.name"),
            (r#"users["ann@shop.example"]"#, "users[{id}]"),
            (r#"a["two words"].b"#, r#"a["two words"].b"#),
            ("", ""),
            ("[*].ä", "[*].ä"),
        ] {
            assert_eq!(place(found), shown);
        }
    }

    #[test]
    fn what_looks_like_an_identifier_is_one_and_words_stay() {
        for (target, found) in [
            ("/", "/"),
            ("/api/cart", "/api/cart"),
            ("/api/cart?item=5", "/api/cart"),
            ("/orders/1042/items/7", "/orders/{id}/items/{id}"),
            ("/u/6f1c7f5e-88a1-4d0c-9b7a-1f1f0c9d2b11", "/u/{id}"),
            ("/blob/da39a3ee5e6b4b0d", "/blob/{id}"),
            ("/api/v2/top10/", "/api/v2/top10/"),
            ("/by-day/2026-11-30", "/by-day/{id}"),
            ("/users/ann@example.com", "/users/{id}"),
            ("/users/ann%40example.com", "/users/{id}"),
            ("/assets/app.3f9c2b1a.js", "/assets/app.3f9c2b1a.js"),
            ("/reset/QWxhZGRpbjpvcGVuIHNlc2FtZSBhbmQgbW9yZQ", "/reset/{id}"),
            ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/…"),
            ("/größe", "/größe"),
            ("", ""),
        ] {
            assert_eq!(pattern(target), found, "{target}");
        }
        assert_eq!(shown("/a/12?token=abc&x&y="), "/a/{id}?token=***&***&y=***");
        assert_eq!(shown("/a?"), "/a");
    }
}
