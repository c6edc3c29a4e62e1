//! A client of HTTP/2 in the clear, by prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::origin::RUNTIME;

/// A connection, with as many requests at once as there are clones of it.
#[derive(Clone)]
pub struct H2Client {
    send: SendRequest<Bytes>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct H2Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl H2Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl H2Client {
    pub fn to(address: SocketAddr) -> H2Client {
        RUNTIME.block_on(async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let (send, connection) = h2::client::handshake(tcp).await.unwrap();
            tokio::spawn(connection);
            H2Client { send }
        })
    }

    /// A GET of `http://shop.test` and this path, with these header lines.
    pub fn get(&self, path: &str, lines: &[&str]) -> H2Answer {
        RUNTIME.block_on(self.clone().ask("GET", path, lines, "")).unwrap()
    }

    pub fn request(&self, method: &str, path: &str, lines: &[&str], body: &str) -> H2Answer {
        RUNTIME.block_on(self.clone().ask(method, path, lines, body)).unwrap()
    }

    pub async fn ask(self, method: &str, path: &str, lines: &[&str], body: &str) -> Result<H2Answer, h2::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://shop.test{path}"));
        for (name, value) in lines.iter().filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        let mut send = self.send.ready().await?;
        let (answer, mut stream) = send.send_request(request.body(()).unwrap(), body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
        }
        let (head, mut rest) = answer.await?.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = rest.data().await {
            let piece = piece?;
            let _ = rest.flow_control().release_capacity(piece.len());
            body.extend_from_slice(&piece);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(H2Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}
