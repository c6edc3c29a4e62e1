//! `[[load]]` and `[[parity]]`.

mod resources;

use http::HeaderName;

use super::request::Known;
use super::{Reading, split};
use crate::check::{beside, length, whole, word};
use crate::file::values::LatencyBound;
use crate::file::{At, LoadFile, LoadLimitsFile, ParityFile, RequestFile};
use crate::suite::{LoadLimits, LoadTest, Parity, Profile, SuiteRequest};
use judgement::time::Millis;
use judgement::traffic::retry::is_safe;

/// A suite with more of them would run for too long.
const MOST_LOADS: usize = 20;
const MOST_REQUESTS: usize = 500;
const COMPARED: [HeaderName; 3] = [http::header::CONTENT_TYPE, http::header::LOCATION, http::header::CACHE_CONTROL];

impl Reading<'_> {
    pub(super) fn loads(&mut self, typed: &[At<LoadFile>], known: &Known) -> Vec<LoadTest> {
        if let Some(at) = typed.get(MOST_LOADS) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_LOADS} loads"), split());
        }
        let mut all: Vec<LoadTest> = Vec::new();
        for at in typed.iter().take(MOST_LOADS) {
            let Some(load) = self.load(at, known) else { continue };
            self.new_name(all.iter().map(|load| &load.name), &load.name, at.value.name.as_ref(), &at.span);
            all.push(load);
        }
        all
    }

    fn load(&mut self, At { value: file, span }: &At<LoadFile>, known: &Known) -> Option<LoadTest> {
        let profile = word(&file.profile).unwrap_or(Profile::Steady);
        if file.rate.is_none() {
            self.source.missing(span.clone(), "the load has no `rate`", "write rate = 200 for 200 requests a second");
        }
        if file.length.is_none() {
            self.source.missing(span.clone(), "the load has no length", "write for = \"30s\"");
        }
        let rate = file.rate.as_ref().map_or(1.0, |at| at.value.0);
        let from = file.from.as_ref().map_or((rate / 10.0).max(0.1), |at| at.value.0);
        if let Some(at) = file.from.as_ref().filter(|_| file.rate.is_some() && from >= rate) {
            let message = format!("`from` must be below `rate`, which is {rate}");
            let hint = Some("remove it for a tenth of `rate`".to_owned());
            self.source.problem(at.span.clone(), message, hint);
        }
        if let Some(at) = file.from.as_ref().filter(|_| matches!(profile, Profile::Steady | Profile::Soak)) {
            let message = format!("`from` has no effect with the profile \"{}\"", profile.name());
            self.source.problem(at.span.clone(), message, Some("remove it: the rate is constant".to_owned()));
        }
        let requests = self.requests(file, span, known);
        let resources = self.resources(file);
        Some(LoadTest {
            name: file.name.as_ref().map_or(profile.name(), |at| at.value.as_str()).to_owned(),
            profile,
            rate,
            from,
            length: length(&file.length, Millis::seconds(1)),
            warm_up: length(&file.warm_up, Millis::seconds(1)),
            users: whole(&file.users, 50) as u32,
            requests,
            resources,
            limits: file.limits.as_ref().map_or_else(LoadLimits::default, |at| limits(&at.value)),
        })
    }

    fn requests(&mut self, file: &LoadFile, span: &std::ops::Range<usize>, known: &Known) -> Vec<(u32, SuiteRequest)> {
        let single = file.path.as_ref().map(|path| At {
            value: RequestFile { path: Some(path.clone()), ..RequestFile::default() },
            span: span.clone(),
        });
        if let (Some(at), false) = (&file.path, file.request.is_empty()) {
            let message = "`path` and [[load.request]] cannot be used together";
            self.source.problem(at.span.clone(), message, Some("move the path into a [[load.request]]".to_owned()));
        }
        if single.is_none() && file.request.is_empty() {
            let hint = "write path = \"/api/attempts\"";
            self.source.missing(span.clone(), "the load has no `path` or [[load.request]]", hint);
        }
        let mut all = Vec::new();
        self.not_too_many(&file.request);
        for at in single.iter().chain(&file.request).take(MOST_REQUESTS) {
            if let Some(capture) = at.value.capture.values().next() {
                self.source.problem(
                    capture.span.clone(),
                    "`capture` has no effect in a load: its requests are independent",
                    Some("remove it, or capture in [[setup]]".to_owned()),
                );
            }
            let weight = whole(&at.value.weight, 1) as u32;
            all.extend(self.step(at, &mut known.clone()).map(|step| (weight, step)));
        }
        all
    }

    fn not_too_many(&mut self, asked: &[At<RequestFile>]) {
        if let Some(at) = asked.get(MOST_REQUESTS) {
            let hint = Some("split them up, or use a recording".to_owned());
            self.source.problem(at.span.clone(), format!("there are at most {MOST_REQUESTS} requests"), hint);
        }
    }

    pub(super) fn parities(&mut self, typed: &[At<ParityFile>], known: &Known) -> Vec<Parity> {
        if let Some(at) = typed.get(MOST_LOADS) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_LOADS} parities"), split());
        }
        let mut all: Vec<Parity> = Vec::new();
        for at in typed.iter().take(MOST_LOADS) {
            let parity = self.parity(at, known);
            self.new_name(all.iter().map(|other| &other.name), &parity.name, at.value.name.as_ref(), &at.span);
            all.push(parity);
        }
        all
    }

    fn parity(&mut self, At { value: file, span }: &At<ParityFile>, known: &Known) -> Parity {
        let unsafe_methods = file.unsafe_methods.unwrap_or(false);
        let mut requests = Vec::new();
        let single = |at: &At<String>| At {
            value: RequestFile { path: Some(at.clone()), ..RequestFile::default() },
            span: at.span.clone(),
        };
        let plain: Vec<At<RequestFile>> = file.paths.iter().map(single).collect();
        let asked: Vec<At<RequestFile>> = plain.into_iter().chain(file.request.iter().cloned()).collect();
        self.not_too_many(&asked);
        for at in asked.iter().take(MOST_REQUESTS) {
            let Some(step) = self.step(at, &mut known.clone()) else { continue };
            if !is_safe(step.method.as_str()) && !unsafe_methods {
                let message = format!("{} may change data in both environments", step.method);
                let hint = "write unsafe_methods = true in this [[parity]] to send it".to_owned();
                self.source.problem(at.span.clone(), message, Some(hint));
            }
            requests.push(step);
        }
        let recording = file.recording.as_ref().map(|at| {
            let path = beside(self.source, &at.value);
            if !path.is_file() {
                let hint = Some("name a HAR file or an access log in JSON, relative to this file".to_owned());
                let message = format!("cannot use `{}`: there is no such file", at.value);
                self.source.problem(at.span.clone(), message, hint);
            }
            path
        });
        if requests.is_empty() && recording.is_none() {
            let hint = "write paths = [\"/\"], [[parity.request]] or recording = \"traffic.har\"";
            self.source.missing(span.clone(), "the parity has no request and no recording", hint);
        }
        let headers = match &file.compare_headers {
            None => COMPARED.to_vec(),
            Some(typed) => typed.iter().filter_map(|at| self.header_name(&at.value, &at.span)).collect(),
        };
        Parity {
            name: file.name.as_ref().map_or("parity", |at| at.value.as_str()).to_owned(),
            requests,
            recording,
            sent: self.headers.clone(),
            unsafe_methods,
            most: whole(&file.most, 500) as usize,
            ignore: self.paths(&file.ignore),
            headers,
            tolerance: file.tolerance.as_ref().map_or(0.0, |at| at.value.0),
            noise: whole(&file.noise, 2) as u32,
            differing: file.differing.as_ref().map_or(0.0, |at| at.value.0),
            timeout: self.timeout,
        }
    }
}

fn limits(file: &LoadLimitsFile) -> LoadLimits {
    let latency = |typed: &Option<At<LatencyBound>>| typed.as_ref().map(|at| at.value.0);
    LoadLimits {
        p50: latency(&file.p50),
        p95: latency(&file.p95),
        p99: latency(&file.p99),
        error_rate: file.error_rate.as_ref().map(|at| at.value.0),
        throughput: file.throughput.as_ref().map(|at| at.value.0),
        cpu: file.cpu.as_ref().map(|at| at.value.0),
        memory: file.memory.as_ref().map(|at| at.value.0),
    }
}
