//! Writes to Redis under its own key and reads the value back, because a server that answers pings may still refuse
//! writes.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

use crate::no_response;
use crate::sql::in_words;
use memory::snapshot::secret_url::SecretUrl;

/// A key left behind by an interrupted check expires by itself.
const KEY_SECONDS: u32 = 10;

/// Whether the server answers, accepts a write and returns it, all in time; or why not, in words.
///
/// # Errors
/// Words for a person, without the URL and its password.
pub async fn probe(url: &SecretUrl, patience: Duration) -> Result<(), String> {
    match timeout(patience, exchange(url)).await {
        Ok(result) => result.map_err(|why| url.scrub(&why)),
        Err(_) => Err(no_response(patience)),
    }
}

async fn exchange(url: &SecretUrl) -> Result<(), String> {
    let broken = |error: RedisError| format!("cannot connect: {}", words(&error));
    let client = redis::Client::open(url.reveal()).map_err(broken)?;
    // The client's own timeout is short; the check's timeout covers everything.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(broken)?;
    let pinged: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
    pinged.map_err(|error| format!("PING failed: {}", words(&error)))?;
    write_and_read(&mut connection).await
}

async fn write_and_read(connection: &mut MultiplexedConnection) -> Result<(), String> {
    // The standard library's access to the system's randomness.
    let random = || RandomState::new().hash_one(());
    let (key, value) = (format!("cutover:health:{:016x}{:016x}", random(), random()), format!("{:016x}", random()));
    let mut set = redis::cmd("SET");
    let written: Result<(), _> = set.arg(&key).arg(&value).arg("EX").arg(KEY_SECONDS).query_async(connection).await;
    written.map_err(|error| format!("PING succeeded but SET failed: {}", words(&error)))?;
    let read: Result<Option<String>, _> = redis::cmd("GET").arg(&key).query_async(connection).await;
    let read = read.map_err(|error| format!("SET succeeded but GET failed: {}", words(&error)))?;
    let deleted: Result<(), _> = redis::cmd("DEL").arg(&key).query_async(connection).await;
    match read {
        None => return Err("GET found no value after SET".to_owned()),
        Some(read) if read != value => return Err("GET returned a different value than SET wrote".to_owned()),
        Some(_) => {}
    }
    deleted.map_err(|error| format!("DEL failed: {}", words(&error)))
}

/// The server's own words, or a clearer description.
fn words(error: &RedisError) -> String {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match error.kind() {
        _ if error.is_connection_refusal() => "connection refused".to_owned(),
        ErrorKind::AuthenticationFailed => "wrong password".to_owned(),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "the server is a read-only replica".to_owned(),
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            "the server is one node of a cluster, and the key belongs to another node".to_owned()
        }
        _ => match (error.code(), error.detail(), io) {
            (Some("NOAUTH"), ..) => "password required".to_owned(),
            (Some("WRONGPASS"), ..) => "wrong password".to_owned(),
            (Some(code), Some(detail), _) => format!("{code} {detail}"),
            (_, _, Some(io)) => in_words(io),
            _ if error.is_connection_dropped() => "the server closed the connection".to_owned(),
            _ => error.to_string(),
        },
    }
}
