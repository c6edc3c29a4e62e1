//! The toy shop behind the demo: a few functions over an SQLite file, one shop per environment. It can be broken in the
//! ways in which releases break: a field is missing, a function is slow, a row is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as InPath, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};

use judgement::time::rfc3339;
use memory::clock;

/// Orders that exist from the beginning.
const ORDERS: u32 = 5000;
/// The one that is lost.
pub const LOST: u32 = 1234;
/// How much longer a slow function takes.
const SLOW: Duration = Duration::from_millis(400);
const TOKEN: &str = "demo-";

/// What is wrong with a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The catalog's items have no `currency`.
    MissingField,
    /// Search takes 400 ms longer.
    SlowFunction,
    /// Order 1234 is not in the database.
    LostRow,
}

/// An open shop.
#[derive(Clone, Debug)]
pub struct Shop {
    db: Arc<Mutex<Connection>>,
    faults: Arc<[Fault]>,
}

#[derive(Debug, Deserialize)]
struct Login {
    user: String,
}

#[derive(Debug, Deserialize)]
struct NewOrder {
    item: u32,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

const ITEMS: [(u32, &str, f64); 6] = [
    (1, "Tea", 4.5),
    (2, "Coffee", 6.25),
    (3, "Biscuits", 2.8),
    (4, "Sugar", 1.2),
    (5, "Honey", 7.9),
    (6, "Oat milk", 2.15),
];

impl Shop {
    /// Opens a shop over a new file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path, faults: &[Fault]) -> anyhow::Result<Shop> {
        let db = Connection::open(path)?;
        // A toy: losing its data with the machine does no harm. WAL, so that a check can read at the same time.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; DROP TABLE IF EXISTS orders; \
             CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER NOT NULL, \
             quantity INTEGER NOT NULL, total REAL NOT NULL, customer TEXT NOT NULL, created_at TEXT NOT NULL);",
        )?;
        let lost = faults.contains(&Fault::LostRow);
        db.execute_batch("BEGIN")?;
        for id in (1..=ORDERS).filter(|id| !(lost && *id == LOST)) {
            let (item, quantity) = (id % 6 + 1, id % 4 + 1);
            let created = rfc3339(1_790_000_000_000 + u64::from(id) * 60_000);
            db.execute(
                "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id,
                    item,
                    quantity,
                    price(item) * f64::from(quantity),
                    format!("customer {}", id % 97),
                    created
                ],
            )?;
        }
        db.execute_batch("COMMIT")?;
        Ok(Shop { db: Arc::new(Mutex::new(db)), faults: faults.into() })
    }

    /// Its functions.
    pub fn app(self) -> Router {
        Router::new()
            .route("/api/health", get(|| async { Json(json!({ "status": "ok" })) }))
            .route("/api/login", post(login))
            .route("/api/catalog", get(catalog))
            .route("/api/search", get(search))
            .route("/api/orders", post(order))
            .route("/api/orders/{id}", get(show).delete(cancel))
            .with_state(self)
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock()
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn item(&self, (id, name, price): (u32, &str, f64)) -> Value {
        if self.has(Fault::MissingField) {
            return json!({ "id": id, "name": name, "price": price });
        }
        json!({ "id": id, "name": name, "price": price, "currency": "EUR" })
    }
}

fn price(item: u32) -> f64 {
    ITEMS.iter().find(|(id, ..)| *id == item).map_or(0.0, |(_, _, price)| *price)
}

/// A little work, so that there are percentiles to look at.
async fn work(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn login(Json(Login { user }): Json<Login>) -> Response {
    work(2).await;
    if user.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": "who?" }))).into_response();
    }
    Json(json!({ "token": format!("{TOKEN}{user}"), "user": { "name": user } })).into_response()
}

async fn catalog(State(shop): State<Shop>) -> Json<Value> {
    work(3).await;
    let items: Vec<Value> = ITEMS.into_iter().map(|item| shop.item(item)).collect();
    Json(json!({ "items": items, "generated_at": rfc3339(clock::wall_millis()) }))
}

async fn search(State(shop): State<Shop>, Query(Search { q }): Query<Search>) -> Json<Value> {
    work(4).await;
    if shop.has(Fault::SlowFunction) {
        tokio::time::sleep(SLOW).await;
    }
    let found = ITEMS.into_iter().filter(|(_, name, _)| name.to_lowercase().contains(&q.to_lowercase()));
    Json(json!({ "query": q, "items": found.map(|item| shop.item(item)).collect::<Vec<_>>() }))
}

/// The customer that a token stands for.
fn customer(headers: &HeaderMap) -> Option<String> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    token.strip_prefix(TOKEN).map(str::to_owned)
}

fn nobody() -> Response {
    (StatusCode::UNAUTHORIZED, Json(json!({ "error": "log in first" }))).into_response()
}

async fn order(State(shop): State<Shop>, headers: HeaderMap, Json(new): Json<NewOrder>) -> Response {
    work(3).await;
    let Some(customer) = customer(&headers) else { return nobody() };
    let total = price(new.item) * f64::from(new.quantity);
    let created = rfc3339(clock::wall_millis());
    let insert = "INSERT INTO orders (item, quantity, total, customer, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let id = {
        let db = shop.db();
        match db.execute(insert, params![new.item, new.quantity, total, customer, created]) {
            Ok(_) => db.last_insert_rowid(),
            Err(error) => return failed(&error),
        }
    };
    let body = json!({ "id": id, "item": new.item, "quantity": new.quantity, "total": total, "customer": customer });
    (StatusCode::CREATED, [(header::LOCATION, format!("/api/orders/{id}"))], Json(body)).into_response()
}

async fn show(State(shop): State<Shop>, InPath(id): InPath<u32>) -> Response {
    work(2).await;
    let query = "SELECT id, item, quantity, total, customer, created_at FROM orders WHERE id = ?1";
    let read = shop.db().query_row(query, [id], |row| {
        Ok(json!({
            "id": row.get::<_, i64>(0)?, "item": row.get::<_, i64>(1)?, "quantity": row.get::<_, i64>(2)?,
            "total": row.get::<_, f64>(3)?, "customer": row.get::<_, String>(4)?,
            "created_at": row.get::<_, String>(5)?,
        }))
    });
    match read.optional() {
        Ok(Some(order)) => Json(order).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, Json(json!({ "error": format!("no order {id}") }))).into_response(),
        Err(error) => failed(&error),
    }
}

async fn cancel(State(shop): State<Shop>, headers: HeaderMap, InPath(id): InPath<u32>) -> Response {
    work(2).await;
    let Some(customer) = customer(&headers) else { return nobody() };
    let deleted = shop.db().execute("DELETE FROM orders WHERE id = ?1 AND customer = ?2", params![id, customer]);
    match deleted {
        Ok(0) => (StatusCode::NOT_FOUND, Json(json!({ "error": format!("no order {id}") }))).into_response(),
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &rusqlite::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": error.to_string() }))).into_response()
}

/// Where an environment's shop keeps its orders.
pub fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.db"))
}
