//! A name server whose answers change, and which fails.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// What it says of every name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Address(Ipv4Addr),
    NoSuchName,
    ServerFailure,
    Nothing,
    Silence,
}

/// Its TTLs are a second.
pub struct NameServer {
    pub address: Ipv4Addr,
    says: Arc<Mutex<Says>>,
}

impl NameServer {
    /// On port 53 of an address of this host that nobody has, for `resolv.conf` knows no ports.
    pub fn start() -> NameServer {
        static STARTED: AtomicU8 = AtomicU8::new(1);
        let process = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 100 + STARTED.fetch_add(1, SeqCst), process[2], process[3].max(1));
        let socket = UdpSocket::bind((address, 53)).expect("root may use port 53");
        let says = Arc::new(Mutex::new(Says::Address(Ipv4Addr::LOCALHOST)));
        let answers = says.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut query) {
                let says = *answers.lock().unwrap();
                if let Some(answer) = answer(&query[..length], says) {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        NameServer { address, says }
    }

    pub fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }
}

/// The answer to a query of one question; RFC 1035 4.1.
fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let labels_end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(12..labels_end + 5)?;
    let is_ipv4 = query[labels_end + 1..labels_end + 3] == [0, 1];
    let (code, address) = match says {
        Says::Address(address) if is_ipv4 => (0, Some(address)),
        Says::Address(_) | Says::Nothing => (0, None),
        Says::NoSuchName => (3, None),
        Says::ServerFailure => (2, None),
        Says::Silence => return None,
    };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
