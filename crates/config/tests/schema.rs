//! The JSON Schemas take what the checker takes, and refuse what an editor can see is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use cutover_config::file::schema;
use serde_json::Value;

fn holds(schema: &Value, text: &str) -> Result<(), String> {
    let value = serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("schema.json", schema.clone()).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(&value, index).map_err(|why| format!("{why:#}"))
}

fn of(file: &str) -> Value {
    let schema = match file {
        "main" => schema::main(),
        "routing" => schema::routing(),
        _ => schema::suite(),
    };
    schema.to_value()
}

#[test]
fn every_file_that_comes_with_the_program_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let mut all = vec![("main", "cutover.toml".to_owned()), ("main", "every-main-key.toml".to_owned())];
    all.extend([("routing", "routing.toml".to_owned()), ("routing", "every-key.toml".to_owned())]);
    all.push(("suite", "every-suite-key.toml".to_owned()));
    for entry in std::fs::read_dir(folder.join("suites")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".toml") {
            all.push(("suite", format!("suites/{name}")));
        }
    }
    for (file, name) in all {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        holds(&of(file), &text).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

const SERVICE: &str = "[service.a]\nblue = { url = \"http://a\" }\ngreen = { urls = [\"http://b\"] }\n";

#[test]
fn a_string_of_a_file_may_hold_a_variable_and_a_suite_has_its_own() {
    let routing = format!(
        "{SERVICE}preset = \"${{P}}\"\nhost = \"${{H}}:81\"\nmax_body = \"${{SIZE}}\"\nsplit = {{ active = \"${{ACT:-blue}}\", sticky = \"${{S}}\" }}\n\
         rollout = {{ bake = \"${{B}}\", warm_up_path = \"${{PATH}}\" }}\nhosts = [\"${{HOST}}:1\"]\n"
    );
    holds(&of("routing"), &routing).unwrap();
    let main = "version = 1\n[proxy]\nlisten = [\"${ADDRESS}\", \"0.0.0.0:80\", \"[::]:80\"]\naccess_log = { path = \"a\", format = \"${F}\" }\n";
    holds(&of("main"), main).unwrap();
    let case = |path: &str| format!("version = 1\n[[case]]\npath = \"{path}\"\n");
    holds(&of("suite"), &case("${base}/a")).unwrap();
    holds(&of("suite"), &format!("{}timeout = \"${{t}}\"", case("/"))).unwrap_err();
}

#[test]
fn an_editor_sees_what_is_wrong() {
    let service = |more: &str| format!("{SERVICE}{more}\n");
    let case = |more: &str| format!("version = 1\n[[case]]\npath = \"/\"\n{more}\n");
    for (file, text) in [
        ("main", "[proxy]\n".to_owned()),
        ("main", "version = 1\n[proxy]\nlisten = \"8080\"\n".to_owned()),
        ("main", "version = 1\n[proxy]\nlisten = \"localhost:8080\"\n".to_owned()),
        ("main", "version = 1\n[[proxy.tls]]\nacme = true\n".to_owned()),
        ("main", "version = 1\n[[notify]]\nname = \"ops\"\n".to_owned()),
        ("routing", "[service.a]\nblue = { url = \"http://a\" }\n".to_owned()),
        ("routing", "[service.a]\nblue = {}\ngreen = { url = \"http://b\" }\n".to_owned()),
        ("routing", service("split = { active = \"grene\" }")),
        ("routing", service("split = { sticky = {} }")),
        ("routing", service("rollout = { holdback = 21 }")),
        ("routing", service("rollout = { steps = [] }")),
        ("routing", service("rollout = { steps = [{ bake = \"1m\" }] }")),
        ("routing", service("route = [{ path = \"/a\" }]")),
        ("routing", service("rule = [{ header = { equals = \"a\" }, to = \"green\" }]")),
        ("routing", service("guard = { trigger = [{ above = 5 }] }")),
        ("routing", service("health = [{ sql = { query = \"select 1\" } }]")),
        ("suite", "[[case]]\npath = \"/\"\n".to_owned()),
        ("suite", case("expect = { status = 99 }")),
        ("suite", case("expect = { status = [200, \"6xx\"] }")),
        ("suite", case("").replace("\"/\"", "\"a\"")),
        ("suite", case("[[case.step]]\nname = \"a\"")),
        ("suite", case("[[load]]\npath = \"/\"\nrate = 5")),
        (
            "suite",
            case("[database.a]\nblue = { url = \"sqlite:a\", query = \"select 1\" }\ngreen = { url = \"sqlite:a\" }"),
        ),
    ] {
        assert!(holds(&of(file), &text).is_err(), "{text}");
    }
    for status in ["200", "\"2xx\"", "\"200-299\"", "[200, \"3xx\"]"] {
        holds(&of("suite"), &case(&format!("expect = {{ status = {status} }}"))).unwrap();
    }
}
