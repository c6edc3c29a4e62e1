//! What comparisons find, and what they take for noise.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use http::{HeaderName, HeaderValue, Method};
use serde_json_path::JsonPath;

use crate::mirror::asking::{Answer, Answers, Heard};
use crate::mirror::comparing::{ComparedCopy, compare};
use crate::mirror::tally::Tally;
use crate::mirror::words::predicate;
use memory::snapshot::Endpoint;
use relay::origin::exchange::OriginResponse;
use relay::proxy::mirror::{CopiedRequest, RequestCopy};
use wire::MirrorDifference;

fn answer(status: u16, kind: &'static str, body: &str) -> Heard {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let body = Bytes::copy_from_slice(body.as_bytes());
    let response = OriginResponse { status, headers, length: body.len() as u64, body };
    Ok(Answer { response, micros: 1000 })
}

fn json(body: &str) -> Heard {
    answer(200, "application/json; charset=utf-8", body)
}

fn late() -> Heard {
    Err("gave no complete response within 10s".to_owned())
}

/// Of the candidate's answer and two of active's.
fn seen(candidate: Heard, active: [Heard; 2], ignore: &[&str]) -> Option<ComparedCopy> {
    let ignore: Vec<JsonPath> = ignore.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
    compare(&Answers { candidate, active }, ["blue.test", "green.test"], &ignore)
}

/// What the candidate does that active does not, in words.
fn found(candidate: Heard, active: [Heard; 2]) -> Vec<String> {
    seen(candidate, active, &[]).unwrap().differences.iter().map(predicate).collect()
}

fn request(target: &str) -> CopiedRequest {
    let head = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\nCookie: session=abcdef\r\n\r\n");
    let service = crate::mirror::tests::service();
    RequestCopy { service, head: head.into_bytes(), base: 0, host: None }.read().unwrap()
}

fn service() -> std::sync::Arc<memory::snapshot::ServedService> {
    let text = "[service.shop]\n[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\nurl = \"http://127.0.0.1:2\"\n";
    let routing = config::routing_text("routing.toml", text).unwrap();
    let mut placed = sidecar::CurrentRouting::default();
    let load = sidecar::ResolvedRouting { routing, ..sidecar::ResolvedRouting::default() };
    placed.replace(load, &memory::counters::Counters::new(1));
    placed.serving("shop").unwrap().clone()
}

#[test]
fn each_kind_of_difference_is_said_in_words() {
    let cart = || json(r#"{"total":12,"items":[{"id":1},{"id":2}],"note":null}"#);
    let differs = |candidate: Heard| found(candidate, [cart(), cart()]);
    assert_eq!(differs(cart()), Vec::<String>::new());
    assert_eq!(differs(json(r#"{"items":[{"id":1},{"id":2}],"note":null}"#)), ["lacks `total`"]);
    assert_eq!(
        differs(json(r#"{"total":"12","items":[{"id":1}],"note":null,"new":1}"#)),
        ["has fewer items in `items`", "has `total` as a text instead of a number", "has `new`, which active lacks"]
    );
    assert_eq!(differs(json(r#"{"total":12,"items":[{"id":1},{"id":3}],"note":null}"#)), ["has another `items[*].id`"]);
    assert_eq!(
        differs(answer(500, "application/json", "{}"))[0],
        "answers 500 Internal Server Error instead of 200 OK"
    );
    assert_eq!(differs(answer(200, "text/html", "<p>")), ["is text/html instead of application/json", "is not JSON"]);
    assert_eq!(differs(late()), ["gets no answer"]);
    let page = |body: &str| answer(200, "text/html", body);
    assert_eq!(found(page("<b>"), [page("<a>"), page("<a>")]), ["has another body"]);
    assert_eq!(found(page(""), [page("<a>"), page("<a>")]), ["has an empty body"]);
}

#[test]
fn a_redirect_to_the_side_itself_is_the_same_one() {
    let to = |place: &'static str| {
        let mut answer = answer(302, "text/html", "").unwrap();
        answer.response.headers.insert(LOCATION, HeaderValue::from_static(place));
        Ok(answer)
    };
    let active = || [to("https://blue.test/login"), to("https://blue.test/login")];
    assert_eq!(found(to("https://green.test/login"), active()), Vec::<String>::new());
    assert_eq!(found(to("https://green.test/start"), active()), ["redirects elsewhere"]);
}

#[test]
fn where_active_differs_from_itself_nothing_is_found() {
    let active = || [json(r#"{"at":1,"n":1}"#), json(r#"{"at":2,"n":1}"#)];
    assert_eq!(found(json(r#"{"at":3,"n":1}"#), active()), Vec::<String>::new());
    assert_eq!(found(json(r#"{"n":1}"#), active()), ["lacks `at`"], "it is there each time");
    assert_eq!(found(json(r#"{"at":3,"n":2}"#), active()), ["has another `n`"]);
    let seen = seen(json(r#"{"at":1,"n":1}"#), active(), &[]).unwrap();
    assert_eq!(
        (seen.differences.len(), seen.noise.iter().map(predicate).collect::<Vec<_>>()),
        (0, vec!["has another `at`".to_owned()])
    );
    assert_eq!(found(late(), [json("{}"), late()]), Vec::<String>::new(), "active is no better");
    assert!(
        super::comparing::compare(&Answers { candidate: json("{}"), active: [late(), late()] }, ["", ""], &[])
            .is_none()
    );
}

#[test]
fn places_that_the_file_ignores_are_not_compared() {
    let active = [json(r#"{"a":{"at":1}}"#), json(r#"{"a":{"at":1}}"#)];
    let seen = seen(json(r#"{"a":{}}"#), active, &["$..at"]).unwrap();
    assert!(seen.differences.is_empty());
}

/// What a tally of so many copies comes to, each of which differs so.
fn tallied(copies: u64, differs: impl Fn(u64) -> (Heard, Heard)) -> Vec<MirrorDifference> {
    let mut tally = Tally::default();
    for at in 0..copies {
        let (candidate, second) = differs(at);
        tally.add(&request("/api/cart/7"), &seen(candidate, [json(r#"{"n":1}"#), second], &[]).unwrap());
    }
    tally.differences()
}

#[test]
fn a_difference_counts_if_it_is_always_there_or_more_often_than_chance_allows() {
    let same = || json(r#"{"n":1}"#);
    let other = || json("{}");
    let counts = |copies, differs: &dyn Fn(u64) -> (Heard, Heard)| {
        tallied(copies, differs).first().map(|group| (group.counts, group.seen, group.noise, group.of))
    };
    assert_eq!(counts(2, &|_| (other(), same())), Some((false, 2, 0, 2)), "too few to say");
    assert_eq!(counts(3, &|_| (other(), same())), Some((true, 3, 0, 3)));
    assert_eq!(counts(40, &|at| (if at < 3 { same() } else { other() }, same())), Some((true, 37, 0, 40)));
    assert_eq!(counts(40, &|at| (if at % 8 == 0 { other() } else { same() }, same())), Some((false, 5, 0, 40)));
    // As often as active itself.
    let flips = |at: u64| if at.is_multiple_of(2) { (other(), same()) } else { (same(), other()) };
    assert_eq!(counts(100, &flips), Some((false, 50, 50, 100)));
    let more = |at: u64| if at.is_multiple_of(5) { (same(), other()) } else { (other(), same()) };
    assert_eq!(counts(100, &more), Some((true, 80, 20, 100)));
    let told = tallied(40, |at| (if at < 3 { same() } else { other() }, same()));
    assert_eq!(told[0].text, "/api/cart/{id} lacks `n` in 37 of 40");
    let example = told[0].example.as_ref().unwrap();
    assert_eq!(
        (example.request.as_str(), example.active.as_str(), example.candidate.as_str()),
        ("GET /api/cart/{id}", "1", "nothing")
    );
}

#[test]
fn a_page_that_is_another_one_is_shown_and_does_not_count() {
    let page = |body: &str| answer(200, "text/html", body);
    let mut tally = Tally::default();
    for _ in 0..20 {
        assert!(!tally.add(&request("/"), &seen(page("<b>"), [page("<a>"), page("<a>")], &[]).unwrap()));
    }
    let told = tally.differences();
    assert_eq!((told.len(), told[0].counts, told[0].seen), (1, false, 20));
    assert_eq!(
        told[0].example.as_ref().unwrap().active,
        "3 bytes, SHA-256 bee81bf20092f969".to_owned(),
        "not what is in it"
    );
}

/// Whether a path is slower, where the candidate takes so many microseconds and active a few milliseconds.
fn slower(pairs: u64, candidate: impl Fn(u64) -> u64) -> Option<String> {
    let mut tally = Tally::default();
    for at in 0..pairs {
        let compared = ComparedCopy { micros: Some([10_000 + at % 7 * 300, candidate(at)]), ..ComparedCopy::default() };
        tally.add(&request("/slow"), &compared);
    }
    tally.differences().pop().map(|group| group.text)
}

#[test]
fn a_path_is_slower_by_more_than_a_fifth_in_most_of_its_requests() {
    assert_eq!(slower(100, |_| 10_500), None);
    assert_eq!(slower(100, |at| if at % 3 == 0 { 90_000 } else { 10_000 }), None, "its usual request is not");
    assert_eq!(slower(20, |_| 40_000), None, "the first ones do not count, and the others are too few");
    assert_eq!(slower(100, |at| if at < 5 { 900_000 } else { 10_000 }), None, "a cold start");
    let told = slower(105, |_| 40_000).unwrap();
    assert_eq!(told, "/slow is slower: 40.0 ms where active takes 10.9 ms, in 100 of 100");
    // A few microseconds are nobody's delay.
    let mut tally = Tally::default();
    for _ in 0..100 {
        let compared = ComparedCopy { micros: Some([200, 900]), ..ComparedCopy::default() };
        tally.add(&request("/"), &compared);
    }
    assert!(tally.differences().is_empty());
}

#[test]
fn whatever_is_asked_for_the_list_has_an_end() {
    let mut tally = Tally::default();
    for at in 0..500 {
        let (candidate, active) = (json("{}"), [json(r#"{"n":1}"#), json(r#"{"n":1}"#)]);
        let word: String = (0..3).map(|digit| char::from(b'a' + (at / 26_u32.pow(digit) % 26) as u8)).collect();
        tally.add(&request(&format!("/{word}")), &seen(candidate, active, &[]).unwrap());
    }
    let told = tally.differences();
    assert_eq!(told.len(), 101);
    assert_eq!(told[0].text, "(other paths) lacks `n` in 400 of 400");
    for turn in 0..6 {
        let keys: Vec<String> = (0..40).map(|at| format!("\"k{turn}x{at}\":1")).collect();
        let (long, active) = (format!("{{{}}}", keys.join(",")), [json("{}"), json("{}")]);
        tally.add(&request("/x"), &seen(json(&long), active, &[]).unwrap());
    }
    assert!(tally.differences().len() <= 200 && tally.left_out() > 0);
}

#[test]
fn a_copy_is_read_again_without_its_base_path_and_with_its_clients_host() {
    let head = b"GET /base/a%20b?c=d HTTP/1.1\r\nHost: old.test\r\nX-A: 1\r\nX-A: 2\r\n\r\n".to_vec();
    let copy = RequestCopy { service: service(), head, base: 5, host: Some("shop.test:8080".into()) }.read().unwrap();
    assert_eq!((copy.method.clone(), copy.target.as_str()), (Method::GET, "/a%20b?c=d"));
    let name = HeaderName::from_static("x-a");
    let values = copy.headers.iter().filter(|(other, _)| *other == name);
    assert_eq!(values.map(|(_, value)| value.to_str().unwrap()).collect::<Vec<_>>(), ["1", "2"]);
    let plain = Endpoint::plain("127.0.0.1:1".parse().unwrap(), "green.test");
    assert_eq!(&*copy.endpoint(&plain).authority, "green.test");
    let preserving = Endpoint { preserves_host: true, ..plain };
    assert_eq!(&*copy.endpoint(&preserving).authority, "shop.test:8080");
}

/// A tally of answers to the same target, each compared with itself.
fn tally(target: &str, answers: impl Iterator<Item = [String; 3]>) -> Tally {
    let mut tally = Tally::default();
    for [candidate, one, other] in answers {
        tally.add(&request(target), &seen(json(&candidate), [json(&one), json(&other)], &[]).unwrap());
    }
    tally
}

#[test]
fn a_map_by_identifiers_is_one_place() {
    let cart = |turn: u32| format!(r#"{{"carts":{{"0a1b2c3d-0000-4000-8000-{turn:012}":{{"items":1}}}}}}"#);
    let answers = (0..300).map(|turn| [cart(3 * turn), cart(3 * turn + 1), cart(3 * turn + 2)]);
    let tally = tally("/dyn", answers);
    assert_eq!(tally.left_out(), 0);
    assert!(tally.differences().iter().all(|difference| !difference.counts), "{:?}", tally.differences());
}

#[test]
fn noise_leaves_room_for_differences_and_what_has_none_is_counted() {
    // Words that are no identifiers, and others each time.
    let word = |turn: u32| {
        let letter = |at: u32| char::from(b'a' + (turn / 26_u32.pow(at) % 26) as u8);
        format!(r#"{{"w{}{}{}":1}}"#, letter(0), letter(1), letter(2))
    };
    let answers = (0..150).map(|turn| [r"{}".to_owned(), r"{}".to_owned(), word(turn)]);
    let mut tally = tally("/noise", answers);
    assert_eq!(tally.left_out(), 0, "noise is nobody's difference");
    let (lacks, has) = (json(r"{}"), || json(r#"{"total":1}"#));
    let copy = seen(lacks, [has(), has()], &[]).unwrap();
    (0..10).for_each(|_| _ = tally.add(&request("/miss"), &copy));
    let worst = &tally.differences()[0];
    assert!(worst.counts && worst.text == "/miss lacks `total` in 10 of 10", "{worst:?}");
    for turn in 0..300 {
        tally.add(&request("/miss"), &seen(json(&word(1000 + turn)), [json(r"{}"), json(r"{}")], &[]).unwrap());
    }
    assert!(tally.left_out() > 0);
}

#[test]
fn what_a_client_has_identified_itself_by_is_in_no_text() {
    let doc = |value: u32| format!(r#"{{"abcdef":{{"a":{value}}},"url":"/k?q=QSECRETVAL&v={value}"}}"#);
    let mut tally = Tally::default();
    for _ in 0..5 {
        let copy = seen(json(&doc(1)), [json(&doc(2)), json(&doc(2))], &[]).unwrap();
        tally.add(&request("/k/abcdef?q=QSECRETVAL"), &copy);
    }
    let shown = format!("{:?}", tally.differences());
    assert!(shown.contains("has another") && !shown.contains("abcdef") && !shown.contains("QSECRETVAL"), "{shown}");
}

#[test]
fn a_body_that_is_compressed_all_the_same_is_unread() {
    let mut packed = answer(200, "application/json", "zzz");
    packed.as_mut().unwrap().response.headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let copy = seen(packed, [json("{}"), json("{}")], &[]).unwrap();
    assert!(copy.unread && copy.differences.is_empty(), "{copy:?}");
}
