//! `[[service.NAME.guard.metric]]`: how another system is asked for a figure, and when that is bad.

use std::ops::Range;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use crate::check::{PLAIN_NAME, beside, health, is_plain_name, length, notify, store, word};
use crate::file::values::FiniteNumber;
use crate::file::{At, CompareFile, GuardFile, MetricFile};
use crate::read::{SourceFile, did_you_mean};
use judgement::guard::GuardPolicy;
use judgement::guard::outside_metric::{FigureTest, OutsideMetric};
use judgement::guard::trigger::TriggerAction;
use judgement::time::Millis;
use memory::snapshot::outside_question::{
    OutsideQuestion, QuestionForm, QuestionGap, QuestionPart, QuestionText, UnknownGap, open_quote,
};
use memory::snapshot::secret_url::SecretUrl;

/// More metrics than this in one service are a mistake.
const MOST_METRICS: usize = 32;
/// Prometheus takes longer ones; people do not.
const LONGEST_QUERY: usize = 16 << 10;
const PROMETHEUS: &str = "write prometheus = \"http://prometheus:9090\"";
const ENDPOINT: &str = "write url = \"https://metrics.example.com/conversion?of={{environment}}\"";
const LIMITS: &str = "write above = 0.05, below = 0.5, or compare = { ratio = 1.5 }";

/// Adds the file's metrics to the policy; returns how they are asked for.
pub fn add_all(
    source: &mut SourceFile,
    typed: Option<&At<GuardFile>>,
    policy: &mut GuardPolicy,
) -> Vec<OutsideQuestion> {
    let typed = typed.map_or(&[][..], |at| at.value.metric.as_slice());
    if let Some(at) = typed.get(MOST_METRICS) {
        let hint = Some("remove some of them".to_owned());
        source.problem(at.span.clone(), format!("a guard has at most {MOST_METRICS} metrics"), hint);
    }
    let mut questions = Vec::new();
    for at in typed.iter().take(MOST_METRICS) {
        let mut one = TypedMetric { source, file: &at.value, span: &at.span };
        let name = one.name(policy);
        let (form, test, headers) = (one.form(), one.test(), one.headers());
        let (Some(name), Some(form), Some(test), Some(headers)) = (name, form, test, headers) else { continue };
        let timeout = length(&at.value.timeout, Millis::seconds(5));
        policy.metrics.push(OutsideMetric {
            name: name.clone(),
            test,
            every: length(&at.value.every, Millis::seconds(30)),
            timeout,
            hold: length(&at.value.hold, Millis::ZERO),
            action: word(&at.value.action).unwrap_or(TriggerAction::Rollback),
        });
        questions.push(OutsideQuestion { metric: name, form, headers, timeout });
    }
    questions
}

fn number(typed: &Option<At<FiniteNumber>>, usual: f64) -> f64 {
    typed.as_ref().map_or(usual, |at| at.value.0)
}

/// A metric as it is in the file, and where its problems go.
struct TypedMetric<'t> {
    source: &'t mut SourceFile,
    file: &'t MetricFile,
    span: &'t Range<usize>,
}

impl TypedMetric<'_> {
    fn missing<T>(&mut self, message: &str, hint: &str) -> Option<T> {
        self.source.missing(self.span.clone(), message, hint);
        None
    }

    fn name(&mut self, policy: &GuardPolicy) -> Option<String> {
        let Some(At { value, span }) = &self.file.name else {
            return self.missing("the metric has no `name`", "write name = \"conversion\"");
        };
        let hint = Some("rollbacks are counted by this name: make it unique".to_owned());
        if !is_plain_name(value) {
            self.source.problem(span.clone(), format!("invalid name `{value}`"), Some(PLAIN_NAME.to_owned()));
        } else if policy.metrics.iter().any(|other| other.name == *value) {
            self.source.problem(span.clone(), format!("two metrics are named `{value}`"), hint);
        } else if policy.triggers.iter().any(|other| other.name == *value) {
            self.source.problem(span.clone(), format!("a trigger is also named `{value}`"), hint);
        }
        Some(value.clone())
    }

    /// Where to ask, and what.
    fn form(&mut self) -> Option<QuestionForm> {
        match (&self.file.prometheus, &self.file.url) {
            (Some(_), Some(at)) => {
                let hint = Some("write one [[service.NAME.guard.metric]] for each".to_owned());
                self.source.problem(at.span.clone(), "a metric has one of `prometheus` and `url`", hint);
                None
            }
            (Some(at), None) => self.prometheus(at),
            (None, Some(at)) => {
                if let Some(query) = &self.file.query {
                    let hint = Some("remove it, or write prometheus = \"…\" instead of `url`".to_owned());
                    self.source.problem(query.span.clone(), "`query` is for `prometheus`", hint);
                }
                self.endpoint(at)
            }
            (None, None) => {
                self.missing("the metric has no `prometheus` and no `url`", &format!("{PROMETHEUS}, or url = \"…\""))
            }
        }
    }

    fn prometheus(&mut self, at: &At<String>) -> Option<QuestionForm> {
        let base = health::callable(self.source, &at.span, &at.value, PROMETHEUS);
        if base.as_ref().is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            let message = "the server's URL ends with its path: the query has its own key";
            self.source.problem(at.span.clone(), message, Some(PROMETHEUS.to_owned()));
        }
        let Some(query) = &self.file.query else {
            let hint = "write query = 'sum(rate(orders_total{environment=\"{{environment}}\"}[1m]))'";
            return self.missing("the metric has no `query`", hint);
        };
        if query.value.trim().is_empty() || query.value.len() > LONGEST_QUERY {
            let hint = Some("write one expression whose result is one number".to_owned());
            self.source.problem(query.span.clone(), format!("a query has 1 to {LONGEST_QUERY} characters"), hint);
        }
        let text = self.text(query)?;
        let mut before = String::new();
        for part in text.parts() {
            match part {
                QuestionPart::Text(text) => before.push_str(text),
                // What a person calls a version may hold anything.
                QuestionPart::Gap(QuestionGap::Version | QuestionGap::Service)
                    if !matches!(open_quote(&before), Some('"' | '\'')) =>
                {
                    let hint = Some("write it as the value of a label: version=\"{{version}}\"".to_owned());
                    let message = "in a query, a version or a service stands in quotes";
                    self.source.problem(query.span.clone(), message, hint);
                }
                QuestionPart::Gap(_) => {}
            }
        }
        let api = base?;
        let api = format!("{}/api/v1/query", api.as_str().trim_end_matches('/'));
        let is_public = !self.source.is_from_environment(query);
        Some(QuestionForm::Prometheus { api: SecretUrl::new(api), query: text, is_public })
    }

    fn endpoint(&mut self, at: &At<String>) -> Option<QuestionForm> {
        let text = self.text(at)?;
        let authority = at.value.split_once("://").map_or("", |(_, rest)| rest);
        if authority.split(['/', '?', '#']).next().is_some_and(|host| host.contains("{{")) {
            let message = "what is on trial goes into the path or the query of a URL, not into its host";
            self.source.problem(at.span.clone(), message, Some(ENDPOINT.to_owned()));
            return None;
        }
        let example = text.fill(|_| Some("x".to_owned()))?;
        health::callable(self.source, &at.span, &example, ENDPOINT)?;
        Some(QuestionForm::Http(text))
    }

    /// A text with gaps.
    fn text(&mut self, at: &At<String>) -> Option<QuestionText> {
        let UnknownGap { token, name } = match QuestionText::parse(&at.value) {
            Ok(text) => {
                let differs = text.has(QuestionGap::Environment) || text.has(QuestionGap::Version);
                if self.file.compare.is_some() && !differs {
                    let hint = Some("write {{environment}} or {{version}} where the two differ".to_owned());
                    let message = "`compare` asks the same of both environments";
                    self.source.problem(at.span.clone(), message, hint);
                }
                return Some(text);
            }
            Err(unknown) => unknown,
        };
        let place = self.source.part_of(&at.span, &token);
        match name {
            Some(name) => {
                let message = format!("`{{{{{name}}}}}` stands for nothing");
                self.source.problem(place, message, Some(did_you_mean(&name, QuestionGap::NAMES)));
            }
            None => {
                let hint = Some("write {{environment}}".to_owned());
                self.source.problem(place, "`{{` without a `}}`", hint);
            }
        }
        None
    }

    /// When the figure is bad.
    fn test(&mut self) -> Option<FigureTest> {
        let MetricFile { above, below, compare, .. } = self.file;
        let places =
            [above.as_ref().map(|at| &at.span), below.as_ref().map(|at| &at.span), compare.as_ref().map(|at| &at.span)];
        if let Some(second) = places.into_iter().flatten().nth(1) {
            let hint = Some("keep one of them, or write another metric for the other".to_owned());
            self.source.problem(second.clone(), "a metric has one of `above`, `below` and `compare`", hint);
            return None;
        }
        match (above, below, compare) {
            (Some(at), ..) => Some(FigureTest::Above(at.value.0)),
            (_, Some(at), _) => Some(FigureTest::Below(at.value.0)),
            (.., Some(at)) => self.compared(at),
            _ if self.file.prometheus.is_some() => self.missing("the metric has no limit", LIMITS),
            // It says itself whether it passes.
            _ => Some(FigureTest::Pass),
        }
    }

    fn compared(&mut self, at: &At<CompareFile>) -> Option<FigureTest> {
        let CompareFile { ratio, difference } = &at.value;
        let (ratio, difference) = (number(ratio, 1.0), number(difference, 0.0));
        let refused = match (ratio, difference) {
            (ratio, _) if ratio <= 0.0 => Some("`ratio` must be more than 0"),
            (1.0, 0.0) => Some("this would take every difference between the two for bad"),
            (ratio, difference) if (ratio - 1.0) * difference < 0.0 => {
                Some("`ratio` and `difference` must both allow more, or both allow less")
            }
            _ => None,
        };
        if let Some(message) = refused {
            let hint = "write { ratio = 1.5 } for bad above 1.5 times active's, { ratio = 0.9 } for bad below nine tenths \
                        of it, or { difference = 0.01 }";
            self.source.problem(at.span.clone(), message, Some(hint.to_owned()));
            return None;
        }
        Some(FigureTest::Compared { ratio, difference, is_bad_below: ratio < 1.0 || difference < 0.0 })
    }

    fn headers(&mut self) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let mut headers = health::headers(self.source, &self.file.headers);
        let Some(at) = &self.file.token_file else { return Some(headers) };
        if headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
            let hint = Some("keep one of them".to_owned());
            self.source.problem(at.span.clone(), "`headers` already have an Authorization", hint);
        }
        store::warn_if_open(self.source, at);
        let path = beside(self.source, &at.value);
        let token = notify::secret(self.source, at, &path)?;
        let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) else {
            let hint = Some("put the token, and nothing else, in this file".to_owned());
            self.source.problem(at.span.clone(), format!("`{}` contains no token", at.value), hint);
            return None;
        };
        value.set_sensitive(true);
        headers.push((AUTHORIZATION, value));
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceConfig, routing_text};

    const GOOD: &str = "name = 'a'\nurl = 'http://x/'\nabove = 1";

    fn read(metrics: &str) -> Result<ServiceConfig, String> {
        let text = format!(
            "[service.shop]\n[service.shop.blue]\nurl = \"http://a\"\n[service.shop.green]\nurl = \"http://b\"\n\
             [[service.shop.guard.trigger]]\nname = \"errors\"\nmetric = \"error_rate\"\nabove = 5\n{metrics}\n"
        );
        let routing = routing_text("routing.toml", &text).map_err(|refused| refused.to_string())?;
        Ok(routing.services.into_iter().next().unwrap())
    }

    fn one(metric: &str) -> Result<ServiceConfig, String> {
        read(&format!("[[service.shop.guard.metric]]\n{metric}"))
    }

    #[test]
    fn a_metric_is_a_policy_and_a_question() {
        let shop =
            one("name = 'conversion'\nprometheus = 'http://prom:9090/x/'\nquery = 'up{a=\"{{environment}}\"}'\n\
             compare = { ratio = 0.9 }\nfor = '2m'\naction = 'pause'")
            .unwrap();
        let metric = OutsideMetric {
            name: "conversion".to_owned(),
            test: FigureTest::Compared { ratio: 0.9, difference: 0.0, is_bad_below: true },
            every: Millis::seconds(30),
            timeout: Millis::seconds(5),
            hold: Millis::seconds(120),
            action: TriggerAction::Pause,
        };
        assert_eq!(shop.policy.metrics, [metric]);
        let question = &shop.questions[0];
        let form = QuestionForm::Prometheus {
            api: SecretUrl::new("http://prom:9090/x/api/v1/query"),
            query: QuestionText::parse("up{a=\"{{environment}}\"}").unwrap(),
            is_public: true,
        };
        assert_eq!((question.metric.as_str(), &question.form), ("conversion", &form));
        let shop = one("name = 'smoke'\nurl = 'http://x/{{version}}'\nheaders = { x-a = 'b' }").unwrap();
        assert_eq!((shop.policy.metrics[0].test, shop.questions[0].headers.len()), (FigureTest::Pass, 1));
        assert_eq!(shop.named.triggers, ["errors", "smoke"], "nobody lays another one over it");
    }

    #[test]
    fn a_token_comes_from_a_file_and_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "t0p-s3cret\n").unwrap();
        let shop = one(&format!("{GOOD}\ntoken_file = '{}'", token.display())).unwrap();
        assert_eq!(shop.questions[0].headers[0].1.to_str().unwrap(), "Bearer t0p-s3cret");
        assert!(!format!("{shop:?}").contains("t0p-s3cret"));
    }

    #[test]
    fn what_cannot_be_asked_or_judged_is_refused_at_its_place() {
        let prometheus = |query: &str| format!("name = 'a'\nprometheus = 'http://p'\nabove = 1\nquery = '{query}'");
        let compare =
            |limit: &str| format!("name = 'a'\nurl = 'http://x/{{{{environment}}}}'\ncompare = {{ {limit} }}");
        for (metric, why) in [
            ("url = 'http://x/'".to_owned(), "the metric has no `name`"),
            (GOOD.replace("'a'", "'a b'"), "invalid name `a b`"),
            (GOOD.replace("'a'", "'errors'"), "a trigger is also named `errors`"),
            (format!("{GOOD}\n[[service.shop.guard.metric]]\n{GOOD}"), "two metrics are named `a`"),
            ("name = 'a'\nabove = 1".to_owned(), "the metric has no `prometheus` and no `url`"),
            (format!("{GOOD}\nprometheus = 'http://p'"), "a metric has one of `prometheus` and `url`"),
            (format!("{GOOD}\nquery = 'up'"), "`query` is for `prometheus`"),
            (format!("{GOOD}\nbelow = 0"), "a metric has one of `above`, `below` and `compare`"),
            ("name = 'a'\nprometheus = 'http://p'\nabove = 1".to_owned(), "the metric has no `query`"),
            ("name = 'a'\nprometheus = 'http://p'\nquery = 'up'".to_owned(), "the metric has no limit"),
            (prometheus(" "), "a query has 1 to 16384 characters"),
            (prometheus("up{a=\"{{environmnt}}\"}"), "did you mean `environment`"),
            (prometheus("up{a=\"{{environment\"}"), "`{{` without a `}}`"),
            (prometheus("up{{version}}"), "in a query, a version or a service stands in quotes"),
            (prometheus("up").replace("http://p", "http://p/?a=b"), "the server's URL ends with its path"),
            (GOOD.replace("http://x/", "ftp://x/"), "the URL is not http or https"),
            (GOOD.replace("http://x/", "http://169.254.169.254/"), "link-local addresses are never called"),
            (GOOD.replace("http://x/", "http://u:p@x/"), "a user name and password in a URL are not sent"),
            (GOOD.replace("http://x/", "http://{{environment}}.x/"), "not into its host"),
            (GOOD.replace("above = 1", "above = '5%'"), "must be a number"),
            (GOOD.replace("above = 1", "above = inf"), "must be a number"),
            (format!("{GOOD}\nevery = '10ms'"), "every"),
            (format!("{GOOD}\nheaders = {{ host = 'x' }}"), "is set by the proxy"),
            (format!("{GOOD}\ntoken_file = 'none'"), "cannot use `none`"),
            (compare("ratio = 0"), "`ratio` must be more than 0"),
            (compare("ratio = 1.0"), "every difference"),
            (compare("ratio = 1.5, difference = -1"), "must both allow more"),
            (compare("ratio = 1.5").replace("{{environment}}", ""), "`compare` asks the same of both environments"),
            (compare("factor = 1.5"), "unknown key `factor`"),
        ] {
            let refused = one(&metric).map(|_| ()).unwrap_err();
            assert!(refused.contains(why), "{metric}\n{refused}");
        }
    }
}
