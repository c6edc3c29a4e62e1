//! The bodies of POST and PUT. Their `action` field says what is requested.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{RunTarget, Side};

/// The longest reason that is accepted, in characters.
pub const LONGEST_WORDS: usize = 500;

/// The path for deployments.
pub const DEPLOYMENT: &str = "/api/admin/deployment";
/// The path for the guard, rollbacks and snapshots.
pub const ROLLBACK: &str = "/api/admin/rollback";
/// The path for suites and their runs.
pub const VALIDATION: &str = "/api/admin/validation";

/// A request body, which knows the path that it is sent to.
pub trait RequestBody: Serialize + Sized {
    const PATH: &'static str;

    /// Reads the fields of an action; `None` if there is no such action.
    ///
    /// # Errors
    /// A field is missing, unknown or of the wrong type.
    fn read<'de, D: Deserializer<'de>>(action: &str, fields: D) -> Result<Option<Self>, D::Error>;
}

/// The bodies of one path and method, by `action`, one per line.
macro_rules! bodies {
    ($(#[$doc:meta])* $name:ident to $path:ident { $($action:tt => $variant:ident($body:ty),)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
        #[serde(tag = "action")]
        pub enum $name {
            $(#[serde(rename = $action)] $variant($body),)+
        }

        impl RequestBody for $name {
            const PATH: &'static str = $path;

            fn read<'de, D: Deserializer<'de>>(action: &str, fields: D) -> Result<Option<$name>, D::Error> {
                match action {
                    $($action => <$body>::deserialize(fields).map(|body| Some($name::$variant(body))),)+
                    _ => Ok(None),
                }
            }
        }
    };
}

bodies! {
    /// The body of `POST /api/admin/deployment`.
    DeploymentPost to DEPLOYMENT {
        "deploy" => Deploy(Deploy),
        "traffic_shift" => TrafficShift(TrafficShift),
        "pause" => Pause(ActionBody),
        "resume" => Resume(ActionBody),
        "approve" => Approve(ActionBody),
        "promote" => Promote(ActionBody),
        "abort" => Abort(ActionBody),
        "rollback" => Rollback(Rollback),
        "health_check" => HealthCheck(ActionBody),
        "freeze" => Freeze(Freeze),
        "unfreeze" => Unfreeze(ActionBody),
        "hold" => Hold(Hold),
        "release" => Release(ActionBody),
        "emergency_stop" => EmergencyStop(ActionBody),
        "emergency_clear" => EmergencyClear(ActionBody),
    }
}

bodies! {
    /// The body of `PUT /api/admin/deployment`.
    DeploymentPut to DEPLOYMENT {
        "rule" => Rule(PutRule),
        "health_check" => HealthCheck(PutHealthCheck),
    }
}

bodies! {
    /// The body of `POST /api/admin/rollback`.
    RollbackPost to ROLLBACK {
        "manual_rollback" => ManualRollback(Rollback),
        "start_monitoring" => StartMonitoring(ActionBody),
        "stop_monitoring" => StopMonitoring(ActionBody),
        "create_snapshot" => CreateSnapshot(CreateSnapshot),
        "compare_snapshots" => CompareSnapshots(CompareSnapshots),
    }
}

bodies! {
    /// The body of `PUT /api/admin/rollback`.
    RollbackPut to ROLLBACK {
        "trigger" => Trigger(PutTrigger),
        "alerting" => Alerting(PutAlerting),
    }
}

bodies! {
    /// The body of `POST /api/admin/validation`.
    ValidationPost to VALIDATION {
        "run" => Run(RunSuite),
        "cancel" => Cancel(CancelRun),
    }
}

bodies! {
    /// The body of `PUT /api/admin/validation`.
    ValidationPut to VALIDATION {
        "suite" => Suite(PutSuite),
    }
}

/// Fields that every action accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Plain)]
pub struct ActionBody {
    /// Can be left out if there is only one service. `"*"` means every service, for actions that allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// Recorded in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    /// Who asked for this, if not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Rolls back to the side that was replaced, or to an earlier version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// Can be left out if there is only one service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// A version that was deployed before: it gets all of the traffic as soon as it has answered where it was.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "named_version")]
    #[schema(pattern = "^[!-~]{1,128}$", example = "1.9.0", nullable = false)]
    pub to: Option<String>,
    /// Recorded in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    /// Who asked for this, if not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// A version that is named, and not `null` or empty: a script whose variable is not set must not roll back to wherever.
fn named_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let version = String::deserialize(deserializer)?;
    let is_one = (1..=128).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one {
        Ok(Some(version))
    } else {
        Err(D::Error::custom("not a version: 1 to 128 printable characters without spaces"))
    }
}

/// Deploys a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// 1 to 128 printable characters without spaces.
    #[schema(pattern = "^[!-~]{1,128}$", example = "2.0.0")]
    pub version: String,
    /// Limit the rollout to these routes; empty means all routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub functions: Vec<String>,
    /// The URL of this version, such as a deploy's permalink, if it differs from the routing file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub origin: Option<String>,
    /// Deploy even though this version was rolled back before, or is active already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// End the rollout that is under way, and deploy this version in its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// Promote it as soon as it has passed its preflight, without the steps of the plan: active is broken, and this mends it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rescue: bool,
    /// Deploy although it is frozen, on record. Only for admins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pass_freeze: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Changes the share of traffic that an environment gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficShift {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// The environment that is not `to_environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_environment: Option<Side>,
    pub to_environment: Side,
    /// The share of `to_environment`, with up to two decimals. If that is the active environment, the candidate gets the rest.
    #[schema(minimum = 0, maximum = 100, multiple_of = 0.01)]
    pub percentage: f64,
    /// Go through the steps of the plan instead of shifting at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradual: bool,
    /// Shift to a version although it was rolled back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Blocks deploys and rollout steps until the freeze is lifted or expires. Rollbacks still happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$", example = "the sale")]
    pub reason: String,
    /// An RFC 3339 time, or a duration such as `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "2h")]
    pub until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Has new requests of a service wait, instead of going anywhere: at most 30 s each, then they get a 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Can be left out if there is only one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    /// When the hold ends by itself: a duration from `1s` to `10m`.
    #[serde(rename = "for")]
    #[schema(max_length = 64, example = "30s")]
    pub length: String,
    /// The most requests that wait at once; others get a 503 with Retry-After. Default: 1000, which takes some 25 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub initiator: Option<String>,
}

/// Saves the state of a service under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSnapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f]*$", example = "before 2.0.0")]
    pub name: String,
    /// The suite whose data checks are included: row counts, checksums, and the responses of endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub suite: Option<String>,
}

/// Compares two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareSnapshots {
    /// The id or name of the earlier snapshot.
    #[schema(min_length = 1, max_length = 64)]
    pub from: String,
    #[schema(min_length = 1, max_length = 64)]
    pub to: String,
}

/// Adds a rule at run time, or replaces the one with that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// As in the routing file, without the name.
    #[schema(value_type = Object)]
    pub rule: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// Switches a health check on or off.
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

/// Adds a trigger at run time, or replaces the one with that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTrigger {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// As in the routing file, without the name.
    #[schema(value_type = Object)]
    pub trigger: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// Switches the notices of a service on or off.
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

/// Runs a suite against one environment or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSuite {
    /// Can be left out if the suite names a service, or if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub service: Option<String>,
    #[schema(min_length = 1, max_length = 64, example = "consolidated-functions")]
    pub suite: String,
    pub environment: RunTarget,
}

/// Cancels a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    #[schema(min_length = 1, max_length = 64)]
    pub execution: String,
}

/// The settings of a suite that can be changed at run time. Fields that are left out stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSuite {
    #[schema(min_length = 1, max_length = 64)]
    pub suite: String,
    /// `false` disables the suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How often it runs on its own: a duration, `off`, or `file` to follow the suite file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32, example = "1h")]
    pub every: Option<String>,
    /// Whether it runs after every rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_rollback: Option<AfterRollback>,
}

impl PutSuite {
    /// A change of nothing, to be filled in.
    pub fn of(suite: &str) -> PutSuite {
        PutSuite { suite: suite.to_owned(), enabled: None, every: None, after_rollback: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterRollback {
    On,
    Off,
    /// Follow the suite file.
    File,
}
