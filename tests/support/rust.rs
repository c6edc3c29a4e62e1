//! The project's own source, read into tokens, for the tests that look at it.

use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Word,
    /// The content of a string, escapes as they are written.
    Text,
    /// One character of anything else.
    Sign,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// A file of the program or of a crate, without its tests.
pub struct File {
    /// From the root of the repository.
    pub path: String,
    /// The name of the crate.
    pub krate: String,
    /// The modules that it stands for, from the crate's root.
    pub module: Vec<String>,
    pub whole: String,
    pub tokens: Vec<Token>,
}

/// All of the workspace's source but tests, benches and load tests.
pub fn source() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates = vec![("cutover".to_owned(), root.join("src"))];
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        let path = entry.unwrap().path();
        crates.push((path.file_name().unwrap().to_string_lossy().into_owned(), path.join("src")));
    }
    let mut files = Vec::new();
    for (krate, folder) in crates {
        let before = files.len();
        let mut paths = Vec::new();
        walk(&folder, &mut paths);
        paths.sort();
        for path in paths {
            let inside = path.strip_prefix(&folder).unwrap().with_extension("");
            let mut module: Vec<String> =
                inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            if module.iter().any(|name| name == "tests") {
                continue;
            }
            module.retain(|name| name != "lib");
            let whole = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let tokens = without_tests(tokens(&whole));
            files.push(File { path, krate: krate.clone(), module, whole, tokens });
        }
        assert!(files.len() > before, "{krate} has no source where it is looked for");
    }
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The end of the group that opens at `open`: where its closing bracket is.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open).filter(|(_, token)| token.kind == Kind::Sign) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
        if !attribute.iter().enumerate().all(|(n, text)| tokens.get(at + n).is_some_and(|token| token.is(text))) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += attribute.len();
        while at < tokens.len() && !tokens[at].is(";") && !tokens[at].is("{") {
            at = if tokens[at].is("(") || tokens[at].is("[") { closing(&tokens, at) + 1 } else { at + 1 };
        }
        at = if tokens.get(at).is_some_and(|token| token.is("{")) { closing(&tokens, at) + 1 } else { at + 1 };
    }
    kept
}

/// Reads Rust: strings are one token each, comments and numbers none.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(&c) = chars.get(at) {
        let began = (at, line);
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        if c.is_whitespace() {
            at += 1;
        } else if c == '/' && next == '/' {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if c == '/' && next == '*' {
            let mut depth = 0;
            while at < chars.len() {
                let pair = (chars[at], chars.get(at + 1).copied().unwrap_or(' '));
                depth += match pair {
                    ('/', '*') => 1,
                    ('*', '/') => -1,
                    _ => 0,
                };
                at += if matches!(pair, ('/', '*') | ('*', '/')) { 2 } else { 1 };
                if depth == 0 {
                    break;
                }
            }
        } else if let Some((content, end)) = string(&chars, at) {
            tokens.push(Token { kind: Kind::Text, text: content, line });
            at = end;
        } else if c == '\'' {
            // A character, or a lifetime.
            at += match (next, chars.get(at + 2)) {
                ('\\', _) => 3 + chars[at + 3..].iter().take_while(|c| **c != '\'').count() + 1,
                (_, Some('\'')) => 3,
                _ => 1 + chars[at + 1..].iter().take_while(|c| is_word(**c)).count(),
            };
        } else if c.is_ascii_digit() {
            at += chars[at..].iter().take_while(|c| is_word(**c)).count();
        } else if is_word(c) {
            let text: String = chars[at..].iter().take_while(|c| is_word(**c)).collect();
            at += text.chars().count();
            tokens.push(Token { kind: Kind::Word, text, line });
        } else {
            tokens.push(Token { kind: Kind::Sign, text: c.to_string(), line });
            at += 1;
        }
        line = began.1 + chars[began.0..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The content of the string that begins here, and where it ends.
fn string(chars: &[char], start: usize) -> Option<(String, usize)> {
    let mut at = start;
    while at < start + 2 && matches!(chars.get(at), Some('b' | 'c' | 'r')) {
        at += 1;
    }
    let raw = at > start && chars[at - 1] == 'r';
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + hashes) != Some(&'"') || (hashes > 0 && !raw) {
        return None;
    }
    at += hashes + 1;
    let mut content = String::new();
    while let Some(&c) = chars.get(at) {
        if c == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some((content, at + 1 + hashes));
        }
        if c == '\\' && !raw {
            let escaped = chars.get(at + 1).copied().unwrap_or(' ');
            at += 2;
            if escaped == '\n' {
                at += chars[at..].iter().take_while(|c| c.is_whitespace()).count();
            } else {
                content.extend(['\\', escaped]);
            }
            continue;
        }
        content.push(c);
        at += 1;
    }
    None
}

#[test]
fn strings_hide_neither_code_nor_comments() {
    let text = |source: &str| tokens(source).into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
    assert_eq!(text("let url = \"http://x\"; now()"), "let url = http://x ; now ( )");
    assert_eq!(text("r#\"a \"// b\"# /* c /* d */ e */ f // g\nh"), "a \"// b f h");
    assert_eq!(text("b'\"' '\\'' 'a' 'static 0..10 x"), "b . . x");
    assert_eq!(text("\"a \\\n   b\""), "a b");
    let lines: Vec<usize> = tokens("a\n\"b\nc\"\nd").iter().map(|token| token.line).collect();
    assert_eq!(lines, [1, 2, 4]);
    let code = without_tests(tokens("a #[cfg(test)] mod tests { b } c #[cfg(test)] mod d; e"));
    assert_eq!(code.iter().map(|token| token.text.as_str()).collect::<Vec<_>>(), ["a", "c", "e"]);
}
