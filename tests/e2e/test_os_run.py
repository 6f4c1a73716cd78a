# SPDX-License-Identifier: MIT
"""The command `wasmrun os`: what it prints, what it refuses, how it ends, and what visitors see of a crash."""

import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from harness.apps import free_port
from harness.lab import new_host, refused
from harness.streams import connect, ended, threads
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import (
    WASMRUN, Instance, answers, fetch, gone, need_answers_behind_junk, need_nothing_left, need_pages, need_wasmrun, run_os)

VISITORS = 50
SECRET = "a-secret-of-the-tunnel"
CORE = b"\0asm\1\0\0\0"


def importing(module, name):
    """A core module whose only import is that function."""
    names = b"".join(bytes([len(text)]) + text for text in (module, name))
    return CORE + b"\1\4\1\x60\0\0" + bytes([2, len(names) + 3, 1]) + names + b"\0\0"


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_start(lab, project, kind):
    relay = lab.relay(kind, secret=SECRET)
    env = {"WASMRUN_EXPOSE": "1", "WASMRUN_TUNNEL_SECRET": SECRET, "WASMRUN_TUNNEL_SERVER": f"{relay.host}:{relay.control_port}"}
    instance = run_os(lab, project, env=env)
    instance.process.wait_line(r"^public: ")
    names, urls = zip(*(line.split()[:2] for line in instance.process.text("stdout").splitlines()))
    assert names == ("application:", "page:", "public:")
    assert "Hello from C" in fetch(urls[0])[1]
    assert "Hello from C" in fetch(urls[2])[1]
    instance.process.wait_line(r"anyone with this address can reach the application, and there is no TLS")
    assert SECRET not in instance.process.text()
    for name in ("cmdline", "environ"):
        assert SECRET.encode() not in pathlib.Path(f"/proc/{instance.process.pid}/{name}").read_bytes()
        assert SECRET.encode() not in pathlib.Path(f"/proc/{instance.app()['pid']}/{name}").read_bytes()


BAD = {
    "no such folder": ({}, "no-such-folder", 2, r"can't run '.*/no-such-folder': No such file or directory"),
    "nothing in it": ({"README": b""}, "", 12, r"there is nothing to run in '.*': looked for Cargo\.toml \(Rust\), go\.mod \(Go\), "),
    "two modules": ({"a.wasm": CORE, "b.wasm": CORE}, "", 12, r"there are 2 of '\*\.wasm' \('a\.wasm', 'b\.wasm', \.\.\.\)"),
    "not a module": ({"a.wasm": b"hello"}, "", 12, r"'.*/a\.wasm' is no WebAssembly module"),
    "truncated": ({"a.wasm": CORE + b"\1\5ab"}, "", 12, r"'.*/a\.wasm' is truncated"),
    "component": ({"a.wasm": b"\0asm\x0d\0\1\0"}, "a.wasm", 12, r"'.*/a\.wasm' is a component"),
    "empty": ({"a.wasm": b""}, "", 12, r"'.*/a\.wasm' is no WebAssembly module"),
    "WASIX": ({"a.wasm": importing(b"wasix_32v1", b"thread_spawn")}, "", 12, r"/a\.wasm\\?' was made for WASIX, which is not supported"),
    "old Spin": ({"a.wasm": importing(b"wasi-outbound-http", b"request")}, "", 12, r"/a\.wasm\\?' is a module of Spin 1, which is not supported"),
    "no program": ({"a.wasm": CORE}, "", 12, r"error app: '.*/a\.wasm' is a library, not a program: it exports no _start function$"),
    "wrong key": ({"wasmrun.toml": b"[os]\n\nexpos = true\n"}, "", 2, r"wasmrun\.toml:3: there is no key 'os\.expos'"),
    "wrong value": ({"wasmrun.toml": b"[app]\nport = 'x'\n"}, "", 2, r"wasmrun\.toml:2: invalid value 'x' for 'app\.port': it is not a number"),
    "no TOML": ({"wasmrun.toml": b"[app\n"}, "", 2, r"wasmrun\.toml:1: "),
    "failing build": (
        {"wasmrun.toml": b"[app]\nbuild = 'echo what is wrong; exit 3'\nwasm = 'a.wasm'\n"},
        "",
        12,
        r"the build with 'sh' has failed: exit code 3",
    ),
}


def refuse(lab, folder, *args, wrap=()):
    """Its exit code and its one line about why, with the process."""
    env = {"XDG_CACHE_HOME": str(lab.folder / "cache"), "XDG_RUNTIME_DIR": str(lab.folder)}
    process = lab.process([WASMRUN, "os", *(args or ("-P", 0)), folder], "wasmrun", env=env, wrap=wrap)
    code = process.wait_exit()
    assert process.text("stdout") == ""
    errors = process.find(r"(^| )error:? ")
    assert len(errors) == 1, process.text()
    return code, errors[0][0].text, process


@pytest.mark.parametrize("case", BAD)
def test_bad_input(lab, tmp_path, case):
    files, path, code, message = BAD[case]
    need_wasmrun()
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    got, line, process = refuse(lab, folder / path)
    assert got == code and re.search(message, line), line
    assert bool(process.find(r"^build \| what is wrong$")) == (case == "failing build")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    need_nothing_left(lab)


def test_missing_toolchain(lab, tmp_path):
    need_wasmrun()
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.c").write_text("int main(void) { return 0; }\n")
    code, line, _ = refuse(lab, folder, wrap=["env", f"PATH={tmp_path}"])
    assert code == 12 and "'clang' is needed to build it" in line and "apt-get install clang" in line


@pytest.mark.parametrize("arguments, code", [(("os", "-P", 0), 12), (("run",), 1)], ids=["os", "run"])
def test_engine_cannot_be_started(lab, tmp_path, arguments, code):
    """Nobody waits for the exec, and its failure is told in the same words wherever it was tried."""
    need_wasmrun()
    guest, module = tmp_path / "wasmrun-guest", tmp_path / "a.wasm"
    shutil.copy(WASMRUN, tmp_path)
    guest.touch(mode=0o600)
    start = b"\1\4\1\x60\0\0\3\2\1\0\7\12\1\6_start\0\0\12\4\1\2\0\13"
    module.write_bytes(CORE + start)
    process = lab.process([tmp_path / "wasmrun", *arguments, module], "wasmrun", env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert process.wait_exit() == code
    errors = process.find(r"(^| )error:? ")
    assert len(errors) == 1 and errors[0][0].text.endswith(f": can't start '{guest}': Permission denied"), process.text()


@pytest.mark.parametrize("option", ["--http-port", "--app-port"])
def test_port_in_use(lab, instance, project, option):
    port = instance.port if option == "--http-port" else instance.app()["port"]
    args = {"--http-port": 0, option: port}
    code, line, _ = refuse(lab, project, *(word for pair in args.items() for word in pair))
    assert code == 10 and f"127.0.0.1:{port}" in line and option in line


def test_address_of_another_machine(lab, project):
    """TEST-NET-1 (RFC 5737) is nobody's."""
    code, line, _ = refuse(lab, project, "--listen", "192.0.2.1")
    assert code == 10 and "this machine has no such address" in line and "--listen" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_end(lab, instance, number):
    relay = lab.relay()
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    guest, port = instance.app()["pid"], instance.app()["port"]
    instance.process.signal(number)
    assert instance.process.wait_exit() == 0
    assert gone(guest) and refused(("127.0.0.1", port)) and refused(("127.0.0.1", instance.port))
    wait_for(lambda: refused((relay.host, int(url.rsplit(":", 1)[1]))), "the public port is closed")
    need_nothing_left(lab)


def test_killed(instance):
    guest = instance.app()["pid"]
    instance.process.kill()
    wait_for(lambda: gone(guest), "the application ends with its supervisor")


def seconds_to_end_a_stubborn_build(lab, folder):
    (folder / "wasmrun.toml").write_text("[app]\nbuild = \"trap '' TERM; echo $$; while :; do sleep 1; done\"\nwasm = 'a.wasm'\n")
    process = lab.process([WASMRUN, "os", "-P", 0, folder], "wasmrun", env={"XDG_CACHE_HOME": str(lab.folder)})
    build = int(process.wait_line(r"^build \| (\d+)$")[1][1])
    process.signal(signal.SIGINT)
    process.signal(signal.SIGTERM)  # the second one gives the application no more time
    started = time.monotonic()
    assert process.wait_exit() == 0
    seconds = time.monotonic() - started
    wait_for(lambda: gone(build), "the build has ended")
    return seconds


def test_end_of_a_stubborn_build(lab, tmp_path):
    """Five seconds, had there been no second signal. A machine may stand still for so long, but not each time."""
    need_wasmrun()
    wait_for(lambda: seconds_to_end_a_stubborn_build(lab, tmp_path) < 5, "it has ended before its time was over")


def test_visitors_of_a_crash(lab, instance):
    """Whoever comes between the crash and the next instance waits, and is served."""
    relay = lab.relay()
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    pages, begun = [], time.monotonic()
    os.kill(instance.app()["pid"], signal.SIGKILL)
    with threads(2 * DEADLINE) as group:
        for _ in range(VISITORS):
            group.start(lambda: pages.append(fetch(url)))
    assert len(pages) == VISITORS
    need_pages(pages, begun)
    assert instance.app()["restarts"] == 1


@pytest.mark.parametrize("kind", ["preview1", "preview1-sockets"])
def test_visitors_behind_a_scanner(lab, guests, tmp_path, kind):
    """Junk at ten a second, each of which ends an instance, left one of thirty good visitors an answer."""
    need_wasmrun()
    flags = [] if kind == "preview1" else ["-DWASMEDGE"]
    shutil.copy(guests.c("fragile.c", f"fragile-{kind}", *flags), tmp_path)
    need_answers_behind_junk(run_os(lab, tmp_path), kind, (200, "ok\n"))


def test_visitors_of_a_stopped_application(lab, instance):
    relay = lab.relay()
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    instance.ask("POST", "/api/app/stop")
    instance.wait_app("stopped")
    assert fetch(url) == (503, "The application is not running\n")
    instance.ask("POST", "/api/app/start")
    instance.wait_app("running")
    assert fetch(url)[0] == 200


def test_silent_visitors_of_a_stopped_application(lab, instance):
    """They have 5 s for their first word, and the oldest of more than 64 makes room at once."""
    instance.wait_app("running")
    address = ("127.0.0.1", instance.app()["port"])
    instance.ask("POST", "/api/app/stop")
    instance.wait_app("stopped")
    began = time.monotonic()
    silent = [connect(address) for _ in range(66)]
    assert ended(silent[0]) and ended(silent[1])
    assert time.monotonic() - began > 4 or not select.select(silent[2:], [], [], 0)[0]
    assert all(ended(sock) for sock in silent[2:])
    assert time.monotonic() - began > 4
    assert fetch(instance.app()["url"])[0] == 503


def test_relay_that_comes_later(lab, project):
    """`--expose` gave up after its first failed attempt, though the relay was only about to start."""
    host = new_host()
    port = free_port(host)
    options = ("--expose", "--tunnel-server", f"{host}:{port}")
    patient, hasty = run_os(lab, project, *options, "--tunnel-retry"), run_os(lab, project, *options)
    hasty.wait_status("Failed")
    patient.process.wait_line("could not connect to")
    assert patient.tunnel()["status"] == "Connecting"
    lab.relay(host=host, control_port=port)
    url = patient.process.wait_line(r"^public: +(\S+)$")[1][1]
    assert "Hello from C" in fetch(url)[1] and hasty.tunnel()["status"] == "Failed"


def test_wrong_secret_is_not_retried(lab, project):
    """--tunnel-retry waits for what may pass."""
    relay = lab.relay(secret="right")
    to = ("--tunnel-server", f"{relay.host}:{relay.control_port}", "--tunnel-secret", "wrong")
    instance = run_os(lab, project, "--expose", "--tunnel-retry", *to)
    assert "secret" in instance.wait_status("Failed")["error"]


def test_expire(lab, project):
    relay = lab.relay()
    instance = run_os(lab, project, "--expose", "--expire", "1s", "--tunnel-server", f"{relay.host}:{relay.control_port}")
    url = instance.process.wait_line(r"^public: +(\S+)$")[1][1]
    status = instance.tunnel()
    assert status["status"] == "Disconnected" or 0 < status["expires"] - status["since"] <= 1100
    assert instance.wait_status("Disconnected")["expires"] is None
    wait_for(lambda: refused((relay.host, int(url.rsplit(":", 1)[1]))), "the public port is closed")
    assert instance.app()["state"] == "running"


def test_output_that_nobody_reads(tmp_path):
    """A stopped terminal or pager holds up neither the API nor the tunnel."""
    need_wasmrun()
    (tmp_path / "wasmrun.toml").write_text('[app]\nwasm = "x.wasm"\nbuild = "exec yes"\n')
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    port = free_port()
    argv = [WASMRUN, "os", "-p", tmp_path, "-P", str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    instance = Instance(None, port)

    def lines():
        return int(re.search(rb"^wasmrun_log_lines_total (\d+)$", instance.get("/metrics"), re.M)[1])

    try:
        wait_for(lambda: answers(instance), "the API answers")
        wait_for(lambda: lines() > 100_000, "more is said than a pipe holds")
        process.terminate()
        assert b"build | y\n" in process.communicate(timeout=DEADLINE)[1] and process.returncode == 0
    finally:
        process.kill()
        process.wait()
