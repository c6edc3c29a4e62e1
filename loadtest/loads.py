"""What the proxies are asked for: the scenarios, and the loads of each.

A load without a rate is that of connections that ask again as soon as they are answered. It finds out what a request
costs and how many a core manages. Its latencies say little: where all wait for the proxy, they are the number of
connections divided by the throughput, and a stall delays only the requests that were under way (coordinated omission).

A load with a rate sends so many requests a second whatever becomes of them, and counts latencies from when each was due
(`steady.rs`). The rate is a share of what HAProxy managed in the same run, so that every proxy has the same.
"""

from collections import namedtuple

# A name, what is said of it in a title, the path that is asked for, and the share of HAProxy's capacity.
Load = namedtuple("Load", "name title path share", defaults=(None,))

# `protocol` is one of h1, tls (HTTP/1.1 over TLS) and h2 (HTTP/2 over TLS). `services`: how many hosts are configured,
# each with a split and a rule of its own, or 0 for one that takes every host.
Scenario = namedtuple("Scenario", "name title protocol loads services", defaults=(0,))

SMALL = Load("small", "body of 109 B", "/")
LARGER = Load("16k", "body of 16 KiB", "/16k")
LARGEST = Load("1m", "body of 1 MiB", "/1m")
HALF = Load("half", "half of what HAProxy manages", "/", 0.5)
MOST = Load("most", "80 % of what HAProxy manages", "/", 0.8)

SCENARIOS = [
    Scenario("h1", "HTTP/1.1", "h1", [SMALL, LARGER]),
    # Apart, since some need other settings to be good at it.
    Scenario("large", "HTTP/1.1", "h1", [LARGEST]),
    Scenario("rate", "HTTP/1.1 at a constant rate", "h1", [HALF, MOST]),
    Scenario("services", "HTTP/1.1 with 1,000 services", "h1", [SMALL], 1000),
    Scenario("tls", "HTTP/1.1 over TLS 1.3", "tls", [SMALL, LARGER]),
    Scenario("h2", "HTTP/2 over TLS 1.3", "h2", [SMALL, LARGER]),
]


def host(service):
    return f"s{service:04}.example"


def asked(services):
    """The services that requests are for: twenty, strewn over the table, in turns."""
    return range(0, services, max(services // 20, 1))


def script(services):
    """For wrk: the requests of a scenario with services."""
    names = ", ".join(f'"{host(service)}"' for service in asked(services))
    return f"""
local hosts, requests, at = {{ {names} }}, {{}}, 0
init = function()
    for number, host in ipairs(hosts) do
        requests[number] = wrk.format("GET", nil, {{ Host = host }})
    end
end
request = function()
    at = at % #requests + 1
    return requests[at]
end
"""
