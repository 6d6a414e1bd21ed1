"""http_odd.py FILE - a server with the faults a real one can have; its port is written to FILE.port, each
request to FILE.asked; FILE.mute is a port that never answers. Ended by its parent."""
import fcntl
import http.server
import json
import socket
import sys
import termios
import threading
import time

counts = {}
lock = threading.Lock()
TOKEN = "tok-5f3a9c0e7d1b"


def next_count(path):
    with lock:
        counts[path] = counts.get(path, 0) + 1
        return counts[path]


def waiting_bytes(connection):
    return int.from_bytes(fcntl.ioctl(connection, termios.FIONREAD, bytes(4)), sys.byteorder)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", kind="text/plain", headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def tell(self, status, value, headers=()):
        self.answer(status, json.dumps(value).encode(), "application/json", headers)

    def endless(self):
        """A body of 1 GB, or as much of it as anybody takes."""
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        block = b"x" * 65536
        sent = 0
        try:
            while sent < 1 << 30:
                self.wfile.write(block)
                sent += len(block)
        except OSError:
            pass
        with open(sys.argv[1] + ".sent", "w", encoding="ascii") as file:
            file.write(str(sent))
        self.close_connection = True

    def refuse_early(self):
        """An answer before the body was read, and a connection that is reset then. It comes when no more of the body
        arrives: whoever sends it has filled what there is of buffers, and waits."""
        before = -1
        while (arrived := waiting_bytes(self.connection)) != before:
            before = arrived
            time.sleep(0.1)
        self.wfile.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big")
        self.wfile.flush()
        self.close_connection = True

    def hang(self, text):
        self.wfile.write(text)
        self.wfile.flush()
        time.sleep(60)

    def login(self, sent):
        given = json.loads(sent or "{}")
        if given.get("password") != "correct-horse":
            self.tell(401, {"detail": "no"})
            return
        self.tell(200, {"access_token": TOKEN, "data": {"n": 1}},
                  [("Set-Cookie", "session=c00kie-value-1; Path=/; HttpOnly")])

    def me(self):
        cookie = self.headers.get("Cookie") or ""
        bearer = self.headers.get("Authorization") or ""
        known = bearer == "Bearer " + TOKEN or "session=c00kie-value-1" in cookie
        self.tell(200 if known else 401, {"cookie": cookie, "bearer": bearer, "extra": self.headers.get("X-Extra")})

    def do_GET(self):
        if self.path == "/early":
            self.refuse_early()
            return
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = self.path
        with lock, open(sys.argv[1] + ".asked", "a", encoding="utf-8") as file:
            file.write(self.command + " " + path + "\n")
        number = next_count(path)
        if path == "/loop":
            self.answer(302, headers=[("Location", "/loop")])
        elif path == "/away":  # the same server under another name
            self.answer(302, headers=[("Location", "http://localhost:%d/echo" % server.server_address[1])])
        elif path.startswith("/hop/"):
            left = int(path[5:])
            self.answer(302 if left else 200, b"arrived", headers=[("Location", "/hop/%d" % (left - 1))])
        elif path == "/headers":
            self.hang(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        elif path == "/silent":
            self.hang(b"")
        elif path == "/huge":
            self.endless()
        elif path == "/login":
            self.login(sent)
        elif path == "/form":
            self.answer(303, headers=[("Location", "/echo"), ("Set-Cookie", "seen=by-the-form; Path=/")])
        elif path == "/me":
            self.me()
        elif path.startswith("/flaky"):  # the 10th is bad
            self.answer(502 if number == 10 else 200, b"ok")
        elif path.startswith("/burst"):  # four bad ones in a row
            self.answer(502 if 5 <= number <= 8 else 200, b"ok")
        elif path.startswith("/broken"):  # bad from the 10th on
            self.answer(502 if number >= 10 else 200, b"upstream is gone\n")
        elif path.startswith("/third"):  # every third is bad
            self.answer(200 if number % 3 else 502, b"ok")
        elif path.startswith("/slow"):
            time.sleep(0.3)
            self.answer(200, b"ok")
        elif path.startswith("/status/"):
            self.answer(int(path[8:]), b"as you wish")
        elif path.startswith("/hooks/"):  # all that came, one a line
            with lock, open(sys.argv[1] + ".hooks", "a", encoding="utf-8") as file:
                file.write(json.dumps({"path": path, "sent": sent, "headers": dict(self.headers)}) + "\n")
            self.answer(200, b"ok")
        elif path.startswith("/hook"):
            with lock, open(sys.argv[1] + ".hooked", "w", encoding="utf-8") as file:
                file.write(sent)
            self.answer(204)
        else:
            self.tell(200, {"method": self.command, "sent": sent, "headers": dict(self.headers)})

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, format, *args):  # the name is the library's
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    address_family = socket.AF_INET


server = Server(("127.0.0.1", 0), Handler)
mute = socket.create_server(("127.0.0.1", 0), backlog=64)  # takes connections and never says a word
with open(sys.argv[1] + ".mute", "w", encoding="ascii") as ready:
    ready.write(str(mute.getsockname()[1]))
with open(sys.argv[1] + ".port", "w", encoding="ascii") as ready:
    ready.write(str(server.server_address[1]))
server.serve_forever()
