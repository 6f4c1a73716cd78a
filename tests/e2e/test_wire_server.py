# SPDX-License-Identifier: MIT
"""What our relay says and hears, byte for byte: the stock wire and the line dialect."""

import re
import socket
import statistics
import time
import uuid

import pytest

from harness.apps import free_port
from harness.streams import connect, ended, recv_exact
from harness.wait import SCALE
from harness.wire import HEARTBEAT, UUID, Conn, RawClient, encode, frame, tag

SECRET = "s3cret"
STRANGER = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
NO_SECRET = b'{"Error":"server requires secret, but no secret was provided"}'
CHALLENGED = re.compile(rb'\{"Challenge":"%s"\}\0' % UUID.encode())


@pytest.fixture
def relay(lab):
    return lab.relay()


@pytest.fixture
def guarded(lab):
    return lab.relay(secret=SECRET)


def dial(relay):
    return Conn(connect(relay.control))


def still_serves(relay, secret=None):
    with RawClient(relay, secret) as conn:
        conn.hello()
        with connect(conn.public) as visitor, conn.accept(conn.visitor()) as stream:
            visitor.sendall(b"ping")
            assert stream.stream(4) == b"ping"
    return True


def test_hello(relay):
    with dial(relay) as conn:
        conn.send_raw(b'{"Hello":0}\0')
        port = int(re.fullmatch(rb'\{"Hello":(\d+)\}', conn.raw())[1])
        assert 1024 <= port <= 65535
        assert conn.raw() == HEARTBEAT


def test_heartbeat_every_500_ms(relay):
    with RawClient(relay) as conn:
        conn.hello()
        times = []
        for _ in range(10):
            assert conn.raw() == HEARTBEAT
            times.append(time.monotonic())
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert statistics.median(gaps) <= 0.9 * SCALE


def test_given_port_and_its_errors(relay):
    port = free_port(relay.host)
    with RawClient(relay) as conn, dial(relay) as second, dial(relay) as third:
        conn.hello(port)
        assert conn.port == port
        second.send({"Hello": port})
        assert second.raw() == b'{"Error":"port already in use"}'
        assert second.at_end()
        third.send({"Hello": 1})
        assert third.raw() == b'{"Error":"client port number not in allowed range"}'
        assert third.at_end()


def test_no_port_left(lab):
    relay = lab.relay(args=("--min-port", 20011, "--max-port", 20011))
    with RawClient(relay) as first, dial(relay) as second:
        first.hello()
        second.send({"Hello": 0})
        assert second.raw() == b'{"Error":"failed to find an available port"}'


def test_privileged_port_as_nobody(lab, public_bore):
    how = {"program": public_bore, "wrap": ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")}
    relay = lab.relay(args=("--min-port", 1), **how)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as start:
        if int(start.read()) <= 1:
            pytest.skip("no port is privileged here")
    with dial(relay) as conn:
        conn.send({"Hello": 1})
        assert conn.raw() == b'{"Error":"permission denied"}'


def test_visitor(relay):
    with RawClient(relay) as conn:
        conn.hello()
        with connect(conn.public) as visitor:
            announced = conn.raw()
            while announced == HEARTBEAT:
                announced = conn.raw()
            found = re.fullmatch(rb'\{"Connection":"(%s)"\}' % UUID.encode(), announced)
            assert found, announced
            with conn.accept(found[1].decode()) as stream:
                visitor.sendall(b"question")
                assert stream.stream(8) == b"question"
                stream.send_raw(b"answer")
                assert recv_exact(visitor, 6) == b"answer"


def test_visitors_are_told_of_at_once(relay):
    """Not with the next heartbeat, for want of anything else that wakes the relay."""
    with RawClient(relay) as conn:
        conn.hello()
        beats = 0
        for _ in range(20):
            with connect(conn.public):
                while (message := conn.recv()) == "Heartbeat":
                    beats += 1
                assert "Connection" in message
        assert beats < 10


@pytest.mark.parametrize("secret", [None, SECRET], ids=["open", "secret"])
def test_bytes_behind_accept_belong_to_the_stream(lab, secret):
    """Also when they contain NUL and look like frames."""
    relay = lab.relay(secret=secret)
    extra = b"first bytes\0" + frame({"Hello": 1}) + b"x" * 300
    with RawClient(relay, secret) as conn:
        conn.hello()
        with connect(conn.public) as visitor, conn.accept(conn.visitor(), extra):
            assert recv_exact(visitor, len(extra)) == extra


def test_bytes_that_the_visitor_sent_before_accept(relay):
    with RawClient(relay) as conn:
        conn.hello()
        with connect(conn.public) as visitor:
            visitor.sendall(b"early" * 1000)
            with conn.accept(conn.visitor()) as stream:
                assert stream.stream(5000) == b"early" * 1000


def test_uuids_are_random_and_good_for_one_accept(relay):
    with RawClient(relay) as conn:
        conn.hello()
        with connect(conn.public) as visitor, connect(conn.public):
            first, second = conn.visitor(), conn.visitor()
            assert first != second
            assert all(uuid.UUID(id).version == 4 for id in (first, second))
            with conn.accept(first) as stream, conn.accept(first) as thief:
                assert thief.at_end()
                visitor.sendall(b"x")
                assert stream.stream(1) == b"x"


def test_unknown_uuid(relay):
    with RawClient(relay) as conn:
        assert conn.accept(str(uuid.uuid4())).at_end()
    assert still_serves(relay)


def test_unclaimed_visitor_is_dropped(relay):
    """After ten seconds; not much before."""
    with RawClient(relay) as conn:
        conn.hello()
        begin = time.monotonic()
        with connect(conn.public, 100) as visitor:
            late = conn.visitor()
            assert ended(visitor)
        assert time.monotonic() - begin > 8
        with conn.accept(late) as stream:
            assert stream.at_end()


def test_challenge(guarded):
    with dial(guarded) as conn:
        challenge = conn.raw()
        found = re.fullmatch(rb'\{"Challenge":"(%s)"\}' % UUID.encode(), challenge)
        assert found, challenge
        conn.send_raw(encode({"Authenticate": tag(SECRET, found[1].decode())}) + b"\0")
        conn.send({"Hello": 0})
        assert "Hello" in conn.recv()


def test_challenges_differ(guarded):
    seen = set()
    for _ in range(5):
        with dial(guarded) as conn:
            seen.add(conn.recv()["Challenge"])
    assert len(seen) == 5


@pytest.mark.parametrize(
    "answer,error",
    [
        (frame({"Authenticate": "00" * 32}), b'{"Error":"invalid secret"}'),
        (frame({"Authenticate": ""}), b'{"Error":"invalid secret"}'),
        (frame({"Authenticate": "not hex"}), b'{"Error":"invalid secret"}'),
        (frame({"Hello": 0}), NO_SECRET),
    ],
    ids=["wrong", "empty", "no-hex", "hello"],
)
def test_bad_answers_to_a_challenge(guarded, answer, error):
    with dial(guarded) as conn:
        assert "Challenge" in conn.recv()
        conn.send_raw(answer)
        assert conn.raw() == error
        assert conn.at_end()
    assert still_serves(guarded, SECRET)


def silently_reset(conn, late=False):
    """Ended by a reset, without a byte. `late`: but for a challenge, if what was said came behind the 100 ms of a line client."""
    try:
        said = conn.data + conn.sock.recv(65536)
        if late and CHALLENGED.fullmatch(said):
            said = conn.sock.recv(65536)
        assert said == b"", "bytes before the end"
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("behind", [frame({"Accept": STRANGER}), frame({"Authenticate": "00" * 32}, {"Accept": STRANGER})], ids=["accept", "wrong"])
def test_data_connection_without_the_secret_hears_no_word(guarded, behind):
    """Its client takes whatever comes behind the Accept for its visitor's bytes."""
    with dial(guarded) as conn:
        assert "Challenge" in conn.recv()
        conn.send_raw(behind)
        assert silently_reset(conn)
    with dial(guarded) as conn:  # before the challenge: not even that
        conn.send_raw(frame({"Accept": STRANGER}))
        assert silently_reset(conn, late=True)


HALF_ANSWERS = {"nothing": b"", "half-a-tag": b'{"Authenticate":"00', "half-a-line": b"HELLO 1\nAUTH s3cret\nACC"}


@pytest.mark.parametrize("half", HALF_ANSWERS.values(), ids=HALF_ANSWERS.keys())
def test_answer_that_comes_too_late_injects_nothing(guarded, half):
    """The relay's "timed out" was delivered to the application as its visitor's bytes, when the client's answer was three seconds on its way."""
    with RawClient(guarded, SECRET) as conn:
        conn.hello()
        with connect(conn.public) as visitor:
            id = conn.visitor()
            with dial(guarded) as late, conn.accept(id) as intime:
                challenge = late.recv()["Challenge"]
                late.send_raw(half)
                visitor.sendall(b"x")
                assert intime.stream(1) == b"x"
                assert silently_reset(late), challenge


def test_silence_is_told_while_there_is_no_tunnel(guarded):
    """Nobody can be on a data connection then: stock's words, for a client that wants a tunnel."""
    with dial(guarded) as conn:
        assert "Challenge" in conn.recv()
        assert conn.raw() == b'{"Error":"timed out waiting for initial message"}'
        assert conn.at_end()


@pytest.mark.parametrize("secret", [None, SECRET], ids=["open", "secret"])
def test_data_connection_for_nobody_is_reset(lab, secret):
    """An ordinary end would be the visitor's, who never was."""
    relay = lab.relay(secret=secret)
    with RawClient(relay, secret) as conn, conn.accept(STRANGER) as stream:
        assert silently_reset(stream)


def test_signature_of_another_challenge(guarded):
    with dial(guarded) as one, dial(guarded) as other:
        challenge, _ = one.recv()["Challenge"], other.recv()
        other.send({"Authenticate": tag(SECRET, challenge)})
        assert other.raw() == b'{"Error":"invalid secret"}'


def test_every_connection_is_challenged(guarded):
    """A visitor's id alone opens nothing."""
    with RawClient(guarded, SECRET) as conn:
        conn.hello()
        with connect(conn.public) as visitor:
            id = conn.visitor()
            with dial(guarded) as thief:
                thief.recv()
                thief.send({"Accept": id})
                assert silently_reset(thief)
            with conn.accept(id) as stream:
                visitor.sendall(b"x")
                assert stream.stream(1) == b"x"


def test_split_at_every_byte(guarded):
    """Each write is a segment of its own."""
    with dial(guarded) as conn:
        conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        challenge = conn.recv()["Challenge"]
        for byte in frame({"Authenticate": tag(SECRET, challenge)}, {"Hello": 0}):
            conn.send_raw(bytes([byte]))
        port = conn.recv()["Hello"]
        with connect((guarded.host, port)) as visitor:
            id = conn.recv_but()["Connection"]
            with dial(guarded) as stream:
                challenge = stream.recv()["Challenge"]
                for byte in frame({"Authenticate": tag(SECRET, challenge)}, {"Accept": id}) + b"behind":
                    stream.send_raw(bytes([byte]))
                assert recv_exact(visitor, 6) == b"behind"


def test_several_frames_in_one_write(guarded):
    with dial(guarded) as conn:
        challenge = conn.recv()["Challenge"]
        conn.send({"Authenticate": tag(SECRET, challenge)}, {"Hello": 0}, {"Options": {"beat": 5000}})
        assert "Hello" in conn.recv()
        assert "Options" in conn.recv_but()


BAD = {
    "not-json": b"hello there\0",
    "half-json": b'{"Hello":\0',
    "empty": b"\0",
    "array": b"[]\0",
    "number": b"7\0",
    "unknown": b'{"Goodbye":1}\0',
    "server-only": b'{"Challenge":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}\0',
    "two-keys": b'{"Hello":0,"Accept":"x"}\0',
    "text-port": b'{"Hello":"80"}\0',
    "negative": b'{"Hello":-1}\0',
    "negative-zero": b'{"Hello":-0}\0',
    "too-great": b'{"Hello":65536}\0',
    "fraction": b'{"Hello":1.5}\0',
    "bad-uuid": b'{"Accept":"6ba7b810"}\0',
    "not-utf8": b'{"Accept":"\xff\xfe"}\0',
    "nested": b"[" * 200 + b"]" * 50 + b"\0",
    "257-bytes": b'{"Hello":0}' + b" " * 246 + b"\0",
    "no-end": b"{" * 5000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_malformed(relay, data):
    """Ends that connection, at once, and nothing else."""
    with dial(relay) as conn:
        try:
            conn.send_raw(data)
        except OSError:
            pass  # closed on us already
        while conn.fill():
            pass
        assert b"Hello" not in conn.data
    assert still_serves(relay)
    assert relay.process.alive()


def test_frame_of_256_bytes(relay):
    with dial(relay) as conn:
        conn.send_raw(b'{"Hello":0}' + b" " * 245 + b"\0")
        assert "Hello" in conn.recv()


def test_silence_is_ended(relay):
    """Three seconds for the first message."""
    with dial(relay) as conn:
        begin = time.monotonic()
        conn.sock.settimeout(30 * SCALE)
        assert conn.at_end()
        assert time.monotonic() - begin > 2


def test_client_half_closes_at_once(relay):
    with dial(relay) as conn:
        conn.sock.shutdown(socket.SHUT_WR)
        assert conn.at_end()


def test_old_client_sees_nothing_new(relay):
    """Without Options of its own it gets stock frames only."""
    with RawClient(relay) as conn:
        conn.hello()
        with connect(conn.public):
            seen = {conn.raw().split(b":")[0] for _ in range(5)}
    assert seen <= {HEARTBEAT, b'{"Connection"'}


# The line dialect.


def line_hello(relay, *lines):
    conn = dial(relay)
    conn.send_raw(b"".join(line + b"\n" for line in (b"HELLO 1", *lines)))
    return conn


def answer_in_a_line(conn):
    """The first one. On a slow machine the words may have come behind the 100 ms, and a challenge before their answer."""
    said = conn.line()
    return CHALLENGED.sub(b"", said, count=1)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["open", "secret"])
def test_line_conversation(lab, secret):
    relay = lab.relay(secret=secret)
    auth = [b"AUTH " + secret.encode()] if secret else []
    with line_hello(relay, *auth, b"8080") as conn:
        port = int(re.fullmatch(rb"OK (\d+)", answer_in_a_line(conn))[1])
        assert conn.line() == b"PING"
        with connect((relay.host, port)) as visitor:
            found = re.fullmatch(rb"CONN (%s)" % UUID.encode(), conn.line_but_ping())
            assert found
            with dial(relay) as stream:
                lines = (b"HELLO 1", *auth, b"ACCEPT " + found[1])
                stream.send_raw(b"".join(line + b"\n" for line in lines) + b"behind\nthe line")
                assert recv_exact(visitor, 15) == b"behind\nthe line"
                visitor.sendall(b"answer")
                if secret:  # a client that sent AUTH gets exactly one challenge before the raw bytes
                    assert "Challenge" in stream.recv()
                assert stream.stream(6) == b"answer"


def test_line_pings_every_500_ms(relay):
    with line_hello(relay, b"80") as conn:
        assert conn.line().startswith(b"OK ")
        times = []
        for _ in range(8):
            assert conn.line() == b"PING"
            times.append(time.monotonic())
    assert statistics.median(b - a for a, b in zip(times, times[1:])) <= 0.9 * SCALE


@pytest.mark.parametrize(
    "lines", [(b"AUTH wrong", b"80"), (b"80",), (b"AUTH ", b"80"), (b"AUTH wrong",)], ids=["wrong", "none", "empty", "wrong-alone"]
)
def test_line_without_the_secret(guarded, lines):
    with line_hello(guarded, *lines) as conn:
        assert re.fullmatch(rb"ERR .+", answer_in_a_line(conn))
        assert conn.at_end()


@pytest.mark.parametrize("lines", [(), (b"AUTH wrong",)], ids=["none", "wrong"])
def test_line_data_connection_without_the_secret_hears_no_word(guarded, lines):
    with line_hello(guarded, *lines, b"ACCEPT " + STRANGER.encode()) as conn:
        assert silently_reset(conn, late=True)


@pytest.mark.parametrize("line", [b"", b"port", b"-1", b"65536", b"80 80", b"GET / HTTP/1.1", b"9" * 300, b"8\0"])
def test_line_malformed(relay, line):
    with line_hello(relay, line) as conn:
        answer = conn.drain()
        assert not answer.startswith(b"OK")
    assert still_serves(relay)


def test_line_split_at_every_byte(guarded):
    with dial(guarded) as conn:
        for byte in b"HELLO 1\nAUTH s3cret\n80\n":
            conn.send_raw(bytes([byte]))
        assert answer_in_a_line(conn).startswith(b"OK ")


def test_line_carries_crlf(relay):
    """Typed into telnet."""
    with dial(relay) as conn:
        conn.send_raw(b"HELLO 1\r\n80\r\n")
        assert conn.line().startswith((b"OK ", b"ERR "))


def test_no_line_dialect(lab):
    """With it the challenge comes at once, and HELLO is no message."""
    relay = lab.relay(secret=SECRET, args=("--no-line-dialect",))
    with dial(relay) as conn:
        assert "Challenge" in conn.recv()
    with line_hello(relay, b"AUTH s3cret", b"80") as conn:
        assert b"OK " not in conn.drain()
    assert still_serves(relay, SECRET)


def test_late_line_client(guarded):
    """It spoke after the 100 ms, so a challenge came first; what it says counts all the same."""
    with dial(guarded) as conn:
        assert b"Challenge" in conn.raw()
        conn.send_raw(b"HELLO 1\nAUTH s3cret\n80\n")
        assert conn.line().startswith(b"OK ")


def test_deadline_spans_the_handshake(guarded):
    """A byte now and then does not keep a handshake open for ever."""
    with dial(guarded) as conn:
        conn.recv()
        conn.sock.settimeout(0.2)
        begin = time.monotonic()
        try:
            for _ in range(1000):
                conn.send_raw(b" ")
                try:
                    if not conn.fill():
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
        assert time.monotonic() - begin < 10 * 3 * SCALE
