#!/usr/bin/env python3
"""Runs the cells of the benchmark, tools in turn, and writes what they cost as JSON. Called by peers.sh and smoke.sh.

A row is a piece of work, a tool does it, a cell is both. Each round does every row by every tool, one after the other, and
each round begins with another tool, so that whatever disturbs the machine hits all alike. The first round is not counted:
it fills the caches, and the memory of all of a cell's processes is sampled in it, which would disturb the others.

Every cell is checked each time: a program on the hosts leaves a line for each call, and there must be exactly as many as
asked for on each host; an uploaded file must have the digest of the one that was sent. What fails ends the benchmark.

Cost of a cell (bench_once.c): time until the command ended; processor time of all the client's processes; the greatest
resident memory of its largest process; and, from the sampling, the greatest sum of all of them (PSS: pages that several
share are counted once).
"""

import argparse
import collections
import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time

MIB = 1024 * 1024
PEER_TRIES = 3
UPLOADS = ("put", "check")
BOUND_SECONDS = 900


class Skipped(Exception):
    """The tool has no such thing; says why."""


# ------------------------------------------------------------------------------------------------------------- rows


class Row:
    """kind: version, empty, run, put, check (put, and both files' hashes compared)."""

    def __init__(self, key, title, kind, hosts=0, count=1):
        self.key, self.title, self.kind, self.hosts, self.count = key, title, kind, hosts, count


def make_rows(most, size):
    rows = [
        Row("version", "start: version", "version"),
        Row("empty", "start: empty recipe", "empty"),
    ]
    for hosts in sorted({min(n, most) for n in (1, 16, 64)}):
        rows.append(Row(f"fan-{hosts}", f"`true`, {hosts} host{'s' if hosts > 1 else ''}", "run", hosts))
    rows.append(Row("seq-1", "20 commands, one connection", "run", 1, 20))
    wide = min(16, most)
    rows.append(Row(f"seq-{wide}", f"20 commands × {wide} hosts", "run", wide, 20))
    rows.append(Row("upload", f"upload of {size} MiB", "put", 1))
    rows.append(Row("checked", "the same, hashed here and there", "check", 1))
    return rows


# ------------------------------------------------------------------------------------------------------------ tools


class Bench:
    """What the cells share: the options, the files, the hosts' addresses."""

    def __init__(self, options):
        self.options = options
        self.work = options.work
        self.mark = f"{self.work}/true"
        self.source = f"{options.memory}/source"
        self.target = f"{options.memory}/landing/target"
        self.peers = f"{self.work}/peers"
        self.addresses = [f"127.0.0.{n + 1}" for n in range(options.hosts)]
        self.login = [os.environ["BENCH_USER"], os.environ["BENCH_PORT"], os.environ["BENCH_KEY"]]

    def words(self, row):
        """run COUNT COMMAND HOST... or put LOCAL REMOTE HOST, as most tools' drivers take it."""
        hosts = self.addresses[: row.hosts]
        if row.kind in UPLOADS:
            return [row.kind, self.source, self.target, *hosts]
        return ["run", str(row.count), self.mark, *hosts]


def no_start(row, name):
    if row.kind in ("version", "empty"):
        raise Skipped(f"{name} has none")


def deployrun(b, row):
    recipes = os.path.dirname(os.path.abspath(__file__))
    command = b.options.deployrun
    if row.kind == "version":
        return [command, "--version"]
    if row.kind == "empty":
        return [command, f"{recipes}/empty.lua"]
    if row.kind in UPLOADS:
        words = [f"{recipes}/upload.lua", f"host={b.addresses[0]}", f"from={b.source}", f"to={b.target}"]
        return [command, *words]
    hosts = ",".join(b.addresses[: row.hosts])
    return [command, f"{recipes}/fan.lua", f"hosts={hosts}", f"command={b.mark}", f"count={row.count}"]


def bare(b, row):
    no_start(row, "it")
    work, first, second, *hosts = b.words(row)
    return [b.options.bare, work, first, second, *b.login, *hosts]


def openssh(mode):
    def make(b, row):
        if row.kind == "version" and mode == "plain":
            return ["ssh", "-V"]
        no_start(row, "it")
        if row.kind in UPLOADS and mode == "master":
            raise Skipped("one file is one connection")
        return ["sh", f"{b.peers}/openssh.sh", mode, *b.words(row)]

    return make


def pssh(b, row):
    if row.kind == "version":
        return ["parallel-ssh", "--version"]
    no_start(row, "it")
    return ["sh", f"{b.peers}/pssh.sh", *b.words(row)]


def sshkit(b, row):
    if row.kind == "version":
        return ["cap", "--version"]
    if row.kind == "empty":
        return ["cap", "-f", "Capfile", "production", "empty"]
    return ["ruby", f"{b.peers}/sshkit.rb", *b.words(row)]


def fabric(b, row):
    if row.kind == "version":
        return ["fab", "--version"]
    if row.kind == "empty":
        return ["fab", "--search-root", f"{b.peers}/fabric", "empty"]
    return ["/usr/bin/python3", f"{b.peers}/fabric/bench.py", *b.words(row)]


def ansible(b, row):
    if row.kind == "version":
        return ["ansible", "--version"]
    return ["sh", f"{b.peers}/ansible.sh", *(["empty"] if row.kind == "empty" else b.words(row))]


TOOLS = {
    "deployrun": deployrun,
    "bare libssh": bare,
    "ssh, scp": openssh("plain"),
    "ssh ControlMaster": openssh("master"),
    "pssh": pssh,
    "Capistrano, SSHKit": sshkit,
    "Fabric": fabric,
    "Ansible": ansible,
}


# ------------------------------------------------------------------------------------------------------------- memory


def parents():
    """Process id to that of its parent, of every process there is."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                found[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass  # it has ended
    return found


def below(root):
    """Every process that was started by root, or by what it started."""
    children = collections.defaultdict(list)
    for pid, parent in parents().items():
        children[parent].append(pid)
    found, left = [], [root]
    while left:
        more = children[left.pop()]
        found += more
        left += more
    return found


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def sample_memory(root, over, peak):
    """Every 10 ms until `over` is set; peak[0] becomes the greatest sum."""
    while not over.wait(0.01):
        peak[0] = max(peak[0], sum(pss_kib(pid) for pid in below(root)))


# -------------------------------------------------------------------------------------------------------------- cells


def prepare(b, row):
    with open(f"{b.mark}.log", "w", encoding="ascii"):
        pass
    if row.kind in UPLOADS and os.path.exists(b.target):
        os.remove(b.target)


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MIB):
            found.update(block)
    return found.hexdigest()


def check(b, row):
    """What is wrong with the effect of a cell; None when it is as it must be."""
    if row.kind in UPLOADS:
        if not os.path.exists(b.target):
            return "no file has arrived"
        return None if digest(b.target) == b.digest else "the file that has arrived is another one"
    with open(f"{b.mark}.log", encoding="ascii") as file:
        found = collections.Counter(file.read().split())
    hosts = b.addresses[: row.hosts] if row.kind == "run" else []
    wanted = {host: row.count for host in hosts}
    return None if found == wanted else f"calls on each host: {dict(found)}, not {wanted}"


AFTER = 'for s in "$BENCH_CONTROL"/*; do [ ! -S "$s" ] || ssh -F none -O exit -S "$s" any 2>/dev/null; done'


def once(b, row, argv, sampled):
    """Runs a cell and checks it; what it cost."""
    result = f"{b.work}/result"
    prepare(b, row)
    peak, over = [0], threading.Event()
    with open(f"{b.work}/said", "w", encoding="utf-8") as said:
        folder = f"{b.peers}/capistrano" if argv[0] == "cap" else b.work
        process = subprocess.Popen(
            [b.options.once, result, AFTER, *argv], stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder
        )
        sampler = threading.Thread(target=sample_memory, args=(process.pid, over, peak))
        if sampled:
            sampler.start()
        status = process.wait(BOUND_SECONDS)
        over.set()
        if sampled:
            sampler.join()
    problem = None if status == 0 else f"its processes did not end (status {status})"
    if not problem:
        with open(result, encoding="ascii") as file:
            code, wall, cpu, largest = (int(word) for word in file.read().split())
        problem = f"exit status {code}" if code else check(b, row)
    if problem:
        raise RuntimeError(problem)
    cost = {"wall_ms": wall / 1e6, "cpu_ms": cpu / 1e3, "largest_mib": largest / 1024}
    if sampled:
        cost["all_mib"] = peak[0] / 1024
    return cost


def make_cells(b, rows, tools):
    """The argv of every cell there is, and why some are not."""
    cells, skipped = {}, []
    for row in rows:
        cells[row.key] = {}
        for tool in tools:
            try:
                if row.kind == "check" and tool not in ("deployrun", "ssh, scp"):
                    raise Skipped("a matter of two programs more, as with scp")
                cells[row.key][tool] = TOOLS[tool](b, row)
            except Skipped as why:
                skipped.append({"row": row.key, "tool": tool, "why": str(why)})
    return cells, skipped


def cost_of(b, row, tool, argv, sampled):
    """A cell that worked. A peer that crashes now and then (Fabric's libraries do) is run again, and it is told."""
    tries = 1 if tool in ("deployrun", "bare libssh") else PEER_TRIES
    for left in range(tries - 1, -1, -1):
        try:
            return once(b, row, argv, sampled)
        except RuntimeError as problem:
            with open(f"{b.work}/said", encoding="utf-8", errors="replace") as said:
                print(said.read()[-4000:], file=sys.stderr)
            print(f"measure.py: {row.title} by {tool}: {problem}", file=sys.stderr)
            if left == 0:
                sys.exit(1)
    raise AssertionError


def measure(b, rows, tools):
    cells, skipped = make_cells(b, rows, tools)
    for cell in skipped:
        print(f"skipped: {cell['row']} by {cell['tool']}: {cell['why']}", file=sys.stderr)
    costs = {row.key: {tool: [] for tool in cells[row.key]} for row in rows}
    for number in range(b.options.runs + 1):
        for row in rows:
            order = list(cells[row.key])
            order = order[number % max(len(order), 1) :] + order[: number % max(len(order), 1)]
            for tool in order:
                began = time.monotonic()
                cost = cost_of(b, row, tool, cells[row.key][tool], sampled=number == 0)
                costs[row.key][tool].append(cost)
                print(f"round {number}  {row.key:8} {tool:20} {cost['wall_ms']:9.1f} ms", file=sys.stderr, flush=True)
                time.sleep(min(0.05, time.monotonic() - began))
    return costs, skipped


# ------------------------------------------------------------------------------------------------------------- report


def said_by(*argv):
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (found.stdout + found.stderr).strip().split("\n")[0]


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())


def package(name):
    return said_by("dpkg-query", "--show", "--showformat", "${Version}", name)


def about(b):
    names = ("ansible-core", "capistrano", "ruby-sshkit", "ruby-net-ssh", "fabric", "python3-paramiko", "pssh",
             "openssh-client", "openssh-server", "libssh-4")  # fmt: skip
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "processor": processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3),
        "kernel": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "deployrun": said_by(b.options.deployrun, "--version"),
        "packages": {name: package(name) for name in names},
        "runs": b.options.runs,
        "algorithms": b.options.algorithms,
    }


def parse():
    parser = argparse.ArgumentParser(description="Runs the cells of the benchmark; peers.sh calls it.")
    for name in ("work", "memory", "deployrun", "bare", "once", "out", "algorithms"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=200, help="MiB of the upload")
    parser.add_argument("--tools", default="", help="those whose names begin so, with + between them; default: all")
    parser.add_argument("--rows", default="", help="keys, with commas between them; default: all")
    return parser.parse_args()


def main():
    options = parse()
    b = Bench(options)
    with open(b.source, "wb") as file:
        for _ in range(options.size):
            file.write(os.urandom(MIB))
    b.digest = digest(b.source)
    rows = make_rows(options.hosts, options.size)
    if options.rows:
        rows = [row for row in rows if row.key in options.rows.split(",")]
    wanted = tuple(options.tools.lower().split("+"))  # "" begins every name
    tools = [tool for tool in TOOLS if tool.lower().startswith(wanted)]
    result = {"about": about(b), "rows": [[row.key, row.title] for row in rows], "tools": tools}
    result["costs"], result["skipped"] = measure(b, rows, tools)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)


main()
