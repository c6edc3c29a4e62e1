//! Buffers that a message borrows from its worker while it passes. An idle connection has none.

use std::cell::RefCell;

use http1::Head;

/// A head, and a body of 16 KiB, are read with one call.
pub const READ: usize = 18 << 10;
/// Most requests are nothing but a short head, and their clients may take long to read what they get for it.
const READ_REQUEST: usize = 4 << 10;
/// What is written at once beside a body: heads, the framing of chunks, small pieces.
const WRITE: usize = 2 << 10;
/// Buffers that a worker keeps for later, and the largest that it keeps.
const KEPT: usize = 1024;
const LARGEST: usize = 20 << 10;

/// What one end of an exchange reads into and writes from.
#[derive(Debug)]
pub struct MessageBuffers {
    /// Zeroed once; how much of it is filled is for its user to know.
    pub input: Vec<u8>,
    pub head: Head,
    pub output: Vec<u8>,
}

impl MessageBuffers {
    fn new(read: usize) -> MessageBuffers {
        MessageBuffers { input: vec![0; read], head: Head::default(), output: Vec::with_capacity(WRITE) }
    }
}

/// A worker's buffers that nobody uses.
#[derive(Debug)]
pub struct FreeBuffers {
    #[expect(clippy::vec_box, reason = "they are handed around, and a pointer is moved faster")]
    free: RefCell<Vec<Box<MessageBuffers>>>,
    /// How much a new one reads at once, in bytes.
    read: usize,
}

impl FreeBuffers {
    pub const fn of_clients() -> FreeBuffers {
        FreeBuffers { free: RefCell::new(Vec::new()), read: READ_REQUEST }
    }

    pub const fn of_origins() -> FreeBuffers {
        FreeBuffers { free: RefCell::new(Vec::new()), read: READ }
    }

    /// A buffer, made if there is none.
    pub fn take(&self) -> Box<MessageBuffers> {
        self.free.borrow_mut().pop().unwrap_or_else(|| Box::new(MessageBuffers::new(self.read)))
    }

    pub fn give_back(&self, mut buffers: Box<MessageBuffers>) {
        let mut free = self.free.borrow_mut();
        // One that a large head has made larger is freed.
        if free.len() < KEPT && buffers.input.len() <= READ && buffers.output.capacity() <= LARGEST {
            buffers.output.clear();
            buffers.head.clear();
            free.push(buffers);
        }
    }
}
