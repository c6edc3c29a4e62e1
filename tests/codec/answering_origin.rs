//! An origin that answers with bytes of any kind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// What is sent, and whether the connection is kept behind it.
type Answer = (Vec<u8>, bool);

/// Answers a request for `/{number}` with those bytes, and one for `/after/{number}` with a field and a body of its own.
pub struct AnsweringOrigin {
    pub address: SocketAddr,
}

impl AnsweringOrigin {
    pub fn start(answers: Vec<Answer>) -> AnsweringOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<[Answer]> = answers.into();
        // Ends with the process: it holds nothing but a port.
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let (tcp, answers) = (tcp.unwrap(), answers.clone());
                std::thread::spawn(move || serve(tcp, &answers));
            }
        });
        AnsweringOrigin { address }
    }
}

fn serve(mut tcp: TcpStream, answers: &[Answer]) {
    let _ = tcp.set_nodelay(true);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap();
            let (answer, lasts) = match target.strip_prefix("/after/") {
                Some(number) => (
                    format!("HTTP/1.1 200 OK\r\nX-After: {number}\r\nContent-Length: 5\r\n\r\nafter").into_bytes(),
                    true,
                ),
                None => answers[target[1..].parse::<usize>().unwrap()].clone(),
            };
            if tcp.write_all(&answer).is_err() || !lasts {
                return;
            }
        }
        match tcp.read(&mut buffer) {
            Ok(got @ 1..) => bytes.extend_from_slice(&buffer[..got]),
            _ => return,
        }
    }
}
