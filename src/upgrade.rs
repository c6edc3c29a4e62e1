//! A new process takes the place of the running one, and nobody who asks for a page notices.
//!
//! The running process starts the new one with one end of a pair of Unix sockets as its standard input. Over it:
//!
//! 1. Every listening socket goes over, with the connections that wait in its queue. Nothing is bound anew.
//! 2. The new process checks its files, and says that it is prepared. Until then nothing has changed.
//! 3. The running process stands still: it decides nothing, and has closed the state. It goes on to answer requests.
//! 4. The new process opens the state, answers requests, and says that it serves.
//! 5. The old one finishes what it has begun, tells what it has counted since, and ends.
//!
//! If the new process refuses, hangs or breaks before step 5, it is ended, and the running one goes on as if nothing had been.
//!
//! - `line`: messages and sockets over the pair; `messages`: what they say.
//! - `open_sockets`: what another process or a service manager has opened.
//! - `successor`: the running process's part; `predecessor`: the new one's.
//! - `earlier`: processes that were replaced, and still finish what they have begun.
//! - `door`: where `cutover upgrade` asks for it.

pub mod door;
mod earlier;
mod line;
mod messages;
mod open_sockets;
mod predecessor;
mod successor;

pub use earlier::EarlierProcesses;
pub use messages::SocketPurpose;
pub use open_sockets::OpenSockets;
pub use predecessor::{Predecessor, upgrade_remark};
pub use successor::{HeldSocket, Successor, UpgradeError, UpgradeGivingUp, UpgradeOrder, start_successor};
