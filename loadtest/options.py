"""What the programs of this folder have in common: words of the command line, and how they start and end."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import install
import measure

ROOT = Path(__file__).resolve().parent.parent


def list_of(known):
    def parse(text):
        words = [word for word in text.split(",") if word]
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"no such: {word} (there are {', '.join(known)})")
        # In our order, whatever was typed.
        return [word for word in known if word in words]

    return parse


def positive(text):
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("more than nothing")
    return value


def count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least one")
    return value


def another(text):
    name, _, path = text.partition("=")
    if not name or not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError("NAME=PATH, of a program")
    return name, Path(path).resolve()


def parser(description, names, default):
    """With the options that all have: which rows, and where their programs are."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    told = ",".join(names) + (f" (default {','.join(default)})" if default != names else "")
    found.add_argument("--only", type=list_of(names), default=default, metavar="NAMES", help=told)
    found.add_argument(
        "--also", type=another, action="append", default=[], metavar="NAME=PATH",
        help="a row for another binary of Cutover, with the same configuration; as often as wanted",
    )
    found.add_argument("--binaries", metavar="FOLDER", help="with our own programs: build nothing")
    found.add_argument("--keep", metavar="FOLDER", help="put configurations and logs there, and leave them")
    return found


def parse(parser, names):
    options = parser.parse_args()
    taken = list(names)
    for name, _ in options.also:
        if name in taken:
            parser.error(f"--also: there is a {name} already")
        taken.append(name)
    return options


def main(options, run):
    """Runs to an exit code, with a folder for what it writes."""
    # SIGTERM ends as Ctrl-C does: every process that was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.keep:
            Path(options.keep).mkdir(parents=True, exist_ok=True)
            return run(options, Path(options.keep).resolve())
        with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
            return run(options, Path(folder))
    except (install.Missing, measure.Failed) as problem:
        install.say(f"{Path(sys.argv[0]).name}: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
