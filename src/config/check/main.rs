//! `cutover.toml`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use crate::config::Settings;
use crate::config::check::{access, duration, whole};
use crate::config::file::{AdminFile, At, MainFile, Number, ProxyFile};
use crate::config::read::Source;
use crate::time::Millis;

/// Checks the main file. `base`: the folder that its paths are relative to.
pub fn main(source: &mut Source, file: &MainFile, base: &Path) -> Settings {
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
    let tick = file.guard.as_ref().and_then(|at| at.value.tick.as_ref());
    let settings = Settings {
        routing: path(file.routing.as_ref(), "routing.toml"),
        listen: listeners(source, proxy),
        threads: whole(source, proxy.threads.as_ref(), 0..=1024, 0) as usize,
        trusted_proxies: networks(source, proxy.trusted_proxies.iter().flatten()),
        access_log: proxy.access_log.as_ref().and_then(|at| access::check(source, at, base)),
        drain: duration(source, proxy.drain.as_ref(), Millis::seconds(30)),
        admin: admin
            .listen
            .as_ref()
            .and_then(|at| address(source, at))
            .unwrap_or(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 9700)),
        state: path(state, "cutover.db"),
        tick: duration(source, tick, Millis(100)),
    };
    if let (Some(at), true) = (tick, !(Millis(10)..=Millis::seconds(10)).contains(&settings.tick)) {
        source.problem(at.span.clone(), "the tick is between 10ms and 10s", None);
    }
    if let (Some(at), false) = (&admin.listen, settings.admin.ip().is_loopback()) {
        let hint = "listen on 127.0.0.1 and let something with TLS and passwords stand in front".to_owned();
        source.problem(
            at.span.clone(),
            "the admin listener has no TLS and no tokens: only loopback is safe",
            Some(hint),
        );
    }
    settings
}

fn listeners(source: &mut Source, proxy: &ProxyFile) -> Vec<SocketAddr> {
    let Some(At { value: typed, span }) = &proxy.listen else {
        return vec![SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 8080)];
    };
    if typed.is_empty() {
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

fn address(source: &mut Source, typed: &At<String>) -> Option<SocketAddr> {
    let address = typed.value.parse().ok();
    if address.is_none() {
        let hint = "write an address and a port: \"0.0.0.0:8080\", \"127.0.0.1:9700\" or \"[::]:8080\"".to_owned();
        source.problem(typed.span.clone(), format!("`{}` is not an address to listen on", typed.value), Some(hint));
    }
    address
}

/// CIDRs and bare addresses; problems are noted.
pub fn networks<'t>(source: &mut Source, typed: impl Iterator<Item = &'t At<String>>) -> Vec<IpNet> {
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
