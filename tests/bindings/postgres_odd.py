"""postgres_odd.py - servers that look like PostgreSQL and are not well, each on a free port of 127.0.0.1. Prints a line
NAME=PORT for each, then serves until it is killed.

    postgres_odd.py HOST PORT     the real server

  silent    takes connections and says nothing
  rude      answers as a web server would
  closing   closes each connection at once
  starting  says "the database system is starting up" to the first two connections, then leads to the real server
  mute      leads to the real server, but after 1,000 bytes of its answers the rest is swallowed
"""
import socket
import struct
import sys
import threading

REAL = (sys.argv[1], int(sys.argv[2]))
STARTING = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
held = []
seen = {"starting": 0}


def pump(source, sink, most=None):
    try:
        while data := source.recv(65536):
            if most is not None:
                data, most = data[:most], most - len(data[:most])
            sink.sendall(data)
    except OSError:
        pass
    if most is None:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def lead(client, most=None):
    real = socket.create_connection(REAL)
    threading.Thread(target=pump, args=(client, real), daemon=True).start()
    threading.Thread(target=pump, args=(real, client, most), daemon=True).start()


def startup(client):
    """Reads a client's first message; what asks for encryption is refused."""
    while True:
        head = client.recv(8, socket.MSG_WAITALL)
        if len(head) < 8:
            return
        length, code = struct.unpack("!II", head)
        client.recv(length - 8, socket.MSG_WAITALL)
        if code not in (80877103, 80877104):
            return
        client.sendall(b"N")


def serve(name, client):
    if name == "silent":
        held.append(client)
    elif name == "rude":
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nno database here")
        client.close()
    elif name == "closing":
        client.close()
    elif name == "mute":
        lead(client, 1000)
    else:
        seen["starting"] += 1
        if seen["starting"] > 2:
            lead(client)
            return
        startup(client)
        client.sendall(b"E" + struct.pack("!I", len(STARTING) + 4) + STARTING)
        client.close()


def accept(name, server):
    while True:
        client = server.accept()[0]
        threading.Thread(target=serve, args=(name, client), daemon=True).start()


def main():
    threads = []
    for name in ("silent", "rude", "closing", "starting", "mute"):
        server = socket.create_server(("127.0.0.1", 0))
        print(f"{name}={server.getsockname()[1]}", flush=True)
        threads.append(threading.Thread(target=accept, args=(name, server), daemon=True))
        threads[-1].start()
    print("ready=yes", flush=True)
    for thread in threads:
        thread.join()


main()
