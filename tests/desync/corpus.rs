//! The labelled requests of `http_desync_guardian`, read from the part of YAML that its files use.

/// A request as its file names it; `head` puts it on the wire.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub name: String,
    pub method: Vec<u8>,
    pub uri: Vec<u8>,
    pub version: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub tier: String,
}

impl Case {
    /// The head's bytes. `mark` goes in front of the path where there is one; `host` is a line of its own.
    pub fn head(&self, mark: &str, host: bool) -> Vec<u8> {
        let mut head = [&self.method[..], b" "].concat();
        if self.uri.starts_with(b"/") {
            head.extend_from_slice(mark.as_bytes());
        }
        head.extend_from_slice(&self.uri);
        if !self.version.is_empty() {
            head.push(b' ');
            head.extend_from_slice(&self.version);
        }
        head.extend_from_slice(b"\r\n");
        if host {
            head.extend_from_slice(b"Host: shop.test\r\n");
        }
        for (name, value) in &self.headers {
            head.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.trim_ascii()).collect()
    }

    /// A body by the framing that the head's letter asks for, with a request hidden in it.
    pub fn body(&self, hidden: &str) -> Vec<u8> {
        let hidden = format!("GET {hidden} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        if !self.values("transfer-encoding").is_empty() {
            // Whoever does not read chunks finds the hidden request behind the first line.
            return format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()).into_bytes();
        }
        let length = self.values("content-length").first().and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
        let mut body = hidden.into_bytes();
        body.resize(length.unwrap_or(0), b'.');
        body
    }
}

pub fn all() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desync");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.iter().flat_map(|path| read(&std::fs::read_to_string(path).unwrap())).collect()
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        let depth = line.len() - line.trim_start().len();
        let (opens, entry) = match line.trim_start().strip_prefix("- ") {
            Some(entry) => (true, entry),
            None => (false, line.trim_start()),
        };
        let (key, value) = entry.split_once(':').unwrap_or((entry, ""));
        let value = scalar(value.trim());
        if depth == 0 && opens {
            assert_eq!(key, "name");
            cases.push(Case { name: String::from_utf8_lossy(&value).into_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case was opened");
        match (depth, opens, key) {
            (2, false, "uri") => case.uri = value,
            (2, false, "method") => case.method = value,
            (2, false, "version") => case.version = value,
            (4, true, "name") => case.headers.push((value, Vec::new())),
            (6, false, "value") => case.headers.last_mut().expect("a header was opened").1 = value,
            (4, false, "tier") => case.tier = String::from_utf8(value).unwrap(),
            // A header's own label, the guardian's reason and words.
            (6, false, "tier")
            | (2, false, "headers" | "expected")
            | (4, false, "reason" | "required_message_items") => {}
            (6, true, _) => {}
            other => panic!("{other:?} in {line:?}"),
        }
    }
    cases
}

/// A plain, single-quoted or double-quoted scalar. `\xNN` is that byte: the files mean bytes.
fn scalar(text: &str) -> Vec<u8> {
    if let Some(inner) = text.strip_prefix('\'') {
        return inner.strip_suffix('\'').expect("a closing quote").replace("''", "'").into_bytes();
    }
    let Some(inner) = text.strip_prefix('"') else { return text.as_bytes().to_vec() };
    let inner = inner.strip_suffix('"').expect("a closing quote").as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            out.push(inner[at]);
            at += 1;
            continue;
        }
        at += 2;
        match inner[at - 1] {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                out.push(u8::from_str_radix(std::str::from_utf8(&inner[at..at + 2]).unwrap(), 16).unwrap());
                at += 2;
            }
            quoted @ (b'\\' | b'"') => out.push(quoted),
            other => panic!("the escape \\{} is not read", other as char),
        }
    }
    out
}
