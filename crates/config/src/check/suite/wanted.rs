//! `expect`: what a response must be.

use std::ops::Range;
use std::sync::Arc;

use super::Reading;
use super::request::Known;
use crate::file::{AnyValue, At, ExpectFile};
use crate::read::did_you_mean;
use crate::suite::{Expect, Expectation, Schema, WholeRegex};

const OPERATORS: [&str; 9] = ["equals", "contains", "matches", "present", "absent", "above", "below", "length", "type"];
const TYPES: [&str; 6] = ["string", "number", "boolean", "array", "object", "null"];

impl Reading<'_> {
    pub(super) fn expect(&mut self, typed: Option<&At<ExpectFile>>, known: &Known) -> Expect {
        let Some(At { value: file, .. }) = typed else { return Expect::default() };
        let mut expect = Expect {
            status: file.status.as_ref().map_or_else(Vec::new, |at| self.statuses(at)),
            latency: file.latency.as_ref().map(|at| at.value.0),
            ignore: self.paths(&file.ignore),
            tolerance: file.tolerance.as_ref().map_or(0.0, |at| at.value.0),
            ..Expect::default()
        };
        for (name, at) in &file.headers {
            let key = self.source.key_of(&at.span);
            if let Some(name) = self.header_name(name, &key) {
                let wanted = self.wanted(at, known, false);
                expect.headers.extend(wanted.into_iter().map(|wanted| (name.clone(), wanted)));
            }
        }
        for (path, at) in &file.json {
            let key = self.source.key_of(&at.span);
            if let Some(path) = self.json_path(path, &key) {
                let wanted = self.wanted(at, known, false);
                expect.json.extend(wanted.into_iter().map(|wanted| (path.clone(), wanted)));
            }
        }
        if let (Some(_), Some(at)) = (&file.equals, &file.equals_file) {
            let message = "`equals` and `equals_file` cannot be used together";
            self.source.problem(at.span.clone(), message, Some("keep one of them".to_owned()));
        }
        expect.equals = match (&file.equals, &file.equals_file) {
            (Some(at), _) => Some(self.json(at, known)),
            (None, Some(at)) => self.json_file(at),
            (None, None) => None,
        };
        if expect.equals.is_none()
            && let Some(at) = file.ignore.first()
        {
            let hint = Some("remove it, or write equals = { … } or equals_file".to_owned());
            self.source.problem(at.span.clone(), "`ignore` has no effect without `equals`", hint);
        }
        expect.schema = file.schema.as_ref().and_then(|at| self.schema(at));
        if let Some(at) = &file.body {
            expect.body = match &at.value.0 {
                toml::Value::Array(items) => {
                    let item = |item: &toml::Value| At { value: AnyValue(item.clone()), span: at.span.clone() };
                    items.iter().flat_map(|one| self.wanted(&item(one), known, true)).collect()
                }
                _ => self.wanted(at, known, true),
            };
        }
        expect
    }

    fn statuses(&mut self, at: &At<AnyValue>) -> Vec<(u16, u16)> {
        let items = match &at.value.0 {
            toml::Value::Array(items) if !items.is_empty() => items.clone(),
            other => vec![other.clone()],
        };
        let read: Option<Vec<_>> = items.iter().map(status).collect();
        if read.is_none() {
            let hint = Some("write 200, \"2xx\", \"200-299\", or a list of these".to_owned());
            self.source.problem(at.span.clone(), "invalid status", hint);
        }
        read.unwrap_or_default()
    }

    /// The conditions on one value. `part`: a bare text only needs to be contained in it.
    fn wanted(&mut self, at: &At<AnyValue>, known: &Known, part: bool) -> Vec<Expectation> {
        let At { value: AnyValue(value), span } = at;
        match value {
            toml::Value::Table(operators) => {
                if operators.is_empty() {
                    let hint = Some(format!("use one of: {}", OPERATORS.join(", ")));
                    self.source.problem(span.clone(), "there is no operator", hint);
                }
                operators.iter().filter_map(|(name, value)| self.operator(name, value, span, known)).collect()
            }
            toml::Value::String(text) if part => vec![Expectation::Contains(self.text(text, span, known))],
            _ => vec![Expectation::Equals(self.json(at, known))],
        }
    }

    fn operator(&mut self, name: &str, value: &toml::Value, span: &Range<usize>, known: &Known) -> Option<Expectation> {
        if !OPERATORS.contains(&name) {
            let hint = format!(
                "{}; to compare with a table, write {{ equals = {{ … }} }}",
                did_you_mean(name, &OPERATORS).trim_end_matches('?')
            );
            self.source.problem(span.clone(), format!("unknown operator `{name}`"), Some(hint));
            return None;
        }
        let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
        let text = value.as_str();
        let wanted = match (name, text, number) {
            ("equals", ..) => Some(Expectation::Equals(self.json_of(value, span, known))),
            ("contains", Some(text), _) => Some(Expectation::Contains(self.text(text, span, known))),
            ("matches", Some(text), _) if text.contains("${") => {
                let hint = Some("use `equals` or `contains`".to_owned());
                self.source.problem(span.clone(), "`matches` cannot hold variables", hint);
                return None;
            }
            ("matches", Some(text), _) => return self.regex(WholeRegex::new, text, span).map(Expectation::Matches),
            ("present", ..) => value.as_bool().map(|yes| if yes { Expectation::Present } else { Expectation::Absent }),
            ("absent", ..) => value.as_bool().map(|yes| if yes { Expectation::Absent } else { Expectation::Present }),
            ("above", _, Some(number)) => Some(Expectation::Above(number)),
            ("below", _, Some(number)) => Some(Expectation::Below(number)),
            ("length", ..) => value.as_integer().and_then(|number| u64::try_from(number).ok()).map(Expectation::Length),
            ("type", Some(text), _) if TYPES.contains(&text) => Some(Expectation::Type(text.to_owned())),
            _ => None,
        };
        if wanted.is_none() {
            let (takes, example) = match name {
                "present" | "absent" => ("true or false".to_owned(), "true"),
                "above" | "below" => ("a number".to_owned(), "100"),
                "length" => ("a whole number of at least 0".to_owned(), "3"),
                "type" => (format!("one of {}", TYPES.join(", ")), "\"string\""),
                _ => ("a string".to_owned(), "\"ready\""),
            };
            let hint = Some(format!("write {{ {name} = {example} }}"));
            self.source.problem(span.clone(), format!("`{name}` takes {takes}"), hint);
        }
        wanted
    }

    fn schema(&mut self, at: &At<String>) -> Option<Arc<Schema>> {
        let schema = Schema::new(self.json_file(at)?.rounded());
        let why = |why| {
            let hint = Some("mend the schema, whose drafts 4 to 2020-12 are understood".to_owned());
            self.source.problem(at.span.clone(), format!("`{}` is not a JSON Schema: {why}", at.value), hint);
        };
        schema.map(Arc::new).map_err(why).ok()
    }
}

/// 200, "2xx" or "200-299".
fn status(value: &toml::Value) -> Option<(u16, u16)> {
    let good = |status: u16| (100..=599).contains(&status);
    if let Some(number) = value.as_integer() {
        return u16::try_from(number).ok().filter(|status| good(*status)).map(|status| (status, status));
    }
    let text = value.as_str()?;
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (good(from) && good(to) && from <= to).then_some((from, to))
}
