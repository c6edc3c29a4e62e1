"""Runs a proxy, drives load at it, and reads what that cost.

CPU is the kernel's own account of the proxy's process and its children (/proc/PID/stat: user and system, all threads,
in ticks of 10 ms), not the load generator's guess. A run's CPU holds its 64 handshakes too; they are the same for all.
The origin counts what reaches it, so the split of every run is known from the far end, and so is a proxy that answers
by itself or asks twice.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import loads

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
START_SECONDS = 10
# Only this cipher is offered, so that all proxies encrypt alike.
CIPHER = "TLS_AES_128_GCM_SHA256"

# What a load generator reports: requests answered, the seconds they took, latencies in microseconds, and what failed, in
# words (empty if nothing did). Only a load at a constant rate has the rest: how late it was itself, and how many of the
# requests that were due had no answer.
Report = namedtuple("Report", "requests seconds p50 p99 failures p999 late_p99 unanswered", defaults=(None, None, 0))


class Failed(Exception):
    """Something does not run; the text says what."""


class Process:
    """A child, on one core unless that is `None`, ended by its id whatever happens."""

    def __init__(self, start, core, log):
        self.log = Path(log)
        with open(log, "wb") as out:
            self.child = subprocess.Popen(
                [str(word) for word in start.command],
                cwd=start.folder,
                env={**os.environ, **start.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            # Nothing is worth an orderly end, and some drain for long.
            self.child.kill()
        self.child.wait()

    def end(self, number, seconds):
        """In order, by a signal."""
        self.child.send_signal(number)
        try:
            self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"did not end within {seconds} s: {self.last_words()}") from error

    def last_words(self):
        """What it said of its end, as far as one line tells."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        complaints = [line for line in lines if re.search("error|alert|emerg|panic|fatal", line, re.IGNORECASE)]
        return (complaints or lines[-1:] or ["without a word"])[0].strip()[:200]

    def wait_for(self, port, seconds=START_SECONDS):
        """Until it listens."""
        until = time.monotonic() + seconds
        while True:
            if self.child.poll() is not None:
                raise Failed(f"did not start (exit {self.child.returncode}): {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise Failed(f"did not listen within {seconds} s: {self.last_words()}") from None
                time.sleep(0.02)

    def family(self):
        """Its id, and those of all its descendants."""
        ids = [self.child.pid]
        for pid in ids:
            for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    ids += [int(child) for child in tasks.read_text().split()]
                except OSError:
                    pass
        return ids

    def cpu_seconds(self):
        ticks = 0
        for pid in self.family():
            try:
                # The name, in brackets, may hold anything: the fields are counted from behind it.
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError as error:
                raise Failed(f"ended while it was measured: {self.last_words()}") from error
            ticks += int(fields[11]) + int(fields[12])
        return ticks * TICK_SECONDS

    def memory_kib(self, kind):
        """What it has of memory now (`VmRSS`), or had at most (`VmHWM`)."""
        total = 0
        for pid in self.family():
            found = re.search(rf"{kind}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            total += int(found.group(1)) if found else 0
        return total


def core_seconds(core):
    """How long a core has run anything at all, stolen time included."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, steal = (int(each) for each in ticks[:8])
            return (user + nice + system + irq + softirq + steal) * TICK_SECONDS
    raise Failed(f"the kernel does not account for core {core}")


class Ports:
    """Free ports of this machine, none given twice."""

    def __init__(self):
        self.given = set()

    def take(self):
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in self.given:
                self.given.add(port)
                return port


def counts(port):
    """What the origin has answered so far: (blue, green)."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/counts")
        _, blue, _, green = connection.getresponse().read().split()
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failed(f"the origin does not say what it counted: {error}") from error
    return int(blue), int(green)


def tool(command, core, seconds, environment=None):
    """Runs a load generator to its end and returns what it printed."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + 15,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} did not end: requests hang") from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()[-1]
        raise Failed(f"{command[0]} failed (exit {done.returncode}): {words[:200]}")
    return done.stdout


class Client:
    """The load generators, on one core, against one proxy at a time."""

    def __init__(self, core, connections, streams, folder, steady=None):
        self.core, self.connections, self.streams, self.folder = core, connections, streams, folder
        self.program = steady
        # wrk knows no option for ciphers; OpenSSL reads its defaults from here.
        settings = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n"
        openssl = Path(folder) / "openssl.cnf"
        openssl.write_text(f"{settings}[all]\nCiphersuites = {CIPHER}\n")
        self.one_cipher = {"OPENSSL_CONF": str(openssl)}

    def drive(self, scenario, port, path, seconds):
        """Load for so long, by connections that ask again and again."""
        url = f"{'http' if scenario.protocol == 'h1' else 'https'}://127.0.0.1:{port}{path}"
        return self.h2load(url, seconds) if scenario.protocol == "h2" else self.wrk(url, seconds, scenario.services)

    def steady(self, port, path, rate, seconds):
        """So many requests a second for so long."""
        words = [self.program, f"127.0.0.1:{port}", path, f"{rate:.0f}", f"{seconds:g}", str(self.connections)]
        told = json.loads(tool([str(word) for word in words], self.core, seconds))
        failures = f"{told['failures']} requests failed" if told["failures"] else ""
        latencies = (told[name] for name in ("p50", "p99"))
        rest = (told[name] for name in ("p999", "late_p99", "unanswered"))
        return Report(told["answered"], told["seconds"], *latencies, failures, *rest)

    def wrk(self, url, seconds, services):
        # wrk counts in whole seconds; SIGINT ends it at any time, with its report.
        command = ["wrk", "-t1", f"-c{self.connections}", "-d600s", "--timeout", "5s", "--latency"]
        if services:
            script = Path(self.folder) / "services.lua"
            script.write_text(loads.script(services))
            command += ["-s", str(script)]
        command.append(url)
        with subprocess.Popen(
            command,
            env={**os.environ, **self.one_cipher},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.core}),
        ) as child:
            try:
                try:
                    # Ends by itself only if it cannot connect.
                    out = child.communicate(timeout=seconds)[0]
                except subprocess.TimeoutExpired:
                    child.send_signal(signal.SIGINT)
                    out = child.communicate(timeout=15)[0]
            except subprocess.TimeoutExpired as error:
                raise Failed("wrk did not end: requests hang") from error
            finally:
                if child.poll() is None:
                    child.kill()
        done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", out)
        if not done:
            raise Failed(f"wrk: {(out.strip() or 'without a word').splitlines()[-1][:200]}")
        units = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}

        def percentile(share):
            found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)$", out, re.MULTILINE)
            return float(found.group(1)) * units[found.group(2)] if found else None

        failures = [line.strip() for line in re.findall(r"^\s*(?:Socket errors|Non-2xx).*$", out, re.MULTILINE)]
        elapsed = float(done.group(2)) * units[done.group(3)] / 1e6
        return Report(int(done.group(1)), elapsed, percentile(50), percentile(99), "; ".join(failures))

    def h2load(self, url, seconds):
        # Its summary has no percentiles; its log has every request: start, status and microseconds.
        log = Path(self.folder) / "h2load.log"
        log.unlink(missing_ok=True)
        out = tool(
            [
                "h2load",
                *("-t1", f"-c{self.connections}", f"-m{self.streams}", f"--tls13-ciphers={CIPHER}"),
                *("-D", f"{round(seconds * 1000)}ms", f"--log-file={log}", url),
            ],
            self.core,
            seconds,
        )
        if "Application protocol: h2" not in out:
            raise Failed("does not speak HTTP/2")
        done = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        statuses = re.search(r"status codes: (\d+) 2xx, .*", out)
        if not done or not statuses:
            raise Failed("h2load reported nothing")
        with open(log, "rb") as lines:
            took = sorted(int(line.split()[2]) for line in lines if line.count(b"\t") >= 2)
        answered, *wrong = (int(done.group(at)) for at in (1, 3, 4, 5))
        failures = [done.group(0)] if any(wrong) else []
        if int(statuses.group(1)) < answered:
            failures.append(statuses.group(0))
        p50, p99 = (took[int(len(took) * share)] if took else None for share in (0.5, 0.99))
        return Report(answered, seconds, p50, p99, "; ".join(failures))

    def ask(self, scenario, port, requests, headers=()):
        """So many requests, one after another over one connection, each answered with 200."""
        options = ["--h1"] if scenario.protocol != "h2" else []
        scheme = "http" if scenario.protocol == "h1" else "https"
        if scenario.services:
            headers = [*headers, f":authority: {loads.host(loads.asked(scenario.services)[-1])}"]
        given = [word for header in headers for word in ("-H", header)]
        command = ["h2load", *options, "-c1", "-m1", f"-n{requests}", *given, f"{scheme}://127.0.0.1:{port}/"]
        out = tool(command, self.core, 10)
        good = re.search(r"status codes: (\d+) 2xx", out)
        if not good or int(good.group(1)) != requests:
            told = re.search(r"(?:requests|status codes): .*", out)
            raise Failed(f"does not answer: {told.group(0) if told else 'nothing'}")


def until_it_works(attempt, seconds=START_SECONDS):
    """Some listen before they know their routes."""
    until = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (Failed, OSError) as problem:
            if time.monotonic() > until:
                raise Failed(f"does not answer: {problem}") from problem
            time.sleep(0.05)


def check_split(client, scenario, port, origin):
    """What is wrong with a proxy's split and rule, in words; empty if nothing is."""
    before = counts(origin)
    client.ask(scenario, port, 1000)
    between = counts(origin)
    client.ask(scenario, port, 20, ["x-canary: always"])
    after = counts(origin)
    wrong = []
    blue, green = between[0] - before[0], between[1] - before[1]
    if blue + green != 1000 or not 60 <= green <= 150:
        wrong.append(f"of 1000 requests {blue} went to blue and {green} to green")
    if after[0] != between[0] or after[1] - between[1] != 20:
        wrong.append(f"{after[0] - between[0]} of 20 requests with the canary header went to blue")
    return "; ".join(wrong)
