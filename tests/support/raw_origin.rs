//! Origins whose every byte a test decides.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use super::house::{House, shop};
use super::{SOON, wait_until};

/// An origin of one thread a connection, which is told its connection's number and writes and reads as it likes.
pub fn raw(serve: impl Fn(TcpStream, u64) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (number, tcp) in listener.incoming().flatten().enumerate() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(tcp, number as u64));
        }
    });
    address
}

/// Reads a head; false at the end of the connection.
pub fn head(tcp: &mut TcpStream) -> bool {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") {
        match tcp.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// A house whose blue is this address.
pub fn before(blue: SocketAddr, rest: &str) -> House {
    let house = House::start("weight = 0", rest);
    let text = shop(&format!("http://{blue}"), &house.green.url(), "weight = 0", rest);
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the file is in force", SOON, || house.running.published.load().generation > 1);
    house
}
