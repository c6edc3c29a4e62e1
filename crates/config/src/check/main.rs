//! `cutover.toml`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use crate::check::size::size;
use crate::check::{access, admin as door, duration, notify, positive, whole};
use crate::file::{AdminFile, At, LimitsFile, MainFile, Number, ProxyFile, Size, StateFile, ValidationFile};
use crate::read::SourceFile;
use crate::{
    CertificateFiles, ClientLimits, HopHeaders, JournalRetention, MainConfig, TlsListener, ValidationSettings,
};
use judgement::time::Millis;

/// Header lines that pingora's parser has room for.
const MOST_FIELDS: usize = 256;
/// What pingora reads of a head.
const MOST_HEAD: usize = 1 << 20;

/// Checks the main file. `base`: the folder that its paths are relative to.
pub fn main(source: &mut SourceFile, file: &MainFile, base: &Path) -> MainConfig {
    match &file.version {
        Some(At { value: Number(version), .. }) if *version == 1.0 => {}
        Some(At { value: Number(version), span }) => {
            let message = format!("this is a file of version {version}; this program reads version 1");
            source.problem(span.clone(), message, None);
        }
        None => source.missing(0..0, "the file does not say its version", "begin with `version = 1`"),
    }
    let path = |typed: Option<&At<String>>, default: &str| base.join(typed.map_or(default, |at| at.value.as_str()));
    let default_proxy = ProxyFile::default();
    let proxy = file.proxy.as_ref().map_or(&default_proxy, |at| &at.value);
    let default_admin = AdminFile::default();
    let admin = file.admin.as_ref().map_or(&default_admin, |at| &at.value);
    let state = file.state.as_ref().and_then(|at| at.value.path.as_ref());
    let admin_listen = admin.listen.as_ref().and_then(|at| address(source, at));
    let admin_listen = admin_listen.unwrap_or(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 9700));
    let tick = file.guard.as_ref().and_then(|at| at.value.tick.as_ref());
    let settings = MainConfig {
        routing: path(file.routing.as_ref(), "routing.toml"),
        listen: listeners(source, proxy),
        tls: tls(source, proxy, base),
        redirect_to_https: proxy.redirect_to_https.as_ref().map(|at| whole(source, Some(at), 1..=65535, 443) as u16),
        limits: limits(source, proxy.limits.as_ref().map(|at| &at.value)),
        threads: whole(source, proxy.threads.as_ref(), 0..=1024, 0) as usize,
        trusted_proxies: networks(source, proxy.trusted_proxies.iter().flatten()),
        hop: HopHeaders {
            forwarded: proxy.forwarded.unwrap_or(HopHeaders::default().forwarded),
            via: proxy.via.unwrap_or(HopHeaders::default().via),
            trace_context: proxy.trace_context.unwrap_or(HopHeaders::default().trace_context),
        },
        access_log: proxy.access_log.as_ref().and_then(|at| access::check(source, at, base)),
        drain: duration(source, proxy.drain.as_ref(), Millis::seconds(30)),
        drain_delay: duration(source, proxy.drain_delay.as_ref(), Millis::seconds(2)),
        admin: admin_listen,
        admin_access: door::check(source, admin, admin_listen, base),
        state: path(state, "cutover.db"),
        keep: keep(source, file.state.as_ref().map(|at| &at.value)),
        tick: duration(source, tick, Millis(20)),
        notify: notify::check(source, &file.notify, base),
        suites: path(file.suites.as_ref(), "suites"),
        validation: validation(source, file.validation.as_ref().map(|at| &at.value)),
    };
    if let (Some(at), true) = (&proxy.drain_delay, settings.drain_delay > settings.drain) {
        let message = format!("the delay is a part of `drain`, which is {}", settings.drain);
        source.problem(at.span.clone(), message, None);
    }
    if let (Some(at), true) = (tick, !(Millis(10)..=Millis::seconds(1)).contains(&settings.tick)) {
        source.problem(at.span.clone(), "the tick is between 10ms and 1s", None);
    }
    settings
}

/// Less than this cannot be meant: a rollback of last night must be there in the morning.
const LEAST_AGE: Millis = Millis::seconds(86_400);
const LEAST_SIZE: u64 = 1 << 20;

fn keep(source: &mut SourceFile, file: Option<&StateFile>) -> JournalRetention {
    let (Some(file), default) = (file, JournalRetention::default()) else { return JournalRetention::default() };
    let keep = JournalRetention {
        age: duration(source, file.keep.as_ref(), default.age),
        bytes: size(source, file.keep_size.as_ref(), default.bytes),
    };
    if let (Some(at), true) = (&file.keep, keep.age < LEAST_AGE) {
        source.problem(
            at.span.clone(),
            "the journal is kept for a day at the least",
            Some("write \"400d\"".to_owned()),
        );
    }
    if let (Some(at), true) = (&file.keep_size, keep.bytes < LEAST_SIZE) {
        source.problem(at.span.clone(), "the journal keeps 1 MiB at the least", Some("write \"256MiB\"".to_owned()));
    }
    keep
}

fn validation(source: &mut SourceFile, typed: Option<&ValidationFile>) -> ValidationSettings {
    let (default, file) = (ValidationSettings::default(), typed.cloned().unwrap_or_default());
    ValidationSettings {
        at_once: whole(source, file.at_once.as_ref(), 1..=32, default.at_once as u64) as usize,
        keep: whole(source, file.keep.as_ref(), 1..=10_000, default.keep as u64) as usize,
        age: positive(source, file.keep_for.as_ref(), default.age),
        snapshots: positive(source, file.snapshots_for.as_ref(), default.snapshots),
    }
}

fn listeners(source: &mut SourceFile, proxy: &ProxyFile) -> Vec<SocketAddr> {
    let Some(At { value: typed, span }) = &proxy.listen else {
        if !proxy.tls.is_empty() {
            return Vec::new();
        }
        return vec![SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 8080)];
    };
    if typed.is_empty() && proxy.tls.is_empty() {
        source.problem(
            span.clone(),
            "a proxy that listens nowhere serves nobody",
            Some("write [\"0.0.0.0:8080\"]".to_owned()),
        );
    }
    let mut all: Vec<SocketAddr> = Vec::new();
    for at in typed {
        if let Some(address) = address(source, at) {
            if all.contains(&address) && address.port() != 0 {
                source.problem(at.span.clone(), format!("{address} is named twice"), None);
            }
            all.push(address);
        }
    }
    all
}

fn tls(source: &mut SourceFile, proxy: &ProxyFile, base: &Path) -> Vec<TlsListener> {
    let plain: Vec<&str> = proxy.listen.iter().flat_map(|at| &at.value).map(|at| at.value.as_str()).collect();
    let mut all: Vec<TlsListener> = Vec::new();
    for At { value: file, span } in &proxy.tls {
        let Some(at) = &file.listen else {
            source.missing(span.clone(), "the TLS listener has no `listen`", "write listen = \"0.0.0.0:8443\"");
            continue;
        };
        let Some(listen) = address(source, at) else { continue };
        let taken = plain.contains(&at.value.as_str()) || all.iter().any(|other| other.listen == listen);
        if taken && listen.port() != 0 {
            source.problem(at.span.clone(), format!("{listen} is named twice"), None);
        }
        let first = (&file.cert_file, &file.key_file);
        let more = file.certificate.iter().map(|at| (&at.value.cert_file, &at.value.key_file));
        let files = std::iter::once(first).chain(more);
        let certificates: Vec<CertificateFiles> = files
            .filter_map(|pair| match pair {
                (Some(cert), Some(key)) => {
                    Some(CertificateFiles { cert: base.join(&cert.value), key: base.join(&key.value) })
                }
                _ => {
                    let hint = "write cert_file = \"shop.pem\" and key_file = \"shop.key\"";
                    source.missing(span.clone(), "a certificate has a `cert_file` and a `key_file`", hint);
                    None
                }
            })
            .collect();
        all.push(TlsListener { listen, http2: file.http2.unwrap_or(true), certificates });
    }
    all
}

fn limits(source: &mut SourceFile, typed: Option<&LimitsFile>) -> ClientLimits {
    let default = LimitsFile::default();
    let (file, d) = (typed.unwrap_or(&default), ClientLimits::default());
    let mut number = |typed: Option<&At<Number>>, least: u64, default: u64| {
        whole(source, typed, least..=u64::from(u32::MAX), default)
    };
    let header_fields = number(file.header_fields.as_ref(), 1, d.header_fields as u64) as usize;
    let body_rate = number(file.body_rate.as_ref(), 0, d.body_rate);
    let requests = number(file.requests.as_ref(), 1, u64::from(d.requests)) as u32;
    let connections = number(file.connections.as_ref(), 0, d.connections as u64) as usize;
    let connections_per_address =
        number(file.connections_per_address.as_ref(), 0, d.connections_per_address as u64) as usize;
    if let Some(at) = file.header_fields.as_ref().filter(|_| header_fields > MOST_FIELDS) {
        source.problem(at.span.clone(), format!("at most {MOST_FIELDS} header lines can be read"), None);
    }
    let mut bytes = |typed: Option<&At<Size>>, default: usize| {
        let bytes = size(source, typed, default as u64) as usize;
        if let Some(at) = typed.filter(|_| !(256..=MOST_HEAD).contains(&bytes)) {
            source.problem(at.span.clone(), "a head has from 256 bytes to 1 MiB", None);
        }
        bytes
    };
    let (header_bytes, target_bytes) =
        (bytes(file.header_bytes.as_ref(), d.header_bytes), bytes(file.target_bytes.as_ref(), d.target_bytes));
    let mut time = |typed: Option<&At<String>>, default| positive(source, typed, default);
    ClientLimits {
        header_time: time(file.header_time.as_ref(), d.header_time),
        header_bytes,
        header_fields,
        target_bytes,
        body_idle: time(file.body_idle.as_ref(), d.body_idle),
        body_rate,
        write_idle: time(file.write_idle.as_ref(), d.write_idle),
        keep_alive: time(file.keep_alive.as_ref(), d.keep_alive),
        requests,
        tunnel_idle: time(file.tunnel_idle.as_ref(), d.tunnel_idle),
        tls_handshake: time(file.tls_handshake.as_ref(), d.tls_handshake),
        connections,
        connections_per_address,
    }
}

fn address(source: &mut SourceFile, typed: &At<String>) -> Option<SocketAddr> {
    let address = typed.value.parse().ok();
    if address.is_none() {
        let hint = "write an address and a port: \"0.0.0.0:8080\", \"127.0.0.1:9700\" or \"[::]:8080\"".to_owned();
        source.problem(typed.span.clone(), format!("`{}` is not an address to listen on", typed.value), Some(hint));
    }
    address
}

/// CIDRs and bare addresses; problems are noted.
pub fn networks<'t>(source: &mut SourceFile, typed: impl Iterator<Item = &'t At<String>>) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for At { value, span } in typed {
        match (value.parse::<IpNet>(), value.parse::<IpAddr>()) {
            (Ok(net), _) if net.trunc() != net => {
                let hint = Some(format!("did you mean `{}`?", net.trunc()));
                source.problem(span.clone(), format!("`{value}` has bits behind its prefix"), hint);
            }
            (Ok(net), _) => nets.push(net),
            (_, Ok(address)) => nets.push(IpNet::from(address.to_canonical())),
            _ => {
                let hint = Some("write \"10.0.0.0/8\", \"2001:db8::/32\" or one address".to_owned());
                source.problem(span.clone(), format!("`{value}` is not an address or network"), hint);
            }
        }
    }
    nets
}
