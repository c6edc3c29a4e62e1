//! Who may what: a viewer looks, and changes nothing.

use config::admin::Role;
use serde_json::{Value, json};

use super::{DEPLOYMENT, Desk, ROLLBACK, SLOW, VALIDATION, house};

/// Everything that changes something, as it would be taken.
fn changes() -> Vec<(&'static str, &'static str, Value)> {
    let shift = json!({ "action": "traffic_shift", "to_environment": "green", "percentage": 60 });
    let plain = [
        "pause",
        "resume",
        "approve",
        "promote",
        "abort",
        "rollback",
        "health_check",
        "unfreeze",
        "release",
        "emergency_stop",
        "emergency_clear",
    ];
    let mut all: Vec<_> = plain.into_iter().map(|action| ("POST", DEPLOYMENT, json!({ "action": action }))).collect();
    all.extend([
        ("POST", DEPLOYMENT, json!({ "action": "deploy", "version": "9" })),
        ("POST", DEPLOYMENT, json!({ "action": "deploy", "version": "9", "origin": "http://127.0.0.1:9" })),
        ("POST", DEPLOYMENT, shift),
        ("POST", DEPLOYMENT, json!({ "action": "freeze", "reason": "no" })),
        ("POST", DEPLOYMENT, json!({ "action": "hold", "for": "1s" })),
        ("PUT", DEPLOYMENT, json!({ "action": "rule", "name": "a", "rule": {} })),
        ("PUT", DEPLOYMENT, json!({ "action": "health_check", "check": "a", "enabled": false })),
        ("DELETE", "/api/admin/deployment?rule=a", Value::Null),
        ("DELETE", "/api/admin/deployment?overlay=true", Value::Null),
        ("POST", ROLLBACK, json!({ "action": "manual_rollback" })),
        ("POST", ROLLBACK, json!({ "action": "start_monitoring" })),
        ("POST", ROLLBACK, json!({ "action": "stop_monitoring" })),
        ("POST", ROLLBACK, json!({ "action": "create_snapshot", "name": "a" })),
        ("PUT", ROLLBACK, json!({ "action": "trigger", "name": "a", "trigger": {} })),
        ("PUT", ROLLBACK, json!({ "action": "alerting", "enabled": false })),
        ("DELETE", "/api/admin/rollback?snapshot=a", Value::Null),
        ("DELETE", "/api/admin/rollback?trigger=a", Value::Null),
        ("POST", VALIDATION, json!({ "action": "run", "suite": "a", "environment": "green" })),
        ("POST", VALIDATION, json!({ "action": "cancel", "execution": "1" })),
        ("PUT", VALIDATION, json!({})),
        ("DELETE", VALIDATION, Value::Null),
    ]);
    all
}

fn text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

#[test]
fn a_viewer_changes_nothing() {
    let house = house("weight = 50", SLOW);
    let viewer = Desk::of(&house, Role::Viewer);
    let before = viewer.get(DEPLOYMENT).json["generation"].clone();
    for (method, path, body) in changes() {
        viewer.ask(method, path, &[], &text(&body)).is_refused(403, "forbidden");
    }
    assert_eq!(viewer.get(DEPLOYMENT).json["generation"], before);
    assert_eq!((house.weight(), &viewer.status()["stopped"]), (5000, &false.into()));
    let snapshots = viewer.get("/api/admin/rollback?action=snapshots").json;
    assert_eq!(snapshots["snapshots"], json!([]));
}

#[test]
fn an_operator_moves_and_does_not_edit() {
    let house = house("weight = 50", SLOW);
    let operator = Desk::of(&house, Role::Operator);
    for (method, path, body) in changes() {
        let action = body["action"].as_str().unwrap_or("");
        let edits = method != "POST"
            || ["freeze", "unfreeze", "emergency_clear"].contains(&action)
            || !body["origin"].is_null();
        let said = operator.ask(method, path, &[], &text(&body));
        assert_eq!(said.code() == "forbidden", edits, "{method} {path} {body}: {said:?}");
    }
    assert_eq!(operator.status()["stopped"], true, "everyone but a viewer may stop");
}

#[test]
fn without_a_token_nobody_comes_in() {
    let house = house("weight = 50", "");
    let stranger = Desk { token: "nobody", ..Desk::admin(&house) };
    for path in [DEPLOYMENT, ROLLBACK, VALIDATION, "/api/admin/events"] {
        assert_eq!(stranger.get(path).status(), 401, "{path}");
    }
    assert_eq!(stranger.get("/openapi.json").status(), 200);
}
