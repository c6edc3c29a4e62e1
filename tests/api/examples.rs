//! The three bodies that work word for word, as somebody would type them.

use std::process::Command;

use serde_json::Value;

use super::{DEPLOYMENT, Desk, ROLLBACK, SLOW, house};
use crate::support::house::House;

/// What curl says, and its status.
fn curl(house: &House, path: &str, body: &str) -> (u16, Value) {
    let desk = Desk::admin(house);
    let out = Command::new("curl")
        .args(["-sS", "-w", "\n%{http_code}", "-H", "Content-Type: application/json"])
        .args(["-H", &format!("Authorization: Bearer {}", desk.token), "-d", body])
        .arg(format!("http://{}{path}", desk.admin))
        .output()
        .expect("curl is there");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn a_deploy_as_it_is_typed() {
    let house = house("weight = 0", SLOW);
    let (status, done) = curl(&house, DEPLOYMENT, r#"{"action":"deploy","version":"2.0.0","functions":["attempts"]}"#);
    assert_eq!(status, 200, "{done}");
    assert_eq!((&done["action"], &done["service"], &done["durable"]), (&"deploy".into(), &"shop".into(), &true.into()));
    let rollout = Desk::admin(&house).status()["rollout"].clone();
    assert_eq!((&rollout["version"], &rollout["functions"][0]), (&"2.0.0".into(), &"attempts".into()), "{rollout}");
    assert_eq!(rollout["who"], "ann");
}

#[test]
fn a_shift_as_it_is_typed() {
    let house = house("weight = 0", SLOW);
    let body = r#"{"action":"traffic_shift","from_environment":"blue","to_environment":"green","percentage":50,"gradual":true}"#;
    let (status, done) = curl(&house, DEPLOYMENT, body);
    assert_eq!(status, 200, "{done}");
    let service = Desk::admin(&house).status();
    assert_eq!((&service["weight"], &service["rollout"]["phase"]), (&10.0.into(), &"shifting".into()), "{service}");
    assert_eq!(service["rollout"]["steps"].as_array().unwrap().len(), 2, "10 and 50");
}

#[test]
fn a_rollback_as_it_is_typed() {
    let house = house("weight = 50", "");
    let body = r#"{"action":"manual_rollback","reason":"Performance issues","initiator":"admin"}"#;
    let (status, done) = curl(&house, ROLLBACK, body);
    assert_eq!(status, 200, "{done}");
    assert_eq!(house.weight(), 0);
    let entry = house.entry(judgement::rollout::ChangeKind::Rollback).change;
    assert_eq!((entry.who.as_str(), entry.from.as_deref()), ("ann", Some("127.0.0.1")));
    assert_eq!(entry.why, "Performance issues (requested by admin)");
    assert_eq!(done["entry"], entry.id);
}
