//! The admin API over real sockets: every action and its refusals, who may what, repeats, conditions, events.

mod actions;
mod document;
mod events;
mod examples;
mod fuzz;
mod hold;
mod repeats;
mod roles;
mod validation;
mod views;

use std::net::SocketAddr;

use config::MainConfig;
use config::admin::{Role, Token};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::client::{Answer, Client};
use crate::support::house::House;

const DEPLOYMENT: &str = "/api/admin/deployment";
const ROLLBACK: &str = "/api/admin/rollback";
const VALIDATION: &str = "/api/admin/validation";

const TOKENS: [(&str, Role); 3] =
    [("ann-the-admin", Role::Admin), ("otto-the-operator", Role::Operator), ("vera-the-viewer", Role::Viewer)];

/// A plan that leaves its first step only by hand, so that nothing moves by itself.
const SLOW: &str = "[service.shop.rollout]\nsteps = [10, 50, 100]\nbake = \"1h\"\n\
                    [[service.shop.route]]\nname = \"attempts\"\npath = \"/api/attempts/*\"\n";

/// Each of the tokens' owners may come in.
fn with_tokens(settings: &mut MainConfig) {
    let token = |(text, role): (&str, Role)| Token {
        name: text.split('-').next().unwrap().to_owned(),
        role,
        sha256: Sha256::digest(text.as_bytes()).into(),
        expires: None,
    };
    settings.admin_access.tokens = TOKENS.map(token).into();
}

fn house(split: &str, rest: &str) -> House {
    House::with(split, rest, with_tokens)
}

/// Somebody at the admin's door.
#[derive(Clone, Copy)]
struct Desk {
    admin: SocketAddr,
    token: &'static str,
}

/// An answer, and its body.
#[derive(Debug)]
struct Said {
    answer: Answer,
    json: Value,
}

impl Said {
    fn status(&self) -> u16 {
        self.answer.status
    }

    fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or("")
    }

    fn hint(&self) -> &str {
        self.json["error"]["hint"].as_str().unwrap_or("")
    }

    fn message(&self) -> &str {
        self.json["error"]["message"].as_str().unwrap_or("")
    }

    #[track_caller]
    fn is_done(&self) {
        assert_eq!(self.status(), 200, "{self:?}");
    }

    #[track_caller]
    fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status(), self.code()), (status, code), "{self:?}");
        assert!(!self.message().is_empty());
    }
}

impl Desk {
    fn of(house: &House, role: Role) -> Desk {
        let (token, _) = TOKENS.into_iter().find(|(_, own)| *own == role).unwrap();
        Desk { admin: house.running.admin, token }
    }

    fn admin(house: &House) -> Desk {
        Desk::of(house, Role::Admin)
    }

    fn ask(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Said {
        let host = format!("Host: {}", self.admin);
        let token = format!("Authorization: Bearer {}", self.token);
        let mut all = vec![host.as_str(), token.as_str()];
        if !body.is_empty() && !lines.iter().any(|line| line.starts_with("Content-Type")) {
            all.push("Content-Type: application/json");
        }
        all.extend(lines);
        let answer = Client::to(self.admin).request(method, path, &all, body);
        let json = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        Said { answer, json }
    }

    fn get(&self, path: &str) -> Said {
        self.ask("GET", path, &[], "")
    }

    fn post(&self, path: &str, body: &Value) -> Said {
        self.ask("POST", path, &[], &body.to_string())
    }

    /// An action without anything.
    fn act(&self, action: &str) -> Said {
        self.post(DEPLOYMENT, &json!({ "action": action }))
    }

    /// So much to green.
    fn shift(&self, percentage: f64) -> Said {
        let body = json!({ "action": "traffic_shift", "from_environment": "blue", "to_environment": "green",
                           "percentage": percentage });
        self.post(DEPLOYMENT, &body)
    }

    fn status(&self) -> Value {
        let said = self.get(DEPLOYMENT);
        said.is_done();
        said.json["services"][0].clone()
    }
}
