# SPDX-License-Identifier: MIT
"""One relay follows another (--handover): who is served goes on, who comes waits a moment, and nobody is refused."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness.apps import echo, free_port
from harness.lab import STOCK_PORT, new_host, refused
from harness.streams import connect, pattern, ping, recv_all, recv_exact, threads
from harness.wait import DEADLINE, SCALE, TimeLimit, wait_for
from harness.wire import FakeRelay, RawClient, frame

VERSION, GIVE, TAKEN = 1, 1, 2
HALF = pattern(12, 4 << 20)


class Relays:
    """One after the other, with the same options."""

    def __init__(self, lab, **how):
        host = new_host()
        self.lab, self.path = lab, lab.folder / "next.sock"
        self.metrics_port = free_port()
        args = ("--handover", self.path, "--metrics", f"127.0.0.1:{self.metrics_port}", *how.pop("args", ()))
        self.how = {"host": host, "control_port": how.pop("control_port", None) or free_port(host), "args": args, **how}

    def start(self, **more):
        return self.lab.relay(**{**self.how, **more})


class Download:
    """An application that says the first half of an answer, and the other one when it may. "e": an echo."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, sock):
        if sock.recv(1) != b"d":
            return echo(sock)
        sock.sendall(HALF)
        assert self.go.wait(10 * DEADLINE)
        sock.sendall(HALF)
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(1)


class Visits:
    """Visitors, one after the other without a pause, until the end of the block. None of them may fail."""

    def __init__(self, address):
        self.address, self.longest, self.count, self.over = address, 0, 0, threading.Event()

    def _run(self):
        while not self.over.is_set():
            began = time.monotonic()
            with connect(self.address) as sock:
                sock.sendall(b"e!")
                assert recv_exact(sock, 1) == b"!"
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1

    @contextlib.contextmanager
    def going(self):
        with threads(10 * DEADLINE) as group:
            for _ in range(4):
                group.start(self._run)
            try:
                wait_for(lambda: self.count > 20, "visitors come")
                yield self
            finally:
                self.over.set()


def resumed(relay, count=1):
    wait_for(lambda: relay.metrics()["bore_tunnels_resumed_total"] >= count, "the client has come back")


@pytest.mark.parametrize("path", ["copy", "splice"])
@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["open", "secret"])
def test_nobody_is_lost(lab, secret, path):
    """A download goes on, and visitors who come all the while are all served, over two upgrades."""
    relays, answer = Relays(lab, secret=secret, path=path, args=("--grace", "10m")), Download()
    relay = relays.start()
    client = lab.client(relay, lab.app(answer), secret=secret, path=path)
    visits = Visits(client.public)
    with visits.going(), connect(client.public) as download:
        download.sendall(b"d")
        assert recv_exact(download, len(HALF)) == HALF
        old = relay
        for turn in range(2):
            # Within the first second of a connection the word is worth no more than its loss.
            time.sleep(0 if turn else 1.1)
            mark, before, relay = client.process.mark(), relay, relays.start()
            before.process.wait_line("the next relay has taken over")
            relay.metrics_at = relays.metrics_port
            resumed(relay)
            client.process.wait_line("Reconnecting .the relay hands over to the next", after=mark)
            seen = visits.count
            wait_for(lambda: visits.count > seen + 20, "visitors come by the next relay")
            if turn:
                assert before.process.wait_exit() == 0, "nobody was left in it"
        assert old.process.alive()
        answer.go.set()
        assert recv_all(download) == HALF
    assert old.process.wait_exit() == 0
    assert client.process.alive() and len(client.process.find("listening at")) == 1
    print(f"{visits.count} visitors, the slowest in {visits.longest * 1000:.0f} ms")
    # Some milliseconds; but machines stand still now and then, some for seconds.
    assert visits.longest < 20 * SCALE


@pytest.mark.parametrize("way", ["handover", "drain"])
def test_streams_on_warm_connections_go_on(lab, way):
    """Bulk and blocks, in the middle of them: each is whole where it began, and who comes then has a warm one of the next relay."""
    relays, answer = Relays(lab, args=("--grace", "10m")), Download()
    first = relays.start()
    first.metrics_at = relays.metrics_port
    client = lab.client(first, lab.app(answer))
    with contextlib.ExitStack() as stack:

        def visit(words, expected):
            first.wait_parked()
            sock = stack.enter_context(connect(client.public))
            sock.sendall(words)
            assert recv_exact(sock, len(expected)) == expected
            return sock

        downloads = [visit(b"d", HALF) for _ in range(2)]
        talks = [visit(b"e!", b"!") for _ in range(4)]
        values = first.metrics()
        assert values["bore_ready_given_total"] == values["bore_visitors_open"] == 6
        if way == "handover":
            second = relays.start()
            first.process.wait_line("the next relay has taken over")
            second.metrics_at = relays.metrics_port
            resumed(second)
            second.wait_parked()
            with connect(client.public) as visitor:
                visitor.sendall(b"e?")
                assert recv_exact(visitor, 1) == b"?"
            values = second.metrics()
            assert values["bore_ready_given_total"] == 1 and values["bore_bad_secrets_total"] == 0
        else:
            first.process.signal(signal.SIGTERM)
            wait_for(lambda: refused(client.public), "it takes no visitors any more")
        for sock in talks:
            sock.sendall(b"and on")
            assert recv_exact(sock, 6) == b"and on"
            sock.shutdown(socket.SHUT_WR)
            assert recv_all(sock) == b""
        assert first.process.alive(), "the downloads are still there"
        answer.go.set()
        for sock in downloads:
            assert recv_all(sock) == HALF
    assert first.process.wait_exit() == 0


def test_visitors_wait_for_their_client(lab):
    """Who comes before the client is back is in the kernel's queue. Old clients are sent away without the new word."""
    relays = Relays(lab)
    first = relays.start()
    with RawClient(first) as new, RawClient(first) as older, RawClient(first) as stock, contextlib.ExitStack() as stack:
        granted = {conn: conn.hello(options={"resume": True, **more}) for conn, more in ((new, {"move": True}), (older, {}))}
        stock.hello()
        assert granted[new]["move"] is True and "move" not in granted[older]
        second = relays.start()
        second.metrics_at = relays.metrics_port
        assert new.recv_but() == "Move" and new.at_end()
        assert older.recv_but() is None
        assert stock.recv_but() is None
        assert first.process.wait_exit() == 0
        values = second.metrics()
        assert values["bore_tunnels_adopted_total"] == values["bore_tunnels_orphaned"] == 2 and values["bore_tunnels"] == 0
        visitor = stack.enter_context(connect(new.public))
        visitor.sendall(b"x")
        with pytest.raises(ConnectionRefusedError):
            connect(stock.public)
        # Nobody else gets the port, and nobody gets it by another token.
        with RawClient(second) as thief:
            thief.send({"Hello": new.port}, {"Options": {"resume": True, "token": granted[older]["token"]}})
            assert thief.recv() == {"Error": "port already in use"}
        for conn in (new, older):
            back = stack.enter_context(RawClient(second))
            back.hello(conn.port, {"resume": True, "token": granted[conn]["token"]})
            if conn is new:
                with back.accept(back.visitor()) as stream:
                    assert stream.stream(1) == b"x"
        values = second.metrics()
        assert values["bore_tunnels_orphaned"] == 0 and values["bore_tunnels"] == 2


def test_stock_client_keeps_its_visitors(lab):
    """It would cut them if its connection ended. When they are gone it is sent away, however long others stay."""
    relays, answer = Relays(lab, control_port=STOCK_PORT, args=("--grace", "10m")), Download()
    relay = relays.start()
    stock = lab.client(relay, lab.app(answer), kind="stock")
    ours = lab.client(relay, lab.app())
    with connect(stock.public) as download, connect(ours.public) as other:
        other.sendall(b"a")
        assert recv_exact(other, 1) == b"a"
        download.sendall(b"d")
        assert recv_exact(download, len(HALF)) == HALF
        relays.start()
        relay.process.wait_line("the next relay has taken over")
        with pytest.raises(ConnectionRefusedError):
            connect(stock.public)
        ping(ours.public)
        assert stock.process.alive()
        answer.go.set()
        assert recv_all(download) == HALF
        download.close()
        assert stock.process.wait_exit() == 0
        assert relay.process.alive()
        other.sendall(b"b")
        assert recv_exact(other, 1) == b"b"
    assert relay.process.wait_exit() == 0


def test_deadline_and_signals(lab):
    """--grace of the old relay ends what is left in it, with a reset; a stop of it waits for that, the second one doesn't."""
    relays = Relays(lab)
    first = relays.start(args=(*relays.how["args"], "--grace", "10m"))
    client = lab.client(first, lab.app())
    with connect(client.public) as visitor, contextlib.ExitStack() as stack:
        visitor.sendall(b"a")
        assert recv_exact(visitor, 1) == b"a"
        second = relays.start(args=(*relays.how["args"], "--grace", "1s"))
        first.process.wait_line("the next relay has taken over")
        first.process.signal(signal.SIGTERM)
        second.metrics_at = relays.metrics_port
        resumed(second)
        late = stack.enter_context(connect(client.public))
        late.sendall(b"b")
        assert recv_exact(late, 1) == b"b"
        third = relays.start()
        third.metrics_at = relays.metrics_port
        assert second.process.wait_exit() == 0
        with pytest.raises(ConnectionResetError):
            late.recv(1)
        visitor.sendall(b"c")
        assert recv_exact(visitor, 1) == b"c"
        first.process.signal(signal.SIGTERM)
        assert first.process.wait_exit() == 0
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)
        resumed(third)
        ping(client.public)


def ask(path, *words, version=VERSION):
    """Says the words, as the next relay would, and closes. What was answered, with the number of descriptors."""
    answers = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(path))
        for word in words:
            sock.send(word if isinstance(word, bytes) else struct.pack("=II", version, word))
            data, fds, _, _ = socket.recv_fds(sock, 65536, 64)
            for fd in fds:
                os.close(fd)
            answers.append((data, len(fds)))
            if not data:
                break
    return answers


def test_next_relay_that_fails(lab):
    """It dies before it has taken over, or says what is no word: this one goes on, and a right one follows all the same."""
    relays = Relays(lab)
    first = relays.start()
    client = lab.client(first, lab.app(Download()))
    visits = Visits(client.public)
    with visits.going():
        (answer,) = ask(relays.path, GIVE)
        assert struct.unpack("=II", answer[0][:8]) == (VERSION, 2) and answer[1] == 2, "control port and tunnel"
        first.process.wait_line("hasn't taken over, this one goes on: it has ended")
        for words, version in (((TAKEN,), VERSION), ((b"",), VERSION), ((b"x" * 9,), VERSION), ((3,), VERSION), ((GIVE,), VERSION + 1)):
            assert ask(relays.path, *words, version=version) == [(b"", 0)], (words, version)
        seen = visits.count
        wait_for(lambda: visits.count > seen + 20, "visitors come as before")
        broken = lab.ours(
            "server", "--bind-addr", first.host, "--control-port", first.control_port, "--handover", relays.path, "--max-port", 1,
            "--min-port", 2)
        assert broken.wait_exit() == 2
        second = relays.start()
        second.metrics_at = relays.metrics_port
        resumed(second)
        assert first.process.wait_exit() == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a process of another user")
def test_other_users_get_nothing(lab, public_folder):
    """The socket is the user's alone; where somebody has opened it all the same, the kernel tells whose process asks."""
    path = public_folder / "next.sock"
    lab.relay(args=("--handover", path))
    relay = lab.processes[-1]
    code = (
        "import socket,struct,sys\n"
        "s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n"
        f"s.settimeout({DEADLINE})\n"
        "try:\n s.connect(sys.argv[1]); s.send(struct.pack('=II',1,1)); d,f,_,_=socket.recv_fds(s,65536,64); print(len(d),len(f))\n"
        "except OSError as e: print(e.errno)\n"
    )

    def nobody():
        argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", code, str(path)]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=2 * DEADLINE).stdout.strip()

    assert path.stat().st_mode & 0o777 == 0o600
    assert nobody() == "13", "EACCES"
    path.chmod(0o666)
    assert nobody() in ("0 0", "32", "104"), "closed before a word"
    relay.wait_line("another process asked for the ports, and got none: Operation not permitted")
    ((data, fds),) = ask(path, GIVE)
    assert data and fds == 1, "our own user's"


def test_what_the_next_relay_does_not_want(lab):
    """Other ports, another control port: it takes what fits, and the clients of the rest are told."""
    relays = Relays(lab)
    first = relays.start()
    ports = [free_port(first.host) for _ in range(2)]
    keeps, loses = (RawClient(first) for _ in ports)
    with keeps, loses:
        tokens = [conn.hello(port, {"resume": True})["token"] for conn, port in zip((keeps, loses), ports)]
        other = free_port(first.host)
        second = relays.start(
            control_port=other, args=(*relays.how["args"], "--min-port", ports[0], "--max-port", ports[0]))
        second.metrics_at = relays.metrics_port
        assert second.control_port == other
        assert first.process.wait_exit() == 0
        assert second.metrics()["bore_tunnels_adopted_total"] == 1
        with pytest.raises(ConnectionRefusedError):
            connect(first.control)
        with RawClient(second) as back, RawClient(second) as late:
            back.hello(ports[0], {"resume": True, "token": tokens[0]})
            late.send({"Hello": ports[1]}, {"Options": {"resume": True, "token": tokens[1]}})
            assert late.recv() == {"Error": "client port number not in allowed range"}


def test_path_of_something_else(lab, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for path, why in ((file, "Connection refused|File exists"), (tmp_path / "none" / "sock", "No such file"), (tmp_path / ("x" * 120), "too long")):
        relay = lab.ours("server", "--bind-addr", "127.0.0.1", "--control-port", 0, "--handover", path)
        assert relay.wait_exit() == 11
        assert relay.find(f"{why}.*--handover")
    assert file.read_text() == "mine"
    # A socket that a killed relay has left is no obstacle, and an ordinary end leaves none.
    left = tmp_path / "left"
    killed = lab.relay(args=("--handover", left))
    killed.process.kill()
    assert left.is_socket()
    relay = lab.relay(args=("--handover", left))
    relay.process.signal(signal.SIGTERM)
    assert relay.process.wait_exit() == 0
    assert not left.exists()


def test_relay_that_moves_all_the_time(lab):
    """A relay that says "Move" right after each handshake is asked no more often than one that is lost."""
    with FakeRelay() as fake:
        client = lab.ours("local", lab.app().port, "--to", fake.to, name="client")
        seen, limit, deadline = 0, TimeLimit(3), TimeLimit()
        while not limit.over() or (seen < 2 and not deadline.over()):
            try:
                conn = fake.accept(0.5)
            except TimeoutError:
                continue
            with conn:
                assert conn.recv() == {"Hello": 9000 if seen else 0}
                assert conn.recv()["Options"]["move"] is True
                conn.send({"Hello": 9000}, {"Options": {"move": True}}, "Move")
                conn.at_end()
                seen += 1
        assert 2 <= seen < 15, "250 ms, twice as long each time"
        assert client.alive()
        client.wait_line("Reconnecting .the relay hands over to the next")


def test_client_that_does_not_reconnect(lab):
    """It has no use for the word, and doesn't ask for it."""
    with FakeRelay() as fake:
        lab.ours("local", lab.app().port, "--to", fake.to, "--no-reconnect", name="client")
        with fake.accept() as conn:
            conn.recv()
            assert "move" not in conn.recv()["Options"]
            # Unasked for, it means nothing.
            conn.send_raw(frame({"Hello": 9000}, "Move", "Heartbeat"))
            conn.sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                conn.fill()
