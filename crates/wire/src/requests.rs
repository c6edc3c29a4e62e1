//! What is asked: the bodies of POST and PUT. `action` says which.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RunTarget, Side};

/// The longest reason that is kept, in characters.
pub const LONGEST_WORDS: usize = 500;

/// The body of `POST /api/admin/deployment`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum DeploymentPost {
    Deploy(Deploy),
    TrafficShift(TrafficShift),
    Pause(ActionBody),
    Resume(ActionBody),
    Approve(ActionBody),
    Promote(ActionBody),
    Abort(ActionBody),
    Rollback(ActionBody),
    HealthCheck(ActionBody),
    Freeze(Freeze),
    Unfreeze(ActionBody),
    EmergencyStop(ActionBody),
    EmergencyClear(ActionBody),
}

impl DeploymentPost {
    pub const ACTIONS: [&str; 13] = [
        "deploy",
        "traffic_shift",
        "pause",
        "resume",
        "approve",
        "promote",
        "abort",
        "rollback",
        "health_check",
        "freeze",
        "unfreeze",
        "emergency_stop",
        "emergency_clear",
    ];
}

/// The body of `POST /api/admin/rollback`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum RollbackPost {
    ManualRollback(ActionBody),
    StartMonitoring(ActionBody),
    StopMonitoring(ActionBody),
    CreateSnapshot(CreateSnapshot),
    CompareSnapshots(CompareSnapshots),
}

impl RollbackPost {
    pub const ACTIONS: [&str; 5] =
        ["manual_rollback", "start_monitoring", "stop_monitoring", "create_snapshot", "compare_snapshots"];
}

/// The body of `PUT /api/admin/deployment`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum DeploymentPut {
    Rule(PutRule),
    HealthCheck(PutHealthCheck),
}

impl DeploymentPut {
    pub const ACTIONS: [&str; 2] = ["rule", "health_check"];
}

/// The body of `PUT /api/admin/rollback`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum RollbackPut {
    Trigger(PutTrigger),
    Alerting(PutAlerting),
}

impl RollbackPut {
    pub const ACTIONS: [&str; 2] = ["trigger", "alerting"];
}

/// The bodies of `POST /api/admin/validation`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ValidationPost {
    Run(RunSuite),
    Cancel(CancelRun),
}

impl ValidationPost {
    pub const ACTIONS: [&str; 2] = ["run", "cancel"];
}

/// What every action takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Plain)]
pub struct ActionBody {
    /// May be left out where there is one service. `"*"`, where an action takes it: every service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// The journal keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    /// On whose wish, where that is not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// A version sets out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// 1 to 128 printable characters without spaces.
    #[schema(pattern = "^[!-~]{1,128}$", example = "2.0.0")]
    pub version: String,
    /// The routes that it is limited to; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub functions: Vec<String>,
    /// Where the version is, if that is not where the routing file says: a deploy's permalink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub origin: Option<String>,
    /// Although it was rolled back before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Another share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficShift {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// The other one than `to_environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_environment: Option<Side>,
    pub to_environment: Side,
    /// The share of `to_environment`, with up to two decimals. Where that is the active one, the candidate gets the rest.
    #[schema(minimum = 0, maximum = 100, multiple_of = 0.01)]
    pub percentage: f64,
    /// By the steps of the plan; else at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradual: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// No deploys and no steps, until somebody unfreezes or the time has come. Rollbacks come all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$", example = "the sale")]
    pub reason: String,
    /// A time as RFC 3339, or a duration: `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "2h")]
    pub until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Keeps how a service stands, under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSnapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f]*$", example = "before 2.0.0")]
    pub name: String,
    /// The suite whose data checks say what of the data is kept: rows and checksums, and what endpoints answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub suite: Option<String>,
}

/// What differs between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareSnapshots {
    /// The id of the earlier one.
    #[schema(min_length = 1, max_length = 64)]
    pub from: String,
    #[schema(min_length = 1, max_length = 64)]
    pub to: String,
}

/// A rule over the routing file's, or instead of the one of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// As in the routing file, but for the name.
    #[schema(value_type = Object)]
    pub rule: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// A health check, on or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutHealthCheck {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// Its name in the routing file.
    #[schema(min_length = 1, max_length = 128)]
    pub check: String,
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// A trigger over the routing file's, or instead of the one of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTrigger {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// As in the routing file, but for the name.
    #[schema(value_type = Object)]
    pub trigger: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// The notices of a service, on or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAlerting {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// Runs a suite against one environment, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSuite {
    /// May be left out where the suite names one, or there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 64, example = "consolidated-functions")]
    pub suite: String,
    pub environment: RunTarget,
}

/// Ends a run of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    #[schema(min_length = 1, max_length = 64)]
    pub execution: String,
}

/// The bodies of `PUT /api/admin/validation`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ValidationPut {
    Suite(PutSuite),
}

impl ValidationPut {
    pub const ACTIONS: [&str; 1] = ["suite"];
}

/// What of a suite can be switched at run time; what is left out stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSuite {
    #[schema(min_length = 1, max_length = 64)]
    pub suite: String,
    /// `false`: nobody can run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How often it runs by itself: a duration, `off`, or `file` for what its file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32, example = "1h")]
    pub every: Option<String>,
    /// Whether it runs after every rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_rollback: Option<AfterRollback>,
}

impl PutSuite {
    /// Nothing of a suite, yet.
    pub fn of(suite: &str) -> PutSuite {
        PutSuite { suite: suite.to_owned(), enabled: None, every: None, after_rollback: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterRollback {
    On,
    Off,
    /// What the suite's file says.
    File,
}
