"""From measured runs to medians, ratios, tables and JSON.

A run is one proxy in one round of one scenario and load. Numbers of a row are medians over its rounds, with the least and
the most; the ratios are those of the medians. The spread says how far a difference between two rows can be believed.
"""

from statistics import median

import loads
import proxies

# Below this share of its core, the proxy was waiting for the load generator.
SATURATED = 0.9
# Above this share of the proxy's core in other hands, the machine was too busy to measure on.
DISTURBED = 0.1
# A load generator that sends one in a hundred requests later than this measures itself.
LATE_US = 500

# What has the least and the most beside its median; what has the median alone; and what has a ratio to the reference.
SPREAD = ["cpu_us", "requests_per_second", "p50_us", "p99_us", "p999_us"]
PLAIN = ["core_busy", "core_busy_with_others", "green_share", "peak_memory_mib", "late_p99_us"]
COMPARED = ["cpu_us", "requests_per_second", "p50_us", "p99_us", "p999_us"]


def row(name, runs, notes, saturating):
    """One proxy in one table. `runs`: what was measured of it, maybe nothing."""
    result = {"proxy": name, "rounds": len(runs), "notes": list(notes), "runs": runs}
    for key in SPREAD + PLAIN:
        known = [run[key] for run in runs if run.get(key) is not None]
        result[key] = median(known) if known else None
        if key in SPREAD:
            result[f"{key}_spread"] = [min(known), max(known)] if known else None
    for run in runs:
        result["notes"] += [note for note in run["notes"] if note not in result["notes"]]
    if (result["core_busy_with_others"] or 0) > DISTURBED:
        result["notes"].append(f"disturbed: others had {result['core_busy_with_others']:.0%} of its core")
    elif saturating and result["core_busy"] is not None and result["core_busy"] < SATURATED:
        result["notes"].append(f"not saturated: {result['core_busy']:.0%} of its core")
    if (result["late_p99_us"] or 0) > LATE_US:
        result["notes"].append(f"the load itself was late: {milliseconds(result['late_p99_us'])} ms (p99)")
    return result


def with_ratios(rows):
    """Adds the ratios to the reference, where both were measured."""
    reference = next((each for each in rows if each["proxy"] == proxies.REFERENCE), {})
    for each in rows:
        each["ratios"] = {
            key: each[key] / reference[key] for key in COMPARED if each.get(key) and reference.get(key)
        }
    return rows


def milliseconds(micros):
    return f"{micros / 1000:.2f}"


def spread(row, key, form):
    """A median with the least and the most, if there were several rounds."""
    if row[key] is None:
        return "–"
    low, high = row[f"{key}_spread"]
    return form(row[key]) if row["rounds"] == 1 else f"{form(row[key])} ({form(low)}–{form(high)})"


def ratio(row, key):
    return f"{row['ratios'][key]:.2f}" if key in row["ratios"] else "–"


def columns(rate):
    """The columns of a table: a title, and what fills a cell of a row."""
    cpu = [
        ("CPU µs / request (min–max)", lambda row: spread(row, "cpu_us", "{:.1f}".format)),
        ("to HAProxy", lambda row: ratio(row, "cpu_us")),
    ]
    p50 = ("p50 ms (min–max)", lambda row: spread(row, "p50_us", milliseconds))
    p99 = ("p99 ms (min–max)", lambda row: spread(row, "p99_us", milliseconds))
    peak = ("peak MiB", lambda row: "–" if row["peak_memory_mib"] is None else f"{row['peak_memory_mib']:.0f}")
    notes = ("notes", lambda row: "; ".join(row["notes"]).replace("|", "/"))
    if rate:
        p999 = ("p99.9 ms (min–max)", lambda row: spread(row, "p999_us", milliseconds))
        p99_ratio, p999_ratio = (("to HAProxy", lambda row, key=key: ratio(row, key)) for key in ("p99_us", "p999_us"))
        return [p50, p99, p99_ratio, p999, p999_ratio, *cpu, notes]
    throughput = ("requests/s (min–max)", lambda row: spread(row, "requests_per_second", "{:,.0f}".format))
    return [*cpu, throughput, ("to HAProxy", lambda row: ratio(row, "requests_per_second")), p50, p99, peak, notes]


def table(measured):
    """Markdown: the best first, what was not measured last."""
    scenario = next(each for each in loads.SCENARIOS if each.name == measured["scenario"])
    load = next(each for each in scenario.loads if each.name == measured["load"])
    rate, key = measured["rate"], "p99_us" if load.share else "cpu_us"
    title = f"{scenario.title}, {load.title}" + (f": {rate:,.0f} requests/s" if rate else "")
    cells = columns(load.share)
    heads = ["proxy", *(head for head, _ in cells)]
    lines = [f"### {title}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for each in sorted(measured["rows"], key=lambda each: float("inf") if each[key] is None else each[key]):
        lines.append(f"| {' | '.join([each['proxy'], *(fill(each) for _, fill in cells)])} |")
    return "\n".join([*lines, ""])
