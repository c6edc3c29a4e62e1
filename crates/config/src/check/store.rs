//! `sql = { … }` and `redis = { … }` of a health check: where the database is, and that this file contains no password.

use std::io::Read;
use std::path::Path;

use url::Url;

use crate::check::beside;
use crate::check::files::why_unreadable;
use crate::check::notify::url_in_words;
use crate::file::{At, RedisFile, SqlFile, SuiteDatabaseFile};
use crate::read::{SourceFile, did_you_mean};
use memory::snapshot::health_check::{SqlEngine, SqlProbe};
use memory::snapshot::secret_url::SecretUrl;

/// A longer file does not contain a URL.
const LONGEST_URL: usize = 4096;
/// A check is a question, not a report.
const LONGEST_QUERY: usize = 4096;
/// Where a URL with a password belongs.
const PUT_IT: &str =
    "put the URL in a file and write url_file = \"…\", or in the environment and write url_env = \"NAME\"";

/// The parameters after the `?`, other than those for the location and the user.
const POSTGRES_KEYS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];
const MYSQL_KEYS: [&str; 12] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "socket",
    "timezone",
];

/// The same for a routing file, whose texts may come from the environment.
const PUT_IT_OR_TAKE_IT: &str =
    "put the URL in a file and write url_file = \"…\", or take the password from the environment: \"${DB_PASSWORD}\"";

pub fn sql(source: &mut SourceFile, typed: &At<SqlFile>) -> Option<SqlProbe> {
    let file = &typed.value;
    let query = file.query.as_ref().map_or("select 1", |at| at.value.trim());
    if let Some(at) = file.query.as_ref().filter(|_| query.is_empty() || query.len() > LONGEST_QUERY) {
        let message = format!("a query has 1 to {LONGEST_QUERY} characters");
        source.problem(at.span.clone(), message, Some("remove `query` to use the default, \"select 1\"".to_owned()));
    }
    let url = place(source, typed, [&file.url, &file.url_file, &file.url_env], PUT_IT_OR_TAKE_IT)?;
    Some(SqlProbe { engine: engine(source, url)?, query: query.to_owned() })
}

/// A database of a suite.
pub fn database(source: &mut SourceFile, typed: &At<SuiteDatabaseFile>) -> Option<SqlEngine> {
    let file = &typed.value;
    if let Some(at) = file.url.as_ref().filter(|at| at.value.contains("${")) {
        let message = "the URL of a suite's database holds no variables";
        source.problem(at.span.clone(), message, Some(PUT_IT.to_owned()));
        return None;
    }
    let url = place(source, typed, [&file.url, &file.url_file, &file.url_env], PUT_IT)?;
    engine(source, url)
}

fn engine(source: &mut SourceFile, url: At<String>) -> Option<SqlEngine> {
    let hint = "write a URL that begins with postgres://, mysql:// or sqlite:";
    if let Some(path) = url.value.strip_prefix("sqlite:") {
        sqlite(source, path, &url).map(SqlEngine::Sqlite)
    } else {
        let scheme = parsed(source, &url, hint)?;
        match scheme.scheme() {
            "postgres" | "postgresql" if keys_are_known(source, &url, &scheme, &POSTGRES_KEYS) => {
                Some(SqlEngine::Postgres(SecretUrl::new(url.value)))
            }
            "mysql" if keys_are_known(source, &url, &scheme, &MYSQL_KEYS) => {
                Some(SqlEngine::Mysql(SecretUrl::new(url.value)))
            }
            "postgres" | "postgresql" | "mysql" => None,
            other => unknown(source, &url, other, hint),
        }
    }
}

pub fn redis(source: &mut SourceFile, typed: &At<RedisFile>) -> Option<SecretUrl> {
    let file = &typed.value;
    let url = place(source, typed, [&file.url, &file.url_file, &file.url_env], PUT_IT_OR_TAKE_IT)?;
    let hint = "write a URL that begins with redis:// or rediss://";
    let scheme = parsed(source, &url, hint)?;
    match scheme.scheme() {
        "redis" | "rediss" => {}
        other => return unknown(source, &url, other, hint),
    }
    let database = scheme.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        let hint = Some("write redis://HOST:6379/0".to_owned());
        source.problem(url.span, "the path of a Redis URL must be a database number", hint);
        return None;
    }
    Some(SecretUrl::new(url.value))
}

fn unknown<T>(source: &mut SourceFile, url: &At<String>, scheme: &str, hint: &str) -> Option<T> {
    source.problem(url.span.clone(), format!("unsupported URL scheme `{scheme}:`"), Some(hint.to_owned()));
    None
}

fn parsed(source: &mut SourceFile, url: &At<String>, hint: &str) -> Option<Url> {
    let parsed = Url::parse(&url.value);
    if let Err(why) = &parsed {
        // The reason only, and no part of the URL, because it may contain a password.
        source.problem(url.span.clone(), format!("invalid URL: {}", url_in_words(*why)), Some(hint.to_owned()));
    }
    parsed.ok()
}

/// Drivers ignore unknown parameters, or log them.
fn keys_are_known(source: &mut SourceFile, url: &At<String>, parsed: &Url, known: &[&str]) -> bool {
    let unknown = parsed.query_pairs().find(|(key, _)| !known.contains(&&**key) && !key.starts_with("options["));
    if let Some((key, _)) = &unknown {
        let message = format!("unknown parameter `{key}` in the URL");
        source.problem(url.span.clone(), message, Some(did_you_mean(key, known)));
    }
    unknown.is_none()
}

fn sqlite(source: &mut SourceFile, path: &str, url: &At<String>) -> Option<std::path::PathBuf> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains('?') || path.starts_with(":memory:") {
        let hint = Some("write \"sqlite:PATH\"; the file is opened for reading only".to_owned());
        source.problem(url.span.clone(), "a SQLite URL names a file and nothing else", hint);
        return None;
    }
    Some(beside(source, path))
}

/// The URL with the place that names it. `keys`: `url`, `url_file` and `url_env`. `put_it`: where a password belongs.
fn place<T>(
    source: &mut SourceFile,
    typed: &At<T>,
    keys: [&Option<At<String>>; 3],
    put_it: &str,
) -> Option<At<String>> {
    let mut named = keys.iter().filter_map(|key| key.as_ref());
    if let (Some(_), Some(second)) = (named.next(), named.next()) {
        let hint = Some("keep one of them".to_owned());
        source.problem(second.span.clone(), "set only one of `url`, `url_file` and `url_env`", hint);
        return None;
    }
    let mut is_absent = false;
    let (at, read) = match keys {
        [Some(at), _, _] if SecretUrl::new(source.literal(at)).has_password() => {
            source.problem(at.span.clone(), "a password does not belong in this file", Some(put_it.to_owned()));
            return None;
        }
        [Some(at), _, _] => (at, Ok(at.value.clone())),
        [_, Some(at), _] => {
            warn_if_open(source, at);
            let path = beside(source, &at.value);
            is_absent = !path.exists();
            (at, url_in_file(&path))
        }
        [_, _, Some(at)] => (
            at,
            std::env::var(&at.value).map_err(|why| match why {
                std::env::VarError::NotPresent => {
                    is_absent = true;
                    "it is not set".to_owned()
                }
                std::env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
            }),
        ),
        _ => {
            source.missing(
                typed.span.clone(),
                "there is no `url`, `url_file` or `url_env`",
                "write url_file = \"pg.url\"",
            );
            return None;
        }
    };
    match read.map(|url| url.trim().to_owned()) {
        Ok(url) if !url.is_empty() => Some(At { value: url, span: at.span.clone() }),
        Ok(_) => {
            let hint = Some(format!("put a URL there, or name another: {}", where_from(keys)));
            source.problem(at.span.clone(), format!("`{}` contains no URL", at.value), hint);
            None
        }
        Err(why) => {
            let hint = Some(where_from(keys).to_owned());
            let message = format!("cannot use `{}`: {why}", at.value);
            match is_absent {
                true => source.absent_secret(at.span.clone(), message, hint),
                false => source.problem(at.span.clone(), message, hint),
            }
            None
        }
    }
}

fn where_from(keys: [&Option<At<String>>; 3]) -> &'static str {
    match keys {
        [_, Some(_), _] => "`url_file` is a file with a single URL, with a path relative to this file",
        [_, _, Some(_)] => "`url_env` is the name of a variable of this process, which holds the URL",
        _ => "write a URL such as \"postgres://shop@db/shop\"",
    }
}

fn url_in_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| why_unreadable(&error);
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST_URL as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > LONGEST_URL || text.trim().contains('\n') {
        return Err(format!("it must contain a single URL of at most {LONGEST_URL} characters"));
    }
    Ok(text)
}

/// Warns of a secret that every user on the machine can read: it works, but is probably a mistake.
pub fn warn_if_open(source: &mut SourceFile, at: &At<String>) {
    use std::os::unix::fs::PermissionsExt;
    let readable =
        std::fs::metadata(beside(source, &at.value)).is_ok_and(|about| about.permissions().mode() & 0o004 != 0);
    if readable {
        let message = format!("every user on this machine can read `{}`", at.value);
        source.warning(at.span.clone(), message, "it may contain a password: run chmod o-r");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing_text;
    use memory::snapshot::health_check::HealthProbe;

    fn read(dir: &Path, check: &str) -> Result<HealthProbe, String> {
        let text = format!(
            "[service.shop]\n[service.shop.blue]\nurl = \"http://a\"\n[service.shop.green]\nurl = \"http://b\"\n\
             [[service.shop.health]]\n{check}\n"
        );
        let name = dir.join("routing.toml").display().to_string();
        let routing = routing_text(&name, &text).map_err(|refused| refused.to_string())?;
        Ok(routing.services[0].health[0].probe.clone())
    }

    #[test]
    fn a_url_comes_from_the_file_itself_from_a_file_beside_it_or_from_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let postgres = |url: &str, query: &str| {
            HealthProbe::Sql(SqlProbe { engine: SqlEngine::Postgres(SecretUrl::new(url)), query: query.to_owned() })
        };
        std::fs::write(dir.path().join("pg.url"), "postgres://shop:secret@db/shop?sslmode=require\n").unwrap();
        let probe = read(dir.path(), "sql = { url_file = 'pg.url' }");
        assert_eq!(probe, Ok(postgres("postgres://shop:secret@db/shop?sslmode=require", "select 1")));
        assert!(!format!("{probe:?}").contains("secret"), "{probe:?}");
        let probe = read(dir.path(), "sql = { url = 'postgresql://shop@db/shop', query = 'select 2' }");
        assert_eq!(probe, Ok(postgres("postgresql://shop@db/shop", "select 2")));
        let probe = read(dir.path(), "redis = { url = 'rediss://db/1' }");
        assert_eq!(probe, Ok(HealthProbe::Redis(SecretUrl::new("rediss://db/1"))));
        for (url, path) in [("sqlite:a.db", dir.path().join("a.db")), ("sqlite:///b.db", "/b.db".into())] {
            let Ok(HealthProbe::Sql(database)) = read(dir.path(), &format!("sql = {{ url = '{url}' }}")) else {
                panic!()
            };
            assert_eq!(database.engine, SqlEngine::Sqlite(path));
        }
        // Set everywhere, and no URL.
        let refused = read(dir.path(), "sql = { url_env = 'PATH' }").unwrap_err();
        assert!(refused.contains("invalid URL: it has no scheme"), "{refused}");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_and_no_password_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("none", "\n"), ("two", "redis://a\nredis://b"), ("secret", "oracle://u:hidden@db")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        for (check, why) in [
            ("sql = { url = 'postgres://shop:hidden@db/shop' }", "a password does not belong in this file"),
            ("redis = { url = 'redis://:hidden@db' }", "a password does not belong in this file"),
            ("sql = { url = 'postgres://db?password=hidden' }", "a password does not belong in this file"),
            ("sql = 'postgres://shop:hid@den@db/shop'", "must be a table"),
            ("sql = { url = 'postgres://shop:hidden@db/shop', quary = '' }", "unknown key `quary`"),
            ("sql = { url_file = 'gone' }", "there is no such file"),
            ("sql = { url_file = '.' }", "it is not a file"),
            ("sql = { url_file = 'none' }", "contains no URL"),
            ("redis = { url_file = 'two' }", "it must contain a single URL"),
            ("sql = { url_file = 'secret' }", "unsupported URL scheme `oracle:`"),
            ("redis = { url_file = 'secret' }", "unsupported URL scheme `oracle:`"),
            ("sql = { url_env = 'CUTOVER_NOT_SET' }", "it is not set"),
            ("sql = { url = 'postgres://db', url_file = 'none' }", "set only one of"),
            ("sql = {}", "there is no `url`"),
            ("sql = { url = 'postgres://db?sslmod=require' }", "did you mean `sslmode`?"),
            ("sql = { url = 'sqlite:a.db?mode=ro' }", "a SQLite URL names a file"),
            ("sql = { url = 'postgres://db', query = ' ' }", "a query has 1 to 4096 characters"),
            ("redis = { url = 'redis://db/shop' }", "must be a database number"),
            ("redis = { url = 'redis://a' }\nsql = { url = 'sqlite:a' }", "a health check has one of"),
            ("name = 'empty'", "the health check has no `http`"),
        ] {
            let refused = read(dir.path(), check).unwrap_err();
            assert!(refused.contains(why), "{check}: {refused}");
            for hidden in ["hid", "den@"] {
                assert!(!refused.contains(hidden), "{check}: {refused}");
            }
        }
    }
}
