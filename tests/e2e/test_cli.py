# SPDX-License-Identifier: MIT
"""The command line: what a script sees. Exit codes, the one line of a failure, events, logs, secrets."""

import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness.apps import free_port, listen
from harness.lab import OURS, STOCK, listening_at, new_host
from harness.streams import connect, ended, ping, recv_exact
from harness.wait import DEADLINE, wait_for
from harness.wire import UUID, FakeRelay, RawClient

SECRET = "never-to-be-seen-4711"


def bore(*args, env=None):
    """Runs to its end: (exit code, standard output, standard error)."""
    if not os.access(OURS, os.X_OK):
        pytest.skip(f"'{OURS.name}' is not built (BORE_BIN names one)")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BORE_")}
    argv = [str(OURS), *map(str, args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=4 * DEADLINE, env={**clean, **(env or {})})
    return done.returncode, done.stdout, done.stderr


def errors(text):
    """The lines that tell of an error."""
    return [line for line in text.splitlines() if re.search(r"^error: |\berror [a-z]+: ", line)]


USAGE = [
    ([], None),
    (["frob"], "frob"),
    (["local"], "LOCAL_PORT"),
    (["local", "80"], "--to"),
    (["local", "abc", "--to", "x"], "abc"),
    (["local", "0", "--to", "x"], "0"),
    (["local", "65536", "--to", "x"], "65536"),
    (["local", "-1", "--to", "x"], "-1"),
    (["local", "80", "--to", "x", "--port", "70000"], "70000"),
    (["local", "80", "--to", "x", "--port", ""], "--port"),
    (["local", "80", "--to", ""], "--to"),
    (["local", "80", "--to", "x:99999"], "x:99999"),
    (["local", "80", "--to", "[::1"], r"\[::1"),
    (["local", "80", "--to", " host"], "a blank"),
    (["local", "80", "--to", "user@host"], "'user@'.*write 'host'"),
    (["local", "80", "--to", "bore.pub/"], "'/'.*write 'bore.pub'"),
    (["local", "80", "--to", "b\u00f6re.pub"], "punycode"),
    (["local", "80", "--to", "a\x1b[2Jb"], r"\\x1b.* is a control character"),
    (["local", "80", "--to", "x", "--local-host", "http://localhost"], "'http://'.*write 'localhost'"),
    (["local", "80", "--to", "x", "--local-host", "localhost:3000"], "':3000'"),
    (["local", "80", "--to", "x", "--frob"], "--frob"),
    (["local", "80", "--to", "x", "90"], "90"),
    (["local", "80", "--to", "x", "--protocol", "udp"], "udp"),
    (["local", "80", "--to", "x", "--data-path", "sendfile"], "sendfile"),
    (["local", "80", "--to", "x", "--half-close-timeout", "soon"], "soon"),
    (["local", "80", "--to", "x", "--secret"], "--secret"),
    (["local", "80", "--to", "x", "--secret", "a", "--secret-file", "b"], "--secret-file"),
    (["local", "80", "--to", "x", "-q", "-v"], "--quiet"),
    (["server", "80"], "80"),
    (["server", "--min-port", "10", "--max-port", "9"], "range is empty"),
    (["server", "--bind-addr", "1.2.3"], "1.2.3"),
    (["server", "--bind-addr", "localhost"], "localhost"),
    (["server", "--bind-tunnels", "x"], "--bind-tunnels"),
    (["server", "--max-conns", "0"], "--max-conns"),
    (["server", "--workers", "many"], "many"),
    (["server", "--metrics", "9100"], "9100"),
    (["server", "--control-port", "70000"], "70000"),
    (["server", "--json", "--connection-log", "-"], "standard output"),
]


@pytest.mark.parametrize("args,named", USAGE, ids=[" ".join(args) or "nothing" for args, _ in USAGE])
def test_usage(args, named):
    """Exit code 2, and one line that names what is wrong."""
    code, out, err = bore(*args)
    assert code == 2
    assert out == ""
    if named:
        assert len(err.strip().splitlines()) == 1, err
        assert err.startswith("error: ") and re.search(named, err), err


def test_exit_codes_differ(lab, tmp_path):
    """One for each cause, with one error line that names the thing."""
    relay, guarded = lab.relay(args=("--min-port", 20041, "--max-port", 20049)), lab.relay(secret="right")
    host = new_host()
    nobody = f"{host}:{free_port(host)}"
    with FakeRelay() as other:
        cases = [
            (3, ["local", 80, "--to", nobody], re.escape(nobody)),
            (4, ["local", 80, "--to", "no-such-name.invalid"], "no-such-name.invalid"),
            (5, ["local", 80, "--to", guarded.to, "--secret", "wrong"], "secret"),
            (5, ["local", 80, "--to", guarded.to], "--secret"),
            (6, ["local", 80, "--to", relay.to, "--port", 30000], "30000"),
            (10, ["server", "--bind-addr", other.host, "--control-port", other.control_port], str(other.control_port)),
            (10, ["server", "--bind-addr", "192.0.2.1", "--control-port", 0], "192.0.2.1"),
            (10, ["server", "--control-port", 0, "--metrics", other.to], str(other.control_port)),
            (11, ["local", 80, "--to", relay.to, "--secret-file", tmp_path / "none"], "No such file"),
            (11, ["server", "--control-port", 0, "--connection-log", tmp_path / "none" / "log"], "No such file"),
        ]
        for expected, args, named in cases:
            code, _, err = bore(*args)
            assert code == expected, (args, err)
            told = errors(err)
            assert len(told) == 1 and re.search(named, told[0]), (args, err)


def test_port_of_a_dead_connection(lab):
    """Exit code 6 says how to wait for it, and how long that may take."""
    relay = lab.relay()
    holder = lab.client(relay, lab.app())
    code, _, err = bore("local", 80, "--to", relay.to, "--port", holder.port)
    assert code == 6
    assert re.search(rf"{holder.port}.*--retry .*15 s", errors(err)[0])


def test_not_a_bore_server(lab):
    """Whatever listens there, the failure says that it is no bore server."""
    with FakeRelay() as web:
        process = lab.start_client(web, 80)
        for _ in range(2):
            with web.accept() as conn:
                conn.sock.recv(1000)
                conn.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert process.wait_exit() == 7
        assert len(errors(process.text())) == 1


def test_help_and_version():
    for args in (["--help"], ["-h"], ["help"], ["help", "local"], ["local", "--help"], ["server", "-h"]):
        code, out, err = bore(*args)
        assert code == 0 and "Usage: bore" in out and err == ""
    code, out, _ = bore("--version")
    assert code == 0 and re.fullmatch(r"bore \S+\n", out)


@pytest.mark.skipif(not STOCK, reason="no stock bore to compare with")
@pytest.mark.parametrize("command", ["local", "server"])
def test_every_stock_option_is_there(command):
    """With its letter, its variable and its default."""
    stock = subprocess.run([STOCK, command, "--help"], capture_output=True, text=True).stdout
    _, ours, _ = bore(command, "--help")
    ours = " ".join(ours.split())
    for option in re.findall(r"^ +(-\w, --[\w-]+|--[\w-]+)", stock, re.M):
        assert option in ours, option
    for variable in re.findall(r"env: (\w+)", stock):
        assert f"env: {variable}" in ours
    for default in re.findall(r"default: (\w+)\]", stock):
        assert f"default: {default}" in ours


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion(shell):
    code, out, _ = bore("completion", shell)
    assert code == 0 and "half-close-timeout" in out


def test_variables(lab):
    """Stock's own, for unit files that use them."""
    app = lab.app()
    port = free_port()
    env = {"BORE_SECRET": SECRET, "BORE_MIN_PORT": str(port), "BORE_MAX_PORT": str(port)}
    relay = lab.relay(host="127.0.0.1", env=env)
    process = lab.ours("local", name="client", env={"BORE_LOCAL_PORT": str(app.port), "BORE_SERVER": relay.to, "BORE_SECRET": SECRET})
    assert listening_at(process) == port
    ping(("127.0.0.1", port))


def test_argument_beats_variable(lab):
    relay = lab.relay(secret="right")
    client = lab.client(relay, lab.app(), secret="right", env={"BORE_SECRET": "wrong", "BORE_SERVER": "nowhere.invalid"})
    ping(client.public)


def test_short_and_joined_options(lab):
    relay, app = lab.relay(), lab.app()
    port = free_port(relay.host)
    process = lab.ours("local", f"-t{relay.to}", "-p", port, "-l127.0.0.1", f"{app.port}", name="client")
    assert listening_at(process) == port
    process = lab.ours("local", f"--to={relay.to}", "--local-host=127.0.0.1", "--port=0", "--", app.port, name="client")
    ping((relay.host, listening_at(process)))


def test_address_line_is_stocks(lab):
    """`listening at HOST:PORT`, the host as it was given, on standard output, at once though it is no terminal."""
    relay = lab.relay(host="127.0.0.1")
    process = lab.ours("local", lab.app().port, "--to", f"localhost:{relay.control_port}", name="client")
    line, _ = process.wait_line(r"listening at localhost:\d+$")
    assert line.stream == "stdout"


# Secrets.


@pytest.mark.parametrize("way", ["option", "letter", "joined", "variable", "file", "credential"])
def test_secret_is_not_to_be_seen(lab, tmp_path, way):
    """Not in ps, not in a log at its most talkative, not in what a core dump would hold."""
    file = tmp_path / "bore-secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    args, env = {
        "option": (("--secret", SECRET), {}),
        "letter": (("-s", SECRET), {}),
        "joined": ((f"--secret={SECRET}",), {}),
        "variable": ((), {"BORE_SECRET": SECRET}),
        "file": (("--secret-file", file), {}),
        "credential": ((), {"CREDENTIALS_DIRECTORY": str(tmp_path)}),
    }[way]
    relay = lab.relay(args=(*args, "-v"), env=env)
    client = lab.client(relay, lab.app(), args=(*args, "-v"), env=env)
    ping(client.public)
    for process in (relay.process, client.process):
        assert SECRET.encode() not in process.cmdline()
        assert SECRET.encode() not in open(f"/proc/{process.pid}/environ", "rb").read()
        assert SECRET not in process.text()
    with RawClient(relay) as conn:
        assert "Challenge" in conn.recv()


@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_secret_is_not_in_a_core(lab, tmp_path, way):
    if os.environ.get("WASMRUN_SANITIZER"):
        pytest.skip("a sanitizer keeps freed memory")
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    args, env = {
        "option": (("--secret", SECRET), {}),
        "variable": ((), {"BORE_SECRET": SECRET}),
        "file": (("--secret-file", file), {}),
    }[way]
    relay = lab.relay(args=args, env=env)
    client = lab.client(relay, lab.app(), args=args, env=env)
    ping(client.public)
    assert client.process.core_contains(b"127.0.0.1"), "the search itself finds what is there"
    for process in (relay.process, client.process):
        assert not process.core_contains(SECRET.encode()), process.name


def test_secret_file(lab, tmp_path):
    """Its last newline does not count; one that everybody can read is warned about."""
    file = tmp_path / "secret"
    file.write_text("with blank \n")
    file.chmod(0o644)
    relay = lab.relay(secret="with blank ")
    client = lab.client(relay, lab.app(), args=("--secret-file", file))
    ping(client.public)
    client.process.wait_line("read.*secret|secret.*read")
    file.chmod(0o600)
    quiet = lab.client(relay, lab.app(), args=("--secret-file", file))
    assert not quiet.process.find("every user can read")


OPEN = {
    "none": (None, None, "no secret is set: .*--secret-file or BORE_SECRET"),
    "option": (("--secret", ""), None, "the secret is empty: .*--secret"),
    "variable": (None, {"BORE_SECRET": ""}, "the secret is empty: .*BORE_SECRET"),
    "file": (b"", None, "the secret is empty: .*--secret-file"),
    "newline": (b"\n", None, "the secret is empty: .*--secret-file"),
    "file-before-variable": (b"", {"BORE_SECRET": "given"}, "the secret is empty: .*--secret-file"),
    "given": (("--secret", "given"), None, None),
    "blank": (("--secret", " \t"), None, "the secret is empty: .*--secret"),
    "carriage-return": (b"\r\n", None, "the secret is empty: .*--secret-file"),
    "given-blank-and-more": (("--secret", " s"), None, None),
    "given-in-a-file": (b"given\n", {"BORE_SECRET": ""}, None),
}


@pytest.mark.parametrize("way,env,warning", OPEN.values(), ids=OPEN.keys())
def test_open_relay_says_so(lab, tmp_path, way, env, warning):
    """An empty variable, or a file that came out empty, made an open relay in silence."""
    args = way or ()
    if isinstance(way, bytes):
        file = tmp_path / "secret"
        file.write_bytes(way)
        file.chmod(0o600)
        args = ("--secret-file", file)
    relay = lab.relay(args=args, env=env)
    relay.process.wait_line("loopback peers are exempt")  # said behind it
    said = [line.text for line, _ in relay.process.find(r"\bwarn")]
    assert len(said) == (1 if warning else 0)
    assert not warning or re.search(warning, said[0])


BEYOND = {
    # (options, variables, exit code or None, level and words)
    "none": ((), {}, None, "warn server: no secret is set: .* has your address; .* say with --public that it is meant"),
    "none-meant": (("--public",), {}, None, "info server: open to everybody, as --public has it"),
    "none-meant-by-variable": ((), {"BORE_PUBLIC": "true"}, None, "info server: open to everybody"),
    "empty": (("--secret", ""), {}, 5, "error server: the secret is empty, .*into --secret, .*--public"),
    "empty-variable": ((), {"BORE_SECRET": ""}, 5, "error server: the secret is empty, .*into BORE_SECRET, .*--public"),
    "empty-file": (("--secret-file", "FILE"), {}, 5, "error server: the secret is empty, .*the file of --secret-file, .*--public"),
    "blank": (("--secret", " \t"), {}, 5, "error server: the secret is empty, .*into --secret, .*--public"),
    "blank-and-more": (("--secret", " s"), {}, None, None),
    "empty-meant": (("--secret", "", "--public"), {}, None, "warn server: the secret is empty: anyone"),
    "given": (("--secret", "given"), {}, None, None),
}


@pytest.mark.parametrize("args,env,code,said", BEYOND.values(), ids=BEYOND.keys())
def test_open_relay_beyond_loopback(lab, tmp_path, args, env, code, said):
    """Stock's `bore server` goes on to start, and says so. An empty secret, which nobody means, keeps it from starting."""
    file = tmp_path / "empty"
    file.write_bytes(b"\n")
    file.chmod(0o600)
    args = [file if arg == "FILE" else arg for arg in args]
    relay = lab.ours("server", "--control-port", 0, "--max-port", 20_000, *args, env=env)
    if code:
        assert relay.wait_exit() == code
        assert not relay.find("listening at")
    else:
        relay.wait_line("loopback peers are exempt")
    open_ = relay.find("secret is|open to everybody")
    assert len(open_) == (1 if said else 0)
    assert not said or re.search(said, open_[0][0].text)


def test_public_ports_of_the_kernel(lab, net):
    """A tunnel's port that the kernel gives to an outgoing connection can't be had: the start says so until that is mended."""
    where, words = net.spoke(), "the kernel gives ports 40000 to 50000 .*ip_local_reserved_ports="
    sysctl = lambda name, value: subprocess.run([*where.wrap, "sysctl", "-qw", f"net.ipv4.{name}={value}"], check=True)  # noqa: E731

    def warned(*args):
        relay = lab.ours("server", "--public", *args, where=where)
        relay.wait_line("loopback peers are exempt")
        relay.stop()
        return [match[0] for _, match in relay.find(words + r"\S+")]

    sysctl("ip_local_port_range", "40000 50000")
    assert [text.rpartition("=")[2] for text in warned()] == ["40000-50000"]
    assert [text.rpartition("=")[2] for text in warned("--min-port", 49_990)] == ["49990-50000"]
    assert not warned("--max-port", 39_999) and not warned("--min-port", 50_001)
    assert not warned("--bind-tunnels", "127.0.0.1")
    sysctl("ip_local_reserved_ports", "40000-49999")
    assert warned()
    sysctl("ip_local_reserved_ports", "40000-50000")
    assert not warned()


def test_secret_in_a_variable_does_not_reach_a_file_option(lab, tmp_path):
    """The file on the command line wins over the variable."""
    file = tmp_path / "secret"
    file.write_text("right")
    file.chmod(0o600)
    relay = lab.relay(secret="right")
    client = lab.client(relay, lab.app(), args=("--secret-file", file), env={"BORE_SECRET": "wrong"})
    ping(client.public)


# Output.


def events(process):
    return [json.loads(line.text) for line, _ in process.find(r"^\{")]


def test_application_that_comes_and_goes(lab):
    """Someone who was served within two seconds of a failure hid the failures that followed, for ever."""
    relay = lab.relay()
    port = free_port("127.0.0.1")
    client = lab.client(relay, port)
    for turn in range(1, 4):
        for _ in range(3):
            with connect(client.public) as visitor:
                assert ended(visitor)
        wait_for(lambda: len(client.process.find("visitors are turned away")) >= turn, "the failure is told")
        with listen("127.0.0.1", port) as app, connect(client.public):
            app.accept()[0].close()
        wait_for(lambda: len(client.process.find("connected again")) == turn, "and that it is over")
    assert len(client.process.find("visitors are turned away")) == 3


def test_json_events(lab):
    """Each line of standard output is one object with a time and a name, on both sides."""
    relay_process = lab.ours("server", "--bind-addr", "127.0.0.1", "--control-port", 0, "--json", name="relay")
    port = json.loads(relay_process.wait_line('"listening"')[0].text)["port"]
    app = lab.app()
    client = lab.ours("local", app.port, "--to", f"127.0.0.1:{port}", "--json", name="client")
    public = json.loads(client.wait_line('"listening"')[0].text)["port"]
    ping(("127.0.0.1", public), b"x" * 100)
    client.wait_line('"visitor_closed"')
    relay_process.wait_line('"visitor_closed"')
    client.signal(signal.SIGTERM)
    assert client.wait_exit() == 0
    relay_process.wait_line('"tunnel_closed"')
    relay_process.signal(signal.SIGTERM)
    assert relay_process.wait_exit() == 0
    for process in (client, relay_process):
        lines = process.text("stdout").splitlines()
        told = [json.loads(line) for line in lines]
        assert all(isinstance(event["time"], int) and isinstance(event["event"], str) for event in told)
    names = [event["event"] for event in events(client)]
    assert "state" in names and "listening" in names and "visitor_opened" in names
    for process in (client, relay_process):
        (closed,) = [event for event in events(process) if event["event"] == "visitor_closed"]
        assert closed["bytes_in"] == 100 and closed["bytes_out"] == 100
        assert re.fullmatch(UUID, closed["id"]) and closed["duration_ms"] >= 0
    # The client knows from the relay who it was.
    who = {event["address"] for event in events(relay_process) if event["event"].startswith("visitor_")}
    assert {event["from"] for event in events(client) if event["event"].startswith("visitor_")} == who and len(who) == 1
    states = [(event["from"], event["to"]) for event in events(client) if event["event"] == "state"]
    assert states[:2] == [("Not started", "Connecting"), ("Connecting", "Connected")]


def test_json_events_with_a_stock_relay(lab):
    """It doesn't say who its visitors are, and never notices that it could."""
    relay = lab.relay("stock")
    client = lab.start_client(relay, lab.app(), args=("--json",))
    ping((relay.host, json.loads(client.wait_line('"listening"')[0].text)["port"]), b"x" * 100)
    closed = json.loads(client.wait_line('"visitor_closed"')[0].text)
    assert closed["from"] is None and closed["bytes_in"] == 100


def test_json_failure(lab):
    relay = lab.relay(secret="right")
    process = lab.start_client(relay, 80, secret="wrong", args=("--json",))
    assert process.wait_exit() == 5
    (failed,) = [event for event in events(process) if event["event"] == "failed"]
    assert failed["code"] == 5 and "secret" in failed["error"]


def test_connection_log(lab, tmp_path):
    """Tunnel opened and closed, visitor with bytes, duration and end; appended to, and opened anew at SIGHUP."""
    log = tmp_path / "connections"
    relay = lab.relay(args=("--connection-log", log))
    client = lab.client(relay, lab.app())
    ping(client.public, b"x" * 1234)
    wait_for(lambda: "visitor_closed" in log.read_text(), "the visitor is in the log")
    (closed,) = [line for line in log.read_text().splitlines() if "visitor_closed" in line]
    assert re.search(rf" port={client.port} ", closed) and " in=1234 " in closed and " out=1234 " in closed
    assert re.search(r" ms=\d+ ", closed) and " why=" in closed and "addr=127." in closed
    moved = log.rename(tmp_path / "connections.1")
    relay.process.signal(signal.SIGHUP)
    wait_for(log.exists, "the log is opened anew")
    client.process.kill()
    wait_for(lambda: "tunnel_closed" in log.read_text(), "the tunnel's end is in the new log")
    assert "tunnel_opened" in moved.read_text()
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0, "other users can't read who connects"


def test_files_that_are_none(tmp_path):
    """`--connection-log` with a pipe that nobody reads held up the start for good: whatever stands at a path that a
    user names, the start goes on or ends at once with a line that says what it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    server = ["server", "--bind-addr", "127.0.0.1", "--control-port", 0]
    client = ["local", 80, "--to", "127.0.0.1:1"]
    cases = [
        ([*server, "--connection-log", pipe], "a pipe that nobody reads"),
        ([*server, "--connection-log", tmp_path / "socket"], "it is a socket"),
        ([*server, "--connection-log", tmp_path], "it is a folder"),
        ([*server, "--secret-file", pipe], "it is a pipe, and nothing has come through it"),
        ([*client, "--secret-file", "/dev/zero"], "it is a device"),
        ([*client, "--secret-file", tmp_path], "it is a folder"),
    ]
    for args, why in cases:
        code, _, err = bore(*args)
        assert code == 11 and why in err and len(err.splitlines()) == 1, (args, err)


def test_secret_through_a_pipe(lab, tmp_path):
    """--secret-file <(pass show relay)"""
    relay = lab.relay(secret="right")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = lab.start_client(relay, lab.app(), args=("--secret-file", pipe))
    with open(pipe, "w", encoding="utf-8") as writer:
        writer.write("right\n")
    process.wait_line("^listening at")


def test_connection_log_in_a_pipe(lab, tmp_path):
    """While somebody reads, lines come through; when it can't be opened anew at SIGHUP, the old one goes on."""
    pipe, log = tmp_path / "pipe", tmp_path / "log"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as reader:
        relay = lab.relay(args=("--connection-log", pipe))
        lab.client(relay, lab.app())
        wait_for(lambda: "tunnel_opened" in reader.read(), "the tunnel is in the pipe")
    relay = lab.relay(args=("--connection-log", log))
    moved = log.rename(tmp_path / "log.1")
    os.mkfifo(log)
    relay.process.signal(signal.SIGHUP)
    relay.process.wait_line("the old file goes on: .*a pipe that nobody reads")
    lab.client(relay, lab.app())
    wait_for(lambda: "tunnel_opened" in moved.read_text(), "the tunnel is in the old file")


def test_connection_log_in_a_pipe_that_cat_reads(lab, tmp_path):
    """The start opened the pipe to try it, closed it, and then found nobody there: `cat` goes with its first writer.
    What it then wrote of itself waited for the first peer."""
    pipe, lines = tmp_path / "pipe", []
    os.mkfifo(pipe)

    def cat(reader):
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.poll(DEADLINE * 1000)
        lines.append(os.read(reader, 4096))
        os.close(reader)

    for _ in range(5):
        thread = threading.Thread(target=cat, args=(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK),))
        thread.start()
        relay = lab.relay(args=("--connection-log", pipe))
        thread.join()
        assert b" listening " in lines.pop()
        relay.process.kill()


def test_connection_log_names_the_end(lab, tmp_path):
    """A visitor whom nobody serves, too."""
    log = tmp_path / "connections"
    relay = lab.relay(args=("--connection-log", log))
    app = lab.app()
    client = lab.client(relay, app)
    app.close()
    with connect(client.public) as sock:
        assert ended(sock)
    wait_for(lambda: "visitor_closed" in log.read_text(), "the visitor is in the log")


def test_quiet_and_verbose(lab):
    relay = lab.relay(args=("-q",))
    assert relay.process.text("stderr") == ""
    client = lab.client(relay, lab.app(), args=("-v",))
    ping(client.public)
    client.process.wait_line(r"\bdebug \w+: ")
    quiet = lab.client(relay, lab.app(), args=("-q",))
    ping(quiet.public)
    assert quiet.process.text("stderr") == ""


def test_log_lines(lab):
    """`level component: message`, and nothing that is not such a line."""
    relay = lab.relay(args=("-v",))
    client = lab.client(relay, lab.app(), args=("-v",))
    ping(client.public)
    client.process.kill()
    relay.process.wait_line("tunnel_closed")
    for line in relay.process.text("stderr").splitlines():
        assert re.match(r"\S+Z (error|warn|info|debug) \w+: \S", line), line


def test_going_public_is_said(lab):
    client = lab.client(lab.relay(), lab.app())
    client.process.wait_line("anyone .* can reach .* TLS")


def test_local_host(lab):
    """A name or an address other than this machine's own."""
    relay, app = lab.relay(), lab.app()
    process = lab.ours("local", app.port, "--to", relay.to, "--local-host", "localhost", name="client")
    address = relay.host, listening_at(process)
    with connect(address) as sock:
        sock.sendall(b"hello")
        assert recv_exact(sock, 5) == b"hello"
