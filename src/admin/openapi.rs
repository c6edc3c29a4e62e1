//! `/openapi.json`: the machine-readable API. The bodies come from their types; which path uses which body is defined
//! here.

#![expect(
    clippy::indexing_slicing,
    reason = "of JSON: what is not there reads as null, and an object takes any field; the document is always the same, and tests/api read it"
)]

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::admin::input::{self, MOST_A_SECOND, MOST_EXACT};
use crate::admin::verb::{EVENTS, Verb};
use crate::admin::{history, plan};
use judgement::rollout::ChangeKind;
use wire::{DEPLOYMENT, EXECUTION_FORMATS, ROLLBACK, VALIDATION};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cutover",
        description = "Deployments, rollbacks and validation: status, actions and history.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(
        wire::ErrorResponse,
        wire::ActionResult,
        wire::ActionResults,
        wire::Status,
        wire::HealthReport,
        wire::Traffic,
        wire::History,
        wire::DeployPlan,
        wire::MirrorReport,
        wire::Safety,
        wire::SafetyReport,
        wire::Snapshots,
        wire::SnapshotMade,
        wire::SnapshotComparison,
        wire::JournalEvent,
        wire::DeploymentPost,
        wire::DeploymentPut,
        wire::RollbackPost,
        wire::RollbackPut,
        wire::ValidationPost,
        wire::ValidationPut,
        wire::Suites,
        wire::Executions,
        wire::Execution,
        wire::ExecutionSummary,
        wire::ExecutionDone,
        wire::SuiteSet,
    ))
)]
struct Types;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
});

pub async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// The whole document.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Types::openapi()).unwrap_or_default();
    for name in ["DeploymentPost", "DeploymentPut", "RollbackPost", "RollbackPut", "ValidationPost", "ValidationPut"] {
        tell_apart(&mut document, name);
    }
    two_directions(&mut document);
    document["openapi"] = "3.1.0".into();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer", "description": "Create one with `cutover token new`." } });
    document["security"] = json!([{ "token": [] }]);
    document["paths"] = paths();
    document
}

/// Splits the bodies of a path by their `action`: each is one object without unknown fields.
fn tell_apart(document: &mut Value, name: &str) {
    let all = document["components"]["schemas"].clone();
    let schema = &mut document["components"]["schemas"][name];
    let Some(variants) = schema["oneOf"].as_array_mut() else { return };
    let mut mapping = Map::new();
    for variant in variants.iter_mut() {
        let Some(parts) = variant["allOf"].as_array() else { continue };
        let mut whole = json!({ "type": "object", "additionalProperties": false });
        let (mut properties, mut required) = (Map::new(), vec![Value::from("action")]);
        for part in parts {
            let named = part["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            let part = named.map_or(part, |named| &all[named]);
            if let Some(text) = part["description"].as_str() {
                whole["description"] = text.into();
            }
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required
                .extend(part["required"].as_array().into_iter().flatten().filter(|name| *name != "action").cloned());
        }
        let action = properties.get("action").map(|action| action["enum"][0].clone()).unwrap_or_default();
        properties.insert("action".to_owned(), json!({ "type": "string", "const": action.clone() }));
        whole["title"] = action.clone();
        whole["properties"] = properties.into();
        whole["required"] = required.into();
        mapping.insert(action.as_str().unwrap_or("").to_owned(), Value::Null);
        *variant = whole;
    }
}

/// A shift goes from blue to green, or from green to blue.
fn two_directions(document: &mut Value) {
    let Some(variants) = document["components"]["schemas"]["DeploymentPost"]["oneOf"].as_array_mut() else { return };
    let Some(at) = variants.iter().position(|variant| variant["title"] == "traffic_shift") else { return };
    let directions = [("green", "blue"), ("blue", "green")].map(|(to, from)| {
        let mut direction = variants.get(at).cloned().unwrap_or_default();
        direction["title"] = format!("traffic_shift to {to}").into();
        direction["properties"]["to_environment"] = json!({ "type": "string", "const": to });
        direction["properties"]["from_environment"] = json!({ "enum": [from, null] });
        direction
    });
    variants.splice(at..=at, directions);
}

fn paths() -> Value {
    let changes = [404, 409, 412, 413, 415, 422];
    json!({
        DEPLOYMENT: {
            "get": operation("deployment", "The status of the services.", &viewing(&Verb::names(DEPLOYMENT, "GET"), &[&history::PARAMETERS[..], &plan::PARAMETERS].concat(), true), None,
                one_of(&["Status", "Health", "Traffic", "History", "Plan", "Mirror"], true), &[404]),
            "post": operation("deploy", "Carries out an action on a service.", &changing(), Some(("DeploymentPost", examples())),
                one_of(&["Done", "DoneEach", "Health"], true), &changes),
            "put": operation("changeRules", "Sets a rule at run time, or switches a health check on or off.", &changing(),
                Some(("DeploymentPut", json!({}))), one_of(&["Done"], true), &changes),
            "delete": operation("deleteRule", "Deletes a rule that was set at run time (`rule`), or everything that was (`overlay`).",
                &[changing(), texts(&["service", "rule", "reason"]), vec![flag("overlay")]].concat(), None, one_of(&["Done"], true), &changes),
        },
        ROLLBACK: {
            "get": operation("safety", "What the guard watches, and how it assesses it.", &viewing(&Verb::names(ROLLBACK, "GET"), &history::PARAMETERS, false), None,
                one_of(&["Safety", "History", "Report", "Snapshots"], true), &[404]),
            "post": operation("rollBack", "Rolls a service back, switches the guard on or off, and creates or compares snapshots.", &changing(),
                Some(("RollbackPost", rollback_examples())), one_of(&["Done", "SnapshotMade", "Comparison"], true), &changes),
            "put": operation("changeTriggers", "Sets a trigger at run time, or switches notices on or off.", &changing(),
                Some(("RollbackPut", json!({}))), one_of(&["Done"], true), &changes),
            "delete": operation("deleteSnapshot", "Deletes a snapshot, or a trigger that was set at run time.",
                &[changing(), texts(&["service", "snapshot", "trigger", "reason"])].concat(), None, one_of(&["Done", "SnapshotMade"], true), &changes),
        },
        VALIDATION: {
            "get": validations(),
            "post": operation("validate", "Runs a suite, or cancels a run.", &changing()[1..], Some(("ValidationPost", validation_examples())),
                one_of(&["ExecutionDone"], false), &[404, 409, 413, 415, 422]),
            "put": operation("changeSuite", "Enables or disables a suite, and sets when it runs automatically.", &[], Some(("ValidationPut", json!({}))),
                one_of(&["SuiteSet"], false), &[404, 413, 415, 422]),
            "delete": operation("deleteExecution", "Deletes a finished run.", &texts(&["execution"]), None,
                one_of(&["ExecutionDone"], false), &[404, 409]),
        },
        EVENTS: { "get": listening() },
        "/api/admin/whoami": { "get": operation("whoami", "The name and role of the token.", &[], None, object(&["name", "role"]), &[]) },
        "/openapi.json": { "get": open("openapi", "This document.", "application/json", json!({ "type": "object" })) },
        "/metrics": { "get": open("metrics", "Prometheus.", "text/plain", json!({ "type": "string" })) },
        "/livez": { "get": open("livez", "The process is running.", "text/plain", json!({ "type": "string" })) },
        "/readyz": { "get": open("readyz", "Ready to take traffic.", "text/plain", json!({ "type": "string" })) },
    })
}

type Parameters = Vec<Value>;

fn operation(
    id: &str,
    summary: &str,
    parameters: &[Value],
    body: Option<(&str, Value)>,
    done: Value,
    errors: &[u16],
) -> Value {
    let mut operation = json!({ "operationId": id, "summary": summary, "parameters": parameters });
    if let Some((name, examples)) = body {
        let content = json!({ "schema": reference(name), "examples": examples });
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": content } });
    }
    let mut responses = Map::from_iter([("200".to_owned(), done)]);
    if parameters.iter().any(|parameter| parameter["name"] == "If-None-Match") {
        responses.insert("304".to_owned(), json!({ "description": "Not modified since the given generation." }));
    }
    let always = [400, 401, 403, 405, 408, 421, 429, 500, 503];
    for status in always.iter().chain(errors) {
        responses.insert(status.to_string(), failed(*status));
    }
    operation["responses"] = responses.into();
    operation
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn failed(status: u16) -> Value {
    let description = match status {
        400 => "The request cannot be read; the message says where.",
        401 => "No token, or an invalid one.",
        403 => "The token's role does not allow it.",
        404 => "There is no such service or snapshot.",
        405 => "The path does not support this method.",
        408 => "The body was not received in time.",
        409 => "The current state does not allow it; the hint says what would.",
        412 => "The generation is not the one that `If-Match` names.",
        413 => "The body is too large.",
        415 => "The Content-Type is not application/json.",
        421 => "The Host is not one of the listener's names.",
        422 => "The request can be read, but is not valid here.",
        429 => "Too many requests: `Retry-After` says when to try again.",
        503 => "Shutting down, busy, or the journal cannot be read.",
        _ => "An internal error: see the log.",
    };
    let mut failed =
        json!({ "description": description, "content": { "application/json": { "schema": reference("Failed") } } });
    if matches!(status, 429 | 503) {
        failed["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" }, "description": "Seconds." } });
    }
    failed
}

fn one_of(names: &[&str], tagged: bool) -> Value {
    let schema = match names {
        [only] => reference(only),
        several => json!({ "oneOf": several.iter().map(|name| reference(name)).collect::<Vec<_>>() }),
    };
    let mut done = json!({ "description": "The result.", "content": { "application/json": { "schema": schema } } });
    if tagged {
        done["headers"] = json!({
            "ETag": { "schema": { "type": "string" }, "description": "The generation, in quotes." },
            "Idempotency-Replayed": { "schema": { "type": "string" }, "description": "`true` if this is a repeat of the first response." },
        });
    }
    done
}

fn object(fields: &[&str]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let schema = json!({ "type": "object", "required": fields, "properties": properties });
    json!({ "description": "The requested view.", "content": { "application/json": { "schema": schema } } })
}

/// Suites, runs, and one run: as a document, a summary or a report.
fn validations() -> Value {
    let parameters = viewing(&Verb::names(VALIDATION, "GET"), &["service", "suite", "id", "limit"], false);
    let format = json!({ "type": "string", "enum": EXECUTION_FORMATS, "default": EXECUTION_FORMATS[0] });
    let format = parameter("query", "format", format, "The format of a single execution.");
    let parameters = [parameters, vec![format]].concat();
    let mut operation = operation("validations", "Suites and their runs.", &parameters, None, Value::Null, &[404]);
    // A run's summary is part of the full document, so both schemas match it.
    let any = ["Suites", "Executions", "Execution", "ExecutionSummary"].map(reference);
    operation["responses"]["200"] = json!({ "description": "The requested view.", "content": {
        "application/json": { "schema": { "anyOf": any } },
        "text/html": { "schema": { "type": "string" } },
        "application/xml": { "schema": { "type": "string" } },
    } });
    operation
}

fn validation_examples() -> Value {
    json!({
        "run": { "value": { "action": "run", "suite": "consolidated-functions", "environment": "both" } },
    })
}

/// Paths that are open to everyone who reaches the listener.
fn open(id: &str, summary: &str, kind: &str, schema: Value) -> Value {
    let mut operation = operation(id, summary, &[], None, Value::Null, &[]);
    let content = json!({ kind: { "schema": schema } });
    operation["responses"]["200"] = json!({ "description": summary, "content": content });
    if id == "readyz" {
        operation["responses"]["503"] = json!({ "description": "Not ready; the text says why.", "content": content });
    }
    // On loopback, or with `open_metrics`, everyone may scrape.
    operation["security"] = if id == "metrics" { json!([{}, { "token": [] }]) } else { json!([]) };
    operation
}

fn listening() -> Value {
    let last = json!({ "name": "Last-Event-ID", "in": "header", "description": "Send the entries after this one first.",
        "schema": { "type": "integer", "minimum": 0, "maximum": MOST_EXACT } });
    let parameters = [texts(&["service"]), vec![number("last_event_id"), last]].concat();
    let mut operation = operation("events", "Events as they happen.", &parameters, None, Value::Null, &[404]);
    operation["responses"]["200"] = json!({
        "description": "A stream that stays open until one side closes it. `id` is the number of the journal entry, `event` its kind.",
        "content": { "text/event-stream": { "schema": reference("News") } },
    });
    operation
}

fn parameter(place: &str, name: &str, schema: Value, description: &str) -> Value {
    json!({ "name": name, "in": place, "schema": schema, "description": description })
}

fn number(name: &str) -> Value {
    let most = if name == "limit" { history::MOST } else { MOST_EXACT };
    let least = u8::from(name == "limit");
    parameter("query", name, json!({ "type": "integer", "minimum": least, "maximum": most }), about(name))
}

fn flag(name: &str) -> Value {
    parameter("query", name, json!({ "type": "boolean" }), about(name))
}

fn texts(names: &[&str]) -> Parameters {
    let schema = |name: &str| match name {
        "reason" => json!({ "type": "string", "maxLength": wire::LONGEST_WORDS, "pattern": r"^[^\x00-\x1f\x7f]*$" }),
        _ => json!({ "type": "string", "maxLength": input::longest_value(name) }),
    };
    names.iter().map(|name| parameter("query", name, schema(name), about(name))).collect()
}

fn viewing(views: &[&str], names: &[&str], tagged: bool) -> Parameters {
    let action = json!({ "type": "string", "enum": views, "default": views.first() });
    let mut all = vec![parameter("query", "action", action, "What to show.")];
    for name in names {
        all.push(match *name {
            "kind" => {
                parameter("query", name, json!({ "type": "string", "enum": ChangeKind::NAMES }), about(name))
            }
            "since" | "until" => {
                parameter("query", name, json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer", "minimum": 0, "maximum": MOST_EXACT }] }), about(name))
            }
            "before" | "after" | "limit" => number(name),
            "evidence" => flag(name),
            "rate" => {
                parameter("query", name, json!({ "type": "number", "minimum": 0, "maximum": MOST_A_SECOND }), about(name))
            }
            _ => parameter("query", name, json!({ "type": "string", "maxLength": input::longest_value(name) }), about(name)),
        });
    }
    if tagged {
        let schema = json!({ "type": "string" });
        all.push(parameter(
            "header",
            "If-None-Match",
            schema,
            "The ETag of an earlier response: 304 if nothing has changed since.",
        ));
    }
    all
}

fn about(name: &str) -> &'static str {
    match name {
        "service" => "Only this service.",
        "kind" => "Only entries of this kind.",
        "who" => "Only entries by this actor.",
        "since" | "until" => "RFC 3339, or milliseconds since 1970.",
        "before" => "Only entries older than this one: the `next` of the previous page.",
        "after" | "last_event_id" => "Only entries newer than this one.",
        "limit" => "Entries per page. Default 50.",
        "evidence" => "Include what the guard saw.",
        "version" => "The version that the plan is for.",
        "functions" => "Routes that the rollout would be limited to, with commas between them.",
        "rate" => "Requests a second to expect. Default: those of the last hour.",
        "rule" => "The name of the rule.",
        "trigger" => "The name of the trigger.",
        "suite" => "Only runs of this suite.",
        "snapshot" => "The id of the snapshot.",
        "id" | "execution" => "The id of the run.",
        "overlay" => "Remove everything that was set at run time.",
        _ => "The reason, recorded in the journal.",
    }
}

/// The headers of every request that changes something.
fn changing() -> Parameters {
    let tag = json!({ "type": "string", "pattern": r#"^(\*|"[0-9]{1,18}")$"# });
    let key = json!({ "type": "string", "pattern": "^[!-~]{1,128}$" });
    vec![
        parameter(
            "header",
            "If-Match",
            tag,
            "Act only if this is still the current generation: the ETag of a status response.",
        ),
        parameter(
            "header",
            "Idempotency-Key",
            key,
            "Repeating a request under the same key returns the first response, for a day.",
        ),
    ]
}

fn examples() -> Value {
    json!({
        "deploy": { "value": { "action": "deploy", "version": "2.0.0", "functions": ["attempts"] } },
        "traffic_shift": { "value": {
            "action": "traffic_shift", "from_environment": "blue", "to_environment": "green", "percentage": 50, "gradual": true,
        } },
        "freeze": { "value": { "action": "freeze", "reason": "the sale", "until": "2h" } },
    })
}

fn rollback_examples() -> Value {
    json!({
        "manual_rollback": { "value": { "action": "manual_rollback", "reason": "Performance issues", "initiator": "admin" } },
    })
}
