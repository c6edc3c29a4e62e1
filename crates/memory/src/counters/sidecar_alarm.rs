//! How failing requests wake the sidecar.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Wakes the sidecar early. Failing requests ring it, and it stays silent until the sidecar has looked.
#[derive(Debug, Default)]
pub struct SidecarAlarm(AtomicBool);

impl SidecarAlarm {
    /// True for the first to ring since the sidecar last looked, which must wake it.
    #[inline]
    pub fn ring(&self) -> bool {
        !self.0.load(Relaxed) && !self.0.swap(true, Relaxed)
    }

    pub fn quiet(&self) {
        self.0.store(false, Relaxed);
    }
}
