# SPDX-License-Identifier: MIT
"""How the programs end, and what they tell a service manager."""

import os
import pty
import select
import signal
import socket

import pytest

from harness.lab import OURS, refused
from harness.netns import unusable
from harness.streams import connect, ended, ping, recv_exact
from harness.wait import DEADLINE, wait_for
from harness.wire import RawClient


def talks(sock, data=b"still there"):
    sock.sendall(data)
    return recv_exact(sock, len(data)) == data


@pytest.fixture(params=[2, 0], ids=["warm", "announced"])
def busy(lab, request):
    """A tunnel with an open stream, over a warm connection or one of its own: (relay, client, stream)."""
    relay = lab.relay(args=("--grace", "100s", "--max-ready", request.param), metrics=True)
    client = lab.client(relay, lab.app(), args=("--grace", "100s"))
    wait_for(lambda: relay.metrics()["bore_ready_parked"] == request.param, "as many are parked as may")
    with connect(client.public) as stream:
        assert talks(stream)
        assert relay.metrics()["bore_ready_given_total"] == (request.param > 0)
        yield relay, client, stream


def test_idle_relay_ends_at_once(lab):
    relay = lab.relay()
    lab.client(relay, lab.app())
    relay.process.signal(signal.SIGTERM)
    assert relay.process.wait_exit() == 0


def test_idle_client_ends_at_once(lab):
    relay = lab.relay()
    client = lab.client(relay, lab.app())
    client.process.signal(signal.SIGTERM)
    assert client.process.wait_exit() == 0
    wait_for(lambda: refused(client.public), "its port is free")


def test_client_ends_with_its_terminal(lab):
    """A window that is closed takes the tunnel along, as with stock bore; the system sends SIGHUP then."""
    relay = lab.relay()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(OURS, [str(OURS), "local", "9", "--to", relay.to])
    text = bytearray()

    def says_address():
        if select.select([terminal], [], [], 0.1)[0]:
            text.extend(os.read(terminal, 4096))
        return b"listening at" in text

    try:
        wait_for(says_address, "it shows its address")
        os.close(terminal)
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, "it ends")
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        raise


def test_relay_drains(busy):
    """No new tunnels, no new visitors; the open stream finishes, then it ends."""
    relay, client, stream = busy
    relay.process.signal(signal.SIGTERM)
    wait_for(lambda: turned_away(client.public), "new visitors are turned away")
    wait_for(lambda: no_tunnel(relay), "new tunnels are turned away")
    assert talks(stream)
    assert relay.process.alive()
    stream.shutdown(socket.SHUT_WR)
    assert stream.recv(1) == b""
    assert relay.process.wait_exit() == 0


def turned_away(address):
    """False for a visitor who was quicker than the signal, and is served."""
    try:
        with connect(address) as sock:
            sock.sendall(b"x")
            return sock.recv(1) == b""
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return True


def no_tunnel(relay):
    try:
        with RawClient(relay) as conn:
            conn.send({"Hello": 0})
            message = conn.recv()
            return message is None or "Error" in message
    except OSError:
        return True


def test_client_drains(busy):
    relay, client, stream = busy
    client.process.signal(signal.SIGTERM)
    wait_for(lambda: turned_away(client.public), "new visitors are turned away")
    assert talks(stream)
    assert client.process.alive()
    stream.shutdown(socket.SHUT_WR)
    assert stream.recv(1) == b""
    assert client.process.wait_exit() == 0
    assert relay.process.alive()


@pytest.mark.parametrize("which", ["relay", "client"])
def test_second_signal_ends_at_once(busy, which):
    relay, client, stream = busy
    process = {"relay": relay, "client": client}[which].process
    process.signal(signal.SIGTERM)
    wait_for(lambda: turned_away(client.public), "it drains")
    assert talks(stream)
    process.signal(signal.SIGTERM)
    assert process.wait_exit() == 0
    assert ended(stream)


@pytest.mark.parametrize("which", ["relay", "client"])
def test_grace_is_over(lab, which):
    relay = lab.relay(args=("--grace", "1s"))
    client = lab.client(relay, lab.app(), args=("--grace", "1s"))
    with connect(client.public) as stream:
        assert talks(stream)
        process = {"relay": relay, "client": client}[which].process
        process.signal(signal.SIGTERM)
        assert process.wait_exit() == 0
        assert ended(stream)


@pytest.mark.parametrize("which", ["relay", "client"])
def test_ctrl_c(lab, which):
    relay = lab.relay()
    client = lab.client(relay, lab.app())
    process = {"relay": relay, "client": client}[which].process
    process.signal(signal.SIGINT)
    assert process.wait_exit() == 0


def test_control_port_is_free_after_the_end(lab):
    relay = lab.relay()
    client = lab.client(relay, lab.app())
    ping(client.public)
    relay.process.signal(signal.SIGTERM)
    assert relay.process.wait_exit() == 0
    again = lab.relay(host=relay.host, control_port=relay.control_port)
    client.wait_state("Connected", 4 * DEADLINE)
    assert again.process.alive()


@pytest.mark.parametrize("which", ["relay", "client"])
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_service_manager_is_told(lab, tmp_path, which, kind):
    """READY=1 when listening or connected, not before; STOPPING=1 at the end."""
    name = f"@bore-e2e-{os.getpid()}-{which}" if kind == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if kind == "abstract" else name)
        manager.settimeout(DEADLINE)
        env = {"NOTIFY_SOCKET": name}
        relay = lab.relay(**({"env": env} if which == "relay" else {}))
        process = relay.process
        if which == "client":
            process = lab.client(relay, lab.app(), env=env).process
        assert b"READY=1" in manager.recv(4096).splitlines()
        process.signal(signal.SIGTERM)
        assert b"STOPPING=1" in manager.recv(4096).splitlines()
        assert process.wait_exit() == 0


def test_client_that_fails_is_never_ready(lab, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        relay = lab.relay(secret="right")
        process = lab.start_client(relay, lab.app(), secret="wrong", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert process.wait_exit() == 5
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            while b"READY=1" not in manager.recv(4096):
                pass
            raise AssertionError("it said that it is ready")


def test_standard_output_is_closed(lab):
    """Started without one, no socket may take its place and get the address instead."""
    relay = lab.relay()
    app = lab.app()
    script = 'exec "$@" >&-'
    client = lab.process(["sh", "-c", script, "sh", OURS, "local", app.port, "--to", relay.to, "-v"], "client")
    client.wait_line(r"-> Connected")
    assert relay.process.alive() and client.alive()


@pytest.mark.root
@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_a_silent_dns_server_does_not_hold_up_the_end(lab, net, tmp_path, how):
    """exit(3) waited for the thread in getaddrinfo(3), which gives up after 10 s by default, and here after 150."""
    home = net.spoke()
    net.middle.silence()
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {home.middle}\noptions timeout:30 attempts:5\n")
    wrap = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(conf))
    process = lab.ours("local", 5000, "--to", "nowhere.example", where=home, wrap=wrap)
    process.wait_line(r"Not started -> Connecting")
    if how == "interrupted":
        process.signal(signal.SIGINT)
    assert process.wait_exit(2 * DEADLINE) == (0 if how == "interrupted" else 4)
    if how == "failed":
        assert process.find(r"could not resolve nowhere\.example")
