//! Processes that were replaced, and still finish what they have begun: what they counted meanwhile is added when they end.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use memory::counters::Counters;

use crate::upgrade::line::Line;
use crate::upgrade::messages::FromOld;

/// How often it is looked whether this process is replaced itself.
const LOOK: Duration = Duration::from_millis(200);
/// A message that has begun to come is there in this time.
const MESSAGE: Duration = Duration::from_secs(10);

/// Those before this one.
#[derive(Debug, Default)]
pub struct EarlierProcesses(Option<Hearing>);

#[derive(Debug)]
struct Hearing {
    /// Dropped when it is enough.
    goes_on: Sender<()>,
    thread: JoinHandle<Vec<Line>>,
}

impl EarlierProcesses {
    /// Begins to hear the process at the other end, and those that it passes on.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn hear(line: Line, counters: Arc<Counters>) -> io::Result<EarlierProcesses> {
        let (goes_on, enough): (_, Receiver<()>) = channel();
        let thread = std::thread::Builder::new().name("upgrade".to_owned()).spawn(move || {
            let mut lines = vec![line];
            while !lines.is_empty() && enough.try_recv() == Err(TryRecvError::Empty) {
                Line::wait_for_any(&lines, LOOK);
                lines = lines.into_iter().flat_map(|line| heard(line, &counters)).collect();
            }
            lines
        })?;
        Ok(EarlierProcesses(Some(Hearing { goes_on, thread })))
    }

    /// Stops hearing them. Returns those that have not ended, for the next process.
    pub(super) fn pass_on(self) -> Vec<Line> {
        let Some(Hearing { goes_on, thread }) = self.0 else { return Vec::new() };
        drop(goes_on);
        thread.join().unwrap_or_default()
    }
}

/// Takes in what has come. Returns who may say more: not the process, once it has ended.
fn heard(mut line: Line, counters: &Counters) -> Vec<Line> {
    if !line.has_something() {
        return vec![line];
    }
    match line.receive(Some(MESSAGE)) {
        Ok((FromOld::Rest(counted), _)) => {
            counters.count_again(&counted, false);
            vec![line]
        }
        Ok((FromOld::Earlier, Some(socket))) => vec![line, Line::new(socket.into())],
        // If it has broken off, what it counted at its end is lost.
        _ => Vec::new(),
    }
}
