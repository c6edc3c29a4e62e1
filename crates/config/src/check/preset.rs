//! `preset`: what suits a platform, each number with its source. `docs/src/presets.md` has the table. Keys in the file
//! take precedence.

use http::HeaderName;

use crate::check::word;
use crate::file::{PresetName, ServiceFile};
use crate::read::SourceFile;
use judgement::time::Millis;
use memory::snapshot::{OriginSettings, OriginTimeouts, SentHost};

const MIB: u64 = 1 << 20;

/// The settings of a service whose file gives none.
#[derive(Clone, Debug)]
pub struct Preset {
    pub timeouts: OriginTimeouts,
    pub max_body: u64,
    /// The response header with the platform's request id.
    pub request_id: Option<&'static str>,
    /// What its platform routes by.
    pub host: Option<SentHost>,
    /// Its origins must be https.
    tls_only: bool,
}

impl Preset {
    const NONE: Preset =
        Preset { timeouts: OriginTimeouts::DEFAULT, max_body: 10 * MIB, request_id: None, host: None, tls_only: false };

    /// docs.netlify.com/build/functions/configuration: a synchronous function may run for 60 s (on older sites 10 s, or
    /// 26 s on demand) and accepts a buffered body of 6 MB. A little over 60 s, so that Netlify itself reports what
    /// happened to a function. Every response of its network carries x-nf-request-id.
    /// It finds the site by its Host.
    const NETLIFY: Preset = Preset {
        timeouts: OriginTimeouts { first_byte: Millis::seconds(65), ..Preset::NONE.timeouts },
        max_body: 6 * MIB,
        request_id: Some("x-nf-request-id"),
        host: Some(SentHost::Origin),
        tls_only: false,
    };

    /// docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: a function may run for 900 s and accepts a
    /// payload of 6 MB; Lambda refuses from 6,291,456 bytes on. A little over 900 s, as above. Every response of a
    /// function URL carries x-amzn-requestid, and a function is found by its Host.
    const LAMBDA_URL: Preset = Preset {
        timeouts: OriginTimeouts { first_byte: Millis::seconds(905), ..Preset::NONE.timeouts },
        max_body: 6 * MIB,
        request_id: Some("x-amzn-requestid"),
        host: Some(SentHost::Origin),
        tls_only: false,
    };

    /// Any HTTPS origin: the general defaults, the header that most frameworks use, and no plain-HTTP origin by
    /// mistake.
    const HTTPS: Preset = Preset { request_id: Some("x-request-id"), tls_only: true, ..Preset::NONE };

    pub fn of(file: &ServiceFile) -> Preset {
        match word(&file.preset) {
            None => Preset::NONE,
            Some(PresetName::Netlify) => Preset::NETLIFY,
            Some(PresetName::LambdaUrl) => Preset::LAMBDA_URL,
            Some(PresetName::Https) => Preset::HTTPS,
        }
    }

    pub fn request_id(&self) -> Option<HeaderName> {
        self.request_id.map(HeaderName::from_static)
    }

    /// Notes the origins that the preset does not fit.
    pub fn fits(&self, source: &mut SourceFile, file: &ServiceFile, origins: [Option<&OriginSettings>; 2]) {
        for (typed, origin) in [&file.blue, &file.green].into_iter().zip(origins) {
            let in_the_clear = origin.is_some_and(|origin| origin.targets.iter().any(|target| !target.tls));
            if let (Some(at), true, true) = (typed, self.tls_only, in_the_clear) {
                let urls = at.value.urls.as_ref().map(|at| &at.span);
                let span = at.value.url.as_ref().map(|at| &at.span).or(urls).unwrap_or(&at.span);
                let hint = "use https://, or remove `preset`".to_owned();
                source.problem(span.clone(), "the preset `https` needs https origins", Some(hint));
            }
        }
    }
}
