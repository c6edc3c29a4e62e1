//! The story: blue serves, green gets a tenth, green breaks, green is rolled back.

use std::time::Duration;

use anyhow::Context;

use crate::cli::demo::clients::{ClientLoad, ClientTotals};
use crate::cli::demo::files::DemoFolder;
use crate::cli::demo::origins::DemoOrigin;
use crate::cli::demo::outcome::DemoOutcome;
use crate::cli::demo::view::DemoView;
use crate::serve::{self, Running};
use judgement::rollout::{Announcement, ChangeKind};
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::clock;
use sidecar::RecordedAnnouncement;

const WEIGHT: f64 = 10.0;

/// Everything that takes part.
struct Stage {
    running: Running,
    load: ClientLoad,
    green: DemoOrigin,
    news: tokio::sync::broadcast::Receiver<RecordedAnnouncement>,
}

pub fn play(rate: u32, view: &mut DemoView) -> anyhow::Result<DemoOutcome> {
    let folder = DemoFolder::make()?;
    // Clients and origins have their own runtime, so that the proxy is measured from outside.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let origins = folder.origins(&[]).await?;
        let any_port = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = folder.lay_out(&origins, any_port, any_port)?;
        let green = origins.green.clone();
        let write = |weight: f64| folder.steer(&origins, weight);
        // On another thread, because starting waits for lookups, and a runtime must not wait within itself.
        let running = tokio::task::spawn_blocking(move || serve::start(&settings)).await??;
        let proxy = *running.addresses.first().context("the proxy has no listener")?;
        let news = running.sidecar.listen();
        let load = ClientLoad::start(proxy, rate);
        let mut stage = Stage { running, load, green, news };
        let told = stage.acts(view, &write).await;
        let Stage { running, load, .. } = stage;
        let seen = load.stop().await;
        tokio::task::spawn_blocking(move || running.stop()).await?;
        told.map(|told| DemoOutcome { requests: seen.requests, failed_seen_by_clients: seen.failed, ..told })
    })
}

impl Stage {
    async fn acts(
        &mut self,
        view: &mut DemoView,
        write: &impl Fn(f64) -> anyhow::Result<()>,
    ) -> anyhow::Result<DemoOutcome> {
        self.watch(view, "blue serves everything", Millis::seconds(2)).await;
        write(WEIGHT)?;
        self.until(view, "green is deployed: weight = 10 saved in routing.toml", |stage| {
            stage.weight() == WEIGHT / 100.0
        })
        .await
        .context("the new weight did not take effect")?;
        self.watch(view, "green serves a tenth and is healthy", Millis::seconds(4)).await;
        let before = self.load.seen();
        let weight_before = self.weight() * 100.0;

        let broken_at = clock::now();
        self.green.break_down();
        view.mark("green breaks: it answers 500 to everything");
        let rollback = tokio::time::timeout(Duration::from_secs(10), self.rollback()).await.ok().flatten();
        let detected = rollback.as_ref().map(|_| clock::now().since(broken_at));
        view.mark(rollback.as_ref().map_or("there was no rollback", |news| news.text.as_str()));
        self.watch(view, "after the rollback", Millis::seconds(1)).await;
        let green_so_far = self.green.requests();
        self.watch(view, "blue serves everything again", Millis::seconds(1)).await;

        let ClientTotals { requests, failed, .. } = self.load.seen();
        let last = self.green.last_request().map(|last| last.since(broken_at));
        Ok(DemoOutcome {
            requests,
            failed_seen_by_clients: failed,
            rescued: self.rescued(),
            detection_ms: detected.map(|took| took.0),
            rollback_ms: rollback.as_ref().and(last).map(|took| took.0),
            weight_before,
            weight_after: self.weight() * 100.0,
            reason: rollback.map(|news| news.text),
            green_before: before.green,
            green_at_the_end: self.green.requests() - green_so_far,
        })
    }

    async fn watch(&mut self, view: &mut DemoView, act: &str, length: Millis) {
        let end = clock::now().plus(length);
        while clock::now() < end {
            view.draw(act, &self.running, &self.load.seen());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn until(&mut self, view: &mut DemoView, act: &str, so: impl Fn(&Stage) -> bool) -> Option<()> {
        view.mark(act);
        for _ in 0..100 {
            if so(self) {
                return Some(());
            }
            self.watch(view, act, Millis(50)).await;
        }
        None
    }

    async fn rollback(&mut self) -> Option<Announcement> {
        loop {
            let news = self.news.recv().await.ok()?.announcement;
            if news.kind == ChangeKind::Rollback {
                return Some(news);
            }
        }
    }

    /// The candidate's share, 0..1.
    fn weight(&self) -> f64 {
        let snapshot = self.running.published.load();
        snapshot.table.services().next().map_or(0.0, |(_, _, split)| split.weight.ratio())
    }

    fn rescued(&self) -> u64 {
        let routes = self.running.counters.routes();
        routes.iter().filter_map(|(_, route)| route.seen(Environment::Green)).map(|seen| seen.rescued).sum()
    }
}
