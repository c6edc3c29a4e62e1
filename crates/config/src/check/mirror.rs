//! `mirror`: copies of clients' requests to the candidate.

use crate::RoutingContext;
use crate::check::{json_path, warn_of_fraction};
use crate::file::{At, MirrorFile};
use crate::read::SourceFile;
use judgement::traffic::split::Weight;
use memory::snapshot::MirrorTerms;

/// What is copied, in basis points, if the file does not say: 5 %.
const SHARE: u16 = 500;
/// A comparison looks for each of them in every answer.
const MOST_IGNORED: usize = 100;

pub fn check(source: &mut SourceFile, typed: Option<&At<MirrorFile>>, context: &RoutingContext<'_>) -> MirrorTerms {
    let standard = Weight::from_basis_points(SHARE).unwrap_or(Weight::ZERO);
    let Some(At { value: file, span }) = typed else {
        return MirrorTerms { always: false, share: standard, ignore: Box::default() };
    };
    if context.cannot_compare {
        let message = "this Cutover was built without validation: `mirror` would compare nothing";
        source.problem(span.clone(), message, Some(NOT_BUILT.to_owned()));
    }
    if let Some(at) = file.safe_only.as_ref().filter(|at| !at.value) {
        let hint =
            "remove `safe_only`: a copy of an order is an order, and the candidate would carry it out".to_owned();
        source.problem(at.span.clone(), "only requests that change nothing can be copied", Some(hint));
    }
    let share = file.share.as_ref().map_or(standard, |at| {
        if at.value.0.is_zero() {
            let hint = Some("write share = 5, or remove `mirror`".to_owned());
            source.problem(at.span.clone(), "a share of 0 copies nothing", hint);
        }
        warn_of_fraction(source, "share", at);
        at.value.0
    });
    if let Some(at) = file.ignore.get(MOST_IGNORED) {
        let hint = Some("\"$..updated_at\" stands for every place of that name".to_owned());
        source.problem(at.span.clone(), format!("`ignore` takes at most {MOST_IGNORED} JSONPaths"), hint);
    }
    file.ignore.iter().for_each(|at| ignored(source, at));
    let ignore = file.ignore.iter().map(|at| at.value.as_str().into()).collect();
    MirrorTerms { always: true, share, ignore }
}

/// One place that is not compared.
fn ignored(source: &mut SourceFile, at: &At<String>) {
    let Some(path) = json_path(source, &at.value, &at.span) else { return };
    // Nobody has typed this name, so what finds it finds every name.
    let any = serde_json::json!({ "\u{1}": 1 });
    if !path.query(&any).is_empty() {
        let hint = Some("name what differs: \"$..updated_at\" is every member of that name".to_owned());
        let message = format!("`{}` is every document as a whole: nothing would be compared", at.value);
        source.problem(at.span.clone(), message, hint);
    }
}

/// The way out for what this Cutover cannot do.
pub const NOT_BUILT: &str = "build Cutover with `--features validation`, or remove it";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing_text;

    fn typed(line: &str) -> Result<MirrorTerms, String> {
        let text = format!(
            "[service.shop]\n{line}\n[service.shop.blue]\nurl = \"http://a.test\"\n[service.shop.green]\nurl = \"http://b.test\"\n"
        );
        let mut routing = routing_text("routing.toml", &text).map_err(|refused| refused.render(false))?;
        Ok(routing.services.remove(0).terms.mirror)
    }

    #[test]
    fn five_percent_of_the_safe_requests_are_copied_unless_the_file_says_otherwise() {
        let mirror = typed("").unwrap();
        assert_eq!((mirror.always, mirror.share.percent()), (false, 5.0), "for a plan that asks for copies");
        let mirror = typed("mirror = {}").unwrap();
        assert_eq!((mirror.always, mirror.share.percent(), mirror.ignore.len()), (true, 5.0, 0));
        let mirror = typed("mirror = { share = 0.5, safe_only = true, ignore = [\"$.time\", \"$..id\"] }").unwrap();
        assert_eq!((mirror.share.percent(), mirror.ignore.join(" ")), (0.5, "$.time $..id".to_owned()));
    }

    #[test]
    fn what_compares_nothing_in_this_build_is_refused() {
        let text = "[service.shop]\nmirror = {}\n[service.shop.blue]\nurl = \"http://a.test\"\n[service.shop.green]\n\
                    url = \"http://b.test\"\n[service.shop.rollout]\nsteps = [{ mirror = \"5m\" }, 100]\n";
        let texts = [("routing.toml".into(), text.to_owned())];
        crate::routing_texts(&texts, &RoutingContext::default()).unwrap();
        let context = RoutingContext { cannot_compare: true, ..RoutingContext::default() };
        let said = crate::routing_texts(&texts, &context).unwrap_err().render(false);
        for part in ["routing.toml:2", "routing.toml:8", "built without validation", NOT_BUILT] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn what_would_change_something_or_copy_nothing_is_refused() {
        for (line, why) in [
            ("mirror = { safe_only = false }", "a copy of an order is an order"),
            ("mirror = { share = 0 }", "copies nothing"),
            ("mirror = { share = 101 }", "from 0 to 100"),
            ("mirror = { share = 0.001 }", "write 0.01"),
            ("mirror = { ignore = [\"$.a[\"] }", "invalid JSONPath"),
            ("mirror = { ignore = [\"$.time\", \"$\"] }", "`$` is every document as a whole"),
            ("mirror = { ignore = [\"$.*\"] }", "name what differs: \"$..updated_at\""),
            ("mirror = { ignore = [\"$..*\"] }", "nothing would be compared"),
            ("mirror = { ignore = [\"$[*]\"] }", "nothing would be compared"),
            ("mirror = { ignored = [] }", "did you mean `ignore`"),
        ] {
            let said = typed(line).unwrap_err();
            assert!(said.contains(why), "{line}: {said}");
        }
    }
}
