"""What the live scripts have in common: a Hookswitch beside a switch, what it delivers, and how that is compared."""

import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("HOOKSWITCH", ROOT / "target/debug/hookswitch"))

# How long nothing must come for all to have come.
QUIET = 1.5


class Process:
    """A program whose output goes to a file, ended by its own id."""

    def __init__(self, command, log, **options):
        self.log = pathlib.Path(log)
        self.file = open(self.log, "ab")
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=self.file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            **options)

    def stop(self, by_force=False):
        if self.process.poll() is None:
            self.process.kill() if by_force else self.process.terminate()
        self.process.wait(timeout=30)
        self.file.close()

    def said(self):
        return self.log.read_text("utf-8", "replace")


class Recorder:
    """Stands between Hookswitch and an event socket, and writes down both directions with their times."""

    def __init__(self, own, switch):
        self.switch, self.blocks, self.lock = switch, [], threading.Lock()
        self.listener = socket.create_server(own, reuse_port=False)
        self.pairs, self.closed, self.refuses = [], False, False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(self.switch, timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            self.pairs.append((client, server))
            threading.Thread(target=self._carry, args=(client, server, "out"), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, "in"), daemon=True).start()

    def _carry(self, source, sink, way):
        while True:
            try:
                data = source.recv(65536)
                if not data:
                    break
                with self.lock:
                    self.blocks.append((time.time(), way, data))
                sink.sendall(data)
            except OSError:
                break
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def cut(self):
        """Ends all connections; new ones are refused until `mend`."""
        self.refuses = True
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def mend(self):
        self.refuses = False

    def take(self):
        """The blocks since it was asked last."""
        with self.lock:
            blocks, self.blocks = self.blocks, []
        return blocks

    @staticmethod
    def write(blocks, path):
        with open(path, "wb") as file:
            for at, way, data in blocks:
                whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
                head = f"=== {at:.6f} {whole}.{int(at % 1 * 1e6):06d}Z {way} {len(data)}\n"
                file.write(head.encode() + data + b"\n")


class Hookswitch:
    """A server with a directory of its own, and a client that is told of everything."""

    def __init__(self, folder, configuration, directory, **settings):
        self.folder = pathlib.Path(folder)
        environment = os.environ | {f"HOOKSWITCH_{key.upper()}": value for key, value in settings.items()}
        made = subprocess.run([BINARY, "init", self.folder / "home", "--json"], check=True, capture_output=True)
        self.login = self.folder / "login.json"
        self.login.write_bytes(made.stdout)
        self.config = self.folder / "home/hookswitch.toml"
        with open(self.config, "a") as file:
            file.write(configuration)
        (self.folder / "home/directory.toml").write_text(directory)
        self.server = Process(
            [BINARY, "serve", "--config", self.config], self.folder / "serve.log", env=environment)
        self.wait_for_log("HTTP")
        self.client = None
        self.address = f"http://{settings['server__listen']}"

    def wait_for_log(self, text, since=0, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            said = self.server.said()
            if text in said[since:]:
                return said
            time.sleep(0.02)
        raise RuntimeError(f"the log does not say {text!r}:\n{self.server.said()[-2000:]}")

    def listen(self):
        self.client = Process(
            [BINARY, "listen", "--login", self.login, "--server", self.address, "--format", "json"],
            self.folder / "delivered.jsonl")

    def delivered(self):
        return [json.loads(line) for line in self.client.said().splitlines() if line.startswith("{")]

    def events(self):
        """All events of the log, of whatever account."""
        out = subprocess.run([BINARY, "store", "events", "--config", self.config], check=True, capture_output=True)
        return [json.loads(line) for line in out.stdout.decode().splitlines()]

    def settled(self, since):
        """What was delivered behind so many notifications, once nothing more comes."""
        count, quiet = -1, time.monotonic()
        while time.monotonic() - quiet < QUIET:
            now = len(self.delivered())
            if now != count:
                count, quiet = now, time.monotonic()
            time.sleep(0.1)
        return self.delivered()[since:]

    def stop(self):
        for process in (self.client, self.server):
            if process:
                process.stop()


def parties(notifications):
    """Each party as a line: session, direction, own number, and its statuses with their reasons."""
    lines, order = {}, []
    for told in sorted(notifications, key=lambda told: (told["body"]["telephonySessionId"], told["body"]["sequence"])):
        session = told["body"]["telephonySessionId"]
        for party in told["body"]["parties"]:
            key = (session, party["id"])
            side = party["from" if party["direction"] == "Outbound" else "to"]
            status = party["status"]["code"] + (f"/{party['status']['reason']}" if "reason" in party["status"] else "")
            status += " muted" if party.get("muted") else ""
            status += " recorded" if party.get("recordings") else ""
            status += " missed" if party.get("missedCall") and status.startswith("Disconnected") else ""
            if key not in lines:
                order.append(key)
                lines[key] = [party["direction"][:3].lower(), side.get("phoneNumber", "-"), []]
            lines[key][1] = side.get("phoneNumber", "-")
            if not lines[key][2] or lines[key][2][-1] != status:
                lines[key][2].append(status)
    sessions = {}
    for key in order:
        way, number, statuses = lines[key]
        sessions.setdefault(key[0], []).append(f"{way} {number}: {', '.join(statuses)}")
    return [sorted(session) for session in sessions.values()]


def expected(text):
    """The same of what is written down: a party a line, an empty line between sessions; `(...)` may be absent."""
    return [sorted(line.strip() for line in part.strip().splitlines()) for part in re.split(r"\n\s*\n", text.strip())]


def fits(told, wanted):
    """Whether a line says what is wanted, in which `(Setup)` may be absent and `Answered|Gone` is either."""
    (own, _, got), (party, _, statuses) = told.partition(": "), wanted.partition(": ")
    if own != party:
        return False
    got, statuses = got.split(", "), statuses.split(", ")

    def follows(at, place):
        if place == len(statuses):
            return at == len(got)
        word = statuses[place]
        may_be_absent = word.startswith("(")
        is_here = at < len(got) and got[at] in word.strip("()").split("|")
        return (is_here and follows(at + 1, place + 1)) or (may_be_absent and follows(at, place + 1))

    return follows(0, 0)


def compare(told, wanted):
    """What differs, as text; empty if nothing does."""
    left = list(told)
    for session in wanted:
        match = next((one for one in left if len(one) == len(session)
                      and all(any(fits(line, want) for line in one) for want in session)), None)
        if match is None:
            show = lambda sessions: "\n\n".join("\n".join(f"    {line}" for line in one) for one in sessions)
            return f"  wanted\n{show([session])}\n  told\n{show(left)}"
        left.remove(match)
    return "" if not left else "  told too much\n" + "\n\n".join("\n".join(f"    {line}" for line in one) for one in left)
