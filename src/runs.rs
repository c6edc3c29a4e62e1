//! Validation runs. Built without the feature `validation`, there are none, and every request for one gets an error.

#[cfg(feature = "validation")]
pub use validation::runs::Runs;

#[cfg(not(feature = "validation"))]
pub use absent::{NoRuns as Runs, NotBuilt};

#[cfg(not(feature = "validation"))]
mod absent {
    use std::collections::BTreeMap;

    use judgement::rollout::SuiteRunError;
    use serde_json::Value;
    use tokio::sync::broadcast;
    use wire::{ExecutionSummary, Side};

    /// Cutover was built without validation.
    #[derive(Clone, Copy, Debug, Default, thiserror::Error)]
    #[error("this Cutover was built without validation")]
    pub struct NotBuilt;

    /// No runs at all.
    #[derive(Clone, Debug)]
    pub struct NoRuns {
        /// Nothing is ever sent: its receivers wait until the process exits.
        news: broadcast::Sender<ExecutionSummary>,
    }

    impl Default for NoRuns {
        fn default() -> NoRuns {
            NoRuns { news: broadcast::Sender::new(1) }
        }
    }

    impl NoRuns {
        pub fn move_to(&self, _: std::path::PathBuf) {}

        pub fn listen(&self) -> broadcast::Receiver<ExecutionSummary> {
            self.news.subscribe()
        }

        pub fn list(&self) -> Vec<ExecutionSummary> {
            Vec::new()
        }

        /// # Errors
        /// Always.
        pub async fn digest(&self, _: &str, _: &str) -> Result<BTreeMap<String, BTreeMap<String, Value>>, NotBuilt> {
            Err(NotBuilt)
        }

        /// # Errors
        /// The plan names a suite.
        pub fn can_gate<'n>(&self, mut suites: impl Iterator<Item = &'n String>) -> Result<(), String> {
            suites.next().map_or(Ok(()), |suite| Err(format!("the plan names suite {suite}: {NotBuilt}")))
        }

        /// # Errors
        /// Always: the rollout is held.
        pub async fn gate(&self, _: &str, _: Side, _: &[String]) -> Result<String, SuiteRunError> {
            Err(SuiteRunError::NotRun(NotBuilt.to_string()))
        }

        /// Whether shutdown has to wait for runs.
        pub fn close(&self) -> bool {
            false
        }

        pub async fn closed(&self) {}

        pub fn cut_short(&self) {}
    }
}
