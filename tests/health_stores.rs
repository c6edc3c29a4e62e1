//! Health checks of databases and of Redis, against the real ones.

use std::path::Path;
use std::time::{Duration, Instant};

use health::{redis, sql};
use judgement::rollout::ChangeKind;
use memory::snapshot::health_check::{SqlEngine, SqlProbe};
use memory::snapshot::secret_url::SecretUrl;

use crate::support::house::House;
use crate::support::servers::{self, IN_URL, PASSWORD, Store};
use crate::support::{SOON, wait_until};

const PATIENCE: Duration = Duration::from_secs(5);
/// For what is to run out.
const SHORT: Duration = Duration::from_millis(700);

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[track_caller]
fn ask(engine: SqlEngine, query: &str, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    let result = wait_for(sql::probe(&SqlProbe { engine, query: query.to_owned() }, patience));
    let took = began.elapsed();
    assert!(took < patience + Duration::from_millis(500), "{took:?}: {result:?}");
    shows_no_password(&result);
    result
}

#[track_caller]
fn ask_redis(url: &str, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    let result = wait_for(redis::probe(&SecretUrl::new(url), patience));
    let took = began.elapsed();
    assert!(took < patience + Duration::from_millis(500), "{took:?}: {result:?}");
    shows_no_password(&result);
    result
}

#[track_caller]
fn shows_no_password(result: &Result<(), String>) {
    let words = format!("{result:?}");
    for secret in [PASSWORD, IN_URL, "wrong-horse", "://"] {
        assert!(!words.contains(secret), "{words}");
    }
}

#[track_caller]
fn fails(result: Result<(), String>, words: &str) {
    assert_eq!(result.unwrap_err(), words);
}

fn postgres(store: &Store, password: &str, more: &str) -> SqlEngine {
    SqlEngine::Postgres(SecretUrl::new(format!("postgres://shop:{password}@127.0.0.1:{}/postgres{more}", store.port)))
}

fn mysql(store: &Store, password: &str) -> SqlEngine {
    SqlEngine::Mysql(SecretUrl::new(format!("mysql://shop:{password}@127.0.0.1:{}/shop", store.port)))
}

#[test]
#[ignore = "needs postgresql: .ci/setup installs it"]
fn postgresql_is_asked_and_what_fails_is_said_in_words() {
    let mut store = servers::postgres();
    let good = || postgres(&store, IN_URL, "");
    assert_eq!(ask(good(), "select 1", PATIENCE), Ok(()));
    assert_eq!(ask(good(), "select 1 where false", PATIENCE), Ok(()), "no row is as good as one");
    assert_eq!(ask(good(), "select generate_series(1, 100000000)", PATIENCE), Ok(()), "the first row is enough");
    fails(ask(good(), "select * from x", PATIENCE), "query failed: relation \"x\" does not exist");
    fails(ask(good(), "selec 1", PATIENCE), "query failed: syntax error at or near \"selec\"");
    let wrong = postgres(&store, "wrong-horse", "");
    fails(ask(wrong, "select 1", PATIENCE), "cannot connect: password authentication failed for user \"shop\"");

    fails(ask(good(), "select pg_sleep(30)", SHORT), "no response within 700ms");
    let left = "select 1 / (case when exists (select from pg_stat_activity where query like '%pg_sleep(30)%' \
                and state = 'active' and pid <> pg_backend_pid()) then 0 else 1 end)";
    wait_until("the database has given the query up", PATIENCE, || ask(good(), left, PATIENCE).is_ok());

    store.freeze();
    fails(ask(postgres(&store, IN_URL, ""), "select 1", SHORT), "no response within 700ms");
    store.thaw();
    assert_eq!(ask(postgres(&store, IN_URL, ""), "select 1", PATIENCE), Ok(()));
    store.kill();
    fails(ask(postgres(&store, IN_URL, ""), "select 1", PATIENCE), "cannot connect: connection refused");
    store.start_again();
    wait_until("it is back", PATIENCE, || ask(postgres(&store, IN_URL, ""), "select 1", PATIENCE).is_ok());
}

#[test]
#[ignore = "needs postgresql: .ci/setup installs it"]
fn postgresql_is_trusted_by_its_certificate_where_the_url_wants_it() {
    let store = servers::postgres();
    let asked = |ca: &Path, mode: &str| {
        let (port, ca) = (store.port, ca.display());
        let url = format!("postgres://shop:{IN_URL}@localhost:{port}/postgres?sslmode={mode}&sslrootcert={ca}");
        let query = "select 1 / (select count(*) from pg_stat_ssl where ssl and pid = pg_backend_pid())";
        ask(SqlEngine::Postgres(SecretUrl::new(url)), query, PATIENCE)
    };
    let ca = store.dir.path().join("ca.pem");
    assert_eq!(asked(&ca, "verify-full"), Ok(()));
    assert_eq!(asked(&ca, "prefer"), Ok(()));
    let other = store.dir.path().join("other.pem");
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();
    let why = asked(&other, "verify-full").unwrap_err();
    assert!(why.starts_with("cannot connect: invalid peer certificate"), "{why}");
}

#[test]
#[ignore = "needs mariadb-server: .ci/setup installs it"]
fn mariadb_is_asked_and_what_fails_is_said_in_words() {
    is_asked(servers::mariadb());
}

#[test]
#[ignore = "needs MySQL: .ci/setup installs it"]
fn mysql_is_asked_and_what_fails_is_said_in_words() {
    is_asked(servers::mysql());
}

fn is_asked(mut store: Store) {
    let good = || mysql(&store, IN_URL);
    assert_eq!(ask(good(), "select 1", PATIENCE), Ok(()));
    assert_eq!(ask(good(), "select 1 from dual where 1 = 0", PATIENCE), Ok(()), "no row is as good as one");
    fails(ask(good(), "select * from x", PATIENCE), "query failed: Table 'shop.x' doesn't exist");
    let why = ask(mysql(&store, "wrong-horse"), "select 1", PATIENCE).unwrap_err();
    assert!(why.starts_with("cannot connect: Access denied for user 'shop'@"), "{why}");

    fails(ask(good(), "select sleep(30)", SHORT), "no response within 700ms");
    let left = "select if(exists(select * from information_schema.processlist where info like '%sleep(30)%' \
                and id <> connection_id()), (select 1 union select 2), 1)";
    wait_until("the database has given the query up", PATIENCE, || ask(good(), left, PATIENCE).is_ok());

    store.freeze();
    fails(ask(mysql(&store, IN_URL), "select 1", SHORT), "no response within 700ms");
    store.thaw();
    store.kill();
    fails(ask(mysql(&store, IN_URL), "select 1", PATIENCE), "cannot connect: connection refused");
}

#[test]
fn a_sqlite_file_is_asked_for_reading_and_what_fails_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    let asked = |query: &str, patience| ask(SqlEngine::Sqlite(path.clone()), query, patience);
    fails(asked("select 1", PATIENCE), "cannot open the file: no such file");
    let owner = rusqlite::Connection::open(&path).unwrap();
    owner.execute_batch("create table stock (name text); insert into stock values ('tea')").unwrap();
    assert_eq!(asked("select name from stock", PATIENCE), Ok(()));
    assert_eq!(asked("select name from stock where false", PATIENCE), Ok(()));
    fails(asked("select * from x", PATIENCE), "query failed: no such table: x");
    fails(asked("delete from stock", PATIENCE), "query failed: attempt to write a readonly database");
    let forever = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    fails(asked(forever, SHORT), "no response within 700ms");

    owner.execute_batch("begin exclusive").unwrap();
    fails(asked("select name from stock", SHORT), "query failed: database is locked");
    owner.execute_batch("commit").unwrap();
    assert_eq!(asked("select name from stock", PATIENCE), Ok(()));
    fails(ask(SqlEngine::Sqlite(dir.path().into()), "select 1", PATIENCE), "cannot open the file: not a regular file");
    std::fs::write(dir.path().join("text"), "no database at all, ".repeat(100)).unwrap();
    let text = ask(SqlEngine::Sqlite(dir.path().join("text")), "select * from sqlite_master", PATIENCE);
    fails(text, "query failed: file is not a database");
}

#[test]
#[ignore = "needs redis-server: .ci/setup installs it"]
fn redis_is_written_to_and_what_fails_is_said_in_words() {
    let mut store = servers::redis(&["--requirepass", PASSWORD]);
    let url = |user: &str, database: &str| format!("redis://{user}127.0.0.1:{}{database}", store.port);
    let good = url(&format!(":{IN_URL}@"), "/3");
    assert_eq!(ask_redis(&good, PATIENCE), Ok(()));
    fails(ask_redis(&url(":wrong-horse@", ""), PATIENCE), "cannot connect: wrong password");
    let why = ask_redis(&url("", ""), PATIENCE).unwrap_err();
    assert!(why.ends_with("password required"), "{why}");
    let why = ask_redis(&url(&format!(":{IN_URL}@"), "/99"), PATIENCE).unwrap_err();
    assert!(why.starts_with("cannot connect: "), "{why}");
    let left = wait_for(async {
        let client = ::redis::Client::open(good.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let size: u64 = ::redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        size
    });
    assert_eq!(left, 0, "no key is left behind");

    store.freeze();
    fails(ask_redis(&good, SHORT), "no response within 700ms");
    store.thaw();
    assert_eq!(ask_redis(&good, PATIENCE), Ok(()));
    store.kill();
    fails(ask_redis(&good, PATIENCE), "cannot connect: connection refused");
}

#[test]
#[ignore = "needs redis-server: .ci/setup installs it"]
fn a_redis_that_takes_no_writes_answers_pings_and_fails() {
    let first = servers::redis(&[]);
    let replica = servers::redis(&["--replicaof", &format!("127.0.0.1 {}", first.port)]);
    let asked = |store: &Store| ask_redis(&format!("redis://127.0.0.1:{}", store.port), PATIENCE);
    assert_eq!(asked(&first), Ok(()));
    let why = "PING succeeded but SET failed: the server is a read-only replica";
    wait_until(why, PATIENCE, || asked(&replica) == Err(why.to_owned()));
    let full = servers::redis(&["--maxmemory", "1"]);
    let why = asked(&full).unwrap_err();
    assert!(why.starts_with("PING succeeded but SET failed: OOM command not allowed"), "{why}");
}

#[test]
#[ignore = "needs postgresql: .ci/setup installs it"]
fn a_candidate_without_its_database_gets_nothing_until_the_database_is_back() {
    let mut store = servers::postgres();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, format!("postgres://shop:{IN_URL}@127.0.0.1:{}/postgres\n", store.port)).unwrap();
    let check = format!(
        "[[service.shop.health]]\nname = \"orders\"\nenvironment = \"green\"\ninterval = \"100ms\"\ntimeout = \"2s\"\n\
         retries = 0\nsql = {{ url_file = \"{}\" }}\n\
         [[service.shop.guard.trigger]]\nmetric = \"error_rate\"\nabove = 50\n",
        secret.path().display()
    );
    let house = House::start("weight = 100", &check);
    wait_until("the check is on the board", SOON, || !house.running.health.show().is_empty());
    let shown = || house.running.health.show().remove(0);
    let served = || house.client().get("/", &[]).body;
    wait_until("it is checked", SOON, || shown().rounds > 0);
    assert_eq!((shown().kind, shown().up, served()), ("sql", true, "green".to_owned()));
    store.kill();
    wait_until("green is down", SOON, || house.split().up == [true, false]);
    assert_eq!(served(), "blue");
    assert_eq!(shown().last_error.as_deref(), Some("cannot connect: connection refused"));
    store.start_again();
    wait_until("green is up again", SOON, || house.split().up == [true, true]);
    assert_eq!(served(), "green");
    wait_until("it is in the journal", SOON, || house.find(ChangeKind::Health).is_some());
    let journal = format!("{:?}", house.history());
    assert!(journal.contains("orders: cannot connect: connection refused") && !journal.contains(PASSWORD), "{journal}");
    assert!(!journal.contains(IN_URL) && !house.metrics().contains(IN_URL));
}
