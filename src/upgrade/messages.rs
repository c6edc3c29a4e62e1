//! What the two processes say to each other. Fields that the other version does not know are passed over, and those that it
//! does not send are empty.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use judgement::rollout::HandedWatch;
use judgement::time::Millis;
use memory::counters::CountedSoFar;
use relay::origin::KnownAddresses;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    Sockets(RunningProcess),
    /// The state is nobody's now.
    Yours(HandedKnowledge),
    /// What was counted since, by requests that were under way.
    Rest(CountedSoFar),
    /// Comes with the line to an earlier process that still finishes requests.
    Earlier,
}

/// The process that is to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningProcess {
    pub process: u32,
    pub version: String,
    /// What its clock shows now.
    pub clock: Millis,
    /// Who wants it replaced.
    pub asked_by: String,
    /// Its state.
    pub state: PathBuf,
    /// Of its origins: used where a name does not resolve.
    pub addresses: KnownAddresses,
}

/// What a process knows beside its state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandedKnowledge {
    pub counted: CountedSoFar,
    /// The watch over each candidate.
    watches: BTreeMap<String, Value>,
}

impl HandedKnowledge {
    pub fn new(counted: CountedSoFar, watches: &BTreeMap<String, HandedWatch>) -> HandedKnowledge {
        let said =
            watches.iter().filter_map(|(service, watch)| Some((service.clone(), serde_json::to_value(watch).ok()?)));
        HandedKnowledge { counted, watches: said.collect() }
    }

    /// The watches that this version understands. Another one is begun anew.
    pub fn watches(self) -> BTreeMap<String, HandedWatch> {
        let understood = self.watches.into_iter().filter_map(|(service, watch)| {
            let watch = serde_json::from_value(watch);
            let watch =
                watch.inspect_err(|error| tracing::warn!(%service, %error, "the candidate's evidence begins anew"));
            Some((service, watch.ok()?))
        });
        understood.collect()
    }
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
