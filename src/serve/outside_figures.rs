//! Asks other systems for the figures that the guard judges, as the sidecar orders it. Nothing waits for them but the
//! steps of a rollout.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue};
use reqwest::Url;
use tokio::sync::mpsc::Receiver;

use crate::serve::figure_answers::{of_endpoint, of_prometheus};
use judgement::guard::outside_metric::{MeasuredFigures, OutsideFigure};
use judgement::rollout::MetricRequest;
use judgement::traffic::Environment;
use memory::shares::Shares;
use memory::snapshot::outside_question::{OutsideQuestion, QuestionForm, QuestionGap, in_promql, in_url};
use memory::snapshot::{ServedService, SnapshotReader};
use notify::{NoticeClient, harmless};
use sidecar::SidecarHandle;

/// The most metrics at once of one service, as the state orders them.
const AT_ONCE_EACH: usize = 4;
/// The most metrics at once of all services.
const AT_ONCE: usize = 64;
/// A longer answer is no number.
const MOST_BODY: usize = 64 << 10;

/// Answers the sidecar's questions, each apart from the others.
pub async fn ask_all(mut orders: Receiver<MetricRequest>, published: SnapshotReader, sidecar: SidecarHandle) {
    let client = Arc::new(NoticeClient::default());
    let permits = Arc::new(Shares::new(AT_ONCE_EACH, AT_ONCE));
    while let Some(order) = orders.recv().await {
        let (client, permits) = (client.clone(), permits.clone());
        let (published, sidecar) = (published.clone(), sidecar.clone());
        tokio::spawn(async move {
            let permit = permits.acquire(&order.service).await;
            let answer = asked(&client, &published, &order).await;
            drop(permit);
            if let Err(why) = &answer {
                tracing::debug!(service = order.service, metric = order.metric, why, "no figure");
            }
            sidecar.measured(order, answer);
        });
    }
}

/// The figures that an order wants: of the environment on trial, and of the other one to compare it with.
async fn asked(
    client: &NoticeClient,
    published: &SnapshotReader,
    order: &MetricRequest,
) -> Result<MeasuredFigures, String> {
    let snapshot = published.load();
    let serving = snapshot.services.iter().find(|serving| serving.name == order.service);
    let found = serving.and_then(|serving| {
        let question = serving.questions.iter().find(|question| question.metric == order.metric)?;
        Some((serving, question))
    });
    let (serving, question) = found.ok_or("the routing file no longer has it")?;
    let of = |side| Question { client, serving, question, order, side }.ask();
    if !order.compares {
        return Ok(MeasuredFigures { candidate: of(order.candidate).await?, active: None });
    }
    let sides = [order.candidate, order.candidate.other()];
    let (candidate, active) = tokio::join!(of(sides[0]), of(sides[1]));
    let named = |side: Environment| move |why| format!("{side}: {why}");
    let (candidate, active) = (candidate.map_err(named(sides[0]))?, active.map_err(named(sides[1]))?);
    Ok(MeasuredFigures { candidate, active: Some(active) })
}

/// A question about one environment.
struct Question<'q> {
    client: &'q NoticeClient,
    serving: &'q ServedService,
    question: &'q OutsideQuestion,
    order: &'q MetricRequest,
    side: Environment,
}

impl Question<'_> {
    async fn ask(self) -> Result<OutsideFigure, String> {
        let (patience, mut headers) = (self.question.timeout, headers(&self.question.headers));
        let unknown = || format!("no version is known of {} that can be asked for", self.side);
        let (url, form) = match &self.question.form {
            QuestionForm::Http(url) => {
                let url = url.fill(|gap| self.word(gap).and_then(|word| in_url(&word))).ok_or_else(unknown)?;
                (url, None)
            }
            QuestionForm::Prometheus { api, query, .. } => {
                let query = query.fill(|gap| self.word(gap).map(|word| in_promql(&word))).ok_or_else(unknown)?;
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form);
                let seconds = patience.as_duration().as_secs_f64().to_string();
                let mut body = form_urlencoded::Serializer::new(String::new());
                body.append_pair("query", &query).append_pair("timeout", &seconds);
                (api.reveal().to_owned(), Some(body.finish()))
            }
        };
        let url = Url::parse(&url).map_err(|_| "its URL is not valid".to_owned())?;
        let asked = self.client.ask(&url, headers, form, patience.as_duration(), MOST_BODY).await;
        let (status, body) = asked.map_err(|why| match why.as_str() {
            "timed out" => format!("it did not answer within {patience}"),
            _ => format!("it cannot be asked: {why}"),
        })?;
        match &self.question.form {
            QuestionForm::Http(_) => of_endpoint(status, &body),
            QuestionForm::Prometheus { is_public, .. } => of_prometheus(status, &body, |error| {
                let secrets: Vec<&str> = self.question.headers.iter().filter_map(secret).collect();
                if *is_public { harmless(error.as_bytes(), &secrets) } else { String::new() }
            }),
        }
    }

    /// What goes into a gap, if it is known.
    fn word(&self, gap: QuestionGap) -> Option<String> {
        let candidate = self.order.candidate;
        Some(match gap {
            QuestionGap::Service => self.order.service.clone(),
            QuestionGap::Environment => self.side.name().to_owned(),
            QuestionGap::Active => candidate.other().name().to_owned(),
            QuestionGap::Candidate => candidate.name().to_owned(),
            QuestionGap::Version => {
                let deployed = self.side.of(&self.order.versions).clone();
                let in_file = || Some(self.serving.terms.version(self.side)?.to_str().ok()?.to_owned());
                return deployed.or_else(in_file);
            }
        })
    }
}

fn headers(named: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    named.iter().cloned().collect()
}

/// What no message may show of a header.
fn secret((_, value): &(HeaderName, HeaderValue)) -> Option<&str> {
    let text = value.to_str().ok()?;
    Some(text.strip_prefix("Bearer ").unwrap_or(text)).filter(|text| !text.is_empty())
}
