//! The load generator of validation suites beside others: the same origin, the same rate, in turns, and the medians.
//!
//! `cargo run --release --example load_peers`, on a quiet machine, with oha (`cargo install --locked oha`) and wrk
//! (`apt-get install wrk`). Takes five minutes; fails where a figure is over 5 % apart.
//!
//! oha sends at a rate and, with `--latency-correction`, measures from when a request was to be sent, as a load does: it
//! is the peer for rates and latencies. wrk knows no rates: its connections ask again and again. What can be compared
//! with it is what the origin takes, at the rate that wrk came to.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, ensure};
use config::suite::{Body, Expect, LoadLimits, LoadTest, Profile, SuiteRequest};
use judgement::time::Millis;
use memory::snapshot::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use validation::{load, progress::ProgressTracker, target::TestTarget, variables::Variables};
use wire::{LoadResult, Outcome, Side};

/// Runs of each, in turns.
const RUNS: usize = 5;
/// How far medians may lie apart, relative to the peer's.
const APART: f64 = 0.05;
const SECONDS: u64 = 10;

/// Answers a second, and three quantiles of the latency in milliseconds.
type Figures = [f64; 4];

fn main() -> anyhow::Result<()> {
    // The origin has threads of its own, and every generator is alone with it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let origin = runtime.block_on(origin())?;
    let mut worst: f64 = 0.0;
    for (case, rate, users, seconds) in [
        ("100/s by 50 users", 100, 50, SECONDS),
        ("400/s by 200 users", 400, 200, SECONDS),
        ("500/s by 1,000 users", 500, 1000, SECONDS),
        // 8 users manage some 350 a second: the queue grows, and with it what each request waits.
        ("500/s by 8 users: too much", 500, 8, SECONDS / 2),
    ] {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let result = runtime.block_on(ours(origin, f64::from(rate), users, seconds))?;
            let l = &result.latency;
            mine.push([answered_a_second(&result, seconds), l.p50, l.p95, l.p99]);
            theirs.push(oha(origin, rate, users, seconds)?);
        }
        worst = worst.max(compare(case, &mine, "oha", &theirs, ["rate", "p50", "p95", "p99"]));
    }
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let figures = wrk(origin, 10)?;
        // More users than the origin is ever busy with: what is measured is the origin.
        let result = runtime.block_on(ours(origin, figures[0].round(), 40, SECONDS))?;
        let s = &result.service_time;
        mine.push([result.throughput, s.p50, s.p90, s.p99]);
        theirs.push(figures);
    }
    worst = worst.max(compare("10 connections without a rate", &mine, "wrk", &theirs, ["rate", "p50", "p90", "p99"]));
    ensure!(worst <= APART, "the figures are up to {:.1} % apart", worst * 100.0);
    Ok(())
}

/// With a long tail: 10 ms and more, as skewed as real ones. The golden ratio strews the lengths evenly, so that every
/// thousand requests meet the same ones.
async fn origin() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp, count.clone()));
        }
    });
    Ok(address)
}

async fn serve(mut tcp: TcpStream, count: Arc<AtomicU64>) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut held = Vec::new();
    while tcp.read_buf(&mut held).await? > 0 {
        while let Some(end) = memchr::memmem::find(&held, b"\r\n\r\n") {
            held.drain(..end + 4);
            let share = (count.fetch_add(1, Relaxed) as f64 * 0.618_033_988_749_895).fract();
            tokio::time::sleep(Duration::from_secs_f64(0.010 - 0.012 * (1.0 - share).ln())).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue").await?;
        }
    }
    Ok(())
}

async fn ours(origin: SocketAddr, rate: f64, users: u32, seconds: u64) -> anyhow::Result<LoadResult> {
    let target = TestTarget {
        side: Side::Green,
        url: format!("http://{origin}"),
        endpoints: Arc::new([Endpoint::plain(origin, "origin.test")]),
        origin: Arc::new([]),
        headers: Vec::new(),
        connector: Arc::default(),
    };
    let step = SuiteRequest {
        query: Vec::new(),
        name: "a".to_owned(),
        method: http::Method::GET,
        path: "/".to_owned(),
        headers: Vec::new(),
        body: Body::None,
        timeout: Millis::seconds(30),
        expect: Expect::default(),
        capture: Vec::new(),
    };
    let load = LoadTest {
        name: "peers".to_owned(),
        profile: Profile::Steady,
        rate,
        from: rate,
        length: Millis::seconds(seconds),
        warm_up: Millis::ZERO,
        users,
        requests: vec![(1, step)],
        resources: None,
        limits: LoadLimits::default(),
    };
    let result = load::run(&load, &target, None, &Variables::default(), &ProgressTracker::default()).await;
    ensure!(result.outcome == Outcome::Passed, "{:?}", result.why);
    Ok(result)
}

/// As oha counts: up to the last answer.
fn answered_a_second(result: &LoadResult, seconds: u64) -> f64 {
    result.requests as f64 * 1000.0 / (seconds as f64 * 1000.0).max(result.took_ms)
}

/// So many requests, not so many seconds: at the end of its time oha leaves requests unanswered, and out of its figures.
fn oha(origin: SocketAddr, rate: u32, users: u32, seconds: u64) -> anyhow::Result<Figures> {
    let (number, rate, users) = ((u64::from(rate) * seconds).to_string(), rate.to_string(), users.to_string());
    let options =
        ["--no-tui", "--output-format", "json", "--latency-correction", "-n", &number, "-q", &rate, "-c", &users];
    let out = Command::new("oha").args(options).arg(format!("http://{origin}")).output();
    let out = out.context("oha does not run: cargo install --locked oha")?;
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).context("oha has no report")?;
    let figure =
        |pointer: &str| found.pointer(pointer).and_then(serde_json::Value::as_f64).context("oha has no figure");
    ensure!(figure("/summary/successRate")? >= 1.0, "requests of oha failed: {found}");
    let ms = |quantile: &str| figure(&format!("/latencyPercentiles/{quantile}")).map(|seconds| seconds * 1000.0);
    Ok([figure("/summary/requestsPerSec")?, ms("p50")?, ms("p95")?, ms("p99")?])
}

/// Its report is text: `    50%   20.31ms`. It has no p95.
fn wrk(origin: SocketAddr, users: u32) -> anyhow::Result<Figures> {
    let (users, seconds) = (format!("-c{users}"), format!("-d{SECONDS}s"));
    let out = Command::new("wrk").args(["-t1", &users, &seconds, "--latency"]).arg(format!("http://{origin}")).output();
    let out = String::from_utf8(out.context("wrk does not run: apt-get install wrk")?.stdout)?;
    let after = |name: &str| {
        let found = out.lines().find_map(|line| line.trim().strip_prefix(name));
        found.map(str::trim).with_context(|| format!("no {name} in {out}"))
    };
    let ms = |name: &str| {
        let text = after(name)?.strip_suffix("ms").context("wrk measures no milliseconds")?;
        Ok::<f64, anyhow::Error>(text.parse()?)
    };
    Ok([after("Requests/sec:")?.parse()?, ms("50%")?, ms("90%")?, ms("99%")?])
}

fn median(runs: &[Figures]) -> Figures {
    std::array::from_fn(|at| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(at)).copied().collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    })
}

/// Prints the medians, and says how far they are apart.
fn compare(case: &str, ours: &[Figures], peer: &str, theirs: &[Figures], names: [&str; 4]) -> f64 {
    let (ours, theirs) = (median(ours), median(theirs));
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    for (whose, figures) in [("cutover", ours.as_slice()), (peer, &theirs), ("ratio", &ratios)] {
        let shown: Vec<String> = names.iter().zip(figures).map(|(name, value)| format!("{name} {value:9.3}")).collect();
        println!("{case:30} {whose:8} {}", shown.join("  "));
    }
    ratios.iter().map(|ratio| (ratio - 1.0).abs()).fold(0.0, f64::max)
}
