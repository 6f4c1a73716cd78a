# SPDX-License-Identifier: MIT
"""The commands that talk to a running `wasmrun os`: tunnel, logs, ps, stop."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from harness.lab import refused
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os

NOT_RUNNING = 13


def wasmrun(lab, *args, cwd=None, env=None):
    """(exit code, standard output, standard error) of a command."""
    need_wasmrun()
    env = {**os.environ, "XDG_RUNTIME_DIR": str(lab.folder), "http_proxy": "http://127.0.0.1:1", **(env or {})}
    argv = [str(arg) for arg in (WASMRUN, *args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=4 * DEADLINE, cwd=cwd, env=env)
    return done.returncode, done.stdout, done.stderr


def run_files(lab):
    folder = lab.folder / "wasmrun"
    return list(folder.iterdir()) if folder.exists() else []


def test_tunnel(lab, instance):
    relay = lab.relay(secret="right")
    server = f"{relay.host}:{relay.control_port}"
    secret = lab.folder / "secret"
    secret.write_text("right\n")
    secret.chmod(0o600)
    code, out, err = wasmrun(lab, "tunnel", "start", "--server", server, "--secret-file", secret)
    assert code == 0 and "Hello from C" in fetch(out.strip())[1], err
    assert "anyone with this address can reach the application, and there is no TLS" in err
    wait_for(lambda: instance.tunnel()["connections"]["open"] == 0, "the visitor is gone")
    code, shown, _ = wasmrun(lab, "tunnel", "status")
    assert code == 0 and "Connected" in shown and out.strip() in shown and "0 open, 1 total" in shown
    code, text, _ = wasmrun(lab, "tunnel", "status", "--json")
    assert code == 0 and json.loads(text) == instance.tunnel()
    code, text, _ = wasmrun(lab, "tunnel", "start", "--json", env={"WASMRUN_TUNNEL_SERVER": server, "WASMRUN_TUNNEL_SECRET": "right"})
    assert code == 0 and json.loads(text)["public_url"] == out.strip()
    assert wasmrun(lab, "tunnel", "stop")[:2] == (0, "Tunnel stopped\n")
    assert instance.tunnel()["status"] == "Disconnected"


def test_tunnel_with_a_port(lab, instance):
    relay = lab.relay()
    server = f"{relay.host}:{relay.control_port}"
    port = wasmrun(lab, "tunnel", "start", "--server", server)[1].strip().rsplit(":", 1)[1]
    wasmrun(lab, "tunnel", "stop")
    wait_for(lambda: refused((relay.host, int(port))), "the public port is free again")
    code, out, _ = wasmrun(lab, "tunnel", "start", "--server", server, "--port", port, "--protocol", "bore")
    assert code == 0 and out.strip().endswith(f":{port}")


def test_tunnel_fails(lab, instance):
    code, out, err = wasmrun(lab, "tunnel", "start", "--server", "127.0.0.1:1")
    assert code == 1 and out == "" and "could not connect to 127.0.0.1:1" in err
    assert len(err.splitlines()) == 1
    code, out, _ = wasmrun(lab, "tunnel", "start", "--server", "127.0.0.1:1", "--json")
    assert code == 1 and json.loads(out)["status"] == "Failed"


def test_tunnel_undecided(lab, instance):
    """The relay is gone: the address is not there when the API gives up waiting, and that is no success."""
    relay = lab.relay()
    instance.start(server=f"{relay.host}:{relay.control_port}")
    relay.process.kill()
    instance.wait_status("Reconnecting")
    code, _, err = wasmrun(lab, "tunnel", "start")
    assert code == 1 and "the tunnel is not connected yet, it goes on trying" in err


USAGE = {
    "no action": (["tunnel"], "ACTION"),
    "wrong action": (["tunnel", "restart"], "restart"),
    "server with stop": (["tunnel", "stop", "--server", "x"], "'--server' goes with 'start' only"),
    "two secrets": (["tunnel", "start", "--secret", "x", "--secret-file", "/dev/null"], "cannot be used together"),
    "two secrets of os": (["os", "--tunnel-secret", "x", "--tunnel-secret-file", "/dev/null"], "'--tunnel-secret' and '--tunnel-secret-file' cannot"),
    "bad stream": (["logs", "--stream", "x"], "--stream"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(lab, case):
    args, message = USAGE[case]
    code, out, err = wasmrun(lab, *args)
    assert code == 2 and out == "" and message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("args", [("tunnel", "status"), ("logs",), ("logs", "-f"), ("requests",), ("replay", "1"), ("stop",)], ids=" ".join)
def test_none_is_running(lab, args):
    code, out, err = wasmrun(lab, *args)
    assert (code, out, err) == (NOT_RUNNING, "", "error: no application is running, start one with 'wasmrun os'\n")
    code, _, err = wasmrun(lab, *args, "-p", "/tmp")
    assert code == NOT_RUNNING and "'wasmrun os -p /tmp'" in err
    assert wasmrun(lab, "ps", "--json")[:2] == (0, "[]\n")


def test_logs(lab, instance):
    port = instance.app()["port"]
    fetch(f"http://127.0.0.1:{port}", "/first")
    wait_for(lambda: "stdout | GET /first" in wasmrun(lab, "logs")[1], "the request is in the log")
    code, out, _ = wasmrun(lab, "logs", "--stream", "supervisor")
    assert code == 0 and out and all(line.startswith("supervisor | ") for line in out.splitlines())
    code, out, _ = wasmrun(lab, "logs", "--json", "--stream", "stdout")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and lines[-1]["text"] == "GET /first" and lines[-1]["stream"] == "stdout"


def test_logs_follow(lab, instance):
    """Old lines and new ones, each once, until the instance ends."""
    port = instance.app()["port"]
    fetch(f"http://127.0.0.1:{port}", "/0")
    follower = lab.process([WASMRUN, "logs", "-f", "--stream", "stdout"], "logs", env={"XDG_RUNTIME_DIR": str(lab.folder)})
    for number in range(20):
        follower.wait_line(rf"GET /{number}$")
        fetch(f"http://127.0.0.1:{port}", f"/{number + 1}")
    follower.wait_line("GET /20$")
    instance.process.signal(signal.SIGTERM)
    assert follower.wait_exit() == 0
    asked = [match[1] for _, match in follower.find(r"^stdout \| GET /(\d+)$")]
    assert asked == [str(number) for number in range(21)]


def test_logs_into_a_closed_pipe(lab, instance):
    """`wasmrun logs -f | head -n 1` ends."""
    shell = f"{WASMRUN} logs -f | head -n 1"
    env = {**os.environ, "XDG_RUNTIME_DIR": str(lab.folder)}
    with subprocess.Popen(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout.readline().startswith("supervisor | stopped -> ")

        def ended():
            fetch(f"http://127.0.0.1:{instance.app()['port']}")  # more to write
            return child.poll() is not None

        wait_for(ended, "the follower notices that nobody reads")


def test_several(lab, project, instance, tmp_path):
    other = shutil.copytree(project, tmp_path / "other")
    second = run_os(lab, other)
    code, _, err = wasmrun(lab, "tunnel", "status")
    assert code == NOT_RUNNING and str(project) in err and str(other) in err and "--path" in err
    assert wasmrun(lab, "tunnel", "status", cwd=other)[0] == 0
    assert wasmrun(lab, "tunnel", "status", "-p", project)[0] == 0
    listed = {entry["pid"]: entry for entry in json.loads(wasmrun(lab, "ps", "--json")[1])}
    assert listed.keys() == {instance.process.pid, second.process.pid}
    entry = listed[second.process.pid]
    assert entry["project"] == str(other) and entry["state"] == "running" and entry["tunnel"] == "Not started"
    assert entry["page"] == f"http://127.0.0.1:{second.port}" and entry["public_url"] is None
    assert len(wasmrun(lab, "ps")[1].splitlines()) == 3
    assert wasmrun(lab, "stop", cwd=other) == (0, "", "")
    assert second.process.wait_exit() == 0 and instance.process.alive()
    assert wasmrun(lab, "tunnel", "status")[0] == 0


def test_two_of_one_project(lab, project, instance):
    """`stop -p P` couldn't pick one of two instances of a project: the page's port and the pid tell them apart."""
    second = run_os(lab, project)
    third = run_os(lab, project)
    code, _, err = wasmrun(lab, "stop", "-p", project)
    assert code == NOT_RUNNING and "name one with --http-port, --path or --pid" in err
    for one in (instance, second, third):
        assert f"--pid {one.process.pid}  --http-port {one.port}  --path {project}\n" in err
    assert wasmrun(lab, "stop", "-p", project, "-P", second.port) == (0, "", "")
    assert second.process.wait_exit() == 0 and instance.process.alive() and third.process.alive()
    fetch(f"http://127.0.0.1:{third.app()['port']}", "/third")
    wait_for(lambda: "GET /third" in wasmrun(lab, "logs", "--pid", third.process.pid)[1], "the one that was asked")
    assert "GET /third" not in wasmrun(lab, "logs", "--pid", instance.process.pid)[1]
    assert wasmrun(lab, "tunnel", "status", "--http-port", third.port)[0] == 0
    code, _, err = wasmrun(lab, "stop", "--pid", third.process.pid, "--http-port", instance.port)
    assert code == NOT_RUNNING and "the one that is named" in err
    assert wasmrun(lab, "stop", "--pid", third.process.pid)[0] == 0
    assert third.process.wait_exit() == 0 and instance.process.alive()


def test_ps_shows_what_can_be_visited(lab, instance):
    """The application's own address was missing, and the public one looked alive while the relay was gone."""
    relay = lab.relay()
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    own = instance.app()["url"]
    row = wasmrun(lab, "ps")[1].splitlines()[1]
    assert own in row and url in row
    relay.process.kill()
    instance.wait_status("Reconnecting")
    row = wasmrun(lab, "ps")[1].splitlines()[1]
    assert own in row and url not in row and "Reconnecting" in row
    (entry,) = json.loads(wasmrun(lab, "ps", "--json")[1])
    assert entry["tunnel"] == "Reconnecting" and entry["public_url"] is None and entry["url"] == own
    lines = wasmrun(lab, "tunnel", "status")[1].splitlines()
    assert not [line for line in lines if line.startswith("public:")]
    assert [line for line in lines if line.startswith("was public:") and url in line]


def test_output_that_steers_the_terminal(lab, tmp_path):
    """A build, or a folder's name, that clears the screen, sets the title, or turns the text round: it reached the
    terminal by `wasmrun os`, `logs` and `ps`."""
    folder = tmp_path / "a\x1b[2Jb\nc\u202e"
    folder.mkdir()
    (folder / "index.html").write_text("hello")
    said = r"printf 'red \033[31mtext\033[m \033[2J\2332J \302\2332J \033]0;x\007 \342\200\256 \303\244\n'"
    shown = r"red text \x1b[2J\x9b2J \xc2\x9b2J \x1b]0;x\x07 \xe2\x80\xae " + "\u00e4"
    instance = run_os(lab, folder, "--kind", "static", "--build", said)
    instance.process.wait_line(f"^{re.escape(f'build | {shown}')}$")
    env = {**os.environ, "XDG_RUNTIME_DIR": str(lab.folder)}
    for command in (["ps"], ["logs"], ["ps", "--json"], ["logs", "--json"], ["tunnel", "status", "-p", f"{folder}/x\x1b"]):
        done = subprocess.run([WASMRUN, *command], capture_output=True, timeout=4 * DEADLINE, env=env)
        text = (done.stdout + done.stderr).decode()
        assert text and not set(text) & {"\x1b", "\x9b", "\x07", "\u202e"}, text
        if "--json" in command:
            assert [json.loads(line) for line in text.splitlines()] and text.isascii()
        elif command == ["logs"]:
            in_json = shown.replace(r"\x9b", "\ufffd", 1)  # it has no other word for a byte
            assert f"build | {in_json}" in text.splitlines()
    (entry,) = json.loads(wasmrun(lab, "ps", "--json")[1])
    assert entry["project"] == str(folder)


def test_zero_byte_in_the_log(lab, tmp_path):
    """After one, which is what UTF-16 looks like, `wasmrun logs` took the whole answer for no JSON."""
    (tmp_path / "index.html").write_text("hello")
    instance = run_os(lab, tmp_path, "--kind", "static", "--build", r"printf 'a\000b\n'")
    instance.process.wait_line(r"^build \| a\\x00b$")
    code, out, err = wasmrun(lab, "logs")
    assert (code, err) == (0, "") and r"build | a\x00b" in out.splitlines()
    code, out, _ = wasmrun(lab, "logs", "--json", "--stream", "build")
    assert code == 0 and "a\0b" in [json.loads(line)["text"] for line in out.splitlines()]


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_files_that_are_none(lab, tmp_path, kind):
    """As those of `bore`, for every file that `wasmrun` is told of or finds."""
    thing, folder = tmp_path / "thing", tmp_path / "project"
    folder.mkdir()
    (folder / "index.html").write_text("hello")
    if kind == "pipe":
        os.mkfifo(thing)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(thing))
    elif kind == "folder":
        thing.mkdir()
    else:
        thing.symlink_to("/dev/zero")
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    cases = [
        (["tunnel", "start", "--secret-file", thing], kind),
        (["os", folder, "-P", 0, "--tunnel-secret-file", thing], kind),
        (["run", thing], kind),
    ]
    if kind != "folder":  # what is in one may be run
        cases += [(["os", thing, "-P", 0], "'"), (["os", folder, "-P", 0, "--wasm", thing], "'")]
    for args, why in cases:
        code, _, err = wasmrun(lab, *args, env=env)
        assert code not in (0, -9) and why in err, (args, err)
    (folder / "wasmrun.toml").symlink_to(thing)
    code, _, err = wasmrun(lab, "os", folder, "-P", 0, env=env)
    assert code == 2 and f"wasmrun.toml': it is a {kind}" in err, err


def test_stop(lab, instance):
    """It is gone when the command returns."""
    assert wasmrun(lab, "stop") == (0, "", "")
    assert refused(("127.0.0.1", instance.port)) and run_files(lab) == []
    assert instance.process.wait_exit() == 0


def test_killed_instance(lab, instance):
    """What it leaves behind is found out and removed."""
    (file,) = run_files(lab)
    assert file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0
    instance.process.kill()
    assert wasmrun(lab, "ps", "--json")[1] == "[]\n"
    assert run_files(lab) == []


def test_with_a_token(lab, project):
    instance = run_os(lab, project, "--listen", "0.0.0.0")
    code, out, err = wasmrun(lab, "tunnel", "status")
    assert instance.token and code == 0 and "Not started" in out, err


def test_folder_of_others(lab, project):
    """The instance runs without its file, and the commands say what is wrong."""
    folder = lab.folder / "wasmrun"
    folder.mkdir()
    folder.chmod(0o777)
    instance = run_os(lab, project)
    instance.process.wait_line("other commands can't find this one: .* yours alone")
    code, _, err = wasmrun(lab, "ps")
    assert code == 11 and "yours alone" in err and os.listdir(folder) == []


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion(lab, shell):
    code, out, _ = wasmrun(lab, "completion", shell)
    assert code == 0 and "secret-file" in out and "tunnel-server" in out


# The words of a line, and what the last one is completed to: exactly, or at least with "...".
COMPLETIONS = [
    (["os", ""], {"a.wasm", "sub", ...}),
    (["os", "a."], {"a.wasm"}),
    (["os", "--tunnel-r"], {"--tunnel-retry"}),
    (["os", "--wasm", "a."], {"a.wasm"}),
    (["os", "--wasm", "=", "a."], {"a.wasm"}),
    (["os", "--dir", ""], {"sub"}),
    (["os", "--http-port", ""], set()),
    (["os", "--kind", "st"], {"static"}),
    (["os", "--watch", "su"], {"sub"}),
    (["run", "a."], {"a.wasm"}),
    (["stop", "--path", "su"], {"sub"}),
    (["logs", "-p", "su"], {"sub"}),
    (["requests", "--record", "o"], {"off", "on"}),
    (["replay", "--secr"], {"--secrets"}),
    (["tunnel", "st"], {"start", "status", "stop"}),
    (["tunnel", "start", "--secret-file", "se"], {"secret"}),
    (["help", "o"], {"os"}),
    (["help", ""], {"completion", "doctor", "forward", "help", "logs", "new", "os", "policy", "ps", "replay", "requests", "run", "stop", "tunnel"}),
    (["completion", "z"], {"zsh"}),
]
BASH = """
compopt() { :; }
. ./completion
COMP_WORDS=(wasmrun "$@") COMP_CWORD=$#
_wasmrun
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
source ./completion
complete -C "$argv[1]"
"""


@pytest.mark.parametrize("words,expected", COMPLETIONS, ids=[" ".join(words) for words, _ in COMPLETIONS])
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_is_completed(lab, tmp_path, shell, words, expected):
    """Bash completed no file for `wasmrun os`, and no command for `help`."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    (tmp_path / "sub").mkdir()
    for name, content in {"a.wasm": "", "secret": "", "completion": wasmrun(lab, "completion", shell)[1]}.items():
        (tmp_path / name).write_text(content)
    if shell == "bash":
        argv = ["bash", "-c", BASH, "bash", *words]
    else:
        argv = ["fish", "--no-config", "-c", FISH, " ".join(["wasmrun", *words]).replace(" = ", "=")]
    env = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "x"), "XDG_DATA_HOME": str(tmp_path / "x")}
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=4 * DEADLINE)
    found = {line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines()} - {"", "x"}
    if shell == "fish":  # it completes the whole word
        found = {word.removeprefix("--wasm=") for word in found}
    assert done.stderr == "" and (found == expected if ... not in expected else found >= expected - {...})
