//! `[database.NAME]` and `[[data]]`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::request::Known;
use super::{Reading, split};
use crate::check::{length, store, whole};
use crate::file::{At, ColumnToleranceFile, DataFile, DataToleranceFile, RequestFile, SuiteFile};
use crate::read::did_you_mean;
use crate::suite::{ColumnTolerance, DataCheck, DataCheckKind, DataTolerance, TableCheck};
use judgement::time::Millis;
use memory::snapshot::health_check::SqlEngine;

const MOST_DATA: usize = 200;
/// The longest query: it compares, and is not a report.
const LONGEST_QUERY: usize = 16 << 10;
/// The longest timeout of one query.
const QUERY_TIMEOUT: Millis = Millis::seconds(60);

impl Reading<'_> {
    pub(super) fn data(&mut self, file: &SuiteFile, known: &Known) -> Vec<DataCheck> {
        let mut databases: BTreeMap<&str, [SqlEngine; 2]> = BTreeMap::new();
        for (name, at) in &file.database {
            if at.value.blue.is_none() || at.value.green.is_none() {
                let hint = "write blue = { url_env = \"BLUE_DATABASE\" } and green = { … }";
                self.source.missing(at.span.clone(), "a database needs `blue` and `green`", hint);
            }
            let mut engine = |typed: &Option<_>| typed.as_ref().and_then(|at| store::database(self.source, at));
            let (blue, green) = (engine(&at.value.blue), engine(&at.value.green));
            if let (Some(blue), Some(green)) = (blue, green) {
                databases.insert(name, [blue, green]);
            }
        }
        if let Some(at) = file.data.get(MOST_DATA) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_DATA} data checks"), split());
        }
        let named: Vec<&str> = file.database.keys().map(String::as_str).collect();
        let mut all: Vec<DataCheck> = Vec::new();
        for at in file.data.iter().take(MOST_DATA) {
            let Some(check) = self.check(at, &databases, &named, known) else { continue };
            let DataFile { name, table, path, .. } = &at.value;
            let default = table.as_ref().or(path.as_ref()).map_or("query", |at| at.value.as_str());
            let name_of = name.as_ref().map_or(default, |at| at.value.as_str()).to_owned();
            self.new_name(all.iter().map(|other| &other.name), &name_of, name.as_ref(), &at.span);
            all.push(DataCheck { name: name_of, check });
        }
        all
    }

    fn check(
        &mut self,
        At { value: file, span }: &At<DataFile>,
        databases: &BTreeMap<&str, [SqlEngine; 2]>,
        named: &[&str],
        known: &Known,
    ) -> Option<DataCheckKind> {
        let kinds = [&file.table, &file.query, &file.integrity, &file.path];
        if let Some(second) = kinds.into_iter().flatten().nth(1) {
            let message = "a data check has one of `table`, `query`, `integrity` and `path`";
            self.source.problem(second.span.clone(), message, Some("write one [[data]] for each".to_owned()));
            return None;
        }
        self.misplaced(file, span);
        let (tolerance, settle) = (self.tolerance(file), length(&file.settle, self.settle));
        if let Some(at) = &file.path {
            let value = RequestFile { path: Some(at.clone()), timeout: file.timeout.clone(), ..RequestFile::default() };
            let request = self.step(&At { value, span: span.clone() }, &mut known.clone())?;
            return Some(DataCheckKind::Http {
                request: Box::new(request),
                ignore: self.paths(&file.ignore),
                tolerance: tolerance.relative,
                settle,
            });
        }
        if file.table.is_none() && file.query.is_none() && file.integrity.is_none() {
            let hint =
                "write table = \"orders\", query = \"select …\", integrity = \"select …\" or path = \"/api/orders\"";
            self.source.missing(span.clone(), "the data check has no `table`, `query`, `integrity` or `path`", hint);
            return None;
        }
        let timeout = length(&file.timeout, QUERY_TIMEOUT);
        let databases = self.database(file, span, databases, named);
        if let Some(at) = &file.query {
            let query = self.query(at)?;
            return Some(DataCheckKind::Query { databases: databases?, query, tolerance, settle, timeout });
        }
        if let Some(at) = &file.integrity {
            let query = self.query(at)?;
            return Some(DataCheckKind::Integrity { databases: databases?, query, timeout });
        }
        let table = TableCheck { tolerance, settle, ..self.table(file, timeout)? };
        Some(DataCheckKind::Table { databases: databases?, table })
    }

    /// Keys that this kind of check ignores: whoever wrote them expected something else.
    fn misplaced(&mut self, file: &DataFile, span: &Range<usize>) {
        let first = |list: &[At<String>]| list.first().map_or(span.clone(), |at| at.span.clone());
        const TABLE: &[&str] = &["table"];
        let by_column = matches!(file.tolerance.as_ref().map(|at| &at.value), Some(DataToleranceFile::Columns(_)));
        let tolerance: &[&str] = if by_column { &["table", "query"] } else { &["query", "path"] };
        let keys = [
            ("key", TABLE, file.key.as_ref().map(|list| first(&list.0))),
            ("columns", TABLE, file.columns.as_deref().map(first)),
            ("where", TABLE, file.filter.as_ref().map(|at| at.span.clone())),
            ("chunk", TABLE, file.chunk.as_ref().map(|at| at.span.clone())),
            ("rows_only", TABLE, file.rows_only.map(|_| span.clone())),
            ("most_rows", TABLE, file.most_rows.as_ref().map(|at| at.span.clone())),
            ("ignore", &["table", "path"], file.ignore.first().map(|at| at.span.clone())),
            ("tolerance", tolerance, file.tolerance.as_ref().map(|at| at.span.clone())),
            ("settle", &["table", "query", "path"], file.settle.as_ref().map(|at| at.span.clone())),
            ("database", &["table", "query", "integrity"], file.database.as_ref().map(|at| at.span.clone())),
        ];
        let kinds = [
            ("table", file.table.is_some()),
            ("query", file.query.is_some()),
            ("integrity", file.integrity.is_some()),
            ("path", file.path.is_some()),
        ];
        let Some((kind, _)) = kinds.into_iter().find(|(_, is)| *is) else { return };
        for (key, fits, span) in keys {
            if let (Some(span), false) = (span, fits.contains(&kind)) {
                let fits: Vec<String> = fits.iter().map(|fit| format!("`{fit}`")).collect();
                let fits = match fits.split_last() {
                    Some((last, [])) => last.clone(),
                    Some((last, others)) => format!("{} or {last}", others.join(", ")),
                    None => String::new(),
                };
                let article = if kind == "integrity" { "an" } else { "a" };
                let message = format!("`{key}` has no effect on {article} `{kind}`");
                let hint = match (key, kind) {
                    ("tolerance", "table") => "write tolerance = { price = 0.01 }, by column".to_owned(),
                    ("tolerance", "path") => "write tolerance = 0.01, relative to the larger number".to_owned(),
                    _ => format!("remove it: it applies only to {fits}"),
                };
                self.source.problem(span, message, Some(hint));
            }
        }
    }

    fn tolerance(&mut self, file: &DataFile) -> DataTolerance {
        let columns = match file.tolerance.as_ref().map(|at| &at.value) {
            None => return DataTolerance::default(),
            Some(DataToleranceFile::Relative(part)) => {
                return DataTolerance { relative: part.0, columns: Vec::new() };
            }
            Some(DataToleranceFile::Columns(columns)) => columns,
        };
        let key: Vec<&str> = match &file.key {
            Some(list) => list.0.iter().map(|at| at.value.as_str()).collect(),
            None if file.table.is_some() => vec!["id"],
            None => Vec::new(),
        };
        for (name, at) in columns {
            if key.iter().any(|key| key.eq_ignore_ascii_case(name)) {
                let message = format!("`{name}` identifies a row, and has no tolerance");
                self.source.problem(at.span.clone(), message, Some("remove it from `tolerance`".to_owned()));
            }
        }
        let each = columns.iter().map(|(name, at)| {
            let allowed = match at.value {
                ColumnToleranceFile::Number(number) => ColumnTolerance::Number(number),
                ColumnToleranceFile::Time(length) => ColumnTolerance::Time(length),
            };
            (name.clone(), allowed)
        });
        DataTolerance { relative: 0.0, columns: each.collect() }
    }

    fn database(
        &mut self,
        file: &DataFile,
        span: &Range<usize>,
        databases: &BTreeMap<&str, [SqlEngine; 2]>,
        named: &[&str],
    ) -> Option<[SqlEngine; 2]> {
        match (&file.database, named) {
            (Some(at), _) => {
                if !named.contains(&at.value.as_str()) {
                    let hint = match named {
                        [] => "write [database.shop] with `blue` and `green`".to_owned(),
                        _ => did_you_mean(&at.value, named),
                    };
                    self.source.problem(at.span.clone(), format!("there is no [database.{}]", at.value), Some(hint));
                }
                databases.get(at.value.as_str()).cloned()
            }
            (None, [only]) => databases.get(only).cloned(),
            (None, []) => {
                let hint = "write [database.shop] with `blue` and `green`";
                self.source.missing(span.clone(), "the suite has no database", hint);
                None
            }
            (None, _) => {
                let hint = format!("write database = \"{}\"", named.first().copied().unwrap_or_default());
                self.source.missing(span.clone(), "the data check does not name one of the databases", &hint);
                None
            }
        }
    }

    fn query(&mut self, at: &At<String>) -> Option<String> {
        let query = at.value.trim().trim_end_matches(';').trim();
        if query.is_empty() || query.len() > LONGEST_QUERY {
            let hint = Some("write a query such as \"select id from orders\"".to_owned());
            self.source.problem(at.span.clone(), format!("a query has 1 to {LONGEST_QUERY} characters"), hint);
            return None;
        }
        Some(query.to_owned())
    }

    fn table(&mut self, file: &DataFile, timeout: Millis) -> Option<TableCheck> {
        let at = file.table.as_ref()?;
        let mut plain = |at: &At<String>| {
            let good = !at.value.is_empty() && at.value.len() <= 128 && !at.value.chars().any(char::is_control);
            if !good {
                let hint = Some("write the name as the database has it".to_owned());
                self.source.problem(at.span.clone(), "a name has 1 to 128 printable characters", hint);
            }
            good.then(|| at.value.clone())
        };
        let name = plain(at)?;
        let key = file.key.as_ref().map_or_else(Vec::new, |list| list.0.iter().filter_map(&mut plain).collect());
        let columns = file.columns.as_ref().map(|list| list.iter().filter_map(&mut plain).collect());
        let ignore = file.ignore.iter().filter_map(&mut plain).collect();
        Some(TableCheck {
            name,
            key: if key.is_empty() { vec!["id".to_owned()] } else { key },
            columns,
            ignore,
            filter: file.filter.as_ref().and_then(|at| self.query(at)),
            chunk: whole(&file.chunk, 10_000),
            rows_only: file.rows_only.unwrap_or(false),
            most_rows: whole(&file.most_rows, 100) as usize,
            tolerance: DataTolerance::default(),
            settle: self.settle,
            timeout,
        })
    }
}
