"""waits.py [ROUNDS] [WORD...]: how long after a thing is so the wait for it returns, at the default interval; only those
whose row has one of the words.

For each wait a recipe begins it, then the thing is brought about, at a moment chosen at random: by this program itself, or
by the Docker Engine or systemd, and then a watcher that does nothing else says when it was so (a stream of events, a loop
without a pause). What is measured is the time from then to the event `op_finished`. Prints a table in milliseconds. Needs
DEPLOYRUN (a release build), the testbed's Docker Engine and images, for systemd VPS_* of testbed/vps.sh and the units of
bindings/systemd_setup.sh, and for a swarm APART of testbed/apart.sh.
"""
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
image = "deployrun-test/base:1"
name = "deployrun-waits-%d" % os.getpid()


def run_wait(body, op, ready, bring_about):
    """Milliseconds from what bring_about() returns (a moment) to the end of the op, or of the step of that name."""
    with open("waits.lua", "w") as file:
        file.write('return recipe { name = "waits", run = function() local here = host("local") %s end }' % body)
    run = subprocess.Popen([os.environ["DEPLOYRUN"], "waits.lua", "--json"], stdout=subprocess.PIPE, text=True)
    ended, moment, said = {}, None, []
    started = threading.Event()

    def read():
        for line in run.stdout:
            said.append(line)
            event = json.loads(line)
            named = op in (event.get("op"), event.get("step"))
            if named and event["event"] in ("op_started", "step_started"):
                started.set()
            if event.get("op") == op and event["event"] == "op_finished" or named and event["event"] == "step_finished":
                ended["at"] = time.monotonic()

    reader = threading.Thread(target=read)
    reader.start()
    if started.wait(60):
        time.sleep(0.3 + random.random() * 0.3)
        moment = bring_about()
    if run.wait(60) != 0 or moment is None:
        sys.exit("waits.py: %s failed:\n%s" % (op, "".join(said)))
    reader.join()
    if ready:
        ready()
    return (ended["at"] - moment) * 1000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def http_answers():
    port, server = free_port(), []

    def begin():
        server.append(HTTPServer(("127.0.0.1", port), Answer))
        threading.Thread(target=server[0].serve_forever, daemon=True).start()
        return time.monotonic()

    return run_wait('http.expect("http://127.0.0.1:%d/", { within = 30 })' % port, "http.expect",
                    lambda: server[0].shutdown(), begin)


def port_open():
    port, server = free_port(), []

    def begin():
        server.append(socket.create_server(("127.0.0.1", port)))
        return time.monotonic()

    return run_wait('net.expect_port("127.0.0.1", %d, { within = 30 })' % port, "net.expect_port",
                    lambda: server[0].close(), begin)


def process_gone():
    process = subprocess.Popen(["sleep", "100"])

    def end():
        process.kill()
        process.wait()
        return time.monotonic()

    return run_wait("here:wait_gone(%d)" % process.pid, "process.gone", None, end)


def docker(*words):
    return subprocess.run(("docker",) + words, check=True, capture_output=True, text=True).stdout.strip()


def engine_says(event, act):
    """Does it, and returns the moment at which the engine tells the event of our container."""
    watcher = subprocess.Popen(["docker", "events", "--filter", "container=" + name, "--format", "{{.Status}}"],
                               stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)
    act()
    try:
        for line in watcher.stdout:
            if line.strip() == event:
                return time.monotonic()
    finally:
        watcher.kill()
    return None


def container(options, body, op, event, act):
    docker("create", "--init", "--name", name, *options, image, "sleep", "1000")
    try:
        return run_wait("local docker = here:docker() " + body % name, op, None, lambda: engine_says(event, act))
    finally:
        docker("rm", "-f", name)


def docker_healthy():
    def act():
        docker("exec", name, "touch", "/ok")
    docker_start = ["--health-cmd", "test -e /ok", "--health-interval", "200ms", "--health-retries", "1000"]
    body = 'docker:start("%s") docker:wait_healthy("' + name + '", { within = 30 })'
    return container(docker_start, body, "docker.wait_healthy", "health_status: healthy", act)


def docker_exited():
    return container([], 'docker:start("%s") docker:wait_exited("' + name + '")', "docker.wait_exited", "die",
                     lambda: docker("kill", name))


def docker_log():
    """A line that the log is waited for; its moment is when `docker logs` shows it."""
    docker("run", "-d", "--init", "--name", name, image, "sh", "-c",
           "until [ -e /ok ]; do sleep 0.01; done; echo ready; sleep 1000")

    def act():
        watcher = subprocess.Popen(["docker", "logs", "-f", name], stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        docker("exec", name, "touch", "/ok")
        watcher.stdout.readline()
        moment = time.monotonic()
        watcher.kill()
        return moment

    try:
        return run_wait('here:docker():wait_log("%s", "ready", { within = 30 })' % name, "docker.wait_log", None, act)
    finally:
        docker("rm", "-f", name)


def systemd_active():
    """A unit of Type=notify that says that it is ready when a file appears; active when a loop of is-active says so."""
    inside = ["docker", "exec", "-i", os.environ["VPS_CONTAINER"], "sh", "-c"]
    unit = ("[Service]\nType=notify\nNotifyAccess=all\n"
            "ExecStart=/bin/sh -c 'until [ -e /run/ok ]; do sleep 0.01; done; systemd-notify --ready; exec sleep 1000'\n")
    subprocess.run(inside + ["systemctl stop waits 2>/dev/null; rm -f /run/ok; cat >/run/systemd/system/waits.service; "
                             "systemctl daemon-reload"], input=unit, text=True, check=True)

    def act():
        subprocess.run(inside + ["touch /run/ok; until [ \"$(systemctl is-active waits)\" = active ]; do :; done"],
                       check=True)
        return time.monotonic()

    target = 'host { "%s", config = "%s" }' % (os.environ["VPS_NAME"], os.environ["VPS_CONFIG"])
    return run_wait('local server = %s server:sudo():systemd("waits"):start { settled = 0, within = 30 }' % target,
                    "systemd.start", None, act)


def docker_running():
    """Running for a second, from when the engine told that it started."""
    ms = container([], 'docker:wait_running("%s", { settled = 1, within = 30 })', "docker.wait_running", "start",
                   lambda: docker("start", name))
    return ms - 1000


def docker_event():
    return container([], 'docker:start("' + name + '") docker:wait_event { filters = { container = "%s", event = "die" } }',
                     "docker.wait_event", "die", lambda: docker("kill", name))


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def swarm_converged():
    """A service whose new task becomes healthy when a file appears; so when the engine calls its task running."""
    engine = os.path.join(os.environ["APART"], "docker.sock")
    there = ("-H", "unix://" + engine)
    service = name + "-%d" % random.randrange(1 << 30)
    docker(*there, "service", "create", "--detach", "--name", service, "--health-cmd", "test -e /ok", "--health-interval",
           "200ms", "--health-retries", "1000", "--stop-grace-period", "1s", "deployrun-test/tiny:1", "sleep", "1000")
    asked = "/tasks?filters=" + urllib.parse.quote(json.dumps({"service": [service]}))

    def is_running():
        api = Unix(engine)
        api.request("GET", asked)
        tasks = json.load(api.getresponse())
        api.close()
        return any(task["Status"]["State"] == "running" for task in tasks)

    def act():
        found = ""
        while not found:
            found = docker(*there, "ps", "-q", "--filter", "name=" + service)
        docker(*there, "exec", found, "touch", "/ok")
        while not is_running():
            time.sleep(0.002)
        return time.monotonic()

    try:
        return run_wait('here:swarm { socket = "%s" }:converge("%s", { within = 60 })'
                        % (engine, service), "swarm.converge", None, act)
    finally:
        docker(*there, "service", "rm", service)


CHILDREN = """
import sys, time
def children():
    with open("/proc/%s/task/%s/children" % (sys.argv[1], sys.argv[1])) as file:
        return set(file.read().split())
old = children()
now = old
while not now or now & old:
    time.sleep(0.001)
    now = children()
print("so", flush=True)
"""


def gunicorn_reloaded():
    """Reloaded when none of the master's children is an old one and there is a new one."""
    inside = ["docker", "exec", "-i", os.environ["VPS_CONTAINER"]]
    master = subprocess.run(inside + ["systemctl", "show", "--property=MainPID", "--value", "gunicorn"], capture_output=True,
                            text=True, check=True).stdout.strip()
    watcher = subprocess.Popen(inside + ["timeout", "100", "python3", "-c", CHILDREN, master], stdout=subprocess.PIPE,
                               text=True)

    def act():
        watcher.stdout.readline()
        return time.monotonic()

    target = 'host { "%s", config = "%s" }' % (os.environ["VPS_NAME"], os.environ["VPS_CONFIG"])
    return run_wait('local server = %s local app = server:sudo():gunicorn { unit = "gunicorn" } '
                    'step("reload", function() app:reload { check = false, settled = 0 } end)' % target, "reload", None, act)


waits = [("`http.expect`, the first good answer", http_answers), ("`net.expect_port`", port_open),
         ("`server:wait_gone`", process_gone), ("`docker:wait_healthy`", docker_healthy),
         ("`docker:wait_running`", docker_running), ("`docker:wait_exited`", docker_exited),
         ("`docker:wait_event`", docker_event), ("`docker:wait_log`", docker_log)]
if "VPS_CONTAINER" in os.environ:
    waits += [("`unit:start`, over SSH", systemd_active), ("`app:reload` of gunicorn, over SSH", gunicorn_reloaded)]
if "APART" in os.environ:
    docker("-H", "unix://" + os.environ["APART"] + "/docker.sock", "swarm", "init", "--advertise-addr", "127.0.0.1")
    waits.append(("`swarm:converge`", swarm_converged))
print("| wait | median | most |\n|---|---|---|")
for what, measure in waits:
    if sys.argv[2:] and not any(word in what for word in sys.argv[2:]):
        continue
    times = [measure() for _ in range(rounds)]
    print("| %s | %.0f ms | %.0f ms |" % (what, statistics.median(times), max(times)), flush=True)
