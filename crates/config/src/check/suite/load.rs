//! `[[load]]` and `[[parity]]`.

use http::HeaderName;

use super::Reading;
use super::request::Known;
use crate::check::{one_of, positive, whole};
use crate::file::{At, LoadFile, LoadLimitsFile, Number, ParityFile, RequestFile};
use crate::suite::{LoadLimits, LoadTest, Parity, Profile, SuiteRequest};
use judgement::time::Millis;
use judgement::traffic::retry::is_safe;

/// More of them in one suite nobody waits for.
const MOST_LOADS: usize = 20;
const MOST_REQUESTS: usize = 500;
/// Requests a second: one core sends some 30,000.
const HIGHEST_RATE: f64 = 50_000.0;
/// Each has a connection, and a machine has some 28,000 ports for those to one address.
const MOST_USERS: u64 = 5000;
/// A soak over a night.
const LONGEST: Millis = Millis::seconds(12 * 3600);
const LONGEST_WARM_UP: Millis = Millis::seconds(300);
const MOST_NOISE: u64 = 10;
const COMPARED: [HeaderName; 3] = [http::header::CONTENT_TYPE, http::header::LOCATION, http::header::CACHE_CONTROL];

impl Reading<'_> {
    pub(super) fn loads(&mut self, typed: &[At<LoadFile>], known: &Known) -> Vec<LoadTest> {
        if let Some(at) = typed.get(MOST_LOADS) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_LOADS} loads"), None);
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
        let profile = file.profile.as_ref().and_then(|at| one_of(self.source, at, &Profile::ALL));
        let profile = profile.unwrap_or(Profile::Steady);
        if file.rate.is_none() {
            self.source.missing(span.clone(), "the load has no rate", "write rate = 200: requests a second");
        }
        let rate = self.rate(file.rate.as_ref(), 1.0);
        let from = self.rate(file.from.as_ref(), (rate / 10.0).max(0.1));
        if let Some(at) = file.from.as_ref().filter(|_| from >= rate) {
            self.source.problem(at.span.clone(), format!("`from` is below `rate`, which is {rate}"), None);
        }
        if let Some(at) = file.from.as_ref().filter(|_| matches!(profile, Profile::Steady | Profile::Soak)) {
            let message = format!("a {} load has one rate throughout", profile.name());
            self.source.problem(at.span.clone(), message, Some("leave `from` out".to_owned()));
        }
        let length = match &file.length {
            Some(at) => {
                let length = positive(self.source, Some(at), Millis::seconds(1));
                if length > LONGEST || length < Millis::seconds(1) {
                    self.source.problem(at.span.clone(), format!("a load lasts from 1s to {LONGEST}"), None);
                }
                length
            }
            None => {
                self.source.missing(span.clone(), "the load has no length", "write for = \"30s\"");
                Millis::seconds(1)
            }
        };
        let warm_up = crate::check::duration(self.source, file.warm_up.as_ref(), Millis::seconds(1));
        if let Some(at) = file.warm_up.as_ref().filter(|_| warm_up > LONGEST_WARM_UP) {
            self.source.problem(at.span.clone(), format!("a warm-up lasts {LONGEST_WARM_UP} at the most"), None);
        }
        let requests = self.requests(file, span, known);
        Some(LoadTest {
            name: file.name.as_ref().map_or(profile.name(), |at| at.value.as_str()).to_owned(),
            profile,
            rate,
            from,
            length,
            warm_up,
            users: whole(self.source, file.users.as_ref(), 1..=MOST_USERS, 50) as u32,
            requests,
            limits: file.limits.as_ref().map_or_else(LoadLimits::default, |at| self.limits(&at.value)),
        })
    }

    fn requests(&mut self, file: &LoadFile, span: &std::ops::Range<usize>, known: &Known) -> Vec<(u32, SuiteRequest)> {
        let single = file.path.as_ref().map(|path| At {
            value: RequestFile { path: Some(path.clone()), ..RequestFile::default() },
            span: span.clone(),
        });
        if let (Some(at), false) = (&file.path, file.request.is_empty()) {
            let message = "a load has a `path`, or requests, not both";
            self.source.problem(at.span.clone(), message, Some("move it into a [[load.request]]".to_owned()));
        }
        if single.is_none() && file.request.is_empty() {
            let hint = "write path = \"/api/attempts\", or [[load.request]]";
            self.source.missing(span.clone(), "the load asks for nothing", hint);
        }
        let mut all = Vec::new();
        self.not_too_many(&file.request);
        for at in single.iter().chain(&file.request).take(MOST_REQUESTS) {
            if let Some(capture) = at.value.capture.values().next() {
                self.source.problem(capture.span.clone(), "a load captures nothing: its requests stand alone", None);
            }
            let weight = whole(self.source, at.value.weight.as_ref(), 1..=1000, 1) as u32;
            all.extend(self.step(at, &mut known.clone()).map(|step| (weight, step)));
        }
        all
    }

    fn not_too_many(&mut self, asked: &[At<RequestFile>]) {
        if let Some(at) = asked.get(MOST_REQUESTS) {
            let hint = Some("divide it, or take a recording".to_owned());
            self.source.problem(at.span.clone(), format!("there are at most {MOST_REQUESTS} requests"), hint);
        }
    }

    fn rate(&mut self, typed: Option<&At<Number>>, default: f64) -> f64 {
        let Some(At { value: Number(rate), span }) = typed else { return default };
        if !(0.1..=HIGHEST_RATE).contains(rate) {
            let message = format!("{rate} is no rate: it is from 0.1 to {HIGHEST_RATE} requests a second");
            self.source.problem(span.clone(), message, None);
            return default;
        }
        *rate
    }

    fn limits(&mut self, file: &LoadLimitsFile) -> LoadLimits {
        let mut latency =
            |typed: &Option<At<String>>| typed.as_ref().map(|at| positive(self.source, Some(at), Millis(1)));
        let (p50, p95, p99) = (latency(&file.p50), latency(&file.p95), latency(&file.p99));
        let error_rate = file.error_rate.as_ref().map(|at| self.percent(at));
        let throughput = file.throughput.as_ref().map(|at| self.rate(Some(at), 1.0));
        LoadLimits { p50, p95, p99, error_rate, throughput }
    }

    fn percent(&mut self, At { value: Number(number), span }: &At<Number>) -> f64 {
        if !(0.0..=100.0).contains(number) {
            self.source.problem(span.clone(), format!("{number} is no percentage: it is from 0 to 100"), None);
        }
        *number
    }

    pub(super) fn parities(&mut self, typed: &[At<ParityFile>], known: &Known) -> Vec<Parity> {
        if let Some(at) = typed.get(MOST_LOADS) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_LOADS} parities"), None);
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
                let message = format!("{} would change data on both sides", step.method);
                let hint = "if that is meant, write unsafe_methods = true in this [[parity]]".to_owned();
                self.source.problem(at.span.clone(), message, Some(hint));
            }
            requests.push(step);
        }
        let recording = file.recording.as_ref().map(|at| {
            let path = crate::check::origin::beside(self.source, &at.value);
            if !path.is_file() {
                self.source.problem(at.span.clone(), format!("there is no file {}", path.display()), None);
            }
            path
        });
        if requests.is_empty() && recording.is_none() {
            let hint = "write paths = [\"/\"], [[parity.request]] or recording = \"traffic.har\"";
            self.source.missing(span.clone(), "the parity compares nothing", hint);
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
            most: whole(self.source, file.most.as_ref(), 1..=10_000, 500) as usize,
            ignore: self.paths(&file.ignore),
            headers,
            tolerance: self.tolerance(file.tolerance.as_ref()),
            noise: whole(self.source, file.noise.as_ref(), 0..=MOST_NOISE, 2) as u32,
            differing: file.differing.as_ref().map_or(0.0, |at| self.percent(at)),
            timeout: self.timeout,
        }
    }
}
