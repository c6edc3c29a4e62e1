"""The evidence meters in plain Python, and what they say about made-up traffic.

The meters bet against "green is no worse than blue, within tolerance", at odds that are fair if that is true. Methods:
e-variables for 2x2 tables (Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests that allow
for optional stopping", 2021/24); anytime-valid inference (Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics
and safe anytime-valid inference", 2023); e-detectors for a change at an unknown time (Shin, Ramdas, Rinaldo, 2022);
such tests for canaries (Lindon, Sanden, Shirikian, "Rapid Regression Detection in Software Deployments through
Sequential Testing", KDD 2022).

The sequences that the Rust meters are tested against are made by

    python3 tests/evidence/reference.py > tests/evidence/sequences.json

    {"tick_s": 0.02, "plan_s": 1800,
     "errors":  [{"name", "share", "ticks", "rows", "expect"}],
     "latency": [{"name", "share", "cold": [share, half-life in s], "q": [[tick, [seven]]], "ticks", "rows", "expect"}]}

rows    ticks at which anything came in, from 0; all others up to `ticks` are ticks with nothing.
        errors: [tick, green, green bad, blue, blue bad]; latency: [tick, green's seven cells, blue's seven], flat.
        One more number at the end, where there is one, is mass staked at that tick on top of the planned one.
q       blue's cells as measured, from before that tick on; to be clipped and made to sum to one, as `reference` does.
cold    the forgiven share at tick t is share * 2^(-t * tick_s / half-life); [0, 1] forgives nothing.
expect  [tick, ln E after it, bad], for the first ten judged blocks, every tenth after them, and the last tick. `bad`:
        bad green answers since E was last below 1; for latency all of green's. A sequence ends once E > 1e12.

Plain floats, and 26 bisections in log b. ln E has ten digits here and differs by up to 2e-7 where the projection is
solved to its last digit, so compare to 1e-6. The lowest ln E recorded is -16: nothing underflows.
"""

import json
import math
import random

TICK_S = 0.02
PLAN_S = 1800.0
MASS_AT_START, MASS_OVER_PLAN = 0.25, 0.50
BURST, REFILL_PER_S = 4.0, 50.0
BLOCK_S, MEMORY_S = 5.0, 60.0
ENOUGH = 1e12

RATIO, EXCESS, CAP = 1.5, 0.001, 0.05
POSITIONS = (0.08, 0.16, 0.28, 0.44, 0.62, 0.80, 1.0)
ERROR_WEIGHTS = (0.10, 0.10, 0.10, 0.10, 0.15, 0.15, 0.30)
TOP = 0.98
RATE_FLOOR, RATE_CAP = 2e-4, 0.5

LEHMANN = (1.5, 2.5, 5.0, 15.0)
TAILS = (0.02, 0.10, 0.40)
LATENCY_WEIGHTS = (0.15, 0.15, 0.15, 0.15, 0.13, 0.13, 0.14)
CELL_FLOOR = 1e-5
# A forgiven share under this is none.
COLD_ENOUGH = 0.002


def total(terms):
    """From the left, one by one: what sum() does with floats depends on the Python."""
    whole = 0.0
    for term in terms:
        whole += term
    return whole


class Meter:
    """What both meters share: blocks, stakes, the limiter and the sum. `green` and `blue` are counts by cell."""

    def __init__(self, share, weights, cells):
        self.share, self.weights, self.cells = share, weights, cells
        self.wealth = [0.0] * len(weights)
        self.mass, self.bucket = MASS_AT_START, BURST
        self.e, self.bad, self.blocks = 0.0, 0, 0
        self.open_block()

    def open_block(self):
        self.green, self.blue, self.age_ms, self.cold = [0] * self.cells, [0] * self.cells, 0, 0.0

    def add(self, green, blue, stake, cold=0.0):
        self.mass += MASS_OVER_PLAN * TICK_S / PLAN_S + stake
        self.bucket = min(BURST, self.bucket + REFILL_PER_S * TICK_S)
        # A block is as old as its first request, so that ticks with nothing may be left out.
        self.age_ms = self.age_ms + round(1000 * TICK_S) if any(self.green) or any(self.blue) else 0
        if self.age_ms > 1000 * BLOCK_S:
            self.open_block()
        self.green = [old + new for old, new in zip(self.green, green)]
        self.blue = [old + new for old, new in zip(self.blue, blue)]
        # What was forgiven at any tick of a block is forgiven for all of it: the wider null holds the narrower.
        self.cold = max(self.cold, cold)
        if sum(self.green) >= 1 and sum(self.blue) >= 1:
            self.judge()
            self.open_block()

    def judge(self):
        share = sum(self.green) / (sum(self.green) + sum(self.blue))
        gains = [min(gain, self.bucket) for gain in self.gains(share)]
        self.bucket -= max(0.0, max(gains))
        self.wealth = [
            (wealth + self.mass * weight) * math.exp(gain)
            for wealth, weight, gain in zip(self.wealth, self.weights, gains)
        ]
        self.mass = 0.0
        self.e = self.share * total(self.wealth)
        self.bad = 0 if self.e < 1 else self.bad + self.counted()
        self.blocks += 1


class Errors(Meter):
    """Two cells, good and bad. The null is p_g <= min(RATIO * p_b + EXCESS, p_b + CAP)."""

    def __init__(self, share=0.5):
        super().__init__(share, ERROR_WEIGHTS, 2)
        self.seen = self.failed = 0.0

    def tick(self, ng, xg, nb, xb, stake=0.0):
        kept = math.exp(-TICK_S / MEMORY_S)
        self.seen, self.failed = self.seen * kept, self.failed * kept
        self.add((ng - xg, xg), (nb - xb, xb), stake)
        # After the judgement: a block is never part of its own reference.
        self.seen, self.failed = self.seen + nb, self.failed + xb

    def counted(self):
        return self.green[1]

    def gains(self, share):
        tb = min(max((self.failed + 0.2) / (self.seen + 200.0), RATE_FLOOR), RATE_CAP)
        edge = logit(min(RATIO * tb + EXCESS, tb + CAP, 0.9))
        top = max(logit(TOP), edge + 0.7)
        for position in POSITIONS:
            tg = 1 / (1 + math.exp(-(edge + (top - edge) * position)))
            g, b = project(share, tg, tb)
            yield (
                self.green[1] * math.log(tg / g)
                + self.green[0] * math.log((1 - tg) / (1 - g))
                + self.blue[1] * math.log(tb / b)
                + self.blue[0] * math.log((1 - tb) / (1 - b))
            )


def logit(p):
    return math.log(p / (1 - p))


def project(share, tg, tb):
    """The point of the null region closest to (tg, tb), by KL divergence weighted with the block's shares."""
    corner = (CAP - EXCESS) / (RATIO - 1)
    if tg > RATIO * tb + EXCESS:
        g, b = project_on_line(share, tg, tb, RATIO, EXCESS)
        if b <= corner:
            return g, b
    g, b = project_on_line(share, tg, tb, 1.0, CAP)
    return (g, b) if b >= corner else (corner + CAP, corner)


def project_on_line(share, tg, tb, slope, offset):
    low, high = math.log(tb), math.log((tg - offset) / slope)
    for _ in range(26):
        middle = 0.5 * (low + high)
        b = math.exp(middle)
        g = slope * b + offset
        if share * slope * (tg - g) * b * (1 - b) + (1 - share) * (tb - b) * g * (1 - g) > 0:
            low = middle
        else:
            high = middle
    b = math.exp(0.5 * (low + high))
    return slope * b + offset, b


class Latency(Meter):
    """Seven cells of blue's latency. The null is that green is stochastically no slower, but for a forgiven share."""

    def __init__(self, share=0.3):
        super().__init__(share, LATENCY_WEIGHTS, 7)

    def reference(self, q):
        """From the next tick on; what is pending in the block is judged by it too."""
        clipped = [max(p, CELL_FLOOR) for p in q]
        self.q = [p / total(clipped) for p in clipped]
        self.alternatives = slower_cells(self.q)

    def tick(self, green, blue, stake=0.0, cold=0.0):
        self.add(green, blue, stake, cold)

    def counted(self):
        return sum(self.green)

    def gains(self, share):
        for a in self.alternatives:
            green, blue = odds(a, self.q, share, self.cold)
            yield total(n * math.log(f) for n, f in zip(self.green + self.blue, green + blue))


def slower_cells(q):
    """Green's cells if it were slower: S^(1/k), and (1-e)S + e, for blue's survival S at the six edges."""
    survival = [min(max(1 - total(q[: i + 1]), 1e-6), 1 - 1e-6) for i in range(len(q) - 1)]
    slower = [[s ** (1 / k) for s in survival] for k in LEHMANN]
    slower += [[(1 - e) * s + e for s in survival] for e in TAILS]
    cut = [[max(x - y, 1e-7) for x, y in zip([1.0] + curve, curve + [0.0])] for curve in slower]
    return [[cell / total(cells) for cell in cells] for cells in cut]


def odds(a, q, share, cold):
    """What a bet on (a, q) pays for an answer in each cell, to green's and to blue's.

    Without a forgiven share, a/m and q/m with the mixture m. With one, the null is "green is no slower than
    (1-cold) p + cold * (the slowest cell)" for blue's true p, and (g, p)
    is the closest point of the null's edge: p_i = (s a_i + (1-s) q_i) / scale below the slowest cells, and for those
    together the root of (1-cold) p^2 - B p - (1-s) q_slow cold = 0, shared among them as in q. The slowest cells are as
    few as make green's pay non-decreasing, so that its mean on the edge, which is exactly 1, is the most that any green
    can have that the edge dominates.
    """
    if cold < COLD_ENOUGH:
        mixed = [share * x + (1 - share) * y for x, y in zip(a, q)]
        return [x / m for x, m in zip(a, mixed)], [y / m for y, m in zip(q, mixed)]
    for slow in reversed(range(len(a))):
        green, blue = pooled_odds(a, q, share, cold, slow)
        if slow == 0 or green[slow - 1] <= green[slow]:
            return green, blue


def pooled_odds(a, q, share, cold, slow):
    """The pay when the cells from `slow` on are told apart for blue only."""
    if slow == 0:
        return [1.0] * len(a), [1.0] * len(q)
    warm, a_slow, q_slow = 1 - cold, total(a[slow:]), total(q[slow:])
    mixed = [share * x + (1 - share) * y for x, y in zip(a[:slow], q)]
    below, blue_slow = total(mixed), (1 - share) * q_slow
    linear = warm * (share * a_slow + blue_slow) - cold * (blue_slow + below)
    root = math.sqrt(linear * linear + 4 * warm * blue_slow * cold)
    # Of the two ways to write the root, the one that subtracts nothing.
    together = (linear + root) / (2 * warm) if linear > 0 else 2 * blue_slow * cold / (root - linear)
    p = [m * (1 - together) / below for m in mixed]
    green = [x / (warm * y) for x, y in zip(a, p)] + [a_slow / (warm * together + cold)] * (len(a) - slow)
    return green, [y / x for y, x in zip(q, p)] + [q_slow / together] * (len(q) - slow)


# Made-up traffic. Only `random()` is drawn from, the one method whose sequence Python promises to keep.


def poisson(dice, mean):
    n, left = 0, math.exp(-mean)
    product = dice.random()
    while product > left:
        n, product = n + 1, product * dice.random()
    return n


def failures(dice, n, p):
    return sum(dice.random() < p for _ in range(n))


def into_cells(dice, n, cells):
    counts = [0] * len(cells)
    for _ in range(n):
        draw, i = dice.random(), 0
        while i < len(cells) - 1 and draw >= cells[i]:
            draw, i = draw - cells[i], i + 1
        counts[i] += 1
    return counts


def from_tick(start, then, before):
    return lambda tick: then if tick >= start else before


def always(value):
    return lambda tick: value


# name, ticks, mean arrivals a tick (green, blue), failure rates (green, blue) by tick; extras: stakes by tick, floods
# of further requests by tick.
ERRORS = [
    ("healthy 0.1 %", 1500, (1, 9), always((0.001, 0.001)), {}),
    ("healthy 1 %", 1500, (1, 9), always((0.01, 0.01)), {}),
    ("healthy 10 %", 1500, (1, 9), always((0.10, 0.10)), {}),
    ("dead from the start", 1500, (0.04, 0.36), always((1.0, 0.001)), {}),
    ("dead in the middle", 1500, (1, 9), from_tick(500, (1.0, 0.001), (0.001, 0.001)), {}),
    ("50 % failing", 1500, (1, 9), from_tick(300, (0.50, 0.001), (0.001, 0.001)), {}),
    ("10 % failing", 1500, (1, 9), from_tick(300, (0.10, 0.001), (0.001, 0.001)), {}),
    ("2 % failing", 3000, (1, 9), always((0.02, 0.001)), {}),
    ("both failing together", 1000, (1, 9), from_tick(300, (0.60, 0.60), (0.001, 0.001)), {}),
    ("blue failing only", 1000, (1, 9), from_tick(300, (0.001, 0.30), (0.001, 0.001)), {}),
    ("one side busy, the other seldom: blocks dropped", 3000, (0.2, 0.005), always((0.30, 0.01)), {}),
    ("sparse on both sides: blocks dropped", 3000, (0.01, 0.006), always((1.0, 0.0)), {}),
    ("green three times blue", 1000, (3, 1), from_tick(300, (0.10, 0.01), (0.01, 0.01)), {}),
    ("mass at the steps", 1000, (1, 9), always((0.03, 0.02)),
     {"stakes": {100: 0.05, 250: 0.05, 251: 0.05, 600: 0.05, 900: 0.05}}),
    ("100,000 requests in one block", 400, (1, 9), from_tick(201, (0.05, 0.01), (0.01, 0.01)),
     {"floods": {200: (20000, 80000), 300: (50000, 50000)}}),
]

# Cells of a log-normal latency around 50 ms with a slow hundredth, cut at blue's own survival; green's a sixth less.
BLUE = (0.5, 0.25, 0.15, 0.05, 0.04, 0.008, 0.002)
EQUAL = (0.6406, 0.2071, 0.0986, 0.0274, 0.0198, 0.0053, 0.0012)
DOUBLE = (0.1549, 0.2146, 0.2467, 0.1394, 0.1918, 0.0458, 0.0068)
LATE = tuple(0.95 * p for p in EQUAL[:-1]) + (0.95 * EQUAL[-1] + 0.05,)
SPIKE = (0.05, 0.10, 0.20, 0.15, 0.30, 0.15, 0.05)
MEASURED = (0.51, 0.243, 0.147, 0.052, 0.0383, 0.0097, 0.0)


def starting(cells, share):
    """Of a green that just came up, a share in the slowest cell, halved every three seconds."""

    def at(tick):
        late = share * 2 ** (-tick * TICK_S / 3)
        return tuple((1 - late) * p for p in cells[:-1]) + ((1 - late) * cells[-1] + late,)

    return at


# name, ticks, mean arrivals a tick, green's and blue's cells by tick, blue's as measured by tick; extras: stakes, cold.
FORGIVEN = (0.9, 3.0)
LATENCY = [
    ("healthy", 1000, (1, 9), always(EQUAL), always(BLUE), {0: BLUE}, {}),
    ("twice as slow", 1000, (1, 9), from_tick(200, DOUBLE, EQUAL), always(BLUE), {0: BLUE}, {}),
    ("5 % late", 1500, (1, 9), from_tick(200, LATE, EQUAL), always(BLUE), {0: BLUE}, {}),
    ("measured anew in the middle", 800, (1, 9), always(EQUAL), from_tick(300, SPIKE, BLUE),
     {0: BLUE, 350: MEASURED, 400: SPIKE}, {"stakes": {350: 0.05, 500: 0.05}}),
    ("sparse: blocks dropped", 3000, (0.02, 0.006), always(DOUBLE), always(BLUE), {0: BLUE, 1500: MEASURED}, {}),
    ("healthy, cold starts forgiven", 1600, (1, 9), starting(EQUAL, 0.8), always(BLUE), {0: BLUE}, {"cold": FORGIVEN}),
    ("twice as slow, cold starts forgiven", 1500, (1, 9), starting(DOUBLE, 0.5), always(BLUE), {0: BLUE},
     {"cold": FORGIVEN}),
]


def record(meter, sequence, ticks, arrive):
    """Runs `arrive(tick)`, which feeds the meter and returns the tick's counts, and notes what the meter says."""
    rows, expect, blocks = [], [], 0
    for tick in range(ticks):
        counts, stake = arrive(tick)
        if any(counts) or stake:
            rows.append([tick, *counts] + ([stake] if stake else []))
        due = meter.blocks > blocks and (meter.blocks <= 10 or meter.blocks % 10 == 0)
        over = tick + 1 == ticks or meter.e > ENOUGH
        if due or over:
            expect.append([tick, float(f"{math.log(meter.e):.10g}"), meter.bad])
        blocks = meter.blocks
        if over:
            break
    return {**sequence, "ticks": tick + 1, "rows": rows, "expect": expect}


def record_errors(name, ticks, arrivals, rates, extras):
    dice, meter = random.Random(name), Errors()

    def arrive(tick):
        flood = extras.get("floods", {}).get(tick, (0, 0))
        ng, nb = (poisson(dice, mean) + more for mean, more in zip(arrivals, flood))
        xg, xb = failures(dice, ng, rates(tick)[0]), failures(dice, nb, rates(tick)[1])
        stake = extras.get("stakes", {}).get(tick, 0.0)
        meter.tick(ng, xg, nb, xb, stake)
        return (ng, xg, nb, xb), stake

    sequence = {"name": name, "share": meter.share}
    return record(meter, sequence, ticks, arrive)


def record_latency(name, ticks, arrivals, green_cells, blue_cells, references, extras):
    dice, meter = random.Random(name), Latency()
    share, half_life_s = extras.get("cold", (0.0, 1.0))

    def arrive(tick):
        if tick in references:
            meter.reference(references[tick])
        green = into_cells(dice, poisson(dice, arrivals[0]), green_cells(tick))
        blue = into_cells(dice, poisson(dice, arrivals[1]), blue_cells(tick))
        stake = extras.get("stakes", {}).get(tick, 0.0)
        meter.tick(green, blue, stake, share * 2 ** (-tick * TICK_S / half_life_s))
        return (*green, *blue), stake

    sequence = {"name": name, "share": meter.share, "cold": (share, half_life_s), "q": list(references.items())}
    return record(meter, sequence, ticks, arrive)


def main():
    parts = [("errors", record_errors, ERRORS), ("latency", record_latency, LATENCY)]
    listed = [
        f'"{part}": [\n' + ",\n".join(json.dumps(run(*row), separators=(",", ":")) for row in table) + "\n]"
        for part, run, table in parts
    ]
    print("{" + f'"tick_s": {TICK_S}, "plan_s": {PLAN_S},\n' + ",\n".join(listed) + "}")


if __name__ == "__main__":
    main()
