//! The verbs of the admin API in one table: where each is requested, who may use it, and what the journal records.

pub use config::admin::Role;

use judgement::rollout::ChangeKind;
use wire::{DEPLOYMENT, ROLLBACK, VALIDATION};

/// The path of the event stream.
pub const EVENTS: &str = "/api/admin/events";

/// The properties of a verb.
#[derive(Clone, Copy, Debug)]
pub struct VerbInfo {
    pub path: &'static str,
    pub method: &'static str,
    /// The `action` of a body or query, or the parameter that names what is deleted. Empty if it is not requested by
    /// name.
    pub name: &'static str,
    /// The lowest role that may use it.
    pub role: Role,
    pub scope: Scope,
    /// The kinds of journal entries that it creates.
    pub kinds: &'static [ChangeKind],
    /// Completes the sentence "may not …".
    pub words: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    OneService,
    /// Can also be applied to every service at once, as `"service": "*"`.
    EveryService,
}

macro_rules! verbs {
    ($($verb:ident: $path:ident $method:literal $name:literal, $role:ident, $scope:ident, [$($kind:ident),*], $words:literal;)+) => {
        /// Something that a caller can request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb {
            $($verb),+
        }

        impl Verb {
            pub const ALL: &[Verb] = &[$(Verb::$verb),+];

            pub const fn info(self) -> VerbInfo {
                match self {
                    $(Verb::$verb => VerbInfo {
                        path: $path,
                        method: $method,
                        name: $name,
                        role: Role::$role,
                        scope: Scope::$scope,
                        kinds: &[$(ChangeKind::$kind),*],
                        words: $words,
                    },)+
                }
            }
        }
    };
}

verbs! {
    // Deployments. The first name of a path and method is the default.
    Status: DEPLOYMENT "GET" "status", Viewer, OneService, [], "read the status";
    Health: DEPLOYMENT "GET" "health", Viewer, OneService, [], "read health checks";
    Traffic: DEPLOYMENT "GET" "traffic", Viewer, OneService, [], "read traffic";
    History: DEPLOYMENT "GET" "history", Viewer, OneService, [], "read the history";
    Plan: DEPLOYMENT "GET" "plan", Viewer, OneService, [], "read the plan";
    Mirror: DEPLOYMENT "GET" "mirror", Viewer, OneService, [], "read what copies of requests show";
    Deploy: DEPLOYMENT "POST" "deploy", Operator, OneService, [Deploy, Abort], "deploy a version";
    // A deploy whose `origin` differs from the routing file.
    DeployOrigin: DEPLOYMENT "POST" "", Admin, OneService, [Deploy], "deploy with a new origin";
    // A deploy that is frozen, and passes.
    PassFreeze: DEPLOYMENT "POST" "", Admin, OneService, [Deploy], "pass a freeze";
    TrafficShift: DEPLOYMENT "POST" "traffic_shift", Operator, OneService, [Shift, Abort], "shift traffic";
    Pause: DEPLOYMENT "POST" "pause", Operator, OneService, [Pause], "pause a rollout";
    Resume: DEPLOYMENT "POST" "resume", Operator, OneService, [Resume], "resume a rollout";
    Approve: DEPLOYMENT "POST" "approve", Operator, OneService, [Approve], "approve a step";
    Promote: DEPLOYMENT "POST" "promote", Operator, OneService, [Promote], "promote a version";
    Abort: DEPLOYMENT "POST" "abort", Operator, OneService, [Abort], "abort a rollout";
    // Everyone but a viewer may roll back and stop.
    Rollback: DEPLOYMENT "POST" "rollback", Operator, OneService, [Rollback], "roll back";
    HealthCheck: DEPLOYMENT "POST" "health_check", Operator, OneService, [], "run health checks";
    Freeze: DEPLOYMENT "POST" "freeze", Admin, EveryService, [Freeze], "freeze deploys";
    Unfreeze: DEPLOYMENT "POST" "unfreeze", Admin, EveryService, [Unfreeze], "lift a freeze";
    Hold: DEPLOYMENT "POST" "hold", Operator, OneService, [Hold], "hold requests";
    Release: DEPLOYMENT "POST" "release", Operator, OneService, [Release], "let held requests go";
    EmergencyStop: DEPLOYMENT "POST" "emergency_stop", Operator, EveryService, [Stop], "trigger an emergency stop";
    EmergencyClear: DEPLOYMENT "POST" "emergency_clear", Admin, EveryService, [Clear], "clear an emergency stop";
    PutRule: DEPLOYMENT "PUT" "rule", Admin, OneService, [Overlay], "edit rules";
    PutHealth: DEPLOYMENT "PUT" "health_check", Admin, OneService, [Overlay], "switch health checks";
    DeleteRule: DEPLOYMENT "DELETE" "rule", Admin, OneService, [Overlay], "delete rules";
    ClearOverlay: DEPLOYMENT "DELETE" "overlay", Admin, OneService, [Overlay], "clear what was added at run time";
    // The guard, rollbacks and snapshots.
    RollbackStatus: ROLLBACK "GET" "status", Viewer, OneService, [], "read the guard's status";
    RollbackHistory: ROLLBACK "GET" "history", Viewer, OneService, [], "read the history of rollbacks";
    Report: ROLLBACK "GET" "report", Viewer, OneService, [], "read the safety report";
    Snapshots: ROLLBACK "GET" "snapshots", Viewer, OneService, [], "read snapshots";
    ManualRollback: ROLLBACK "POST" "manual_rollback", Operator, OneService, [Rollback], "roll back";
    StartMonitoring: ROLLBACK "POST" "start_monitoring", Operator, OneService, [Monitoring], "switch the guard on";
    StopMonitoring: ROLLBACK "POST" "stop_monitoring", Operator, OneService, [Monitoring], "switch the guard off";
    CreateSnapshot: ROLLBACK "POST" "create_snapshot", Operator, OneService, [], "create snapshots";
    CompareSnapshots: ROLLBACK "POST" "compare_snapshots", Viewer, OneService, [], "compare snapshots";
    PutTrigger: ROLLBACK "PUT" "trigger", Admin, OneService, [Overlay], "edit triggers";
    PutAlerting: ROLLBACK "PUT" "alerting", Admin, OneService, [Alerting], "switch notices";
    DeleteTrigger: ROLLBACK "DELETE" "trigger", Admin, OneService, [Overlay], "delete triggers";
    DeleteSnapshot: ROLLBACK "DELETE" "snapshot", Admin, OneService, [], "delete snapshots";
    // Validation.
    Suites: VALIDATION "GET" "suites", Viewer, OneService, [], "read suites";
    Executions: VALIDATION "GET" "executions", Viewer, OneService, [], "read runs";
    Execution: VALIDATION "GET" "execution", Viewer, OneService, [], "read runs";
    Run: VALIDATION "POST" "run", Operator, OneService, [], "run suites";
    Cancel: VALIDATION "POST" "cancel", Operator, OneService, [], "cancel runs";
    PutSuite: VALIDATION "PUT" "suite", Admin, OneService, [], "change the settings of suites";
    DeleteExecution: VALIDATION "DELETE" "execution", Admin, OneService, [], "delete runs";
    // Everything that happens.
    Events: EVENTS "GET" "", Viewer, OneService, [], "read events";
}

impl Verb {
    /// The verb of a path and method with this name.
    pub fn find(path: &str, method: &str, name: &str) -> Option<Verb> {
        Verb::at(path, method).find(|verb| verb.info().name == name)
    }

    /// The names of a path and method, in the order of the table.
    pub fn names(path: &str, method: &str) -> Vec<&'static str> {
        Verb::at(path, method).map(|verb| verb.info().name).collect()
    }

    /// The verbs of a path and method that are requested by name.
    pub fn at(path: &str, method: &str) -> impl Iterator<Item = Verb> {
        Verb::ALL.iter().copied().filter(move |verb| {
            let info = verb.info();
            info.path == path && info.method == method && !info.name.is_empty()
        })
    }
}

/// Whether a role may use a verb.
pub fn allows(role: Role, verb: Verb) -> bool {
    role >= verb.info().role
}

#[cfg(test)]
mod tests {
    use super::Verb::*;
    use super::*;

    #[test]
    fn every_name_of_a_path_and_method_is_there_once() {
        for verb in Verb::ALL.iter().filter(|verb| !verb.info().name.is_empty()) {
            let info = verb.info();
            assert_eq!(Verb::find(info.path, info.method, info.name), Some(*verb), "{verb:?}");
        }
    }

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
            (Plan, [YES, YES, YES]),
            (Mirror, [YES, YES, YES]),
            (Deploy, [NO, YES, YES]),
            (DeployOrigin, [NO, NO, YES]),
            (PassFreeze, [NO, NO, YES]),
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
            (Hold, [NO, YES, YES]),
            (Release, [NO, YES, YES]),
            (EmergencyStop, [NO, YES, YES]),
            (EmergencyClear, [NO, NO, YES]),
            (PutRule, [NO, NO, YES]),
            (PutHealth, [NO, NO, YES]),
            (DeleteRule, [NO, NO, YES]),
            (ClearOverlay, [NO, NO, YES]),
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
            (Suites, [YES, YES, YES]),
            (Executions, [YES, YES, YES]),
            (Execution, [YES, YES, YES]),
            (Run, [NO, YES, YES]),
            (Cancel, [NO, YES, YES]),
            (PutSuite, [NO, NO, YES]),
            (DeleteExecution, [NO, NO, YES]),
            (Events, [YES, YES, YES]),
        ];
        assert_eq!(table.len(), Verb::ALL.len(), "every verb is in the table");
        for (at, (action, may)) in table.into_iter().enumerate() {
            assert_eq!(action as usize, at, "{action:?} once");
            assert_eq!([Role::Viewer, Role::Operator, Role::Admin].map(|role| allows(role, action)), may, "{action:?}");
        }
    }
}
