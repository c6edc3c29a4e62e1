//! `cutover check`: reports everything that is wrong with both files and the suites, without touching anything that
//! runs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::output::say;
use crate::cli::{Exit, Output, log};
use crate::mirror::AS_BUILT;
use acme::CertificateStore;
#[cfg(feature = "validation")]
use config::ConfigError;
use config::check::acme::is_certifiable;
use config::file::schema;
use config::read::{self, FileProblem, ProblemSeverity};
use config::{self, MainConfig, RoutingContext, SuiteFolder};
use judgement::time::rfc3339;
use judgement::traffic::host::HostPattern;
#[cfg(feature = "validation")]
use validation::all_suites;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: super::ConfigArg,
    /// Check only this routing file or folder
    #[arg(long)]
    routing: Option<PathBuf>,
    /// Accept that secret files and environment variables are not there, as in a pipeline
    #[arg(long)]
    without_secrets: bool,
    /// Print text or JSON
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
    /// Print the JSON Schema of a file, for editors [default: routing]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "routing")]
    schema: Option<SchemaOf>,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SchemaOf {
    /// The routing file
    Routing,
    /// cutover.toml
    Main,
    /// A validation suite
    Suite,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    services: usize,
    suites: usize,
    /// The services that are counted, but not known without their secrets.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    unchecked: &'a [String],
    /// The names that a CA is asked for.
    #[serde(skip_serializing_if = "<[NamedCertificate]>::is_empty")]
    certificates: &'a [NamedCertificate],
    problems: &'a [FileProblem],
    #[serde(skip_serializing_if = "<[FileProblem]>::is_empty")]
    warnings: &'a [FileProblem],
}

/// A name that `[acme]` is to get a certificate for, and until when the one that is there is valid.
#[derive(Debug, Serialize)]
struct NamedCertificate {
    name: String,
    until: Option<String>,
}

/// The contents of the files, and what is wrong with them.
#[derive(Debug, Default)]
struct Findings {
    services: usize,
    suites: usize,
    unchecked: Vec<String>,
    certificates: Vec<NamedCertificate>,
    problems: Vec<FileProblem>,
    warnings: Vec<FileProblem>,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    if let Some(of) = args.schema {
        let schema = match of {
            SchemaOf::Routing => schema::routing(),
            SchemaOf::Main => schema::main(),
            SchemaOf::Suite => schema::suite(),
        };
        crate::cli::output::json(&schema)?;
        return Ok(Exit::Ok);
    }
    if args.without_secrets {
        read::tolerate_absent_secrets();
    }
    let mut findings = Findings::default();
    match &args.routing {
        Some(path) => {
            findings.routing(path, &AS_BUILT);
        }
        None => findings.all(&args.config.config),
    }
    let Findings { services, suites, unchecked, certificates, problems, warnings } = &findings;
    let ok = problems.is_empty();
    match args.format {
        Output::Json => {
            let report =
                Report { ok, services: *services, suites: *suites, unchecked, certificates, problems, warnings };
            crate::cli::output::json(&report)?;
        }
        Output::Text => findings.print()?,
    }
    Ok(if ok { Exit::Ok } else { Exit::BadConfig })
}

impl Findings {
    /// `cutover.toml`, and every file that it names.
    fn all(&mut self, path: &Path) {
        let main = match config::load_main_to_check(path) {
            Ok(main) => main,
            Err(refused) => return self.problems.extend(refused.problems),
        };
        let suites = self.suites(&main);
        self.warnings.extend(main.warnings.iter().cloned());
        let listeners = main.listeners();
        let context = RoutingContext { listeners: Some(&listeners), suites: suites.as_ref(), ..AS_BUILT };
        let mut hosts = Vec::new();
        let services = self.routing_with_hosts(&main.routing, &context, &mut hosts);
        self.certificates(&main, hosts);
        if let (Some(services), Some(folder)) = (services, &suites) {
            self.services_of_suites(folder, &services);
        }
    }

    /// The suites of the folder; `None` if it cannot be listed.
    #[cfg(feature = "validation")]
    fn suites(&mut self, main: &MainConfig) -> Option<SuiteFolder> {
        let Ok(all) = all_suites(&main.suites) else {
            let hint = "`suites` in cutover.toml names the folder of the suites, which this user must be able to read";
            let why = "cannot list the folder of the suites".to_owned();
            self.problems.extend(ConfigError::at_large_with(&main.suites, why, Some(hint.to_owned())).problems);
            return None;
        };
        let mut names = Vec::new();
        for read in all {
            names.push(read.name);
            match read.suite {
                Ok(suite) => {
                    self.suites += 1;
                    self.warnings.extend(suite.warnings);
                }
                Err(refused) => self.problems.extend(refused.problems),
            }
        }
        Some(SuiteFolder { path: main.suites.clone(), is_there: main.suites.is_dir(), names })
    }

    /// Built without validation, Cutover cannot read suites.
    #[cfg(not(feature = "validation"))]
    fn suites(&mut self, _: &MainConfig) -> Option<SuiteFolder> {
        None
    }

    /// Every suite is for a service that there is.
    fn services_of_suites(&mut self, folder: &SuiteFolder, services: &[String]) {
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        for name in &folder.names {
            let path = folder.path.join(format!("{name}.toml"));
            // A suite that cannot be read is a problem already.
            let known = self.problems.iter().any(|problem| Path::new(&problem.file) == path);
            if let (false, Err(refused)) = (known, config::service_of_suite(&path, &services)) {
                self.problems.extend(refused.problems);
            }
        }
    }

    /// What is in the folder of the certificates, which need not be there.
    fn certificates(&mut self, main: &MainConfig, hosts: Vec<HostPattern>) {
        let Some(acme) = &main.acme else { return };
        let of_hosts = hosts.into_iter().filter_map(|host| match host {
            HostPattern::Exact(name) if is_certifiable(&name) => Some(name),
            HostPattern::Exact(_) | HostPattern::Under(_) => None,
        });
        let store = CertificateStore::at(&acme.folder);
        let names = acme.names.clone().unwrap_or_else(|| of_hosts.collect());
        self.certificates.extend(names.into_iter().map(|name| {
            let until = store.certificate(&name).map(|read| rfc3339(read.end.max(0) as u64 * 1000));
            NamedCertificate { name, until }
        }));
    }

    fn routing(&mut self, path: &Path, context: &RoutingContext<'_>) -> Option<Vec<String>> {
        self.routing_with_hosts(path, context, &mut Vec::new())
    }

    /// The names of the services, and their hosts, if the file can be taken.
    fn routing_with_hosts(
        &mut self,
        path: &Path,
        context: &RoutingContext<'_>,
        hosts: &mut Vec<HostPattern>,
    ) -> Option<Vec<String>> {
        match config::load_routing(path, context) {
            Ok(routing) => {
                hosts.extend(routing.services.iter().flat_map(|service| service.traffic.hosts.iter().cloned()));
                let checked = routing.services.into_iter().map(|service| service.traffic.name);
                let names: Vec<String> = checked.chain(routing.unchecked.iter().cloned()).collect();
                self.services = names.len();
                self.unchecked = routing.unchecked;
                self.warnings.extend(routing.warnings);
                Some(names)
            }
            Err(refused) => {
                self.problems.extend(refused.problems);
                None
            }
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let colour = log::colour_on_stdout();
        for (problems, severity) in
            [(&self.problems, ProblemSeverity::Error), (&self.warnings, ProblemSeverity::Warning)]
        {
            if !problems.is_empty() {
                say!("{}\n", read::render(problems.iter(), severity, colour));
            }
        }
        let many = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let mut parts = Vec::new();
        if self.problems.is_empty() {
            parts.push(format!("ok: {}", many(self.services, "service")));
            parts.extend((self.suites > 0).then(|| many(self.suites, "suite")));
        } else {
            parts.push(many(self.problems.len(), "problem"));
        }
        parts.extend((!self.warnings.is_empty()).then(|| many(self.warnings.len(), "warning")));
        say!("{}", parts.join(", "));
        for NamedCertificate { name, until } in &self.certificates {
            match until {
                Some(until) => say!("certificate of {name}: valid until {until}"),
                None => say!("certificate of {name}: none yet, the CA is asked for it at the start"),
            }
        }
        if !self.unchecked.is_empty() && self.problems.is_empty() {
            say!("without their secrets, not all of these could be checked: {}", self.unchecked.join(", "));
        }
        Ok(())
    }
}
