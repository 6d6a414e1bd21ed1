#!/usr/bin/env python3
"""Load generator of the system tests and the demo: so many requests a second, come what may.

Owns nothing but its own connections: one thread, one epoll (asyncio costs three times the processor time, and the
stack under load shares the machine). Open loop: a request is sent when it is due, however many others still hang, and
its latency counts from the moment it was due. One TCP connection for each request. Runs for --duration seconds, or
until SIGTERM or SIGINT; then waits for the answers still out and prints one line of JSON:

  requests, failed    a failure is anything but a complete answer with a status below 400
  longest_gap_s       longest time without any successful answer
  path_gap_s, path    the same for the worst single method and path
  p50_ms p95_ms max_ms   latencies of the successful answers
  versions, statuses, first_failures
"""

import argparse
import errno
import itertools
import json
import os
import select
import signal
import socket
import time
from collections import Counter, deque
from urllib.parse import urlsplit

DEFAULT_MIX = [
    "GET /api/tours/",
    'POST /api/bookings/ {"tour": 1, "customer": "load"}',
    "GET /api/bookings/",
    'POST /api/bookings/ {"tour": 2, "customer": "load"}',
]


class Kind:
    """One entry of the mix: method, path, body; with the request's bytes made once."""

    def __init__(self, entry, host):
        method, path, *body = entry.split(" ", 2)
        body = (body[0] if body else "").encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.name = f"{method} {path}"
        self.request = head.encode() + b"\r\n" + body


class Exchange:
    """One request on one connection."""

    def __init__(self, kind, due):
        self.kind, self.due = kind, due
        self.answer, self.sent, self.done = bytearray(), False, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)


def judge(answer):
    """(status, problem or None, version) of the bytes a server sent before it closed the connection."""
    head, mark, body = answer.partition(b"\r\n\r\n")
    if not mark:
        return None, "connection closed without an answer", None
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    status = int(lines[0].split(" ")[1])
    problem = f"status {status}" if status >= 400 else None
    if "content-length" in headers and len(body) != int(headers["content-length"]):
        problem = "answer cut short"
    if headers.get("transfer-encoding") == "chunked" and not body.endswith(b"0\r\n\r\n"):
        problem = "answer cut short"
    return status, problem, headers.get("x-app-version")


class Load:
    def __init__(self, options):
        url = urlsplit(options.url)
        self.address = (socket.gethostbyname(url.hostname), url.port or 80)
        self.kinds = [Kind(entry, url.netloc) for entry in options.mix or DEFAULT_MIX]
        self.rate, self.timeout, self.duration = options.rate, options.timeout, options.duration
        self.out, self.in_order, self.results = {}, deque(), []
        self.poll, self.stopped, self.begun, self.ended = select.epoll(), False, 0.0, 0.0

    def stop(self, *_):
        self.stopped = True

    def begin(self, kind, due):
        exchange = Exchange(kind, due)
        self.in_order.append(exchange)
        self.out[exchange.socket.fileno()] = exchange
        code = exchange.socket.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            self.finish(exchange, None, os.strerror(code))
            return
        self.poll.register(exchange.socket, select.EPOLLIN | select.EPOLLOUT)

    def finish(self, exchange, status, problem, version=None):
        exchange.done = True
        del self.out[exchange.socket.fileno()]
        exchange.socket.close()
        self.results.append((exchange.due, time.monotonic(), exchange.kind.name, status, problem, version))

    def go_on(self, exchange):
        """Whatever the connection is ready for: send the request, or read; the server's close ends the answer."""
        try:
            if not exchange.sent:
                exchange.socket.send(exchange.kind.request)
                exchange.sent = True
                self.poll.modify(exchange.socket, select.EPOLLIN)
                return
            data = exchange.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.finish(exchange, None, os.strerror(error.errno))
            return
        exchange.answer += data
        if not data:
            self.finish(exchange, *judge(bytes(exchange.answer)))

    def drop_late(self, now):
        """Give up what has no answer in time. All have the same bound, so the oldest is always the first."""
        while self.in_order and (self.in_order[0].done or now - self.in_order[0].due > self.timeout):
            exchange = self.in_order.popleft()
            if not exchange.done:
                self.finish(exchange, None, f"no answer in {self.timeout:g} s")

    def answer_events(self, seconds):
        for number, _ in self.poll.poll(max(0.0, min(seconds, 0.1))):
            self.go_on(self.out[number])
        self.drop_late(time.monotonic())

    def run(self):
        self.begun = time.monotonic()
        kinds = itertools.cycle(self.kinds)
        for number in itertools.count():
            due = self.begun + number / self.rate
            if self.duration and due - self.begun >= self.duration:
                break
            while not self.stopped and (left := due - time.monotonic()) > 0:
                self.answer_events(left)
            if self.stopped:
                break
            self.begin(next(kinds), due)
        self.ended = time.monotonic()
        while self.out:
            self.answer_events(0.1)

    def gap(self, name=None):
        """Longest time from one successful answer to the next, the begin and the end of the run included."""
        last, longest = self.begun, 0.0
        moments = sorted(r[1] for r in self.results if not r[4] and name in (None, r[2]))
        for moment in moments + [self.ended]:
            longest, last = max(longest, moment - last), max(last, moment)
        return round(longest, 3)

    def summary(self):
        good = [r for r in self.results if not r[4]]
        bad = sorted(r for r in self.results if r[4])
        took = sorted(1000 * (r[1] - r[0]) for r in good) or [0.0]
        gaps = {kind.name: self.gap(kind.name) for kind in self.kinds}
        worst = max(gaps, key=gaps.get)
        return {
            "requests": len(self.results),
            "failed": len(bad),
            "longest_gap_s": self.gap(),
            "path_gap_s": gaps[worst],
            "path": worst,
            "p50_ms": round(took[len(took) // 2], 1),
            "p95_ms": round(took[len(took) * 95 // 100], 1),
            "max_ms": round(took[-1], 1),
            "seconds": round(self.ended - self.begun, 3),
            "versions": dict(Counter(r[5] for r in good if r[5])),
            "statuses": dict(Counter(str(r[3]) if r[3] else "none" for r in self.results)),
            "first_failures": [
                {"at_s": round(r[0] - self.begun, 3), "request": r[2], "problem": r[4]} for r in bad[:10]
            ],
        }

    def write_log(self, path):
        with open(path, "w", encoding="utf-8") as out:
            for due, end, name, status, problem, version in sorted(self.results):
                print(f"{due - self.begun:.4f}\t{1000 * (end - due):.1f}\t{status or 0}\t{version or '-'}\t{name}"
                      f"\t{problem or 'ok'}", file=out)


def parse():
    parser = argparse.ArgumentParser(description="constant-rate load; prints one line of JSON at the end")
    parser.add_argument("url", help="base URL, http only")
    parser.add_argument("--rate", type=float, default=100, help="requests a second (100)")
    parser.add_argument("--duration", type=float, default=0, help="seconds; without it until SIGTERM or SIGINT")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for one request (10)")
    parser.add_argument("--mix", action="append", metavar="'METHOD PATH [BODY]'", help="instead of the bookings mix")
    parser.add_argument("--log", help="write one line for each request: due, ms, status, version, request, problem")
    return parser.parse_args()


def main():
    options = parse()
    load = Load(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, load.stop)
    load.run()
    if options.log:
        load.write_log(options.log)
    print(json.dumps(load.summary()))


if __name__ == "__main__":
    main()
