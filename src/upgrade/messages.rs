//! What the two processes say to each other. Fields that the other version does not know are passed over, and those that it
//! does not send are empty.

use std::net::SocketAddr;

use memory::counters::CountedSoFar;
use serde::{Deserialize, Serialize};

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketPurpose {
    Plain,
    Tls,
    Admin,
}

/// From the running process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromOld {
    /// Comes with a listening socket.
    Socket {
        purpose: SocketPurpose,
        /// As the file has it: with port 0 for any.
        asked: SocketAddr,
    },
    /// These were all sockets.
    Sockets,
    /// The state is nobody's now.
    Yours(CountedSoFar),
    /// What was counted since, by requests that were under way.
    Rest(CountedSoFar),
}

/// From the new process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromNew {
    /// Its files are valid, and it needs nothing but the state.
    Prepared,
    /// It answers requests.
    Serves { version: String },
    /// It cannot, and ends.
    Refused { why: String },
}
