//! Texts with `${name}` in them.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// The names and what is between them; `$${` stands for `${`. What begins with `${` and does not end is text.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            all.push(Piece::Text(escaped));
            all.push(Piece::Text("${"));
            rest = after;
            continue;
        }
        let Some((name, behind)) = after.split_once('}') else { break };
        all.push(Piece::Text(before));
        all.push(Piece::Name(name));
        rest = behind;
    }
    all.push(Piece::Text(rest));
    all.retain(|piece| *piece != Piece::Text(""));
    all
}

/// A text that stands for itself, whatever is in it.
pub fn literal(text: &str) -> String {
    text.replace("${", "$${")
}
