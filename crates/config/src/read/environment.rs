//! `${NAME}` and `${NAME:-default}` in the strings of a file: environment values, which no message shows.

use std::ops::Range;

use crate::file::values::InvalidValue;

/// Looks an environment variable up.
pub type Lookup<'l> = dyn Fn(&str) -> Variable + 'l;

/// The environment's value for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    Set(String),
    Unset,
    NotUnicode,
}

/// The process's own environment.
pub fn of_process(name: &str) -> Variable {
    match std::env::var(name) {
        Ok(value) => Variable::Set(value),
        Err(std::env::VarError::NotPresent) => Variable::Unset,
        Err(std::env::VarError::NotUnicode(_)) => Variable::NotUnicode,
    }
}

/// A string of the file with expanded variables, and its position.
#[derive(Debug)]
pub struct Expanded {
    pub span: Range<usize>,
    /// As it was typed.
    raw: String,
    /// The result.
    pub value: String,
    /// The part of it that is in the file itself.
    pub literal: String,
    /// The names, and their values in the environment.
    variables: Vec<(String, String)>,
}

/// A part of a string that cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
pub struct BadVariable {
    /// As written in the file: `${NAME}`.
    pub token: String,
    pub why: InvalidValue,
    /// It is well written, and not set.
    pub is_unset: bool,
}

/// `text` with the variables expanded; `None` if there are none. `$$` is a dollar, and so is a `$` that is not followed
/// by `{` or `$`.
///
/// # Errors
/// Every variable that is unset or misspelt.
pub fn expand(text: &str, span: &Range<usize>, lookup: &Lookup<'_>) -> Result<Option<Expanded>, Vec<BadVariable>> {
    if !text.contains("${") && !text.contains("$$") {
        return Ok(None);
    }
    let (mut value, mut literal) = (String::with_capacity(text.len()), String::new());
    let (mut variables, mut bad) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        value.push_str(before);
        literal.push_str(before);
        if let Some(behind) = after.strip_prefix('$') {
            value.push('$');
            literal.push('$');
            rest = behind;
        } else if let Some(inside) = after.strip_prefix('{') {
            let Some((inner, behind)) = inside.split_once('}') else {
                let why = InvalidValue::new("`${` without a `}`", "write `${NAME}`, or `$${` for the characters `${`");
                bad.push(BadVariable { token: "${".to_owned(), why, is_unset: false });
                rest = "";
                break;
            };
            match variable(inner, lookup) {
                Ok(Part::Environment(name, text)) => {
                    value.push_str(&text);
                    variables.push((name, text));
                }
                Ok(Part::Default(text)) => {
                    value.push_str(&text);
                    literal.push_str(&text);
                }
                Err(why) => {
                    let is_unset = lookup(inner) == Variable::Unset;
                    bad.push(BadVariable { token: format!("${{{inner}}}"), why, is_unset });
                }
            }
            rest = behind;
        } else {
            value.push('$');
            literal.push('$');
            rest = after;
        }
    }
    value.push_str(rest);
    literal.push_str(rest);
    if !bad.is_empty() {
        return Err(bad);
    }
    Ok(Some(Expanded { span: span.clone(), raw: text.to_owned(), value, literal, variables }))
}

enum Part {
    Environment(String, String),
    Default(String),
}

fn variable(inner: &str, lookup: &Lookup<'_>) -> Result<Part, InvalidValue> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_name = |text: &str| plain(text) && text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !is_name(name) {
        let message = format!("`${{{inner}}}` does not name an environment variable");
        let trimmed = name.trim().strip_prefix("env.").unwrap_or(name.trim());
        let (before, after) = trimmed.split_once(['-', '?', ':', '=']).unwrap_or((trimmed, ""));
        let hint = match default {
            None if is_name(trimmed) => format!("write `${{{trimmed}}}`"),
            None if is_name(before) && !after.is_empty() => {
                let after = after.trim_start_matches(['-', '=', '?']);
                format!("write `${{{before}:-{after}}}` for a default")
            }
            _ => "a name has letters, digits and `_`; write `$${` for the characters `${`".to_owned(),
        };
        return Err(InvalidValue::new(message, hint));
    }
    // As in a shell, the default also stands in for an empty variable.
    match (lookup(name), default) {
        (Variable::Set(value), Some(default)) if value.is_empty() => Ok(Part::Default(default.replace("$$", "$"))),
        (Variable::Set(value), _) => Ok(Part::Environment(name.to_owned(), value)),
        (Variable::Unset, Some(default)) => Ok(Part::Default(default.replace("$$", "$"))),
        (Variable::Unset, None) => Err(InvalidValue::new(
            format!("the environment variable `{name}` is not set"),
            format!("set it for the process that reads this file, or write `${{{name}:-default}}`"),
        )),
        (Variable::NotUnicode, _) => Err(InvalidValue::bare(format!("the environment variable `{name}` is not UTF-8"))),
    }
}

impl Expanded {
    /// Whether anything came from the environment.
    pub fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }

    /// A text about the value, without environment values.
    pub fn conceal(&self, text: &str) -> String {
        let mut text = if self.value.is_empty() { text.to_owned() } else { text.replace(&self.value, &self.raw) };
        for mark in ['`', '"'] {
            let parts: Vec<&str> = text.split(mark).collect();
            // What is between two marks is every second part.
            let concealed: Vec<&str> = parts
                .iter()
                .enumerate()
                .map(|(at, part)| if at % 2 == 1 && self.is_shown_by(part) { self.raw.as_str() } else { part })
                .collect();
            text = concealed.join(&mark.to_string());
        }
        self.conceal_variables(&text)
    }

    /// A text about another value, which may contain environment values.
    pub fn conceal_variables(&self, text: &str) -> String {
        let long = self.variables.iter().filter(|(_, value)| value.len() >= 4);
        long.fold(text.to_owned(), |text, (name, value)| text.replace(value, &format!("${{{name}}}")))
    }

    /// Whether a text shows part of an environment value, perhaps in another notation.
    pub fn is_shown_by(&self, text: &str) -> bool {
        let plain = |text: &str| -> String {
            text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        let text = if text.contains(&self.raw) { text.replace(&self.raw, "") } else { text.to_owned() };
        let shown = plain(&text);
        self.variables.iter().any(|(_, value)| {
            let value = plain(value);
            let part = |whole: &str, part: &str, least: usize| part.len() >= least && whole.contains(part);
            let mut words = text.split(|c: char| !c.is_alphanumeric());
            !value.is_empty()
                && (shown == value
                    || words.any(|word| plain(word) == value)
                    || part(&shown, &value, 3)
                    || part(&value, &shown, 2))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Variable {
        match name {
            "HOST" => Variable::Set("shop.test".to_owned()),
            "PASSWORD" => Variable::Set("Hunter-2!".to_owned()),
            "EMPTY" => Variable::Set(String::new()),
            "BROKEN" => Variable::NotUnicode,
            _ => Variable::Unset,
        }
    }

    fn expanded(text: &str) -> Result<String, Vec<BadVariable>> {
        expand(text, &(0..0), &lookup).map(|done| done.map_or(text.to_owned(), |done| done.value))
    }

    #[test]
    fn variables_are_put_in_and_dollars_stay() {
        for (text, value) in [
            ("https://${HOST}/x", "https://shop.test/x"),
            ("${HOST}${HOST}", "shop.testshop.test"),
            ("${NONE:-8080}", "8080"),
            ("${EMPTY:-8080}", "8080"),
            ("a${EMPTY}b", "ab"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${NONE:-$$5}", "$5"),
            ("^/api/(a|b)$", "^/api/(a|b)$"),
            ("$HOST", "$HOST"),
            ("$", "$"),
            ("$$", "$"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$shop.test"),
            ("a$$b$c", "a$b$c"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_reported_with_the_way_out() {
        for (text, token, message, hint) in [
            ("${NONE}", "${NONE}", "the environment variable `NONE` is not set", "${NONE:-default}"),
            ("${HOST", "${", "`${` without a `}`", "$${"),
            ("${}", "${}", "does not name an environment variable", "letters, digits"),
            ("${9A}", "${9A}", "does not name", "letters, digits"),
            ("${NONE-x}", "${NONE-x}", "does not name", "write `${NONE:-x}`"),
            ("${NONE:x}", "${NONE:x}", "does not name", "write `${NONE:-x}`"),
            ("${ HOST }", "${ HOST }", "does not name", "write `${HOST}`"),
            ("${env.HOST}", "${env.HOST}", "does not name", "write `${HOST}`"),
            ("${é:-x}", "${é:-x}", "does not name", "letters, digits"),
        ] {
            let bad = expanded(text).unwrap_err();
            assert_eq!(bad[0].token, token, "{text}");
            assert!(bad[0].why.message.contains(message), "{text}: {bad:?}");
            assert!(bad[0].why.hint.as_deref().unwrap().contains(hint), "{text}: {bad:?}");
        }
        assert_eq!(expanded("${BROKEN:-x}").unwrap_err().len(), 1);
        assert_eq!(expanded("${A}${HOST}${B}").unwrap_err().len(), 2);
    }

    #[test]
    fn no_message_shows_what_the_environment_holds() {
        let done = expand("db-${PASSWORD}", &(0..0), &lookup).unwrap().unwrap();
        assert_eq!(done.literal, "db-");
        for (message, shown) in [
            ("invalid `db-Hunter-2!`", "invalid `db-${PASSWORD}`"),
            ("invalid `DB-HUNTER-2!`", "invalid `db-${PASSWORD}`"),
            ("unknown unit `unter`: \"Hunter-2!\"", "unknown unit `db-${PASSWORD}`: \"db-${PASSWORD}\""),
            ("found Hunter-2!, expected one of `blue`", "found ${PASSWORD}, expected one of `blue`"),
        ] {
            assert_eq!(done.conceal(message), shown);
        }
        assert!(done.is_shown_by("did you mean `db_hunter_2`?"));
        let short = Expanded { variables: vec![("T".to_owned(), "37".to_owned())], ..done };
        assert!(short.is_shown_by("write 37, without quotes"));
        assert!(!short.is_shown_by("write 137, without quotes"));
        let done = expand("db-${PASSWORD}", &(0..0), &lookup).unwrap().unwrap();
        assert!(!done.is_shown_by("did you mean `blue`?"));
    }
}
