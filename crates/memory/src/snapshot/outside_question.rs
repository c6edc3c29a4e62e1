//! Questions to other systems as the file defines them, with gaps for what is known of a release only when it is asked.

use std::fmt;

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strum::{EnumString, VariantNames};

use crate::snapshot::secret_url::SecretUrl;
use judgement::time::Millis;

/// How a metric of another system is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideQuestion {
    /// The metric's name.
    pub metric: String,
    pub form: QuestionForm,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub timeout: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionForm {
    /// An instant query of Prometheus' HTTP API.
    Prometheus {
        api: SecretUrl,
        query: QuestionText,
        /// Whether the query holds nothing of the environment, so that an error may repeat it.
        is_public: bool,
    },
    /// A GET that is answered with a number, or with pass or fail.
    Http(QuestionText),
}

/// A text with gaps such as `{{version}}`. It may hold a secret: its Debug output shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct QuestionText(Vec<QuestionPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionPart {
    Text(String),
    Gap(QuestionGap),
}

/// What goes into a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum QuestionGap {
    Service,
    /// The environment that is asked for.
    Environment,
    /// The version there.
    Version,
    Active,
    Candidate,
}

/// A gap that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownGap {
    /// As it is written: `{{name}}`, or the rest of the text if it has no end.
    pub token: String,
    /// What is between the braces; `None` if it has no end.
    pub name: Option<String>,
}

impl QuestionGap {
    pub const NAMES: &'static [&'static str] = <QuestionGap as VariantNames>::VARIANTS;
}

impl QuestionText {
    /// # Errors
    /// The first gap that is none of [`QuestionGap::NAMES`].
    pub fn parse(text: &str) -> Result<QuestionText, UnknownGap> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inner, behind)) = after.split_once("}}") else {
                return Err(UnknownGap { token: format!("{{{{{after}"), name: None });
            };
            let Ok(gap) = inner.trim().parse() else {
                return Err(UnknownGap { token: format!("{{{{{inner}}}}}"), name: Some(inner.trim().to_owned()) });
            };
            parts.extend([QuestionPart::Text(before.to_owned()), QuestionPart::Gap(gap)]);
            rest = behind;
        }
        parts.push(QuestionPart::Text(rest.to_owned()));
        Ok(QuestionText(parts))
    }

    pub fn parts(&self) -> &[QuestionPart] {
        &self.0
    }

    pub fn has(&self, gap: QuestionGap) -> bool {
        self.0.contains(&QuestionPart::Gap(gap))
    }

    /// The text with the gaps filled; `None` if something is not known that goes into one.
    pub fn fill(&self, mut word: impl FnMut(QuestionGap) -> Option<String>) -> Option<String> {
        let parts = self.0.iter().map(|part| match part {
            QuestionPart::Text(text) => Some(text.clone()),
            QuestionPart::Gap(gap) => word(*gap),
        });
        parts.collect()
    }
}

impl fmt::Debug for QuestionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuestionText")
    }
}

/// The quotes that a text of PromQL is in at its end, as after `up{job="`.
pub fn open_quote(promql: &str) -> Option<char> {
    let (mut open, mut is_escaped) = (None, false);
    for c in promql.chars() {
        match open {
            _ if is_escaped => is_escaped = false,
            Some('"' | '\'') if c == '\\' => is_escaped = true,
            Some(quote) if c == quote => open = None,
            // A comment, until the end of its line.
            None if c == '#' => open = Some('\n'),
            None if matches!(c, '"' | '\'' | '`') => open = Some(c),
            _ => {}
        }
    }
    open
}

/// A word inside a string of PromQL, in either of its quotes.
pub fn in_promql(word: &str) -> String {
    let escaped = word.chars().map(|c| match c {
        '"' | '\'' | '`' | '\\' | '\0'..='\u{1f}' | '\u{7f}' => format!("\\x{:02x}", c as u32),
        c => c.to_string(),
    });
    escaped.collect()
}

/// A word in the path or the query of a URL; `None` for one that leads to another path in any spelling.
pub fn in_url(word: &str) -> Option<String> {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let leads_away = matches!(word, "." | "..");
    (!leads_away).then(|| utf8_percent_encode(word, PLAIN).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_what_is_none_is_named() {
        let text = QuestionText::parse(r#"up{env="{{environment}}", v="{{ version }}"}"#).unwrap();
        let word = |gap| Some(format!("<{gap:?}>"));
        assert_eq!(text.fill(word).as_deref(), Some(r#"up{env="<Environment>", v="<Version>"}"#));
        assert!(text.has(QuestionGap::Version) && !text.has(QuestionGap::Service));
        assert_eq!(text.fill(|gap| (gap != QuestionGap::Version).then(String::new)), None);
        assert!(!format!("{text:?}").contains("up"));
        for (text, token, name) in [
            ("a{{b}}c{{version}}", "{{b}}", Some("b")),
            ("a{{ Version }}", "{{ Version }}", Some("Version")),
            ("a{{version}}{{x", "{{x", None),
            ("{{}}", "{{}}", Some("")),
        ] {
            let unknown = QuestionText::parse(text).unwrap_err();
            assert_eq!((unknown.token.as_str(), unknown.name.as_deref()), (token, name));
        }
        assert_eq!(QuestionText::parse("a}}{b}").unwrap().parts(), [QuestionPart::Text("a}}{b}".to_owned())]);
    }

    #[test]
    fn a_word_cannot_leave_its_quotes() {
        for (text, quote) in [
            ("up", None),
            ("up{a=\"", Some('"')),
            ("up{a='\"", Some('\'')),
            ("up{a=\"\\\"", Some('"')),
            ("up{a=\"\\\\\"", None),
            ("up{a=`\\`", None),
            ("up{a=`\"", Some('`')),
            ("up # don't\n + ", None),
        ] {
            assert_eq!(open_quote(text), quote, "{text}");
        }
        assert_eq!(in_promql("1.0\"} or vector(1)\\'`\n"), "1.0\\x22} or vector(1)\\x5c\\x27\\x60\\x0a");
        for (word, shown) in [("1.0-a/../b?c&é", Some("1.0-a%2F..%2Fb%3Fc%26%C3%A9")), ("..", None), (".", None)] {
            assert_eq!(in_url(word).as_deref(), shown);
        }
    }
}
