//! Ten minutes of a hard life: 2,000 requests a second over three protocols while the file is reloaded, traffic is shifted,
//! and a release breaks and is rolled back, again and again.
//!
//! `cargo run --release --example soak -- target/release/cutover [MINUTES]`. Every request has an id that its origin counts
//! and sends back, so that both ends know of each: one that was answered with another's id was *swapped*, one without an
//! answer was *lost*, and a POST that an origin saw twice was *doubled*. What a broken green answers a POST with is its
//! answer, and is passed on: it may not be sent again. A GET is rescued. Prints a line each minute, with the memory and the
//! file descriptors of the process; fails if anything was lost, doubled or swapped.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use memory::clock;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Requests at each tick of a millisecond: 2,000 a second.
const A_TICK: u64 = 2;
/// How long green is healthy, and then broken.
const HEALTHY: Duration = Duration::from_secs(20);
const BROKEN: Duration = Duration::from_secs(5);
const RELOAD: Duration = Duration::from_millis(500);
/// Of a POST's body.
const BODY: usize = 2000;

/// One of the two copies of the site.
struct Origin {
    broken: AtomicBool,
    /// How often each id of a POST has come, to either copy.
    posts: Arc<Mutex<Vec<u8>>>,
}

#[derive(Default)]
struct Account {
    sent: AtomicU64,
    answered: AtomicU64,
    /// Answers of the broken green to requests that may not be sent again.
    told: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // It fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().context("soak CUTOVER [MINUTES]")?;
    let minutes: u64 = arguments.next().map_or(Ok(10), |minutes| minutes.parse())?;
    let folder = tempfile::tempdir()?;
    let posts = Arc::new(Mutex::new(vec![0; (minutes * 60 * 1000 * A_TICK) as usize + 1]));
    let [blue, green] = [(); 2].map(|()| Arc::new(Origin { broken: AtomicBool::new(false), posts: posts.clone() }));
    let (at_blue, at_green) = (serve(blue).await?, serve(green.clone()).await?);
    let ports = free_ports()?;
    write_files(folder.path(), ports, &route(at_blue, at_green, 0))?;
    let mut cutover = start(&binary, folder.path())?;
    let outcome = soak(&binary, folder.path(), ports, (at_blue, at_green), &green, minutes, cutover.id()).await;
    cutover.kill()?;
    cutover.wait()?;
    let account = outcome?;
    let doubled = posts.lock().iter().filter(|times| **times > 1).count();
    let wrong = account.wrong.lock();
    wrong.iter().take(20).for_each(|wrong| println!("{wrong}"));
    let (sent, answered) = (account.sent.load(Relaxed), account.answered.load(Relaxed));
    println!("{sent} sent, {answered} answered, {} wrong, {doubled} doubled", wrong.len());
    ensure!(wrong.is_empty() && doubled == 0 && sent == answered, "something was lost, doubled or swapped");
    Ok(())
}

async fn soak(
    binary: &str,
    folder: &Path,
    ports: [u16; 3],
    (blue, green): (SocketAddr, SocketAddr),
    origin: &Origin,
    minutes: u64,
    process: u32,
) -> anyhow::Result<Arc<Account>> {
    sleep(Duration::from_secs(1)).await;
    let account = Arc::new(Account::default());
    let until = clock::now().plus(judgement::time::Millis::seconds(minutes * 60));
    let is_over = || clock::now() >= until;
    let load = async {
        let clients = clients(ports)?;
        let mut ticks = interval(Duration::from_millis(1));
        // What was missed is made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !is_over() {
            ticks.tick().await;
            for _ in 0..A_TICK {
                let id = account.sent.fetch_add(1, Relaxed);
                let Some((client, url)) = clients.get(id as usize % clients.len()) else { continue };
                tokio::spawn(ask(client.clone(), url.clone(), id, account.clone()));
            }
        }
        anyhow::Ok(())
    };
    let reloads = async {
        let mut turn = 0;
        while !is_over() {
            sleep(RELOAD).await;
            turn += 1;
            std::fs::write(folder.join("routing.toml"), route(blue, green, turn % 2))?;
        }
        anyhow::Ok(turn)
    };
    let releases = async {
        let mut version = 0;
        while !is_over() {
            version += 1;
            command(binary, folder, &["deploy", &format!("v{version}")]).await?;
            for weight in ["10", "40", "25", "75"] {
                command(binary, folder, &["shift", weight]).await?;
                sleep(HEALTHY / 4).await;
            }
            origin.broken.store(true, Relaxed);
            sleep(BROKEN).await;
            origin.broken.store(false, Relaxed);
            let status = command(binary, folder, &["status"]).await?;
            // Nobody asked it any more.
            if is_over() {
                break;
            }
            ensure!(status.contains("rolled back"), "green was broken, and is still there:\n{status}");
        }
        anyhow::Ok(version - 1)
    };
    let watch = async {
        for minute in 1..=minutes {
            sleep(Duration::from_secs(60)).await;
            let (sent, told) = (account.sent.load(Relaxed), account.told.load(Relaxed));
            let wrong = account.wrong.lock().len();
            let (memory, files) = (resident(process)?, std::fs::read_dir(format!("/proc/{process}/fd"))?.count());
            println!(
                "minute {minute}: {sent} sent, {told} told of the broken green, {wrong} wrong; {memory} KiB, {files} files"
            );
        }
        anyhow::Ok(())
    };
    let (_, reloads, releases, _) = tokio::try_join!(load, reloads, releases, watch)?;
    // The last answers.
    for _ in 0..100 {
        if account.answered.load(Relaxed) + account.wrong.lock().len() as u64 == account.sent.load(Relaxed) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    println!("{reloads} reloads, {releases} releases broken and rolled back");
    Ok(account)
}

/// Sends a request, and looks at what comes back.
async fn ask(client: reqwest::Client, url: Arc<str>, id: u64, account: Arc<Account>) {
    let is_post = id % 4 == 3;
    let request = if is_post { client.post(&*url).body(vec![b'x'; BODY]) } else { client.get(&*url) };
    let answer = async {
        let answer = request.header("x-soak", id).send().await?;
        let (status, said) = (answer.status(), answer.headers().get("x-soak").cloned());
        let text = answer.text().await?;
        Ok::<_, reqwest::Error>((status, said, text))
    };
    match answer.await {
        Ok((status, Some(said), text)) if said == *id.to_string() && text == id.to_string() => {
            match (status, is_post) {
                (StatusCode::OK, _) => {}
                (StatusCode::INTERNAL_SERVER_ERROR, true) => {
                    account.told.fetch_add(1, Relaxed);
                }
                _ => return account.wrong.lock().push(format!("{id}: {status}")),
            }
            account.answered.fetch_add(1, Relaxed);
        }
        Ok(other) => account.wrong.lock().push(format!("{id} {url}: {other:?}")),
        Err(error) => account.wrong.lock().push(format!("{id} {url}: {error:?}")),
    }
}

/// HTTP/1.1, HTTP/1.1 over TLS, and HTTP/2 over TLS.
fn clients([plain, tls, _]: [u16; 3]) -> anyhow::Result<[(reqwest::Client, Arc<str>); 3]> {
    let new = || reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
    let secure: Arc<str> = format!("https://127.0.0.1:{tls}/").into();
    Ok([
        (new().http1_only().build()?, format!("http://127.0.0.1:{plain}/").into()),
        (new().http1_only().build()?, secure.clone()),
        (new().build()?, secure),
    ])
}

async fn serve(origin: Arc<Origin>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().fallback(answer).with_state(origin);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn answer(
    State(origin): State<Arc<Origin>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let id = headers.get("x-soak").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(u64::MAX);
    if method == Method::POST
        && let Some(times) = origin.posts.lock().get_mut(id as usize)
    {
        *times += if body.len() == BODY { 1 } else { 100 };
    }
    let status = if origin.broken.load(Relaxed) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    let said = headers.get("x-soak").cloned().map(|id| (axum::http::HeaderName::from_static("x-soak"), id));
    (status, said.into_iter().collect(), id.to_string())
}

fn route(blue: SocketAddr, green: SocketAddr, turn: u32) -> String {
    format!(
        "[service.shop]\nexpose = {}\n[service.shop.blue]\nurl = \"http://{blue}\"\n[service.shop.green]\nurl = \"http://{green}\"\n",
        turn == 1
    )
}

fn write_files(folder: &Path, [plain, tls, admin]: [u16; 3], routing: &str) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    std::fs::write(folder.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    std::fs::write(folder.join("routing.toml"), routing)?;
    let main = format!(
        "version = 1\n[proxy]\nlisten = \"127.0.0.1:{plain}\"\n[[proxy.tls]]\nlisten = \"127.0.0.1:{tls}\"\n\
         cert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n[proxy.limits]\nconnections_per_address = 0\n\
         requests_in_flight_per_address = 0\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    Ok(std::fs::write(folder.join("cutover.toml"), main)?)
}

fn start(binary: &str, folder: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let binary = std::fs::canonicalize(binary).context("the binary")?;
    Ok(Command::new(binary).arg("run").current_dir(folder).stdout(Stdio::null()).stderr(log).spawn()?)
}

/// A command of an operator; what it says.
async fn command(binary: &str, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let (binary, folder) = (std::fs::canonicalize(binary)?, folder.to_owned());
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let run = move || Command::new(binary).args(&arguments).current_dir(folder).output().map(|said| (arguments, said));
    let (arguments, said) = tokio::task::spawn_blocking(run).await??;
    if !said.status.success() {
        bail!("cutover {}: {}", arguments.join(" "), String::from_utf8_lossy(&said.stderr));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Memory of a process, in KiB.
fn resident(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().next().context("VmRSS")?.parse()?)
}

fn free_ports() -> anyhow::Result<[u16; 3]> {
    let free = || std::net::TcpListener::bind("127.0.0.1:0");
    let taken = [free()?, free()?, free()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&taken) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
