//! Who may do what: every verb of the admin API, and the least role that may use it.

pub use config::admin::Role;

/// What somebody wants to do. Reading comes first, then what an operator does, then what only an admin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    // Deployment.
    Status,
    Health,
    Traffic,
    History,
    Deploy,
    /// A deploy that names another origin than the file's.
    DeployOrigin,
    TrafficShift,
    Pause,
    Resume,
    Approve,
    Promote,
    Abort,
    Rollback,
    HealthCheck,
    Freeze,
    Unfreeze,
    EmergencyStop,
    EmergencyClear,
    PutRule,
    PutHealth,
    DeleteRule,
    // Rollback.
    RollbackStatus,
    RollbackHistory,
    Report,
    Snapshots,
    ManualRollback,
    StartMonitoring,
    StopMonitoring,
    CreateSnapshot,
    CompareSnapshots,
    PutTrigger,
    PutAlerting,
    DeleteTrigger,
    DeleteSnapshot,
    ClearOverlay,
    // Validation.
    Suites,
    Executions,
    Execution,
    Run,
    Cancel,
    PutSuite,
    DeleteExecution,
    // All of it.
    Events,
    Metrics,
}

/// The least role that may.
fn least(action: Verb) -> Role {
    use Verb::*;
    match action {
        Status | Health | Traffic | History => Role::Viewer,
        RollbackStatus | RollbackHistory | Report | Snapshots | CompareSnapshots => Role::Viewer,
        Suites | Executions | Execution => Role::Viewer,
        Events | Metrics => Role::Viewer,

        Deploy | TrafficShift | Pause | Resume | Approve | Promote | Abort | HealthCheck => Role::Operator,
        // Everyone but a viewer may take back and stop.
        Rollback | ManualRollback | EmergencyStop => Role::Operator,
        StartMonitoring | StopMonitoring | CreateSnapshot => Role::Operator,
        Run | Cancel => Role::Operator,

        DeployOrigin => Role::Admin,
        Freeze | Unfreeze | EmergencyClear => Role::Admin,
        PutRule | PutHealth | PutTrigger | PutAlerting | PutSuite => Role::Admin,
        DeleteRule | DeleteTrigger | DeleteSnapshot | DeleteExecution | ClearOverlay => Role::Admin,
    }
}

/// Whether a role may do it.
pub fn allows(role: Role, action: Verb) -> bool {
    role >= least(action)
}

impl Verb {
    /// In words, for a sentence that says who may not.
    pub fn words(self) -> &'static str {
        use Verb::*;
        match self {
            Status | RollbackStatus | Health | Traffic | Report | Events | Metrics => "look",
            History | RollbackHistory => "read the history",
            Snapshots | CompareSnapshots => "read snapshots",
            Suites | Executions | Execution => "read validations",
            Deploy => "deploy",
            DeployOrigin => "deploy with a new origin",
            TrafficShift => "shift traffic",
            Pause => "pause a rollout",
            Resume => "resume a rollout",
            Approve => "approve a step",
            Promote => "promote",
            Abort => "abort a rollout",
            Rollback | ManualRollback => "roll back",
            HealthCheck => "run health checks",
            Freeze => "freeze",
            Unfreeze => "lift a freeze",
            EmergencyStop => "stop",
            EmergencyClear => "clear an emergency",
            PutRule => "edit rules",
            DeleteRule => "delete rules",
            PutHealth => "switch health checks",
            StartMonitoring | StopMonitoring => "switch the guard",
            CreateSnapshot => "make snapshots",
            DeleteSnapshot => "delete snapshots",
            PutTrigger => "edit triggers",
            DeleteTrigger => "delete triggers",
            PutAlerting => "switch alerting",
            ClearOverlay => "clear what was added at run time",
            Run | Cancel => "run suites",
            PutSuite => "edit suites",
            DeleteExecution => "delete executions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verb::*;
    use super::*;

    #[test]
    fn every_role_may_what_the_table_says_and_nothing_else() {
        const YES: bool = true;
        const NO: bool = false;
        let table = [
            // viewer, operator, admin
            (Status, [YES, YES, YES]),
            (Health, [YES, YES, YES]),
            (Traffic, [YES, YES, YES]),
            (History, [YES, YES, YES]),
            (Deploy, [NO, YES, YES]),
            (DeployOrigin, [NO, NO, YES]),
            (TrafficShift, [NO, YES, YES]),
            (Pause, [NO, YES, YES]),
            (Resume, [NO, YES, YES]),
            (Approve, [NO, YES, YES]),
            (Promote, [NO, YES, YES]),
            (Abort, [NO, YES, YES]),
            (Rollback, [NO, YES, YES]),
            (HealthCheck, [NO, YES, YES]),
            (Freeze, [NO, NO, YES]),
            (Unfreeze, [NO, NO, YES]),
            (EmergencyStop, [NO, YES, YES]),
            (EmergencyClear, [NO, NO, YES]),
            (PutRule, [NO, NO, YES]),
            (PutHealth, [NO, NO, YES]),
            (DeleteRule, [NO, NO, YES]),
            (RollbackStatus, [YES, YES, YES]),
            (RollbackHistory, [YES, YES, YES]),
            (Report, [YES, YES, YES]),
            (Snapshots, [YES, YES, YES]),
            (ManualRollback, [NO, YES, YES]),
            (StartMonitoring, [NO, YES, YES]),
            (StopMonitoring, [NO, YES, YES]),
            (CreateSnapshot, [NO, YES, YES]),
            (CompareSnapshots, [YES, YES, YES]),
            (PutTrigger, [NO, NO, YES]),
            (PutAlerting, [NO, NO, YES]),
            (DeleteTrigger, [NO, NO, YES]),
            (DeleteSnapshot, [NO, NO, YES]),
            (ClearOverlay, [NO, NO, YES]),
            (Suites, [YES, YES, YES]),
            (Executions, [YES, YES, YES]),
            (Execution, [YES, YES, YES]),
            (Run, [NO, YES, YES]),
            (Cancel, [NO, YES, YES]),
            (PutSuite, [NO, NO, YES]),
            (DeleteExecution, [NO, NO, YES]),
            (Events, [YES, YES, YES]),
            (Metrics, [YES, YES, YES]),
        ];
        assert_eq!(table.len(), Metrics as usize + 1, "every action is in the table");
        for (at, (action, may)) in table.into_iter().enumerate() {
            assert_eq!(action as usize, at, "{action:?} once");
            assert_eq!([Role::Viewer, Role::Operator, Role::Admin].map(|role| allows(role, action)), may, "{action:?}");
        }
    }
}
