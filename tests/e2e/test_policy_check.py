# SPDX-License-Identifier: MIT
"""`wasmrun policy check`: verdict, rule and exit code; and that the table of docs/network-isolation.md has its rules."""

import re
import subprocess

import pytest

from harness.lab import ROOT
from harness.wasmrun import WASMRUN, need_wasmrun

PAGE = (ROOT / "docs" / "network-isolation.md").read_text()
FILE = '[os.network]\nallow = [\n  "api.example.com:443",\n  "localhost:5432",\n]\ndeny = ["internal.example.com"]\n'


@pytest.fixture
def check(tmp_path):
    need_wasmrun()

    def run(*args, file=FILE):
        (tmp_path / "wasmrun.toml").write_text(file)
        done = subprocess.run([WASMRUN, "policy", "check", *args], capture_output=True, text=True, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    return run


def test_good(check):
    assert check() == (
        0,
        "allow api.example.com:443 (wasmrun.toml:3)\n"
        "allow localhost:5432 (wasmrun.toml:4)\n"
        "deny  internal.example.com (wasmrun.toml:6)\n",
        "",
    )
    assert check(file="") == (0, "the application may connect to nothing\n", "")


@pytest.mark.parametrize(
    "args,code,says",
    [
        (["api.example.com:443"], 0, "'api.example.com:443' (wasmrun.toml:3) allows it"),
        (["API.Example.com.:443"], 0, "api.example.com:443 is allowed"),
        (["api.example.com:80"], 1, "no rule allows it: allow 'api.example.com:80'"),
        (["localhost:5432"], 0, "'localhost:5432' (wasmrun.toml:4) allows it"),
        (["127.1:5432"], 0, "127.0.0.1:5432 is allowed"),
        (["localhost:5433"], 1, "allow 'localhost:5433'"),
        (["x.internal.example.com:443"], 1, "'internal.example.com' (wasmrun.toml:6) denies it"),
        # What the command line denies is added to what the file denies; what it allows is all that is allowed.
        (["x.internal.example.com:443", "--allow-net", "*", "--deny-net", "a.example"], 1, "'internal.example.com' (wasmrun.toml:6) denies it"),
        (["a.example:443", "--allow-net", "*", "--deny-net", "a.example"], 1, "'a.example' (--deny-net) denies it"),
        (["api.example.com:443", "--allow-net", "a.example"], 1, "no rule allows it"),
        (["10.0.0.1:80", "--allow-net", "*"], 1, "10.0.0.1 is private (RFC 1918) and must be named: allow '10.0.0.1:80'"),
        (["10.0.0.1:80", "--allow-net", "10.0.0.0/8"], 0, "'10.0.0.0/8' (--allow-net) allows it"),
        (["www.example.com:80", "--allow-net", "example.com"], 1, "doesn't cover it: write '*.example.com' too"),
        (["[::1]:8420", "--allow-net", "[::1]"], 1, "it is the page and the API of wasmrun, which no rule can allow"),
        (["localhost:8420", "--allow-net", "localhost"], 1, "it is the page and the API of wasmrun, which no rule can allow"),
        (["localhost:8421", "--allow-net", "localhost"], 0, "localhost:8421 is allowed"),
        (["[::1]:8421", "--allow-net", "[::1]"], 0, "[::1]:8421 is allowed"),
        (["bore.pub:7835", "--allow-net", "*"], 1, "the control port of the tunnel's server, which no rule can allow"),
        (["bore.pub:7836", "--allow-net", "*"], 0, "bore.pub:7836 is allowed"),
    ],
)  # fmt: skip
def test_explain(check, args, code, says):
    answer = check("--explain", *args)
    assert answer[0] == code and says in answer[1] and not answer[2], answer


@pytest.mark.parametrize(
    "args,file,says",
    [
        (["--explain", "a.example"], FILE, "a port is wanted, too: HOST:PORT"),
        (["--explain", "a.example:0"], FILE, "'0' is no port"),
        (["--explain", "fe80::1%eth0"], FILE, "--explain"),
        (["--allow-net", "10.0.0.0/33"], FILE, "invalid value '10.0.0.0/33' for '--allow-net <RULE>'"),
        ([], FILE + 'max_connections = "many"\n', "wasmrun.toml:7: invalid value 'many' for 'os.network.max_connections'"),
        ([], '[os.network]\nallow = ["https://a.example/"]\n', "write 'a.example:443'"),
        ([], "[os.network]\nalow = 1\n", "wasmrun.toml:2: there is no key 'os.network.alow'"),
        (["-p", "none"], FILE, "can't run 'none': No such file or directory"),
        (["x"], FILE, "unexpected argument 'x'"),
    ],
)
def test_bad(check, args, file, says):
    code, out, err = check(*args, file=file)
    assert code == 2 and says in err and not out, (code, out, err)


RULES = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| ([^|]*) \|$", PAGE.partition("## Rules")[2].partition("\n## ")[0], re.M)


@pytest.mark.parametrize("rule,allows,denies", RULES)
def test_table_of_rules(check, rule, allows, denies):
    """Each is a rule, and says what the manual page says, which is made from the program's own table."""
    assert check("--allow-net", rule, file="") == (0, f"allow {rule} (--allow-net)\n", "")
    made = WASMRUN.parent / "src" / "policy" / "net_rule.man"
    if made.exists():
        entry = f".It Ql \\&{rule}\nAllows {allows.strip()}.\n.br\nDenies {denies.strip()}.\n"
        assert entry in made.read_text()


def test_table_is_there():
    assert len(RULES) == 8
