"""held_engine.py SOCKET ENGINE: a Docker Engine whose calls can be held up, for tests that interrupt in the middle.

Listens on SOCKET and passes each request on to the engine at ENGINE. In the current folder the file `hold` names one
call: "before POST /containers/create" or "after POST …", by the beginning of its path. That call, the first that fits,
is held up before the engine gets it, or after the engine has answered, or ("refuse DELETE …") is refused with status 500
and never passed on: `reached` appears, and it goes on when `go`
does, whether or not its client is still there, as a call to a real engine would. `done` appears when the engine has
answered it."""
import os
import re
import socket
import sys
import threading
import time

listen_at, engine = sys.argv[1:]
lock = threading.Lock()


def read_request(client):
    """The head, up to the empty line, and the body: as long as it says, or chunked to the last chunk."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    chunked = re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head)
    while len(body) < int(length.group(1)) if length else chunked and not body.endswith(b"0\r\n\r\n"):
        body += client.recv(65536)
    return head, body


def is_held(head):
    """"before", "after" or "refuse" when this is the call to hold up, which is then claimed."""
    method, path = head.split(b" ", 2)[:2]
    call = method.decode() + " " + re.sub(r"^/v[\d.]+", "", path.decode())
    with lock:
        try:
            with open("hold") as file:
                when, wanted = file.read().strip().split(" ", 1)
        except (FileNotFoundError, ValueError):
            return None
        if not re.match(wanted, call):
            return None
        os.rename("hold", "reached")
        return when


def wait_for_go():
    for _ in range(1200):
        if os.path.exists("go"):
            return
        time.sleep(0.05)


def reply(client, data):
    try:
        client.sendall(data)
        return True
    except OSError:
        return False


def upgrade(client, server):
    """The rest of a connection that became a stream of its own: what the client says goes on to the engine."""
    def pump():
        try:
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    threading.Thread(target=pump, daemon=True).start()


def serve(client):
    request = read_request(client)
    if not request:
        return client.close()
    head, body = request
    held = is_held(head)
    if held == "before":
        wait_for_go()
    if held == "refuse":
        words = b'{"message":"the test refuses"}'
        reply(client, b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nConnection: close\r\n"
              b"Content-Length: %d\r\n\r\n%s" % (len(words), words))
        return client.close()
    server = socket.socket(socket.AF_UNIX)
    server.connect(engine)
    if re.search(rb"(?i)\r\nupgrade:", head):
        server.sendall(head + b"\r\n\r\n" + body)
        upgrade(client, server)
    else:
        head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
        server.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
    first, there = True, True
    while data := server.recv(65536):
        if first and held:
            if held == "after":
                wait_for_go()
            open("done", "w").close()
        first = False
        there = there and reply(client, data)
        if not there and not held:
            break
    server.close()
    client.close()


def main():
    server = socket.socket(socket.AF_UNIX)
    server.bind(listen_at)
    server.listen(64)
    while True:
        client, _ = server.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


main()
