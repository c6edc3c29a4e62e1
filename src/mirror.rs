//! Copies of clients' requests to a candidate before its first client. Built without the feature `validation`, which
//! compares the answers, there are none.

use config::RoutingContext;

#[cfg(feature = "validation")]
pub use validation::mirror::{MirrorBoard, start};

/// What a routing file is checked with, without anything that is known of this process: a mirror that compares nothing is
/// refused.
pub const AS_BUILT: RoutingContext<'static> =
    RoutingContext { overlays: None, listeners: None, suites: None, cannot_compare: cfg!(not(feature = "validation")) };

#[cfg(not(feature = "validation"))]
pub use absent::{NoMirror as MirrorBoard, start};

#[cfg(not(feature = "validation"))]
mod absent {
    use memory::snapshot::{RoutingSnapshot, SnapshotReader};
    use relay::proxy::mirror::CopyQueue;
    use sidecar::SidecarHandle;
    use wire::MirrorReport;

    /// Nothing is known of any service.
    #[derive(Clone, Debug, Default)]
    pub struct NoMirror;

    impl NoMirror {
        pub fn report(&self, _: &RoutingSnapshot, _: &str) -> Option<MirrorReport> {
            None
        }
    }

    /// Nobody takes copies.
    ///
    /// # Errors
    /// Never.
    pub fn start(_: SnapshotReader, _: SidecarHandle) -> std::io::Result<(Option<CopyQueue>, NoMirror)> {
        Ok((None, NoMirror))
    }
}
