//! Two toy origins with a shop each. They answer any other request with their name, and green can be told to break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use crate::cli::demo::shop::Shop;
use judgement::time::Millis;
use memory::clock;
use parking_lot::Mutex;

/// An origin's own state. Its own requests read and write it, so a plain lock is enough.
#[derive(Debug, Default)]
struct Facts {
    broken: bool,
    requests: u64,
    last_request: Option<Millis>,
}

/// A running origin.
#[derive(Clone, Debug)]
pub struct DemoOrigin {
    name: &'static str,
    facts: Arc<Mutex<Facts>>,
}

impl DemoOrigin {
    /// Starts an origin on a free port of this host, within the current runtime.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(name: &'static str, shop: Shop) -> std::io::Result<(DemoOrigin, SocketAddr)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let origin = DemoOrigin { name, facts: Arc::default() };
        let app = shop.app().fallback_service(answering(origin.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok((origin, address))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Facts) -> T) -> T {
        act(&mut self.facts.lock())
    }

    /// From now on, every response is a 500.
    pub fn break_down(&self) {
        self.with(|facts| facts.broken = true);
    }

    pub fn requests(&self) -> u64 {
        self.with(|facts| facts.requests)
    }

    pub fn last_request(&self) -> Option<Millis> {
        self.with(|facts| facts.last_request)
    }
}

fn answering(origin: DemoOrigin) -> axum::Router {
    axum::Router::new().fallback(answer).with_state(origin)
}

async fn answer(State(origin): State<DemoOrigin>) -> impl IntoResponse {
    let (broken, number) = origin.with(|facts| {
        facts.requests += 1;
        facts.last_request = Some(clock::now());
        (facts.broken, facts.requests)
    });
    // A little work of varying length, so that there are percentiles to look at.
    tokio::time::sleep(Duration::from_millis(2 + number * 7 % 5)).await;
    let status = if broken { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    (status, origin.name)
}
