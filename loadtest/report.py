"""From measured runs to medians, ratios, tables and JSON.

A run is one proxy in one round of one scenario and size. Numbers of a row are medians over its rounds; the ratios are
those of the medians. The spread of the CPU says how far a difference between two rows can be believed.
"""

from statistics import median

import proxies

TITLES = {"h1": "HTTP/1.1", "tls": "HTTP/1.1 over TLS 1.3", "h2": "HTTP/2 over TLS 1.3"}
SIZES = {"small": "109 B", "16k": "16 KiB"}
# Below this share of its core, the proxy was waiting for the load generator.
SATURATED = 0.9
# Above this share of the proxy's core in other hands, the machine was too busy to measure on.
DISTURBED = 0.1


def row(name, runs, notes):
    """One proxy in one table. `runs`: what was measured of it, maybe nothing."""
    result = {"proxy": name, "rounds": len(runs), "notes": list(notes), "runs": runs}
    if not runs:
        return result
    cpu = [run["cpu_us"] for run in runs]
    result["cpu_us"] = median(cpu)
    result["cpu_us_spread"] = [min(cpu), max(cpu)]
    for key in ("requests_per_second", "core_busy", "core_busy_with_others", "green_share", "peak_memory_mib"):
        result[key] = median(run[key] for run in runs)
    for key in ("p50_us", "p99_us"):
        known = [run[key] for run in runs if run[key] is not None]
        result[key] = median(known) if known else None
    for run in runs:
        result["notes"] += [note for note in run["notes"] if note not in result["notes"]]
    if result["core_busy_with_others"] > DISTURBED:
        result["notes"].append(f"disturbed: others had {result['core_busy_with_others']:.0%} of its core")
    elif result["core_busy"] < SATURATED:
        result["notes"].append(f"not saturated: {result['core_busy']:.0%} of its core")
    return result


def with_ratios(rows):
    """Adds the ratios of CPU to that of the reference, where it was measured."""
    by_name = {each["proxy"]: each.get("cpu_us") for each in rows}
    reference = by_name.get(proxies.REFERENCE)
    for each in rows:
        if reference and each.get("cpu_us"):
            each[f"to_{proxies.REFERENCE}"] = each["cpu_us"] / reference
    return rows


def milliseconds(micros):
    return "–" if micros is None else f"{micros / 1000:.2f}"


def ratio(row):
    value = row.get(f"to_{proxies.REFERENCE}")
    return "–" if value is None else f"{value:.2f}"


def table(scenario, size, rows):
    """Markdown, the least CPU first, what was not measured last."""
    lines = [
        f"### {TITLES[scenario]}, body of {SIZES[size]}",
        "",
        "| proxy | CPU µs / request (min–max) | to HAProxy | requests/s | p50 ms | p99 ms | peak MiB | notes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in sorted(rows, key=lambda each: each.get("cpu_us", float("inf"))):
        notes = "; ".join(each["notes"]).replace("|", "/")
        if "cpu_us" not in each:
            lines.append(f"| {each['proxy']} | – | – | – | – | – | – | {notes} |")
            continue
        low, high = each["cpu_us_spread"]
        cells = [
            each["proxy"],
            f"{each['cpu_us']:.1f} ({low:.1f}–{high:.1f})",
            ratio(each),
            f"{each['requests_per_second']:,.0f}",
            milliseconds(each["p50_us"]),
            milliseconds(each["p99_us"]),
            f"{each['peak_memory_mib']:.0f}",
            notes,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
