//! `[[service.NAME.rollout.gate]]`: when another system is asked, how, and what its answers mean.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use url::Url;

use crate::check::{PLAIN_NAME, beside, health, is_plain_name, length, notify, store, whole, word};
use crate::file::{At, GateFile, ServiceFile};
use crate::read::SourceFile;
use judgement::rollout::gate_hook::GateHook;
use judgement::rollout::gates::RolloutGate;
use judgement::time::Millis;
use memory::snapshot::gate_call::GateCall;
use memory::snapshot::secret_url::SecretUrl;

/// More gates than this in one service are a mistake.
const MOST_GATES: usize = 32;
/// What is sent with every question should stay small.
const MOST_METADATA: usize = 64;
const URL: &str = "write url = \"https://gates.example.com/team-ok\"";
const SECRET: &str = "create one: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\" > gate.secret, and write secret_file = \"gate.secret\"";

/// The file's gates, and how each of them is asked.
pub fn all(source: &mut SourceFile, file: &ServiceFile) -> (Vec<RolloutGate>, Vec<GateCall>) {
    let typed = file.rollout.as_ref().map_or(&[][..], |at| at.value.gate.as_slice());
    let judges: Vec<&str> = file.guard.iter().flat_map(|at| at.value.names()).collect();
    if let Some(at) = typed.get(MOST_GATES) {
        let hint = Some("remove some of them".to_owned());
        source.problem(at.span.clone(), format!("a rollout has at most {MOST_GATES} gates"), hint);
    }
    let (mut gates, mut calls) = (Vec::new(), Vec::new());
    for at in typed.iter().take(MOST_GATES) {
        let mut one = TypedGate { source, file: &at.value, span: &at.span };
        if let Some((gate, call)) = one.gate(&gates, &judges) {
            gates.push(gate);
            calls.push(call);
        }
    }
    (gates, calls)
}

/// A gate as it is in the file, and where its problems go.
struct TypedGate<'t> {
    source: &'t mut SourceFile,
    file: &'t GateFile,
    span: &'t Range<usize>,
}

impl TypedGate<'_> {
    fn gate(&mut self, others: &[RolloutGate], judges: &[&str]) -> Option<(RolloutGate, GateCall)> {
        let file = self.file;
        let (name, hook) = (self.name(others, judges), self.hook());
        let (url, keys) = (self.url(), self.keys());
        let headers = health::headers(self.source, &file.headers);
        if let Some(at) = file.metadata.values().nth(MOST_METADATA) {
            let hint = Some("remove some of them".to_owned());
            self.source.problem(at.span.clone(), format!("a gate has at most {MOST_METADATA} metadata"), hint);
        }
        let (name, hook, url, keys) = (name?, hook?, url?, keys?);
        let retries = if hook.counts() || hook.is_told() { whole(&file.retries, 2) as u32 } else { 0 };
        let call = GateCall {
            gate: name.clone(),
            url: SecretUrl::new(url.as_str()),
            headers,
            keys,
            metadata: file.metadata.iter().map(|(name, at)| (name.clone(), at.value.clone())).collect(),
            timeout: length(&file.timeout, Millis::seconds(10)),
            retries,
        };
        let gate = RolloutGate {
            name,
            hook,
            host: url.origin().ascii_serialization(),
            question: question(&call),
            every: length(&file.every, Millis::seconds(10)),
            timeout: call.timeout,
            retries,
            threshold: whole(&file.threshold, 3) as u32,
            deadline: length(&file.deadline, Millis::seconds(24 * 3600)),
            on_deadline: word(&file.on_deadline).unwrap_or_default(),
        };
        Some((gate, call))
    }

    fn missing<T>(&mut self, message: &str, hint: &str) -> Option<T> {
        self.source.missing(self.span.clone(), message, hint);
        None
    }

    fn name(&mut self, others: &[RolloutGate], judges: &[&str]) -> Option<String> {
        let Some(At { value, span }) = &self.file.name else {
            return self.missing("the gate has no `name`", "write name = \"team-ok\"");
        };
        let hint = Some("rollbacks are counted by this name: make it unique".to_owned());
        if !is_plain_name(value) {
            self.source.problem(span.clone(), format!("invalid name `{value}`"), Some(PLAIN_NAME.to_owned()));
        } else if others.iter().any(|other| other.name == *value) {
            self.source.problem(span.clone(), format!("two gates are named `{value}`"), hint);
        } else if judges.contains(&value.as_str()) {
            self.source.problem(span.clone(), format!("a trigger or a metric is also named `{value}`"), hint);
        }
        Some(value.clone())
    }

    fn hook(&mut self) -> Option<GateHook> {
        let Some(hook) = word(&self.file.hook) else {
            return self.missing("the gate has no `hook`", "write hook = \"confirm-traffic-increase\"");
        };
        let GateFile { every, retries, threshold, deadline, on_deadline, .. } = self.file;
        let span = |span: Option<&Range<usize>>| span.cloned();
        for (key, at, has_effect, way_out) in [
            ("every", span(every.as_ref().map(|at| &at.span)), !hook.is_told(), "it is told once"),
            (
                "retries",
                span(retries.as_ref().map(|at| &at.span)),
                hook.counts() || hook.is_told(),
                "it is asked again in any case: see `every`",
            ),
            (
                "threshold",
                span(threshold.as_ref().map(|at| &at.span)),
                hook.counts(),
                "it applies only to \"pre-rollout\" and \"rollout\"",
            ),
            ("deadline", span(deadline.as_ref().map(|at| &at.span)), hook.confirms(), CONFIRMING),
            ("on_deadline", span(on_deadline.as_ref().map(|at| &at.span)), hook.confirms(), CONFIRMING),
        ] {
            if let Some(span) = at.filter(|_| !has_effect) {
                let message = format!("`{key}` has no effect with hook = \"{}\"", hook.name());
                self.source.problem(span, message, Some(format!("remove it: {way_out}")));
            }
        }
        Some(hook)
    }

    fn url(&mut self) -> Option<Url> {
        let Some(at) = &self.file.url else { return self.missing("the gate has no `url`", URL) };
        let url = health::callable(self.source, &at.span, &at.value, URL)?;
        if url.fragment().is_some() {
            self.source.problem(at.span.clone(), "a fragment (after #) is not sent", Some(URL.to_owned()));
        }
        Some(url)
    }

    /// The keys of the signature.
    fn keys(&mut self) -> Option<Vec<Vec<u8>>> {
        let literal = self.file.secret.as_ref().filter(|at| !self.source.is_from_environment(at));
        if let Some(at) = literal {
            self.source.conceal(&at.span);
        }
        match (&self.file.secret_file, &self.file.secret) {
            (Some(_), Some(at)) => {
                let hint = Some("keep one of them".to_owned());
                self.source.problem(at.span.clone(), "`secret_file` and `secret` cannot be used together", hint);
                None
            }
            (Some(at), None) => {
                store::warn_if_open(self.source, at);
                let path = beside(self.source, &at.value);
                let text = notify::secret(self.source, at, &path)?;
                notify::signing_keys(self.source, &at.span, &text, SECRET)
            }
            (None, Some(at)) if literal.is_some() => {
                let hint = "put it in a file and write secret_file = \"gate.secret\", or take it from the environment: \
                            \"${GATE_SECRET}\"";
                self.source.problem(at.span.clone(), "the gate's `secret` is in the file", Some(hint.to_owned()));
                None
            }
            (None, Some(at)) => notify::signing_keys(self.source, &at.span, &at.value, SECRET),
            (None, None) => self.missing(
                "the gate has no `secret_file`: its receiver could not tell real questions from forged ones",
                SECRET,
            ),
        }
    }
}

const CONFIRMING: &str = "it applies only to the confirming hooks";

/// Of all that is sent, and where to.
fn question(call: &GateCall) -> u64 {
    let GateCall { gate: _, url, headers, keys, metadata, timeout: _, retries: _ } = call;
    let mut hash = DefaultHasher::new();
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    (url.reveal(), headers, keys, metadata).hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceConfig, routing_text};
    use judgement::rollout::plan::OnFailure;

    const SECRET_TEXT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(gates: &str) -> Result<ServiceConfig, String> {
        let text = format!(
            "[service.shop]\n[service.shop.blue]\nurl = \"http://a\"\n[service.shop.green]\nurl = \"http://b\"\n\
             [[service.shop.guard.trigger]]\nname = \"errors\"\nmetric = \"error_rate\"\nabove = 5\n{gates}\n"
        );
        let routing = routing_text("routing.toml", &text).map_err(|refused| refused.to_string())?;
        Ok(routing.services.into_iter().next().unwrap())
    }

    fn one(gate: &str) -> Result<ServiceConfig, String> {
        read(&format!("[[service.shop.rollout.gate]]\n{gate}"))
    }

    /// A good gate, and the folder of its secret.
    fn good(hook: &str) -> (String, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("gate.secret");
        std::fs::write(&secret, format!("{SECRET_TEXT}\n")).unwrap();
        let text = format!(
            "name = 'a'\nhook = '{hook}'\nurl = 'https://gates.test:8443/k3y?t=s3cret'\nsecret_file = '{}'",
            secret.display()
        );
        (text, dir)
    }

    #[test]
    fn a_gate_is_a_rule_of_the_plan_and_a_call_that_shows_no_secret() {
        let (text, _dir) = good("confirm-promotion");
        let shop = one(&format!("{text}\nmetadata = {{ board = 'CHG' }}\nheaders = {{ x-team = 'shop' }}")).unwrap();
        let expected = RolloutGate {
            name: "a".to_owned(),
            hook: GateHook::ConfirmPromotion,
            host: "https://gates.test:8443".to_owned(),
            question: shop.gates[0].question,
            every: Millis::seconds(10),
            timeout: Millis::seconds(10),
            retries: 0,
            threshold: 3,
            deadline: Millis::seconds(86_400),
            on_deadline: OnFailure::Rollback,
        };
        assert_eq!(shop.gates, [expected]);
        let call = &shop.gate_calls[0];
        assert_eq!((call.keys.len(), call.headers.len(), call.metadata["board"].as_str()), (1, 1, "CHG"));
        let shown = format!("{shop:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("k3y") && !shown.contains("CHG"), "{shown}");
        let (text, _dir) = good("post-rollout");
        assert_eq!(one(&text).unwrap().gates[0].retries, 2);
    }

    #[test]
    fn whatever_is_sent_makes_another_question_of_it() {
        let (text, _dir) = good("rollout");
        let question = |text: &str| one(text).unwrap().gates[0].question;
        let before = question(&text);
        assert_eq!(question(&format!("{text}\nevery = '1m'")), before);
        for other in [
            text.replace("k3y", "key"),
            format!("{text}\nmetadata = {{ board = 'CHG' }}"),
            format!("{text}\nheaders = {{ x-team = 'shop' }}"),
        ] {
            assert_ne!(question(&other), before, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_asked_or_has_no_effect_is_refused_at_its_place() {
        let (good_one, _dir) = good("confirm-rollout");
        let of = |hook: &str, key: &str| format!("{}\n{key}", good_one.replace("confirm-rollout", hook));
        let without = |start: &str| {
            let lines: Vec<&str> = good_one.lines().filter(|line| !line.starts_with(start)).collect();
            lines.join("\n")
        };
        for (gate, why) in [
            (without("name"), "the gate has no `name`"),
            (good_one.replace("'a'", "'a b'"), "invalid name `a b`"),
            (good_one.replace("'a'", "'errors'"), "a trigger or a metric is also named `errors`"),
            (format!("{good_one}\n[[service.shop.rollout.gate]]\n{good_one}"), "two gates are named `a`"),
            (without("hook"), "the gate has no `hook`"),
            (of("confirm-rolout", ""), "did you mean `confirm-rollout`"),
            (without("url"), "the gate has no `url`"),
            (good_one.replace("https://gates.test:8443", "ftp://gates.test"), "the URL is not http or https"),
            (good_one.replace("gates.test", "169.254.169.254"), "link-local addresses are never called"),
            (good_one.replace("gates.test", "u:p@gates.test"), "a user name and password in a URL are not sent"),
            (good_one.replace("s3cret", "s#x"), "a fragment (after #) is not sent"),
            (without("secret_file"), "could not tell real questions from forged ones"),
            (format!("{}\nsecret = '{SECRET_TEXT}'", without("secret_file")), "the gate's `secret` is in the file"),
            (format!("{good_one}\nsecret = '{SECRET_TEXT}'"), "cannot be used together"),
            (of("event", "every = '1s'"), "`every` has no effect with hook = \"event\""),
            (of("rollback", "retries = 1"), "`retries` has no effect with hook = \"rollback\""),
            (of("rollback", "threshold = 1"), "`threshold` has no effect with hook = \"rollback\""),
            (of("rollout", "deadline = '1s'"), "`deadline` has no effect with hook = \"rollout\""),
            (of("rollout", "on_deadline = 'hold'"), "`on_deadline` has no effect with hook = \"rollout\""),
            (of("rollout", "threshold = 0"), "threshold"),
            (of("rollout", "every = '10ms'"), "every"),
            (of("rollout", "timeout = '2m'"), "timeout"),
            (of("rollout", "headers = { host = 'x' }"), "is set by the proxy"),
            (of("rollout", "type = 'x'"), "unknown key `type`"),
        ] {
            let refused = one(&gate).map(|_| ()).unwrap_err();
            assert!(refused.contains(why), "{gate}\n{refused}");
            assert!(!refused.contains(SECRET_TEXT), "{refused}");
        }
    }
}
