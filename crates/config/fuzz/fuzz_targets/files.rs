//! Whatever a file says, it is accepted, or refused with problems that have a place in it; and the same when it is read again.

#![no_main]

use config::read::FileProblem;
use config::{ConfigError, main_text, routing_text, suite_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A variable's value is no part of the input, and a file that is named might be read.
    let is_whole = |line: &&str| !line.contains("${") && !line.contains("_file");
    let text = &text.split_inclusive('\n').filter(is_whole).collect::<String>();
    judge(text, || routing_text("routing.toml", text).map(|read| read.warnings));
    judge(text, || main_text("cutover.toml", text).map(|read| read.warnings));
    judge(text, || suite_text("smoke", text).map(|_| Vec::new()));
});

fn judge(text: &str, read: impl Fn() -> Result<Vec<FileProblem>, ConfigError>) {
    let told = |result: Result<Vec<FileProblem>, ConfigError>| match result {
        Ok(warnings) => (true, warnings),
        Err(refused) => {
            assert!(!refused.problems.is_empty(), "refused without a reason");
            assert!(!refused.render(false).is_empty());
            (false, refused.problems)
        }
    };
    let (accepted, problems) = told(read());
    for problem in &problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len(), "{problem:?}");
        assert!(problem.line >= 1 && problem.line <= text.matches('\n').count() + 1, "{problem:?}");
        assert!(!problem.message.is_empty());
    }
    assert_eq!(told(read()), (accepted, problems), "another answer the second time");
}
