"""bench.py run COUNT COMMAND HOST... | put LOCAL REMOTE HOST - the benchmark's work by Fabric.

A ThreadingGroup for one command on many hosts. For several commands a thread for each host with a Connection of its own,
which is kept: that is quicker than calling the group once for each command, as nobody waits for the slowest.
Environment: BENCH_USER, BENCH_PORT, BENCH_KEY.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from fabric import Config, Connection, ThreadingGroup

OPTIONS = {
    "config": Config(overrides={"load_ssh_configs": False}),
    "user": os.environ["BENCH_USER"],
    "port": int(os.environ["BENCH_PORT"]),
    "connect_kwargs": {"key_filename": os.environ["BENCH_KEY"], "look_for_keys": False, "allow_agent": False},
}


def several(host, command, count):
    with Connection(host, **OPTIONS) as connection:
        for _ in range(count):
            connection.run(command, hide=True, in_stream=False)


def main():
    work, first, second, *hosts = sys.argv[1:]
    if work == "put":
        with Connection(hosts[0], **OPTIONS) as connection:
            connection.put(first, second)
    elif int(first) == 1:
        with ThreadingGroup(*hosts, **OPTIONS) as group:
            group.run(second, hide=True, in_stream=False)
    else:
        with ThreadPoolExecutor(len(hosts)) as threads:
            for future in [threads.submit(several, host, second, int(first)) for host in hosts]:
                future.result()


main()
