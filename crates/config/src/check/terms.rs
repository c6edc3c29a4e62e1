//! What a service grants and tells: `max_body`, `expose`, versions, edits of heads.

use http::HeaderValue;

use crate::check::edits;
use crate::check::preset::Preset;
use crate::check::size::size;
use crate::file::{At, EnvironmentFile, ServiceFile};
use crate::read::SourceFile;
use memory::snapshot::ServiceTerms;

/// As a tag of a release.
const LONGEST_VERSION: usize = 128;

pub fn check(source: &mut SourceFile, file: &ServiceFile, preset: &Preset) -> ServiceTerms {
    ServiceTerms {
        max_body: size(source, file.max_body.as_ref(), preset.max_body),
        origin_request_id: preset.request_id(),
        expose: file.expose.unwrap_or(false),
        versions: [version(source, file.blue.as_ref()), version(source, file.green.as_ref())],
        edits: edits::of_routes(source, file),
    }
}

fn version(source: &mut SourceFile, typed: Option<&At<EnvironmentFile>>) -> Option<HeaderValue> {
    let at = typed?.value.version.as_ref()?;
    let plain = at.value.bytes().all(|byte| byte.is_ascii_graphic());
    if at.value.is_empty() || at.value.len() > LONGEST_VERSION || !plain {
        let hint = format!("visible ASCII without spaces, at most {LONGEST_VERSION} of them: \"2.0.0\"");
        source.problem(at.span.clone(), format!("{:?} is not a version", at.value), Some(hint));
        return None;
    }
    HeaderValue::from_str(&at.value).ok()
}
