//! What the tests of cases and parity share: real origins on ports of their own, and the targets that lead there.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use serde_json_path::JsonPath;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::target::TestTarget;
use config::suite::{Body, Case, Expect, Parity, Suite, SuiteRequest, Via};
use judgement::time::Millis;
use memory::snapshot::Endpoint;
use wire::Side;

/// Serves until the test's runtime ends.
pub async fn serve(side: Side, app: axum::Router) -> TestTarget {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    target(side, address)
}

/// Answers every connection's first request with these bytes, and closes it.
pub async fn raw(side: Side, answer: &'static [u8]) -> TestTarget {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
        }
    });
    target(side, address)
}

pub fn target(side: Side, address: SocketAddr) -> TestTarget {
    TestTarget {
        side,
        url: format!("http://{address}"),
        endpoints: Arc::new([Endpoint::plain(address, &address.to_string())]),
        origin: Arc::new([]),
        headers: vec![],
        connector: Arc::default(),
    }
}

/// `GET /a`, with whatever else.
pub fn step(asked: &str) -> SuiteRequest {
    let (method, path) = asked.split_once(' ').unwrap();
    SuiteRequest {
        query: Vec::new(),
        name: asked.to_owned(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: path.to_owned(),
        headers: vec![],
        body: Body::None,
        timeout: Millis::seconds(30),
        expect: Expect::default(),
        capture: vec![],
    }
}

pub fn case(name: &str, steps: Vec<SuiteRequest>) -> Case {
    Case { name: name.to_owned(), tags: vec![], retries: 0, steps }
}

pub fn suite(cases: Vec<Case>) -> Suite {
    Suite {
        name: "shop".to_owned(),
        title: "Shop".to_owned(),
        service: None,
        via: Via::Origin,
        tags: vec![],
        concurrency: 4,
        every: None,
        after_rollback: false,
        variables: vec![],
        setup: vec![],
        cases,
        teardown: vec![],
        loads: vec![],
        parities: vec![],
        data: vec![],
        secrets: vec![],
        secret_names: vec![],
        warnings: vec![],
    }
}

pub fn parity(requests: Vec<SuiteRequest>) -> Parity {
    Parity {
        name: "api".to_owned(),
        requests,
        recording: None,
        sent: Vec::new(),
        unsafe_methods: false,
        most: 1000,
        ignore: vec![],
        headers: vec![],
        tolerance: 0.0,
        noise: 0,
        differing: 0.0,
        timeout: Millis::seconds(30),
    }
}

pub fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}
