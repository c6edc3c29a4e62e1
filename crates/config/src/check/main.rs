//! `cutover.toml`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::check::{access, acme, admin as api, length, notify, size, whole, word};
use crate::file::values::Word;
use crate::file::{AdminFile, At, LimitsFile, MainFile, PlainListenerFile, ProxyFile, StateFile, ValidationFile};
use crate::read::SourceFile;
use crate::{
    CertificateFiles, ClientLimits, HopHeaders, JournalRetention, MainConfig, PlainListener, ProxyProtocol,
    TlsListener, ValidationSettings,
};
use judgement::time::Millis;

/// Checks the main file. `base`: the folder that its paths are relative to.
pub fn main(source: &mut SourceFile, file: &MainFile, base: &Path) -> MainConfig {
    if file.version.is_none() {
        source.missing_key("version", "the file has no `version`", "begin with version = 1");
    }
    let path = |typed: Option<&At<String>>, default: &str| base.join(typed.map_or(default, |at| at.value.as_str()));
    let default_proxy = ProxyFile::default();
    let proxy = file.proxy.as_ref().map_or(&default_proxy, |at| &at.value);
    let default_admin = AdminFile::default();
    let admin = file.admin.as_ref().map_or(&default_admin, |at| &at.value);
    let state = file.state.as_ref().map(|at| &at.value);
    let admin_listen = admin.listen.as_ref().map_or(SocketAddr::from(([127, 0, 0, 1], 9700)), |at| at.value.0);
    let hop = HopHeaders::default();
    let config = MainConfig {
        routing: path(file.routing.as_ref(), "routing.toml"),
        listen: listeners(source, proxy),
        tls: tls(source, proxy, base, file.acme.is_some()),
        acme: acme::check(source, file, base, &path(state.and_then(|state| state.path.as_ref()), "cutover.db")),
        acme_challenges: proxy.acme_challenges.as_ref().map(|at| base.join(&at.value)),
        plain_http2: proxy.http2.unwrap_or(true),
        redirect_to_https: proxy.redirect_to_https.as_ref().map(|at| at.value.0 as u16),
        limits: limits(proxy.limits.as_ref().map(|at| &at.value)),
        threads: whole(&proxy.threads, 0) as usize,
        trusted_proxies: proxy.trusted_proxies.iter().flat_map(|l| &l.0).flat_map(|at| at.value.0.clone()).collect(),
        hop: HopHeaders {
            forwarded: proxy.forwarded.unwrap_or(hop.forwarded),
            via: proxy.via.unwrap_or(hop.via),
            trace_context: proxy.trace_context.unwrap_or(hop.trace_context),
        },
        early_hints: word(&proxy.early_hints).unwrap_or_default(),
        access_log: proxy.access_log.as_ref().and_then(|at| access::check(source, at, base)),
        drain: length(&proxy.drain, Millis::seconds(30)),
        drain_delay: length(&proxy.drain_delay, Millis::seconds(2)),
        admin: admin_listen,
        admin_access: api::check(source, admin, admin_listen, base),
        state: path(state.and_then(|state| state.path.as_ref()), "cutover.db"),
        keep: keep(state),
        tick: file.guard.as_ref().map_or(Millis(20), |at| length(&at.value.tick, Millis(20))),
        notify: notify::check(source, &file.notify, base),
        suites: path(file.suites.as_ref(), "suites"),
        validation: validation(file.validation.as_ref().map(|at| &at.value)),
        warnings: Vec::new(),
    };
    if let (Some(at), true) = (&proxy.drain_delay, config.drain_delay > config.drain) {
        let message = format!("`drain_delay` is part of `drain`, and cannot be longer than its {}", config.drain);
        source.problem(at.span.clone(), message, Some("make `drain` longer, or `drain_delay` shorter".to_owned()));
    }
    if config.trusted_proxies.is_empty() {
        proxy_headers_need_trust(source, proxy);
    }
    one_listener_for_each_port(source, proxy, admin, admin_listen);
    MainConfig { warnings: std::mem::take(&mut source.warnings), ..config }
}

fn keep(file: Option<&StateFile>) -> JournalRetention {
    let default = JournalRetention::default();
    let Some(file) = file else { return default };
    JournalRetention { age: length(&file.keep, default.age), bytes: size(&file.keep_size, default.bytes) }
}

fn validation(file: Option<&ValidationFile>) -> ValidationSettings {
    let default = ValidationSettings::default();
    let Some(file) = file else { return default };
    ValidationSettings {
        at_once: whole(&file.at_once, default.at_once as u64) as usize,
        keep: whole(&file.keep, default.keep as u64) as usize,
        age: length(&file.keep_for, default.age),
        snapshots: length(&file.snapshots_for, default.snapshots),
    }
}

/// The plain listeners; if there is no listener at all, the default one.
fn listeners(source: &mut SourceFile, proxy: &ProxyFile) -> Vec<PlainListener> {
    let Some(At { value: typed, span }) = &proxy.listen else {
        let plain = SocketAddr::from(([0, 0, 0, 0], 8080));
        return if proxy.tls.is_empty() { vec![plain.into()] } else { Vec::new() };
    };
    if typed.0.is_empty() && proxy.tls.is_empty() {
        source.missing(span.clone(), "the proxy has no listener", "write listen = [\"0.0.0.0:8080\"]");
    }
    let mut all = Vec::new();
    for At { value: PlainListenerFile { address, proxy_protocol }, span } in &typed.0 {
        let proxy_protocol = word(proxy_protocol).unwrap_or_default();
        match address {
            Some(address) => all.push(PlainListener { listen: address.0, proxy_protocol }),
            None => source.missing(span.clone(), "the listener has no `address`", "write address = \"0.0.0.0:8080\""),
        }
    }
    all
}

/// Notes listeners that take a header of the PROXY protocol, though nobody may send one.
fn proxy_headers_need_trust(source: &mut SourceFile, proxy: &ProxyFile) {
    let plain = proxy.listen.iter().flat_map(|at| &at.value.0).filter_map(|at| at.value.proxy_protocol.as_ref());
    let tls = proxy.tls.iter().filter_map(|at| at.value.proxy_protocol.as_ref());
    for At { value: Word(protocol), span } in plain.chain(tls) {
        let hint = "name the load balancers: trusted_proxies = [\"10.0.0.0/8\"]";
        match protocol {
            ProxyProtocol::Off => {}
            ProxyProtocol::Optional => {
                let message = "`proxy_protocol` takes headers from `trusted_proxies` alone, and there are none";
                source.warning(span.clone(), message, hint);
            }
            ProxyProtocol::Required => {
                let message = "nobody can connect: only `trusted_proxies` may send the header, and there are none";
                source.problem(span.clone(), message, Some(hint.to_owned()));
            }
        }
    }
}

/// Notes every listener whose address another one already has. An address for every interface takes the whole port.
fn one_listener_for_each_port(source: &mut SourceFile, proxy: &ProxyFile, admin: &AdminFile, admin_listen: SocketAddr) {
    let plain = proxy.listen.iter().flat_map(|at| &at.value.0);
    let plain =
        plain.filter_map(|at| at.value.address.as_ref().map(|address| (address.0, Some(&at.span), "the proxy")));
    let tls = proxy.tls.iter().filter_map(|at| at.value.listen.as_ref());
    let tls = tls.map(|at| (at.value.0, Some(&at.span), "the proxy's TLS"));
    let default = proxy.listen.is_none() && proxy.tls.is_empty();
    let default = default.then(|| (SocketAddr::from(([0, 0, 0, 0], 8080)), None, "the proxy, by default,"));
    let of_admin = (admin_listen, admin.listen.as_ref().map(|at| &at.span), "the admin");
    let mut all: Vec<(SocketAddr, Option<&std::ops::Range<usize>>, &str)> = Vec::new();
    for (address, span, who) in plain.chain(tls).chain(default).chain([of_admin]) {
        if let Some((other, other_span, other_who)) = all.iter().find(|(other, ..)| collide(*other, address)) {
            let message = match *other == address && *other_who == who {
                true => format!("{address} is listed twice"),
                false => format!("{other_who} already listens on {other}"),
            };
            // The admin's own address may be the default, which is not in the file.
            let (span, message) = match (span, other_span) {
                (Some(span), _) => (span, message),
                (None, Some(span)) => (*span, format!("{who} already listens on {address}")),
                (None, None) => continue,
            };
            let hint = "give each listener its own port".to_owned();
            source.problem(span.clone(), message, Some(hint));
        }
        all.push((address, span, who));
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let every = |ip: IpAddr| ip.is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || every(one.ip()) || every(other.ip()))
}

/// `acme`: certificates come from a CA too.
fn tls(source: &mut SourceFile, proxy: &ProxyFile, base: &Path, acme: bool) -> Vec<TlsListener> {
    let mut all: Vec<TlsListener> = Vec::new();
    for At { value: file, span } in &proxy.tls {
        let Some(at) = &file.listen else {
            source.missing(span.clone(), "the TLS listener has no `listen`", "write listen = \"0.0.0.0:8443\"");
            continue;
        };
        let first = (&file.cert_file, &file.key_file, span);
        let more = file.certificate.iter().map(|at| (&at.value.cert_file, &at.value.key_file, &at.span));
        let mut certificates = Vec::new();
        let hint = match (acme, &file.acme) {
            (true, Some(_)) => "write cert_file = \"shop.pem\" and key_file = \"shop.key\", or remove `acme = false`",
            _ => {
                "write cert_file = \"shop.pem\" and key_file = \"shop.key\", or add [acme] to get certificates from a CA"
            }
        };
        let acme = acme::is_for(file, acme);
        let has_files = file.cert_file.is_some() || file.key_file.is_some();
        let first = Some(first).filter(|_| has_files || !acme);
        for (cert, key, span) in first.into_iter().chain(more) {
            let (Some(cert), Some(key)) = (cert, key) else {
                // The one that is there, or the table.
                let place = cert.as_ref().or(key.as_ref()).map_or(span.clone(), |at| source.key_of(&at.span));
                let at = if cert.is_none() && key.is_none() { span } else { &place };
                source.missing_in(span, at.clone(), "a certificate needs `cert_file` and `key_file`", hint);
                continue;
            };
            certificates.push(CertificateFiles { cert: base.join(&cert.value), key: base.join(&key.value) });
        }
        all.push(TlsListener {
            listen: at.value.0,
            proxy_protocol: word(&file.proxy_protocol).unwrap_or_default(),
            http2: file.http2.unwrap_or(true),
            certificates,
            acme,
        });
    }
    all
}

fn limits(file: Option<&LimitsFile>) -> ClientLimits {
    let default = ClientLimits::default();
    let Some(file) = file else { return default };
    ClientLimits {
        header_time: length(&file.header_time, default.header_time),
        header_bytes: size(&file.header_bytes, default.header_bytes as u64) as usize,
        header_fields: whole(&file.header_fields, default.header_fields as u64) as usize,
        target_bytes: size(&file.target_bytes, default.target_bytes as u64) as usize,
        body_idle: length(&file.body_idle, default.body_idle),
        body_rate: whole(&file.body_rate, default.body_rate),
        write_idle: length(&file.write_idle, default.write_idle),
        keep_alive: length(&file.keep_alive, default.keep_alive),
        requests: whole(&file.requests, u64::from(default.requests)) as u32,
        half_close: file.half_close.unwrap_or(default.half_close),
        tunnel_idle: length(&file.tunnel_idle, default.tunnel_idle),
        tls_handshake: length(&file.tls_handshake, default.tls_handshake),
        connections: whole(&file.connections, default.connections as u64) as usize,
        requests_in_flight: whole(&file.requests_in_flight, default.requests_in_flight as u64) as usize,
        requests_in_flight_per_address: whole(
            &file.requests_in_flight_per_address,
            default.requests_in_flight_per_address as u64,
        ) as usize,
        connections_per_address: whole(&file.connections_per_address, default.connections_per_address as u64) as usize,
    }
}
