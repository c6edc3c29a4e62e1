//! Real stores, and a Prometheus, each in a folder and on a port of its own. `.ci/setup` installs them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::Connection;

use super::tls::Authority;
use super::{SOON, wait_until};

/// Of every user of every store here.
pub const PASSWORD: &str = "c0rrect%horse";
/// The same, as a URL has it.
pub const IN_URL: &str = "c0rrect%25horse";

/// Debian has it in its unstable release only: `.ci/setup` unpacks it here, beside the system.
const MYSQL: &str = "/opt/cutover-ci/mysql/mysqld";

/// A server that ends with the test.
pub struct Store {
    child: Child,
    again: Box<dyn Fn() -> Command>,
    /// What ends it at once, with its data in order.
    end: &'static str,
    pub port: u16,
    /// Gone with the server.
    pub dir: tempfile::TempDir,
}

/// PostgreSQL with a user and a database `shop`, and with TLS: `ca.pem` in its folder has signed for `localhost`.
pub fn postgres() -> Store {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (data, secret) = (dir.path().join("data"), dir.path().join("password"));
    std::fs::write(&secret, PASSWORD).unwrap();
    let user = give("postgres", dir.path(), &[&secret]);
    let bin = found("initdb", "/usr/lib/postgresql");
    let mut init = run_as(user, &bin.join("initdb"));
    init.arg("-D").arg(&data).args(["-U", "shop", "-A", "scram-sha-256", "--no-sync", "--pwfile"]).arg(&secret);
    finished(&mut init);
    let authority = Authority::new();
    std::fs::write(dir.path().join("ca.pem"), &authority.certificate.pem).unwrap();
    authority.sign(&["localhost"]).write(dir.path(), "server");
    let key = dir.path().join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    give("postgres", dir.path(), &[&key]);
    let (server, folder) = (bin.join("postgres"), dir.path().to_owned());
    let store = Store::start(dir, port, "-QUIT", move || {
        let mut command = run_as(user, &server);
        command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        command.args(["-c", "fsync=off", "-c", "ssl=on"]);
        command.arg("-c").arg(format!("ssl_cert_file={}", folder.join("server.pem").display()));
        command.arg("-c").arg(format!("ssl_key_file={}", folder.join("server.key").display()));
        command
    });
    // It takes connections while it is starting up.
    wait_until("PostgreSQL has started", SOON, || {
        let mut asked = Command::new(bin.join("pg_isready"));
        asked.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap().success()
    });
    store
}

/// PgBouncer before a PostgreSQL, with a pool for each transaction: the sessions behind it belong to everybody.
pub fn pgbouncer(of: &Store) -> Store {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (file, users) = (dir.path().join("pgbouncer.ini"), dir.path().join("users.txt"));
    let database = format!("host=127.0.0.1 port={} user=shop password='{PASSWORD}'", of.port);
    let words = format!(
        "[databases]\n* = {database}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = plain\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
        users.display()
    );
    std::fs::write(&file, words).unwrap();
    std::fs::write(&users, format!("\"shop\" \"{PASSWORD}\"\n")).unwrap();
    let user = give("postgres", dir.path(), &[&file, &users]);
    Store::start(dir, port, "-KILL", move || {
        let mut command = run_as(user, Path::new("/usr/sbin/pgbouncer"));
        command.arg("-q").arg(&file);
        command
    })
}

/// MariaDB with a user and a database `shop`.
pub fn mariadb() -> Store {
    mariadb_with(&[])
}

/// MariaDB with other settings.
pub fn mariadb_with(options: &'static [&'static str]) -> Store {
    let server = found("mariadbd", "/usr/sbin").join("mariadbd");
    let how = ["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"];
    mysql_like(Path::new("mariadb-install-db"), &how, &server, options, "")
}

/// Oracle's MySQL, the same.
pub fn mysql() -> Store {
    let server = Path::new(MYSQL);
    // It has no sequences: thousands of rows come from a query that is its own source.
    let words = "SET GLOBAL cte_max_recursion_depth = 1000000;\n";
    mysql_like(server, &["--no-defaults", "--initialize-insecure"], server, &["--mysqlx=OFF", "--skip-log-bin"], words)
}

fn mysql_like(install: &Path, how: &[&str], server: &Path, options: &'static [&str], more: &str) -> Store {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (data, first) = (dir.path().join("data"), dir.path().join("first.sql"));
    let words = format!(
        "CREATE DATABASE IF NOT EXISTS shop;\nCREATE USER IF NOT EXISTS shop@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON shop.* TO shop@'127.0.0.1';\n{more}"
    );
    std::fs::write(&first, words).unwrap();
    let user = give("mysql", dir.path(), &[&first]);
    let mut init = run_as(user, install);
    // Each deletes what it takes for its own leftovers in there.
    let temporary = option("--tmpdir", dir.path());
    finished(init.args(how).arg(option("--datadir", &data)).arg(&temporary));
    let (server, folder) = (server.to_owned(), dir.path().to_owned());
    let store = Store::start(dir, port, "-KILL", move || {
        let mut command = run_as(user, &server);
        command.arg("--no-defaults").arg(option("--datadir", &data)).arg(option("--init-file", &first)).arg(&temporary);
        command.arg(option("--socket", &folder.join("socket"))).arg(option("--pid-file", &folder.join("pid")));
        command.args([&format!("--port={port}"), "--bind-address=127.0.0.1", "--skip-name-resolve"]).args(options);
        command
    });
    // It takes connections before its first words are done.
    let url = format!("mysql://shop:{IN_URL}@127.0.0.1:{port}/shop");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    wait_until("the user is there", SOON, || runtime.block_on(sqlx::MySqlConnection::connect(&url)).is_ok());
    store
}

/// Redis, with whatever else is said on its command line.
pub fn redis(more: &[&str]) -> Store {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
    let folder = dir.path().to_owned();
    Store::start(dir, port, "-KILL", move || {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(&folder);
        command.args(&more);
        command
    })
}

/// Prometheus, which asks this exporter every second.
pub fn prometheus(exporter: SocketAddr) -> Store {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (file, data) = (dir.path().join("prometheus.yml"), dir.path().join("data"));
    let words = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['{exporter}'] }}] }}]\n"
    );
    std::fs::write(&file, words).unwrap();
    Store::start(dir, port, "-KILL", move || {
        let mut command = Command::new("prometheus");
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        command.args([option("config.file", &file), option("storage.tsdb.path", &data)]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command
    })
}

impl Store {
    fn start(dir: tempfile::TempDir, port: u16, end: &'static str, again: impl Fn() -> Command + 'static) -> Store {
        let child = spawn(&mut again());
        let mut store = Store { child, again: Box::new(again), end, port, dir };
        store.wait();
        store
    }

    /// Until it takes connections.
    fn wait(&mut self) {
        wait_until("the store takes connections", SOON, || {
            assert_eq!(self.child.try_wait().unwrap(), None, "the store has ended");
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
    }

    /// Ends it; nobody listens on its port then.
    pub fn kill(&mut self) {
        for signal in ["-CONT", self.end] {
            self.signal(signal);
        }
        let _ = self.child.wait();
    }

    /// Starts it again, on the same port with the same data.
    pub fn start_again(&mut self) {
        self.child = spawn(&mut (self.again)());
        self.wait();
    }

    /// The system still takes connections for it, and nobody answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let _ = Command::new("kill").args([signal, &self.child.id().to_string()]).stderr(Stdio::null()).status();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[track_caller]
fn finished(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One that nobody listens on just now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// The folder with a program: Debian keeps some in a folder for each version.
fn found(program: &str, under: &str) -> PathBuf {
    let versions = std::fs::read_dir(under).unwrap().map(|entry| entry.unwrap().path().join("bin"));
    let mut all: Vec<PathBuf> = versions.chain([PathBuf::from(under)]).collect();
    all.sort();
    all.into_iter().rfind(|folder| folder.join(program).exists()).unwrap_or_else(|| panic!("no {program} in {under}"))
}

/// Gives a folder and files to a user, for servers refuse to be root; gives the user's and the group's number.
fn give(user: &str, dir: &Path, files: &[&Path]) -> Option<(u32, u32)> {
    let root = std::fs::metadata("/proc/self").unwrap();
    if std::os::unix::fs::MetadataExt::uid(&root) != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(user)).unwrap();
    let number = |at: usize| line.split(':').nth(at).unwrap().parse().unwrap();
    let (uid, gid) = (number(2), number(3));
    for path in files.iter().copied().chain([dir]) {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
    Some((uid, gid))
}

/// A program as that user; the process keeps the number it was started with.
fn run_as(user: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((uid, gid)) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups"]).arg(program);
    command
}
