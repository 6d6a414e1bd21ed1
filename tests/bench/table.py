#!/usr/bin/env python3
"""Makes the tables of docs/benchmarks.md from what measure.py wrote.

  table.py RESULT [PAGE]    prints them, or puts them into the page between its two markers

A ratio is the median, over the rounds, of the tool's cost divided by deployrun's in the same round: what slowed the
machine down in one round slowed both.
"""

import json
import statistics
import sys

BEGIN, END = "<!-- tables: begin (tests/bench/peers.sh --write) -->", "<!-- tables: end -->"
NAMES = {"deployrun": "**deployrun**"}


def number(value, unit):
    if unit == "MiB":
        return f"{value:.0f} MiB" if value >= 10 else f"{value:.1f} MiB"
    if value < 9.95:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 9950 else f"{value / 1000:.1f} s"


def ratio(value):
    return f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


class Result:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        self.about, self.rows, self.tools, self.costs = data["about"], data["rows"], data["tools"], data["costs"]

    def values(self, row, tool, field):
        """Those of the rounds that count; of the first one for what is only measured in it."""
        costs = self.costs.get(row, {}).get(tool, [])
        return [cost[field] for cost in (costs[:1] if field == "all_mib" else costs[1:]) if field in cost]

    def over(self, row, tool, base, field):
        """The ratio to another tool in the same rounds; None when there is none."""
        pairs = zip(self.values(row, tool, field), self.values(row, base, field))
        found = [mine / theirs for mine, theirs in pairs if theirs > 0]
        return statistics.median(found) if found else None

    def cell(self, row, tool, field, unit):
        values = self.values(row, tool, field)
        if not values:
            return "–"
        text = number(statistics.median(values), unit)
        times = None if tool == "deployrun" else self.over(row, tool, "deployrun", field)
        return text if times is None else f"{text} · {ratio(times)}"

    def table(self, field, unit, rows):
        lines = ["| | " + " | ".join(NAMES.get(tool, tool) for tool in self.tools) + " |"]
        lines.append("|---|" + "---:|" * len(self.tools))
        for row, title in rows:
            lines.append("| " + " | ".join([title] + [self.cell(row, t, field, unit) for t in self.tools]) + " |")
        return lines


def goals(result):
    """What is asked of deployrun, and what came of it."""
    lines = ["| goal | measured | |", "|---|---:|---|"]

    def add(text, value, most):
        if value is not None:
            lines.append(f"| {text} | {value:.3f} | {'reached' if value <= most else '**missed**'} |")

    add("start, ≤ 1/20 of Ansible's", result.over("empty", "deployrun", "Ansible", "wall_ms"), 1 / 20)
    add("start, ≤ 1/5 of Fabric's", result.over("empty", "deployrun", "Fabric", "wall_ms"), 1 / 5)
    for row, title in result.rows:
        if row.startswith(("fan", "seq")):
            add(f"{title}, ≤ 1.15 × bare libssh", result.over(row, "deployrun", "bare libssh", "wall_ms"), 1.15)
            peers = [result.over(row, "deployrun", t, "wall_ms") for t in result.tools[2:]]
            add(f"{title}, ahead of every peer", max([p for p in peers if p is not None], default=None), 1)
    add("upload, as fast as scp", result.over("upload", "deployrun", "ssh, scp", "wall_ms"), 1)
    checked = result.over("checked", "deployrun", "ssh, scp", "wall_ms")
    add("upload, as fast as scp with the hashes checked", checked, 1)
    return lines


def machine(result):
    a = result.about
    packages = ", ".join(f"{name} {version}" for name, version in a["packages"].items() if version[:1].isdigit())
    busy = a["load"] > a["processors"] / 2
    note = " **The machine had other work meanwhile: the times are too high and the ratios rough.**" if busy else ""
    return [
        f"{a['date']}, {a['deployrun']}; {a['processors']} processors ({a['processor']}), {a['memory_gib']} GiB, "
        f"{a['kernel']}, load {a['load']:.1f} at the beginning. Median of {a['runs']} rounds. "
        f"All by {a['algorithms']}. {packages}.{note}"
    ]


def render(result):
    rows = result.rows
    work = [row for row in rows if not row[0].startswith("version")]
    return "\n".join(
        ["", *machine(result), "", "### Time", "", "Median · how many times as much as deployrun.", ""]
        + result.table("wall_ms", "ms", rows)
        + ["", "### The client's processor time", "", "User and system, of all its processes.", ""]
        + result.table("cpu_ms", "ms", rows)
        + ["", "### Peak memory, largest process", ""]
        + result.table("largest_mib", "MiB", work)
        + ["", "### Peak memory, all processes together", ""]
        + result.table("all_mib", "MiB", [row for row in work if row[0] != "empty"])
        + ["", "### Goals", "", "deployrun's time divided by the other's.", ""]
        + goals(result)
        + [""]
    )


def main():
    text = render(Result(sys.argv[1]))
    if len(sys.argv) < 3:
        print(text)
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        page = file.read()
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"table.py: {sys.argv[2]} has no markers")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")


main()
