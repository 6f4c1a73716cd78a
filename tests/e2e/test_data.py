# SPDX-License-Identifier: MIT
"""Bytes through the tunnel, between every pair of programs and on both data paths."""

import array
import contextlib
import fcntl
import socket
import termios
import threading

import pytest

from harness.apps import echo, sink
from harness.lab import WAYS, pairs
from harness.streams import connect, duplex, ended, pattern, ping, recv_all, recv_exact, reset, threads
from harness.wait import DEADLINE, SANITIZER, wait_for
from harness.wire import RawClient

ALL = pytest.mark.parametrize("pair", pairs())
OURS = pytest.mark.parametrize("pair", pairs("ours/ours"))
# As they are by themselves: what is bulk leaves the copies, and the blocks, on its way.
BY_ITSELF = pairs("ours/ours", paths=["auto"], ways=["warm"])
WAY = pytest.mark.parametrize("way", WAYS)
MIB = 1 << 20
BULK = 8 * MIB if SANITIZER else 64 * MIB
# Enough to have left the copy path behind.
SOME = 300_000


def unsent(sock):
    """Bytes that the peer has not acknowledged: SIOCOUTQ."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]


def visit(public, server):
    """One visitor, whom this listener gets."""
    server.settimeout(DEADLINE)
    with connect(public) as visitor:
        sock = server.accept()[0]
        with sock:
            sock.sendall(b"here")
            assert recv_exact(visitor, 4) == b"here"


@pytest.mark.parametrize("pair", pairs() + BY_ITSELF)
def test_bulk_both_ways(lab, pair):
    up, down = pattern("up", BULK), pattern("down", BULK)
    received = []

    def app(sock):
        received.append(duplex(sock, down, BULK))

    _, _, client = lab.tunnel(pair, app)
    with connect(client.public, 10 * DEADLINE) as visitor:
        assert duplex(visitor, up, BULK) == down
    wait_for(lambda: received, "the application has read everything")
    assert received[0] == up


@OURS
def test_bulk_with_secret(lab, pair):
    bulk_with_secret(lab, pair)


@pytest.mark.parametrize("pair", pairs("ours/ours", ways=["cold"]))
def test_bulk_with_secret_in_lines(lab, pair):
    """Nothing is kept warm in that dialect."""
    bulk_with_secret(lab, pair, client_args=("--protocol", "line"))


def bulk_with_secret(lab, pair, **how):
    data = pattern("secret", BULK // 4)
    _, _, client = lab.tunnel(pair, secret="s3cret", **how)
    with connect(client.public, 10 * DEADLINE) as visitor:
        assert duplex(visitor, data, len(data)) == data


@WAY
def test_localhost_is_where_the_application_is(lab, way):
    """An application that moves from 127.0.0.1 to ::1 while the tunnel stands, as a dev server does between two
    versions: localhost is both, and each visitor finds it."""
    relay = lab.relay(way=way)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = lab.ours("local", port, "--to", relay.to)
        public = (relay.host, int(client.wait_line(r"^listening at \S+:(\d+)$")[1][1]))
        relay.wait_parked(2 if way == "warm" else 0)
        visit(public, server)
    try:
        server = socket.create_server(("::1", port), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with server:
        visit(public, server)


@ALL
def test_200_visitors_at_once(lab, pair):
    """All are open before the first byte is sent."""
    app, _, client = lab.tunnel(pair)
    everyone = threading.Barrier(200)

    def visit(number):
        data = pattern(number, SOME)
        with connect(client.public, 4 * DEADLINE) as visitor:
            everyone.wait(4 * DEADLINE)
            assert duplex(visitor, data, len(data)) == data

    with threads(10 * DEADLINE) as group:
        for number in range(200):
            group.start(visit, number)
    assert app.accepted == 200


@ALL
@pytest.mark.parametrize("size", [0, 1, SOME])
def test_half_close_by_the_visitor(lab, pair, size):
    """A request ends with FIN, the answer comes after it."""
    question, answer = pattern("question", size), pattern("answer", SOME)

    def app(sock):
        assert recv_all(sock) == question
        sock.sendall(answer)

    application, _, client = lab.tunnel(pair, app)
    with connect(client.public) as visitor:
        visitor.sendall(question)
        visitor.shutdown(socket.SHUT_WR)
        assert recv_all(visitor) == answer
    application.threads.join()


@ALL
@pytest.mark.parametrize("size", [0, 1, SOME])
def test_half_close_by_the_application(lab, pair, size):
    """The application ends first and goes on reading."""
    greeting, question = pattern("greeting", size), pattern("question", SOME)
    heard = []

    def app(sock):
        sock.sendall(greeting)
        sock.shutdown(socket.SHUT_WR)
        heard.append(recv_all(sock))

    _, _, client = lab.tunnel(pair, app)
    with connect(client.public) as visitor:
        assert recv_all(visitor) == greeting
        visitor.sendall(question)
        visitor.shutdown(socket.SHUT_WR)
        wait_for(lambda: heard, "the application has heard the end")
    assert heard[0] == question


@ALL
def test_application_speaks_first(lab, pair):
    def app(sock):
        sock.sendall(b"220 welcome\r\n")
        echo(sock)

    _, _, client = lab.tunnel(pair, app)
    with connect(client.public) as visitor:
        assert recv_exact(visitor, 13) == b"220 welcome\r\n"
        visitor.sendall(b"x")
        assert recv_exact(visitor, 1) == b"x"


@OURS
def test_small_messages_cross_the_change_of_path(lab, pair):
    """A conversation of odd sizes that passes 64 KiB in the middle of a message, in lock step."""
    _, _, client = lab.tunnel(pair)
    with connect(client.public) as visitor:
        for number in range(400):
            data = pattern(number, 1 + number * 7 % 1500)
            visitor.sendall(data)
            assert recv_exact(visitor, len(data)) == data


@OURS
def test_slow_reader_holds_back_its_own_sender_only(lab, pair):
    """A stream that is not read comes to a standstill; another one beside it goes on, and the first resumes."""
    data = pattern("slow", 32 * MIB)

    def app(sock):
        first = sock.recv(1)
        if first == b"g":
            sock.sendall(data)
        else:
            sock.sendall(first)
            echo(sock)

    _, relay, client = lab.tunnel(pair, app)
    with connect(client.public, rcvbuf=65536) as slow:
        slow.sendall(b"g")
        assert recv_exact(slow, 1000) == data[:1000]
        for _ in range(20):
            ping(client.public, pattern("other", SOME))
        assert recv_exact(slow, len(data) - 1000) == data[1000:]
    # Buffers are the kernel's: what the processes hold themselves stays small.
    if not SANITIZER:
        assert relay.process.private_kb() < 20_000 and client.process.private_kb() < 20_000


@OURS
@pytest.mark.parametrize("rcvbuf", [4096, 65536])
def test_application_closes_with_unread_input(lab, pair, rcvbuf):
    """The kernel turns such a close into a reset. What was sent before it still reaches a visitor who reads slowly."""
    data = pattern("unread", 4 * MIB)

    def app(sock):
        assert sock.recv(1) == b"g"
        sock.sendall(data)
        # What is still in the application's own send queue is lost with a reset, tunnel or not.
        wait_for(lambda: unsent(sock) == 0, "the application's bytes have left it", 10 * DEADLINE)

    application, _, client = lab.tunnel(pair, app)
    with connect(client.public, 10 * DEADLINE, rcvbuf=rcvbuf) as visitor:
        visitor.sendall(b"g" + b"never read" * 2000)
        got = bytearray()
        with threads(10 * DEADLINE) as group:
            pace = threading.Event()

            def read_slowly():
                while len(got) < len(data):
                    part = visitor.recv(32768)
                    assert part, f"the stream ended after {len(got)} bytes"
                    got.extend(part)
                    pace.wait(0.002)  # this is the slowness, nothing waits for it

            group.start(read_slowly)
        assert got == data
        assert ended(visitor)
    application.threads.join()


@OURS
def test_reset_is_passed_on_to_the_application(lab, pair):
    ends = []

    def app(sock):
        recv_exact(sock, 5)
        try:
            ends.append(sock.recv(1))
        except ConnectionResetError:
            ends.append("reset")

    _, _, client = lab.tunnel(pair, app)
    visitor = connect(client.public)
    visitor.sendall(b"hello")
    reset(visitor)
    wait_for(lambda: ends, "the application hears of the reset")
    assert ends[0] == "reset"


@OURS
def test_reset_is_passed_on_to_the_visitor(lab, pair):
    def app(sock):
        recv_exact(sock, 5)
        sock.sendall(b"world")
        wait_for(lambda: unsent(sock) == 0, "sent")
        reset(sock)

    _, _, client = lab.tunnel(pair, app)
    with connect(client.public) as visitor:
        visitor.sendall(b"hello")
        assert recv_exact(visitor, 5) == b"world"
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)


def how_it_ends(sock):
    """Reads on: the bytes up to the end, and whether that was a reset."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
        return b"".join(parts), "end"
    except ConnectionResetError:
        return b"".join(parts), "reset"


@OURS
@pytest.mark.parametrize("victim", ["relay", "client"])
def test_death_of_a_process_is_no_ordinary_end(lab, pair, victim):
    """The kernel closes the connections of a process that is killed: what that cut must not look whole to anybody."""
    ends = []

    def app(sock):
        sock.sendall(recv_exact(sock, SOME))
        ends.append(how_it_ends(sock))

    _, relay, client = lab.tunnel(pair, app)
    data = pattern("death", SOME)
    with connect(client.public) as visitor:
        assert duplex(visitor, data, SOME, finish=False) == data
        relay.check_way()
        {"relay": relay, "client": client}[victim].process.kill()
        assert how_it_ends(visitor) == (b"", "reset")
        wait_for(lambda: ends, "the application hears of the end")
    assert ends == [(b"", "reset")]


def test_death_of_the_relay_resets_a_visitor_who_waits(lab):
    """A visitor whose data connection is still to come took the relay's death for an empty answer."""
    relay = lab.relay()
    with RawClient(relay) as raw:
        raw.hello()
        with connect(raw.public) as visitor:
            raw.visitor()
            relay.process.kill()
            assert how_it_ends(visitor) == (b"", "reset")


@OURS
@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["open", "secret"])
def test_reset_before_the_first_byte(lab, pair, secret):
    """An application that resets whom it has accepted was taken for one that isn't there: its visitors saw an empty answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def run():
            while True:
                try:
                    reset(server.accept()[0])
                except OSError:
                    return

        relay = lab.relay(path=pair.path, secret=secret, way=pair.way)
        client = lab.client(relay, server.getsockname()[1], path=pair.path, secret=secret)
        with threads() as group:
            group.start(run)
            ends = []
            for _ in range(40):
                try:
                    with connect(client.public) as visitor:
                        ends.append(how_it_ends(visitor))
                except ConnectionResetError:  # as soon as that
                    ends.append((b"", "reset"))
            server.shutdown(socket.SHUT_RDWR)
    assert ends == 40 * [(b"", "reset")]
    assert not client.process.find("is the application running there")


@OURS
def test_ordinary_ends_stay_ordinary(lab, pair):
    """What would make a reset of our death doesn't cut an end that both sides have wanted, however much is under way."""
    data = pattern("whole", SOME)

    def app(sock):
        assert recv_all(sock) == data
        sock.sendall(data)

    application, _, client = lab.tunnel(pair, app)

    def visit():
        with connect(client.public, rcvbuf=4096) as visitor:
            visitor.sendall(data)
            visitor.shutdown(socket.SHUT_WR)
            assert how_it_ends(visitor) == (data, "end")

    with threads(4 * DEADLINE) as group:
        for _ in range(30):
            group.start(visit)
    application.threads.join()


@ALL
def test_reset_behind_the_end_of_an_answer(lab, pair):
    """The application says all, closes, and is sent more, which its kernel answers with a reset: the answer is whole."""
    answer = pattern("answer", 2 * SOME)
    closed = threading.Event()

    def app(sock):
        assert recv_exact(sock, 1) == b"g"
        sock.sendall(answer)
        wait_for(lambda: unsent(sock) == 0, "the answer has left the application")
        sock.close()
        closed.set()

    _, _, client = lab.tunnel(pair, app)
    with connect(client.public, rcvbuf=4096) as visitor:
        visitor.sendall(b"g")
        assert closed.wait(DEADLINE)
        visitor.sendall(b"more")
        assert how_it_ends(visitor) == (answer, "end")


@OURS
@pytest.mark.parametrize("side", ["relay", "client"])
def test_half_close_timeout_spares_a_reader_who_pauses(lab, pair, side):
    """The application has ended, the visitor pauses for longer than the half-close timeout: a download was cut so."""
    data = pattern("paused", 4 * MIB)

    def app(sock):
        assert recv_exact(sock, 1) == b"g"
        sock.sendall(data)

    _, _, client = lab.tunnel(pair, app, **{f"{side}_args": ("--half-close-timeout", "500ms")})
    with connect(client.public, 4 * DEADLINE, rcvbuf=65536) as visitor:
        visitor.sendall(b"g")
        assert recv_exact(visitor, 1000) == data[:1000]
        threading.Event().wait(1.5)  # the pause itself is what is tried
        assert how_it_ends(visitor) == (data[1000:], "end")


@OURS
@pytest.mark.parametrize("direction", ["up", "down"])
def test_urgent_data_stays_in_the_stream(lab, pair, direction):
    """FTP's ABOR and telnet's Synch: the byte sent as urgent data was dropped. It arrives in its place."""
    interrupt, said = b"\xff\xf4\xff", (b"ABOR\r\n", b"more")
    expected = 3 * (interrupt + b"\xf2" + said[0]) + said[1]

    def speak(sock):
        for _ in range(3):
            sock.sendall(interrupt)
            sock.send(b"\xf2", socket.MSG_OOB)
            sock.sendall(said[0])
        sock.sendall(said[1])
        sock.shutdown(socket.SHUT_WR)

    heard = []

    def app(sock):
        speak(sock) if direction == "down" else heard.append(recv_all(sock))

    _, _, client = lab.tunnel(pair, app)
    with connect(client.public) as visitor:
        if direction == "down":
            visitor.sendall(b"x")
            heard.append(recv_all(visitor))
        else:
            speak(visitor)
            wait_for(lambda: heard, "the application has read all")
    assert heard == [expected]


@OURS
def test_visitor_leaves_before_the_application_is_reached(lab, pair):
    """Connect and close, a hundred times: the tunnel goes on, and nothing is left behind."""
    relay = lab.relay(path=pair.path, way=pair.way)
    client = lab.client(relay, lab.app(), path=pair.path)
    ends = relay.process, client.process
    ping(client.public)
    before = [relay.fds_in_use(end) for end in ends]
    for number in range(100):
        visitor = connect(client.public)
        reset(visitor) if number % 2 else visitor.close()
    ping(client.public)
    for end, fds in zip(ends, before):
        wait_for(lambda: relay.fds_in_use(end) <= fds, "all descriptors are back")


@OURS
def test_application_is_down(lab, pair):
    """The visitor is closed at once, not after the ten seconds of an unclaimed one; when it is back, it serves."""
    app, relay, client = lab.tunnel(pair)
    ping(client.public)
    app.close()
    # Where the machine is busy, all of it is over before connect(2) returns, which then tells of the end.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError), connect(client.public) as visitor:
        assert ended(visitor)
    assert relay.metrics()["bore_visitors_unclaimed_total"] == 0
    assert client.process.alive()


@OURS
def test_idle_connection_stays(lab, pair):
    """Nothing ends a connection that is merely quiet for longer than any interval of the protocol."""
    _, _, client = lab.tunnel(pair, relay_args=("--half-close-timeout", "1s"))
    with connect(client.public) as visitor:
        visitor.sendall(b"a")
        assert recv_exact(visitor, 1) == b"a"
        threading.Event().wait(3.5)  # the quiet itself is what is tried
        visitor.sendall(b"b")
        assert recv_exact(visitor, 1) == b"b"


@OURS
@pytest.mark.parametrize("side", ["relay", "client"])
def test_half_close_timeout(lab, pair, side):
    """A half-closed connection without traffic is reset: what was cut must not look whole."""
    limit = ("--half-close-timeout", "1s")
    how = {f"{side}_args": limit}
    _, _, client = lab.tunnel(pair, sink_then_hold, **how)
    with connect(client.public) as visitor:
        visitor.shutdown(socket.SHUT_WR)
        assert how_it_ends(visitor) == (b"half of an answer", "reset")


def sink_then_hold(sock):
    sock.sendall(b"half of an answer")
    sink(sock)
    # Its own direction stays open until the other side ends it.
    while True:
        try:
            if unsent(sock) or sock.send(b"", socket.MSG_NOSIGNAL) is None:
                return
            peek = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except OSError:
            return
        if peek not in (1, 8):  # neither ESTABLISHED nor CLOSE_WAIT
            return
        threading.Event().wait(0.05)


@WAY
def test_idle_timeout(lab, way):
    app = lab.app()
    relay = lab.relay(args=("--idle-timeout", "1s"), way=way)
    client = lab.client(relay, app)
    with connect(client.public) as visitor:
        visitor.sendall(b"a")
        assert recv_exact(visitor, 1) == b"a"
        assert ended(visitor)
    ping(client.public)


@WAY
def test_idle_timeout_ends_a_reader_who_never_reads(lab, way, tmp_path):
    """The application has answered and ended: the half-close timeout waits for the reader, and hid the other one."""
    log = tmp_path / "log"
    relay = lab.relay(args=("--idle-timeout", "500ms", "--connection-log", log), way=way)
    client = lab.client(relay, lab.app(lambda sock: sock.sendall(pattern("unread", SOME))))
    with connect(client.public, rcvbuf=4096):
        wait_for(lambda: f"out={SOME} " in log.read_text() and "idle for too long" in log.read_text(), "he is reset")
