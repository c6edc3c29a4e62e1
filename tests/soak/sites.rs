//! Blue and green: each counts every id, and says what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;

use super::ledger::{Id, Ledger, Side};
use crate::support::origin::RUNTIME;

/// Both sites, each on the same port of two addresses: names lead now to one, now to the other.
pub struct Sites {
    pub blue: u16,
    pub green: u16,
    broken: Arc<AtomicBool>,
    at_second: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Site {
    side: Side,
    ledger: Arc<Ledger>,
    broken: Arc<AtomicBool>,
    /// Requests at this address.
    asked: Arc<AtomicU64>,
    at_second: Arc<AtomicU64>,
}

impl Sites {
    pub fn start(ledger: &Arc<Ledger>) -> Sites {
        let broken: Arc<AtomicBool> = Arc::default();
        let at_second: Arc<AtomicU64> = Arc::default();
        let start = |side| {
            let (ledger, broken, at_second) = (ledger.clone(), broken.clone(), at_second.clone());
            RUNTIME.block_on(serve(Site { side, ledger, broken, asked: Arc::default(), at_second }))
        };
        Sites {
            blue: start(Side::Blue),
            green: start(Side::Green),
            broken: broken.clone(),
            at_second: at_second.clone(),
        }
    }

    /// How often they were asked at 127.0.0.2.
    pub fn asked_at_second(&self) -> u64 {
        self.at_second.load(SeqCst)
    }

    /// From now on green fails at everything, or is well again.
    pub fn break_green(&self, broken: bool) {
        self.broken.store(broken, SeqCst);
    }
}

async fn serve(site: Site) -> u16 {
    let app = Router::new().route("/{id}", axum::routing::any(answer)).layer(DefaultBodyLimit::disable());
    let at_second = Site { asked: site.at_second.clone(), ..site.clone() };
    let bind = async |address: &str, port| {
        tokio::net::TcpListener::bind(SocketAddr::new(address.parse().unwrap(), port)).await.unwrap()
    };
    let first = bind("127.0.0.1", 0).await;
    let port = first.local_addr().unwrap().port();
    let second = bind("127.0.0.2", port).await;
    for (listener, site) in [(first, site), (second, at_second)] {
        let app = app.clone().with_state(site);
        // Ends with the test's process.
        tokio::spawn(async move { axum::serve(listener, app).await });
    }
    port
}

async fn answer(State(site): State<Site>, Path(id): Path<u64>, body: Bytes) -> (StatusCode, String) {
    let id = Id(id);
    site.asked.fetch_add(1, SeqCst);
    let fails = site.side == Side::Green && (site.broken.load(SeqCst) || id.is_hiccup());
    site.ledger.visit(id, |visits| {
        match site.side {
            Side::Blue => visits.blue += 1,
            Side::Green => visits.green += 1,
        }
        visits.failed += u8::from(fails);
        visits.is_damaged |= body != id.body();
    });
    let status = if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, id.response(site.side, &body))
}
