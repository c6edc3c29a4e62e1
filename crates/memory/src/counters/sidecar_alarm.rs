//! How failing requests wake the sidecar.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Wakes the sidecar early: rung by failing requests, heard once until the sidecar has looked.
#[derive(Debug, Default)]
pub struct SidecarAlarm(AtomicBool);

impl SidecarAlarm {
    /// True for the first who rings since the sidecar last looked: that one has to wake it.
    #[inline]
    pub fn ring(&self) -> bool {
        !self.0.load(Relaxed) && !self.0.swap(true, Relaxed)
    }

    pub fn quiet(&self) {
        self.0.store(false, Relaxed);
    }
}
