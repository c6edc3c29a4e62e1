//! Skew protection: a page calls the functions of its own version, through a rollout, after the promotion, and no longer
//! than that is safe. The origins' pages tell their version, and their functions refuse a page of another one.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use judgement::rollout::Requester;
use judgement::traffic::Environment;
use serde_json::Value;

use cutover::admin::changes::Change;

use crate::rollouts::{QUICK, Site};
use crate::support::client::{Answer, Client};
use crate::support::front::block_on;
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

const HTML: &str = "Accept: text/html,*/*;q=0.8";
const ANY: &str = "{ header = \"x-deployment-id\", query = \"dpl\", cookie = \"release\", for = \"1h\" }";

/// An origin's page is of this version, and so are its functions. Returns how often a page of another version called one.
fn is_version(origin: &Origin, version: &'static str) -> Arc<AtomicU64> {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    origin.does(move |request| {
        let answer = |status: u16, kind: &str| {
            let length = version.len();
            Do::Raw(format!(
                "HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{version}"
            ))
        };
        match request.header("x-page") {
            Some(page) if page != version => {
                count.fetch_add(1, SeqCst);
                answer(409, "text/plain")
            }
            Some(_) => answer(200, "application/json"),
            None => answer(200, "text/html; charset=utf-8"),
        }
    });
    refused
}

/// How a page says its version with what it calls.
#[derive(Clone, Copy, Debug)]
enum Says {
    Header,
    Query,
    Cookie,
}

/// A page that is open in a browser.
#[derive(Clone, Debug)]
struct Page {
    version: String,
    /// What the browser was told to keep.
    cookie: Option<String>,
}

impl Page {
    /// Opens the page. `before`: the page that the browser had until now.
    fn open(client: &mut Client, before: Option<&Page>) -> Result<Page, String> {
        let kept = before.and_then(|page| page.cookie.clone());
        let cookie = kept.as_ref().map(|cookie| format!("Cookie: {cookie}"));
        let lines: Vec<&str> = [HTML].into_iter().chain(cookie.as_deref()).collect();
        let answer = client.try_request("GET", "/", &lines, "")?;
        let set = answer.header("set-cookie").and_then(|set| Some(set.split_once(';')?.0.to_owned()));
        Ok(Page { version: answer.body, cookie: set.or(kept) })
    }

    fn call(&self, client: &mut Client, says: Says) -> Result<Answer, String> {
        let Page { version, cookie } = self;
        let (path, line) = match says {
            Says::Header => ("/api/buy".to_owned(), format!("X-Deployment-Id: {version}")),
            Says::Query => (format!("/api/buy?id=7&dpl={version}"), "X-Nothing: 1".to_owned()),
            Says::Cookie => ("/api/buy".to_owned(), format!("Cookie: {}", cookie.as_deref().unwrap_or("none=1"))),
        };
        client.try_request("POST", &path, &[&line, &format!("X-Page: {version}")], "1")
    }
}

/// Clients that open pages and call functions from them, each in its own way. Some never open another page.
fn pages(site: &Site) -> Load {
    let open: RefCell<Option<Page>> = RefCell::default();
    let number: RefCell<Option<usize>> = RefCell::default();
    Load::asking(site.process.address, 9, Duration::from_millis(1), move |client, turn| {
        let own = *number.borrow_mut().get_or_insert(turn);
        let says = [Says::Header, Says::Query, Says::Cookie][own % 3];
        let never_again = own > 6;
        let mut page = open.borrow_mut();
        if page.is_none() || turn % 20 == 0 && !never_again {
            *page = Some(Page::open(client, page.as_ref())?);
        }
        page.as_ref().map_or(Err("no page".to_owned()), |page| page.call(client, says))
    })
}

/// A site whose pages count, with blue at 1.9.4.
fn site(rollout: &str, skew: &str) -> Site {
    let site = Site::new(rollout);
    let text = std::fs::read_to_string(site.routing()).unwrap();
    let text = text.replacen("[service.shop]\n", &format!("[service.shop]\nskew = {skew}\n"), 1);
    let text = text.replacen("[service.shop.blue]\n", "[service.shop.blue]\nversion = \"1.9.4\"\n", 1);
    std::fs::write(site.routing(), text).unwrap();
    wait_until("the file is in force", SOON, || site.status()["versions"]["blue"] == "1.9.4");
    site
}

fn call(site: &Site, version: &str) -> String {
    let page = Page { version: version.to_owned(), cookie: None };
    page.call(&mut Client::to(site.process.address), Says::Header).unwrap().body
}

#[test]
fn no_page_ever_calls_a_function_of_the_other_version_from_the_first_step_to_long_after_the_promotion() {
    let site = site(QUICK, ANY);
    let refused = [is_version(&site.blue, "1.9.4"), is_version(&site.green, "2.0.0")];
    let load = pages(&site);
    wait_until("pages are open", SOON, || load.requests() > 200);
    site.must(&["deploy", "2.0.0", "--wait", "--through-watch"]);
    let (asked, blue) = (load.requests(), site.blue.requests());
    wait_until("pages go on", SOON, || load.requests() > asked + 500);
    assert!(site.blue.requests() > blue, "the old side serves its pages after the watch");
    let (requests, failed) = load.stop();
    assert_eq!((failed, refused.each_ref().map(|count| count.load(SeqCst))), (0, [0, 0]), "of {requests}");

    let pages = site.status()["pages"].clone();
    assert_eq!((pages["environment"].as_str(), pages["version"].as_str()), (Some("blue"), Some("1.9.4")), "{pages}");
    assert!(pages["requests"].as_u64().unwrap() > 0, "{pages}");
    let said = site.must(&["status"]);
    assert!(said.contains("blue serves open pages of 1.9.4 until 20"), "{said}");

    // The state of before is there after a crash, and a new version in the place of the old one ends it.
    let site = site.crash();
    assert_eq!([call(&site, "1.9.4"), call(&site, "2.0.0")], ["1.9.4", "2.0.0"]);
    site.must(&["deploy", "3.0.0"]);
    assert_eq!(call(&site, "1.9.4"), "2.0.0");
}

#[test]
fn a_page_of_a_version_that_was_rolled_back_is_served_by_active_whatever_it_asks_for() {
    let site = site(QUICK, ANY);
    is_version(&site.blue, "1.9.4");
    is_version(&site.green, "2.0.0");
    let load = Load::start(site.process.address, 4, Duration::from_millis(1));
    site.must(&["deploy", "2.0.0", "--wait"]);
    assert_eq!([call(&site, "1.9.4"), call(&site, "2.0.0")], ["1.9.4", "2.0.0"]);
    site.must(&["rollback", "--reason", "second thoughts"]);
    let before = site.green.requests();
    for _ in 0..20 {
        assert_eq!(call(&site, "2.0.0"), "1.9.4");
    }
    load.stop();
    let site = site.crash();
    assert_eq!(call(&site, "2.0.0"), "1.9.4");
    assert_eq!(site.green.requests(), before, "and nobody else is there");
}

#[test]
fn the_old_side_serves_its_pages_for_as_long_as_the_file_says() {
    let site =
        site("bake = \"300ms\"\nrequests = 20\nwatch = \"0s\"\n", "{ header = \"x-deployment-id\", for = \"4s\" }");
    is_version(&site.blue, "1.9.4");
    is_version(&site.green, "2.0.0");
    let load = Load::start(site.process.address, 4, Duration::from_millis(1));
    site.must(&["deploy", "2.0.0", "--wait"]);
    assert_eq!(call(&site, "1.9.4"), "1.9.4");
    wait_until("it is over", SOON, || call(&site, "1.9.4") == "2.0.0");
    load.stop();
    assert_eq!(site.status()["pages"], Value::Null);
    let site = site.crash();
    assert_eq!(call(&site, "1.9.4"), "2.0.0", "and stays over");
}

/// A service whose versions are in its file, blue active and green with this share.
fn house(weight: u16, rest: &str, change: impl FnOnce(&mut config::MainConfig)) -> House {
    let house = House::with(&format!("weight = {weight}"), rest, change);
    house.set(&format!("skew = {ANY}"));
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    let text = text.replacen("[service.shop.blue]\n", "[service.shop.blue]\nversion = \"1.9.4\"\n", 1);
    let text = text.replacen("[service.shop.green]\n", "[service.shop.green]\nversion = \"2.0.0\"\n", 1);
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the versions are known", SOON, || house.split().pages[0].is_some());
    is_version(&house.blue, "1.9.4");
    is_version(&house.green, "2.0.0");
    house
}

#[test]
fn it_is_the_same_over_http2_and_counted_and_logged_and_not_judged() {
    let house = house(100, "", |settings| {
        settings.access_log = Some(crate::access::to(settings.routing.with_file_name("access.log")));
    });
    let address = house.address();
    let ask = async |send: &mut h2::client::SendRequest<bytes::Bytes>, path: &str, name: &str, value: &str| {
        let request = http::Request::post(format!("http://shop.test{path}")).header("x-page", "1.9.4");
        let request = request.header(name, value).body(()).unwrap();
        let mut ready = send.clone().ready().await.unwrap();
        let answer = ready.send_request(request, true).unwrap().0.await.unwrap();
        answer.status().as_u16()
    };
    let statuses = block_on(async move {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut send, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let by_header = ask(&mut send, "/api", "x-deployment-id", "1.9.4").await;
        let by_query = ask(&mut send, "/api?dpl=1.9.4", "x-other", "1").await;
        let by_cookie = ask(&mut send, "/api", "cookie", "release=1.9.4").await;
        [by_header, by_query, by_cookie, ask(&mut send, "/api", "x-other", "1").await]
    });
    assert_eq!(statuses, [200, 200, 200, 409], "the last one does not say whose page it is");
    let skewed = || {
        house.metrics().contains("cutover_skewed_total{service=\"shop\",route=\"default\",environment=\"blue\"} 3\n")
    };
    wait_until("they are counted", SOON, skewed);
    let judged = |side| house.running.counters.route("shop", "default").totals(side).tally.requests;
    wait_until("all has ended", SOON, || judged(Environment::Green) == 1);
    assert_eq!(judged(Environment::Blue), 0);
    let path = house.dir.path().join("access.log");
    let logged = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["skewed"] == true && line["environment"] == "blue").count()
    };
    wait_until("and logged", SOON, || logged() == 3);
}

#[test]
fn the_cookie_is_set_for_pages_and_only_where_it_changes() {
    let house = house(0, "", |_| {});
    let mut client = house.client();
    let set = |answer: &Answer| answer.header("set-cookie").map(str::to_owned);
    let first = client.get("/", &[HTML]);
    assert_eq!(set(&first).as_deref(), Some("release=1.9.4; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(first.header("cache-control"), Some("private"), "no shared cache gives it to others");
    assert_eq!(set(&client.get("/", &[HTML, "Cookie: release=1.9.4"])), None);
    assert_eq!(set(&client.get("/api", &["Accept: */*"])), None, "no page");
    assert_eq!(set(&client.get("/", &[HTML, "Sec-Fetch-Dest: iframe"])), None, "a part of one");
    let moved = client.get("/", &["Sec-Fetch-Dest: document", "Cookie: release=2.0.0"]);
    assert_eq!((moved.body.as_str(), set(&moved).is_some()), ("1.9.4", true));

    let text = std::fs::read_to_string(house.routing_path()).unwrap().replace("weight = 0", "weight = 100");
    std::fs::write(house.routing_path(), text).unwrap();
    house.wait_for_weight(10_000);
    let next = client.get("/", &[HTML, "Cookie: release=1.9.4"]);
    assert_eq!(
        (next.body.as_str(), set(&next).as_deref()),
        ("2.0.0", Some("release=2.0.0; Path=/; HttpOnly; SameSite=Lax"))
    );
    let form = client.request("POST", "/", &[HTML, "Sec-Fetch-Dest: document", "Cookie: release=1.9.4"], "a=1");
    assert_eq!((form.body.as_str(), set(&form)), ("1.9.4", None), "a form is a call of its page");
    house.green.does(|_| Do::Raw("HTTP/1.1 200 So\r\nCache-Control: public, max-age=60\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\n-".into()));
    assert_eq!(set(&client.get("/", &[HTML, "Cookie: release=1.9.4"])), None, "a shared cache would give it to others");
    house.green.does(|_| Do::Raw("HTTP/1.1 200 So\r\nContent-Type: image/png\r\nContent-Length: 1\r\n\r\n-".into()));
    assert_eq!(set(&client.get("/", &[HTML, "Cookie: release=1.9.4"])), None, "an image in a window of its own");
}

#[test]
fn an_override_that_is_set_at_run_time_is_stronger_than_a_page_and_another_rule_is_not() {
    let house = house(50, "", |_| {});
    let put = |overrides: bool| {
        let rule = format!(
            "name = \"all\"\nto = \"blue\"\noverride = {overrides}\nheader = {{ name = \"x-page\", present = true }}"
        );
        let by = Requester { who: "ann".into(), why: "to see".into(), ..Requester::default() };
        let change = Change::PutRule { name: "all".into(), rule };
        block_on(house.running.changes.apply("shop".into(), by, change)).unwrap();
    };
    let page = Page { version: "2.0.0".into(), cookie: None };
    let status = || page.call(&mut house.client(), Says::Header).unwrap().status;
    put(false);
    assert_eq!([status(), status(), status()], [200; 3]);
    put(true);
    assert_eq!([status(), status(), status()], [409; 3]);
}

#[test]
fn a_side_that_is_down_serves_no_pages() {
    let check = "[[service.shop.health]]\nname = \"alive\"\nenvironment = \"green\"\ninterval = \"100ms\"\ntimeout = \"300ms\"\nretries = 0\nhttp = { path = \"/\" }\n";
    let house = house(50, check, |_| {});
    let page = Page { version: "2.0.0".into(), cookie: None };
    let status = || page.call(&mut house.client(), Says::Header).unwrap().status;
    assert_eq!(status(), 200);
    house.green.always(Do::Status(500));
    wait_until("green is down", SOON, || !house.split().up[1]);
    assert_eq!(status(), 409, "blue answers, in its way");
}

#[test]
fn a_tunnel_that_a_page_has_opened_stays_with_the_side_that_serves_its_pages() {
    let house = house(0, "", |_| {});
    house.set("websocket = true");
    let opens = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    for origin in [&house.blue, &house.green] {
        origin.does(move |request| match request.header("upgrade") {
            Some(_) => Do::Raw(opens.to_owned()),
            None => Do::Raw("through".to_owned()),
        });
    }
    let open = || {
        let mut client = house.client();
        let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "X-Deployment-Id: 1.9.4"];
        client.send(format!("GET /live HTTP/1.1\r\nHost: shop.test\r\n{}\r\n\r\n", upgrade.join("\r\n")));
        assert!(client.head().starts_with("HTTP/1.1 101"));
        client
    };
    let mut before = open();
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(house.routing_path()).unwrap();
        assert!(text.contains(from));
        std::fs::write(house.routing_path(), text.replace(from, to)).unwrap();
    };
    edit("weight = 0", "weight = 0\nactive = \"green\"");
    wait_until("green is active", SOON, || house.split().active == Environment::Green);
    let blue = house.blue.requests();
    let mut after = open();
    assert_eq!(house.blue.requests(), blue + 1, "the page came from there");
    for tunnel in [&mut before, &mut after] {
        tunnel.send("GET / HTTP/1.1\r\n\r\n");
        tunnel.wait_for("through");
    }
    edit(&format!("skew = {ANY}"), "");
    for tunnel in [&mut before, &mut after] {
        tunnel.rest();
    }
}
