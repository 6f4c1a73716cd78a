# SPDX-License-Identifier: MIT
"""What our client says and hears, byte for byte, against a relay played by hand: as stock, as ours, and as neither."""

import contextlib
import queue
import re
import socket
import time

import pytest

from harness.apps import echo, free_port
from harness.lab import Client, listening_at, read_metrics
from harness.streams import pattern, reset
from harness.wait import DEADLINE, SCALE, SANITIZER, wait_for
from harness.wire import FakeRelay, encode, frame, tag

SECRET = "s3cret"
CHALLENGE = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
VISITOR = "0f7d1a52-3c1e-4c8e-9d1f-5b1c2f3a4b5c"
TOKEN = "00112233445566778899aabbccddeeff"
PORT = 54321
OPTIONS = rb'\{"Options":\{[^\0]*\}\}'


@pytest.fixture
def fake():
    with FakeRelay() as fake:
        yield fake


def greet(conn, secret=None, options=None, port=PORT, beats=True):
    """The relay's side of the beginning: returns the wanted port and what the client offered. It goes on to be heard of, unless that isn't wanted."""
    if secret is not None:
        conn.send({"Challenge": CHALLENGE})
        assert conn.recv() == {"Authenticate": tag(secret, CHALLENGE)}
    wanted = conn.recv()["Hello"]
    offered = conn.recv()["Options"]
    conn.send({"Hello": port}, *([{"Options": options}] if options else []), "Heartbeat")
    if beats:
        conn.beat()
    return wanted, offered


def start(lab, fake, app=None, **how):
    return lab.start_client(fake, app or lab.app(), **how)


def test_first_words(lab, fake):
    """Hello as stock says it, and Options behind it in the same write."""
    start(lab, fake)
    with fake.accept() as conn:
        first = conn.sock.recv(65536)
        assert re.fullmatch(rb'\{"Hello":0\}\0' + OPTIONS + rb"\0", first), first


def test_wanted_port(lab, fake):
    start(lab, fake, port=4444)
    with fake.accept() as conn:
        assert conn.raw() == b'{"Hello":4444}'


def test_answer_to_a_challenge(lab, fake):
    """It waits for the challenge before it says anything, and then says all in one write."""
    start(lab, fake, secret=SECRET)
    with fake.accept() as conn:
        conn.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            conn.sock.recv(1)
        conn.sock.settimeout(DEADLINE)
        conn.send({"Challenge": CHALLENGE})
        first = conn.sock.recv(65536)
        expected = encode({"Authenticate": tag(SECRET, CHALLENGE)}) + b'\0{"Hello":0}\0'
        assert first.startswith(expected), first
        assert re.fullmatch(OPTIONS + rb"\0", first[len(expected) :])


def test_prints_the_address(lab, fake):
    process = start(lab, fake)
    with fake.accept() as conn:
        greet(conn)
        line, _ = process.wait_line(rf"^listening at {re.escape(fake.host)}:{PORT}$|listening at \S+:{PORT}$")
        assert line.stream == "stdout"


@pytest.mark.parametrize("secret", [None, SECRET], ids=["open", "secret"])
def test_visitor(lab, fake, secret):
    start(lab, fake, secret=secret)
    with fake.accept() as conn:
        greet(conn, secret)
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            if secret is not None:
                stream.send({"Challenge": CHALLENGE})
                assert stream.recv() == {"Authenticate": tag(secret, CHALLENGE)}
            assert stream.raw() == b'{"Accept":"%s"}' % VISITOR.encode()
            stream.send_raw(b"over the wire")
            assert stream.stream(13) == b"over the wire"
            stream.sock.shutdown(socket.SHUT_WR)
            assert stream.at_end()


def test_bytes_behind_the_challenge_belong_to_the_stream(lab, fake):
    """A relay may write the visitor's bytes before the client has claimed it; NULs and frames in them are data."""
    start(lab, fake, secret=SECRET)
    data = b"early\0" + frame({"Hello": 7}, "Heartbeat") + b"end"
    with fake.accept() as conn:
        greet(conn, SECRET)
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            stream.send_raw(frame({"Challenge": CHALLENGE}) + data)
            stream.raw(), stream.raw()
            assert stream.stream(len(data)) == data


def test_error_that_comes_with_the_challenge_is_no_visitor(lab, fake):
    """A client that was stopped for some seconds found both in its socket, and gave "timed out" to the application."""
    heard = queue.Queue()

    def listen(sock):
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(4096):
                heard.put(data)
        heard.put(None)

    start(lab, fake, lab.app(listen), secret=SECRET)
    with fake.accept() as conn:
        greet(conn, SECRET)
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            stream.send({"Challenge": CHALLENGE}, {"Error": "timed out waiting for initial message"})
            assert stream.at_end()
        assert heard.get(timeout=DEADLINE) is None
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            stream.send({"Challenge": CHALLENGE})
            stream.raw(), stream.raw()
            stream.send({"Error": "of the visitor's own"})
            assert heard.get(timeout=DEADLINE) == frame({"Error": "of the visitor's own"})


def test_data_connections_that_fail_are_told_by_reason(lab, fake):
    """Each new reason once, however many visitors it costs; after one that was served, again. All of them are counted."""
    process = start(lab, fake, secret=SECRET, args=("--json", "--metrics", "127.0.0.1:0"))
    metrics = int(process.wait_line(r"http://\S+:(\d+)/metrics")[1][1])

    def told_after(count):
        told = lambda: [line.text for line, _ in process.find("does not take a data connection")]
        wait_for(lambda: len(told()) >= count, f"{count} lines are there")
        assert len(told()) == count
        return told()

    def visit(conn, *words):
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            stream.send(*words)
            if words:
                stream.drain()

    with fake.accept() as conn:
        greet(conn, SECRET)
        for _ in range(3):
            visit(conn)
            visit(conn, {"Error": "invalid secret"})
        process.wait_line('"turned_away": ?6')
        told = told_after(2)
        assert "hangs up" in told[0] and "invalid secret" in told[1], told
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            stream.send({"Challenge": CHALLENGE})
            stream.raw(), stream.raw()
            process.wait_line("the relay can be connected again")
        visit(conn)
        process.wait_line('"turned_away": ?7')
        told_after(3)
        values = read_metrics(metrics)
        assert values["bore_visitors_turned_away_total"] == 7 and values["bore_connections_total"] == 1


def test_split_at_every_byte(lab, fake):
    process = start(lab, fake, secret=SECRET)
    with fake.accept() as conn:
        for byte in frame({"Challenge": CHALLENGE}):
            conn.send_raw(bytes([byte]))
        conn.raw(), conn.raw()
        for byte in frame({"Hello": PORT}, "Heartbeat", {"Options": {"beat": 5000}}, {"Connection": VISITOR}):
            conn.send_raw(bytes([byte]))
        assert listening_at(process) == PORT
        with fake.accept() as stream:
            for byte in frame({"Challenge": CHALLENGE}) + b"data":
                stream.send_raw(bytes([byte]))
            stream.raw()
            assert stream.raw() == b'{"Accept":"%s"}' % VISITOR.encode()
            assert stream.stream(4) == b"data"


def test_several_frames_in_one_write(lab, fake):
    start(lab, fake)
    ids = [VISITOR[:-2] + f"{n:02x}" for n in range(40)]
    with fake.accept() as conn:
        conn.raw()
        conn.send({"Hello": PORT}, *[m for id in ids for m in ("Heartbeat", {"Connection": id})])
        seen = set()
        for _ in ids:
            with fake.accept() as stream:
                seen.add(stream.recv()["Accept"])
        assert seen == set(ids)


@pytest.mark.parametrize(
    "error,code", [("port already in use", 6), ("client port number not in allowed range", 6), ("too many tunnels", 8), ("new reason", 8)]
)
def test_error(lab, fake, error, code):
    process = start(lab, fake, port=4444)
    with fake.accept() as conn:
        conn.recv()
        conn.send({"Error": error})
    assert process.wait_exit() == code
    assert process.find(error), process.tail()


def test_error_before_a_reset(lab, fake):
    """Options that nobody read turn the relay's close into a reset; its words still count."""
    process = start(lab, fake, port=4444)
    with fake.accept() as conn:
        conn.sock.recv(8)  # a part of Hello, the rest is left unread
        conn.send({"Error": "port already in use"})
    assert process.wait_exit() == 6


def test_wrong_secret(lab, fake):
    process = start(lab, fake, secret=SECRET)
    with fake.accept() as conn:
        conn.send({"Challenge": CHALLENGE})
        conn.recv()
        conn.send({"Error": "invalid secret"})
    assert process.wait_exit() == 5


def test_challenge_without_a_secret(lab, fake):
    process = start(lab, fake)
    with fake.accept() as conn:
        conn.send({"Challenge": CHALLENGE})
        assert process.wait_exit() == 5


def test_error_texts_are_escaped(lab, fake):
    process = start(lab, fake)
    with fake.accept() as conn:
        conn.recv()
        conn.send({"Error": "bad\x1b[2J\nlistening at evil:1"})
    assert process.wait_exit() == 8
    assert "\x1b" not in process.text()
    assert not process.find("^listening at evil")


def test_options_are_left_out_after_a_wordless_close(lab, fake):
    """A peer that can't stand them gets a pure stock client the next time."""
    start(lab, fake, args=("--retry",))
    with fake.accept() as conn:
        conn.raw(), conn.raw()
    with fake.accept() as conn:
        first = conn.raw()
        if first.startswith(b"HELLO"):
            pytest.skip("line was tried in between")
        assert first == b'{"Hello":0}'
        conn.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            conn.sock.recv(1)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ERR what?\n", b"\xff\xfe\n"], ids=["http", "err", "bytes"])
def test_auto_goes_on_to_line(lab, fake, reply):
    """One attempt in line, on a fresh connection, when the answer is not JSON."""
    app = lab.app()
    process = start(lab, fake, app)
    with fake.accept() as conn:
        conn.raw()
        conn.send_raw(reply)
    with fake.accept() as conn:
        assert conn.line() == b"HELLO 1"
        assert conn.line() == b"%d" % app.port
        conn.send_raw(b"OK %d\nPING\n" % PORT)
        assert listening_at(process) == PORT
        conn.send_raw(b"PING\nCONN %s\n" % VISITOR.encode())
        with fake.accept() as stream:
            assert stream.line() == b"HELLO 1"
            assert stream.line() == b"ACCEPT " + VISITOR.encode()
            stream.send_raw(b"line data")
            assert stream.stream(9) == b"line data"


def test_auto_goes_on_to_line_after_silence(lab, fake):
    start(lab, fake)
    with fake.accept() as conn:
        conn.raw()
        with fake.accept() as second:
            assert second.line() == b"HELLO 1"


def test_both_dialects_fail(lab, fake):
    """The failure of the JSON attempt is the one that is told."""
    process = start(lab, fake)
    with fake.accept() as conn:
        conn.raw()
        conn.send_raw(b"nonsense\n")
    with fake.accept() as conn:
        conn.line()
        conn.send_raw(b"nonsense in lines\n")
    assert process.wait_exit() == 7
    assert not process.find("line"), process.tail()


def test_line_server_that_refuses(lab, fake):
    """It has understood that dialect, so its own reason is the one that helps."""
    process = start(lab, fake)
    with fake.accept() as conn:
        conn.raw()
        conn.send_raw(b"ERR unknown command\n")
    with fake.accept() as conn:
        conn.line()
        conn.send_raw(b"ERR port already in use\n")
    assert process.wait_exit() == 6


def test_auto_with_a_secret_stays_in_json(lab, fake):
    process = start(lab, fake, secret=SECRET)
    with fake.accept() as conn:
        conn.send_raw(b"nonsense\n")
        conn.drain()
    assert process.wait_exit() > 0
    fake.listener.settimeout(0.2)
    with pytest.raises(TimeoutError):
        fake.listener.accept()


def test_line_on_request(lab, fake):
    app = lab.app()
    process = start(lab, fake, app, secret=SECRET, args=("--protocol", "line"))
    with fake.accept() as conn:
        conn.send({"Challenge": CHALLENGE})  # from a relay that waited its 100 ms; it is dropped
        assert [conn.line() for _ in range(3)] == [b"HELLO 1", b"AUTH s3cret", b"%d" % app.port]
        conn.send_raw(b"OK %d\n" % PORT)
        assert listening_at(process) == PORT
        conn.send_raw(b"CONN %s\n" % VISITOR.encode())
        with fake.accept() as stream:
            assert [stream.line() for _ in range(3)] == [b"HELLO 1", b"AUTH s3cret", b"ACCEPT " + VISITOR.encode()]
            # Exactly one challenge stands before the raw bytes, and what looks like another is data.
            data = frame({"Challenge": CHALLENGE}) + b"x"
            stream.send_raw(frame({"Challenge": CHALLENGE}) + data)
            assert stream.stream(len(data)) == data


def test_line_error(lab, fake):
    process = start(lab, fake, args=("--protocol", "line"))
    with fake.accept() as conn:
        conn.line(), conn.line()
        conn.send_raw(b"ERR port already in use\n")
    assert process.wait_exit() == 6


def test_resume_is_offered_and_presented(lab, fake):
    process = start(lab, fake)
    with fake.accept() as conn:
        wanted, offered = greet(conn, options={"resume": True, "token": TOKEN, "beat": 5000, "refuse": True})
        assert wanted == 0 and offered["resume"] is True and "token" not in offered
        assert offered["refuse"] is True and offered["beat"] == 5000
        assert listening_at(process) == PORT
    with fake.accept(5 * DEADLINE) as conn:
        wanted, offered = greet(conn, options={"resume": True, "token": TOKEN[::-1]})
        assert wanted == PORT and offered["token"] == TOKEN
    with fake.accept(5 * DEADLINE) as conn:
        _, offered = greet(conn, options={"resume": True, "token": TOKEN})
        assert offered["token"] == TOKEN[::-1], "a token is good for one use"


def test_same_port_is_asked_of_an_old_relay(lab, fake):
    start(lab, fake)
    with fake.accept() as conn:
        greet(conn)
    with fake.accept(5 * DEADLINE) as conn:
        wanted, offered = greet(conn)
        assert wanted == PORT and "token" not in offered


def test_beats(lab, fake):
    """Only when it was agreed on."""
    start(lab, fake)
    with fake.accept() as conn:
        greet(conn, options={"beat": 5000})
        conn.sock.settimeout(1)
        limit = time.monotonic() + 50 * SCALE
        while time.monotonic() < limit and b"\0" not in conn.data:
            conn.send("Heartbeat")
            try:
                assert conn.fill()
            except TimeoutError:
                pass
        assert conn.data.startswith(b'"Heartbeat"\0')


def test_no_beats_for_an_old_relay(lab, fake):
    start(lab, fake)
    with fake.accept() as conn:
        greet(conn)
        conn.sock.settimeout(0.5)
        for _ in range(14):  # seven seconds, more than one interval
            conn.send("Heartbeat")
            with pytest.raises(TimeoutError):
                conn.sock.recv(1)


def test_refuse(lab, fake):
    """With the ability, a visitor of a stopped application is refused by a frame, if Accept has not been sent already."""
    start(lab, fake, free_port(), secret=SECRET)
    with fake.accept() as conn:
        greet(conn, SECRET, options={"refuse": True})
        conn.send({"Connection": VISITOR})
        # The data connection gets no challenge, so there can be no Accept.
        refusal = conn.recv()["Refuse"]
        assert refusal["id"] == VISITOR and refusal["why"]


def test_no_refuse_for_an_old_relay(lab, fake):
    """Without it: connect, Accept, close."""
    start(lab, fake, free_port())
    with fake.accept() as conn:
        greet(conn)
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            assert stream.recv() == {"Accept": VISITOR}
            assert stream.at_end()


def test_silence(lab, fake):
    """Eight seconds without a frame: the client hangs up and comes back."""
    client = Client(start(lab, fake), fake.host, PORT)
    with fake.accept() as conn:
        greet(conn, beats=False)
        connected, _ = client.wait_state("Connected")
        lost, _ = client.wait_state("Reconnecting", 80 * SCALE)
        assert lost - connected >= 7
        with fake.accept(5 * DEADLINE) as second:
            assert greet(second)[0] == PORT


@pytest.mark.parametrize(
    "data",
    [b"nonsense\0", b'{"Connection":"x"}\0', b"x" * 1000, b'{"Connection":7}\0', b"[" * 255 + b"\0", b"\0"],
    ids=["nonsense", "uuid", "long", "number", "nested", "empty"],
)
def test_garbage_while_connected(lab, fake, data):
    """It costs that connection and nothing else."""
    client = Client(start(lab, fake), fake.host, PORT)
    with fake.accept() as conn:
        greet(conn)
        client.wait_state("Connected")
        conn.send_raw(data)
        client.wait_state("Reconnecting")
    with fake.accept(5 * DEADLINE) as conn:
        greet(conn)


def test_stock_says_things_it_should_not(lab, fake):
    """A second Hello or Challenge is passed over, as stock's client does."""
    process = start(lab, fake)
    with fake.accept() as conn:
        greet(conn)
        conn.send({"Hello": 1}, {"Challenge": CHALLENGE}, {"Error": "in passing"}, {"Connection": VISITOR})
        with fake.accept() as stream:
            assert stream.recv() == {"Accept": VISITOR}
        assert process.alive()


def test_relay_that_floods_visitors(lab, fake):
    """More than the client will hold at once: it stays small and alive."""
    process = start(lab, fake, free_port())
    with fake.accept() as conn:
        greet(conn, options={"refuse": True})
        for n in range(5000):
            conn.send({"Connection": f"{n:08x}-9dad-41d1-80b4-00c04fd430c8"})
        fake.accept().close()
    assert process.alive()
    if not SANITIZER:
        assert process.private_kb() < 50_000


def test_data_connection_reset_by_the_relay(lab, fake):
    """The application's connection ends with it; the tunnel stays."""
    process = start(lab, fake, lab.app(echo))
    with fake.accept() as conn:
        greet(conn)
        for n in range(10):
            conn.send({"Connection": VISITOR[:-2] + f"{n:02x}"})
            stream = fake.accept()
            stream.recv()
            data = pattern(n, 1000)
            stream.send_raw(data)
            assert stream.stream(1000) == data
            reset(stream.sock)
        conn.send({"Connection": VISITOR})
        with fake.accept() as stream:
            assert stream.recv() == {"Accept": VISITOR}
    assert process.alive()
