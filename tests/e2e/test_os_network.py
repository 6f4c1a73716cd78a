# SPDX-License-Identifier: MIT
"""The network policy of `wasmrun os`: what may be set and changed, where, and what is said of it."""

import json
import shutil
import urllib.parse

import pytest

from harness.apps import App
from harness.guests import needs_wall
from harness.schema import mistakes
from harness.wait import wait_for
from harness.wasmrun import fetch, run_os

EMPTY = {
    "allow": [],
    "deny": [],
    "bind_ports": [],
    "max_connections": 256,
    "max_bandwidth_mbps": 0,
    "connection_timeout_secs": 30,
}
FULL = {
    "allow": ["api.example.com:443", "localhost:5432", "10.1.0.0/16", "[2001:db8::/32]:443", ":8000-8999"],
    "deny": ["internal.example.com"],
    "bind_ports": [8081, 9000],
    "max_connections": 8,
    "max_bandwidth_mbps": 100,
    "connection_timeout_secs": 5,
}


def put(instance, policy):
    return instance.ask("PUT", "/api/network/policy", policy)


def policy(instance):
    return instance.get("/api/network/policy")["policy"]


def test_nothing_by_default(instance):
    answer = instance.get("/api/network/policy")
    assert answer == {"success": True, "policy": EMPTY, "sources": []}
    assert instance.get("/api/network/decisions") == {"success": True, "decisions": [], "last": 0}


def test_settings(lab, project):
    (project / "wasmrun.toml").write_text(
        '[os.network]\nallow = [\n  "api.example.com:443",\n  "10.1.0.0/16",\n]\nmax_connections = 9\n'
    )
    instance = run_os(lab, project, "--deny-net", "internal.example.com", "--bind-port", 8081)
    answer = instance.get("/api/network/policy")
    assert answer["policy"] == EMPTY | {
        "allow": ["api.example.com:443", "10.1.0.0/16"],
        "deny": ["internal.example.com"],
        "bind_ports": [8081],
        "max_connections": 9,
    }
    assert answer["sources"] == [
        {"list": "allow", "rule": "api.example.com:443", "where": "wasmrun.toml:3"},
        {"list": "allow", "rule": "10.1.0.0/16", "where": "wasmrun.toml:4"},
        {"list": "deny", "rule": "internal.example.com", "where": "--deny-net"},
    ]


def test_a_policy_that_changes_meanwhile(instance):
    """Who took a rule away on the page took away with it what another page had just added."""
    put(instance, {"allow": ["a.example", "b.example"]})
    read = instance.ask("GET", "/api/network/policy").headers["ETag"]
    put(instance, {"allow": ["a.example", "b.example", "c.example"]})
    late = instance.ask("PUT", "/api/network/policy", {"allow": ["a.example"]}, {"If-Match": read})
    assert late.status == 412 and "look at it again" in late.body["error"]
    assert policy(instance)["allow"] == ["a.example", "b.example", "c.example"]
    now = instance.ask("GET", "/api/network/policy").headers["ETag"]
    done = instance.ask("PUT", "/api/network/policy", {"allow": ["a.example", "c.example"]}, {"If-Match": now})
    assert done.status == 200 and policy(instance)["allow"] == ["a.example", "c.example"]
    assert done.headers["ETag"] == instance.ask("GET", "/api/network/policy").headers["ETag"] != now


def test_rules_that_stay_keep_their_origin(lab, project):
    """Who removed one rule on the page was told of all others that they came from there."""
    (project / "wasmrun.toml").write_text('[os.network]\nallow = ["a.example"]\ndeny = [\n"a.example",\n"b.example",\n]\n')
    instance = run_os(lab, project)
    answer = put(instance, {"allow": ["c.example", "a.example"], "deny": ["b.example"]})
    assert answer.body["sources"] == [
        {"list": "allow", "rule": "c.example", "where": "PUT /api/network/policy"},
        {"list": "allow", "rule": "a.example", "where": "wasmrun.toml:2"},
        {"list": "deny", "rule": "b.example", "where": "wasmrun.toml:5"},
    ]
    # What was taken away and comes again stands in the file no more.
    put(instance, {"allow": ["c.example"]})
    assert put(instance, {"allow": ["a.example"]}).body["sources"][0]["where"] == "PUT /api/network/policy"


def test_put(instance):
    answer = put(instance, FULL)
    assert answer.status == 200 and answer.body["policy"] == FULL
    assert answer.body["sources"][-1]["where"] == "PUT /api/network/policy"
    assert policy(instance) == FULL
    # As a whole: what is left out, or null, is as if it had never been set.
    assert put(instance, {"allow": ["*"], "deny": None}).body["policy"] == EMPTY | {"allow": ["*"]}
    assert put(instance, {}).body["policy"] == EMPTY
    # What was got can be put.
    assert put(instance, policy(instance)).status == 200


@pytest.mark.parametrize(
    "to,allowed,asked,rule,remedy,resolves",
    [
        ("api.example.com:443", True, "api.example.com:443", "api.example.com:443", None, True),
        ("API.Example.com.:443", True, "api.example.com:443", "api.example.com:443", None, True),
        ("api.example.com:80", True, "api.example.com:80", "*", None, True),
        ("10.0.0.1:80", False, "10.0.0.1:80", None, "10.0.0.1:80", False),
        ("[2001:db8::1]:443", True, "[2001:db8::1]:443", "[2001:db8::/32]:443", None, False),
        ("internal.example.com:443", False, "internal.example.com:443", "internal.example.com", None, True),
        ("localhost:5432", True, "localhost:5432", "localhost:5432", None, False),
    ],
)
def test_explain(instance, to, allowed, asked, rule, remedy, resolves):
    """The words are those of `wasmrun policy check --explain`: test_policy_check.py has them all."""
    put(instance, FULL | {"allow": [*FULL["allow"], "*"]})
    answer = instance.get(f"/api/network/explain?to={urllib.parse.quote(to)}")
    assert (answer["allowed"], answer["asked"], answer["rule"], answer["remedy"]) == (allowed, asked, rule, remedy)
    assert answer["resolves"] == resolves
    assert ("allow" in answer["why"] or "denies" in answer["why"]) and (answer["where"] is None) == (rule is None)
    assert instance.get("/api/network/decisions")["decisions"] == [], "nothing was asked for"


def test_explain_of_what_nobody_may_reach(instance):
    put(instance, {"allow": ["127.0.0.1"]})
    answer = instance.get(f"/api/network/explain?to=127.0.0.1:{instance.port}")
    assert not answer["allowed"] and "which no rule can allow" in answer["why"] and answer["remedy"] is None


@pytest.mark.parametrize("to,says", [("a", "the port is missing"), ("a:", "port"), ("http://a:80", "'to' is no HOST:PORT"), ("", "'to'"), ("a:65536", "port")])
def test_explain_of_what_is_no_destination(instance, to, says):
    answer = instance.ask("GET", f"/api/network/explain?to={urllib.parse.quote(to)}")
    assert answer.status == 400 and says in answer.body["error"]


@pytest.mark.parametrize(
    "body,part",
    [
        ({"allow": ["a.example", "10.0.0.0/33"]}, "invalid rule '10.0.0.0/33' in 'allow': "),
        ({"deny": ["https://a.example/x"]}, "'https://' is no part of a rule, which is no URL: write 'a.example:443'"),
        ({"allow": ["a.example/x"]}, "'/x' is no part of a rule, which knows no paths: write 'a.example'"),
        ({"allow": [""]}, "invalid rule '' in 'allow': it is empty: write a host, or leave it out"),
        ({"allow": ["münchen.example"]}, "it isn't ASCII: write the name in punycode"),
        ({"allow": ["\x1b[2J"]}, "invalid rule '\\x1b[2J' in 'allow': "),
        ({"allow": ["a:0"]}, "'0' is no port from 1 to 65535"),
        ({"allow": "a.example"}, "'allow' is no array of rules"),
        ({"allow": [443]}, "'allow' has something that is no text"),
        ({"allow": ["a.example"] * 257}, "there are more than 256 rules"),
        ({"bind_ports": [0]}, "'bind_ports' has something that is no port from 1 to 65535"),
        ({"bind_ports": ["81"]}, "'bind_ports' has something that is no port"),
        ({"bind_ports": 81}, "'bind_ports' is no array of ports"),
        ({"bind_ports": [81] * 65}, "'bind_ports' has more than 64 ports"),
        ({"max_connections": 0}, "'max_connections' is no number from 1 to 65535"),
        ({"max_connections": "9"}, "'max_connections' is no number"),
        ({"max_bandwidth_mbps": 100001}, "'max_bandwidth_mbps' is no number from 0 to 100000"),
        ({"connection_timeout_secs": 1.5}, "'connection_timeout_secs' is no number from 1 to 3600"),
        ({"alow": []}, "'alow' is unknown: there are allow, deny, bind_ports, "),
        ([], "object"),
    ],
)  # fmt: skip
def test_bad_put_changes_nothing(instance, body, part):
    assert put(instance, FULL).status == 200
    answer = put(instance, json.dumps(body))
    assert answer.status == 400 and part in answer.body["error"], answer.body
    assert policy(instance) == FULL


def test_as_many_rules_as_can_be(instance):
    many = EMPTY | {"allow": ["a" * 60 + ".example"] * 256, "deny": ["b" * 60 + ".example"] * 256}
    assert put(instance, many).body["policy"] == many
    assert put(instance, {"allow": ["x" * 300_000]}).status == 413
    assert policy(instance) == many


@pytest.mark.parametrize("since", ["-1", "x", "9223372036854775808"])
def test_bad_since(instance, since):
    assert instance.ask("GET", f"/api/network/decisions?since={since}").status == 400


def test_metrics(instance):
    before = instance.get("/metrics").decode()
    assert "\nwasmrun_network_refused_total 0\n" in before and "\nwasmrun_network_policy_changes_total 1\n" in before
    put(instance, FULL)
    assert "\nwasmrun_network_policy_changes_total 2\n" in instance.get("/metrics").decode()


def rules(instance):
    return instance.get("/api/network/policy")["sources"]


def test_changed_file(lab, project):
    """With --watch its [os.network] holds at once; what the command line says counts as at the start."""
    file = project / "wasmrun.toml"
    file.write_text('[os.network]\nallow = ["a.example"]\ndeny = ["b.example"]\n')
    instance = run_os(lab, project, "--watch", "--deny-net", "c.example", "--max-connections", 7)
    pid = instance.app()["pid"]
    file.write_text('[os.network]\n\nallow = ["d.example:443"]\ndeny = ["e.example"]\nmax_connections = 9\nbind_ports = [81]\n')
    instance.process.wait_line(r"info watch: 'wasmrun.toml' has changed: its \[os.network\] holds from now on")
    assert rules(instance) == [
        {"list": "allow", "rule": "d.example:443", "where": "wasmrun.toml:3"},
        {"list": "deny", "rule": "c.example", "where": "--deny-net"},
        {"list": "deny", "rule": "e.example", "where": "wasmrun.toml:4"},
    ]
    assert policy(instance)["max_connections"] == 7 and policy(instance)["bind_ports"] == [81]
    assert instance.app()["pid"] == pid  # it needs no restart


@needs_wall
def test_file_that_the_application_may_change(lab, project):
    """With --writable it would allow itself what it likes; that it may change what is built is told at the start."""
    (project / "wasmrun.toml").write_text('[os.network]\nallow = ["a.example"]\n')
    instance = run_os(lab, project, "--watch", "--writable")
    instance.process.wait_line(r"warn app: --writable: the application may change the project")
    pid = instance.app()["pid"]
    (project / "wasmrun.toml").write_text('[os.network]\nallow = ["*"]\n')
    module = next(project.glob("*.wasm"))
    module.write_bytes(module.read_bytes() + b"\0\2\1x")  # a section of its own
    wait_for(lambda: instance.app()["pid"] not in (None, pid), "what is watched has changed")
    assert policy(instance)["allow"] == ["a.example"]


def test_mistake_in_changed_file(lab, project):
    """It is told with file and line, and nothing changes; what is right again counts."""
    file = project / "wasmrun.toml"
    file.write_text('[os.network]\nallow = ["a.example"]\n')
    instance = run_os(lab, project, "--watch")
    before = instance.get("/api/network/policy")
    for number, (mistake, says) in enumerate(
        (
            ('[os.network]\nallow = [\n"b.example",\n"10.0.0.0/33"]\n', r"wasmrun.toml:4: invalid value '10.0.0.0/33' for 'os.network.allow'"),
            ("[os.network]\nalow = [1]\n", r"wasmrun.toml:2: there is no key 'os.network.alow'"),
            ("[os\n", r"wasmrun.toml:\d: "),
            ('[os.network]\nallow = ["b.example"]\n[app]\nkind = "x"\n', r"wasmrun.toml:4: invalid value 'x' for 'app.kind'"),
        )
    ):
        file.write_text(mistake)
        instance.process.wait_line(rf"error watch: the network policy stays as it was: .*{says}")
        assert instance.get("/api/network/policy") == before, number
    file.write_text('[os.network]\nallow = ["b.example"]\n')
    instance.process.wait_line(r"info watch: .* holds from now on")
    assert policy(instance)["allow"] == ["b.example"]


def test_other_part_of_changed_file(lab, project):
    """It doesn't take back what the API has set."""
    file = project / "wasmrun.toml"
    file.write_text('[os.network]\nallow = ["a.example"]\n')
    instance = run_os(lab, project, "--watch")
    put(instance, {"allow": ["c.example"]})
    file.write_text('[os]\nexpose = false\n[os.network]\nallow = ["a.example"]\n')
    instance.process.wait_line(r"what isn't in \[os.network\] counts from the next start")
    assert policy(instance)["allow"] == ["c.example"]


@needs_wall
def test_live_change(lab, guests, tmp_path):
    """Another policy holds for the next connection, without a restart; each refusal is told with the rule that would allow it."""
    peer = App(lambda sock: sock.sendall(b"greetings" if sock.recv(1000) else b""))
    lab.apps.append(peer)
    folder = tmp_path / "outward"
    folder.mkdir()
    shutil.copy(guests.c("outward.c"), folder / "app.wasm")
    log = tmp_path / "connections"
    instance = run_os(lab, folder, "--connection-log", log)
    url, pid, asked = instance.app()["url"], instance.app()["pid"], f"127.0.0.1:{peer.port}"
    wish = f"/connect/127.0.0.1/{peer.port}"
    with instance.events() as events:
        assert fetch(url, wish) == (200, "connect 14")  # ECONNREFUSED: nothing of its own listens there
        told = events.wait("decision")
    assert told["asked"] == asked and told["allowed"] is False and told["remedy"] == f"localhost:{peer.port}", told
    decisions = instance.get("/api/network/decisions")
    assert decisions["decisions"] == [told] and decisions["last"] == told["seq"]
    schemas = instance.get("/api/openapi.json")["components"]["schemas"]
    assert not list(mistakes(told, schemas["Decision"], schemas))
    instance.process.wait_line(rf"warn network: the application may not connect to '{asked}': .*allow 'localhost:{peer.port}'")

    assert put(instance, {"allow": [told["remedy"]]}).status == 200
    instance.process.wait_line("info network: another policy holds from now on")
    assert fetch(url, wish) == (200, "greetings")
    assert put(instance, {"allow": ["http://x"]}).status == 400
    assert fetch(url, wish) == (200, "greetings")
    assert put(instance, {"allow": ["localhost"]}).status == 200
    assert fetch(url, f"/connect/127.0.0.1/{instance.port}") == (200, "connect 14")  # the page, which no rule can allow
    assert put(instance, {}).status == 200
    assert fetch(url, wish) == (200, "connect 14")
    last = instance.get(f"/api/network/decisions?since={decisions['last']}")["decisions"]
    assert [(one["asked"], one["allowed"], one["count"]) for one in last] == [
        (asked, True, 2),
        (f"127.0.0.1:{instance.port}", False, 1),
        (asked, False, 2),
    ], last
    assert instance.app()["pid"] == pid

    def logged():
        return [json.loads(line) for line in log.read_text().splitlines()]

    # A line for each attempt, which stands there when it has ended.
    lines = wait_for(lambda: len(found := logged()) == 5 and found, "all are written")
    assert {one["kind"] for one in lines} == {"outward"} and lines[0]["end"] == told["why"]
    assert sorted((one["to"], one["rule"] or "", one["bytes"]["in"]) for one in lines) == sorted([
        *2 * [(asked, "", 0)], *2 * [(asked, f"localhost:{peer.port}", len("greetings"))], (f"127.0.0.1:{instance.port}", "", 0)])

# --- what is written into wasmrun.toml ---


def look(instance, rule):
    return instance.ask("GET", f"/api/network/allow?rule={urllib.parse.quote(rule)}")


def write(instance, rule, version):
    return instance.ask("POST", "/api/network/allow", {"rule": rule, "version": version})


def test_allow_in_the_file(lab, project):
    """It is looked at first, all else of the file stays, and it holds at once and at the next start."""
    file = project / "wasmrun.toml"
    before = '# mine\n[os.network]\nallow = [\n  "a.example", # one\n]\n\n[app]\n# the end\n'
    file.write_text(before)
    file.chmod(0o600)
    instance = run_os(lab, project)
    seen = look(instance, "b.example:443").body
    assert (seen["file"], seen["line"], seen["text"]) == ("wasmrun.toml", 5, '  "b.example:443",\n')
    assert file.read_text() == before and "b.example:443" not in policy(instance)["allow"], "it was only looked at"
    answer = write(instance, "b.example:443", seen["version"])
    assert (answer.status, answer.body) == (200, {"success": True, "rule": "b.example:443", "written": True})
    assert file.read_text() == before.replace("# one\n", '# one\n  "b.example:443",\n')
    assert file.stat().st_mode & 0o777 == 0o600
    sources = instance.get("/api/network/policy")["sources"]
    assert [(s["rule"], s["where"]) for s in sources] == [("a.example", "wasmrun.toml:4"), ("b.example:443", "wasmrun.toml:5")]
    again = write(instance, "b.example:443", look(instance, "c.example").body["version"])
    assert again.status == 409 and "already" in again.body["error"]
    assert look(instance, "b.example:443").status == 409
    assert policy(run_os(lab, project))["allow"] == ["a.example", "b.example:443"]


def test_allow_without_writing(lab, project):
    """The others stay where they are from."""
    file = project / "wasmrun.toml"
    file.write_text('[os.network]\nallow = ["a.example"]\n')
    instance = run_os(lab, project, "--writable")
    answer = instance.ask("POST", "/api/network/allow", {"rule": "b.example"})
    assert (answer.status, answer.body) == (200, {"success": True, "rule": "b.example", "written": False})
    sources = [(s["rule"], s["where"]) for s in instance.get("/api/network/policy")["sources"]]
    assert sources == [("a.example", "wasmrun.toml:2"), ("b.example", "POST /api/network/allow")]
    assert instance.ask("POST", "/api/network/allow", {"rule": "b.example", "version": None}).status == 200
    assert file.read_text() == '[os.network]\nallow = ["a.example"]\n'
    assert instance.get("/api/network/policy")["policy"]["allow"] == ["a.example", "b.example"]
    assert put(instance, {"allow": [f"h{i}.example" for i in range(256)]}).status == 200
    answer = instance.ask("POST", "/api/network/allow", {"rule": "b.example"})
    assert answer.status == 409 and "remove one first" in answer.body["error"]


def test_allow_where_there_is_no_file(lab, project):
    file = project / "wasmrun.toml"
    file.unlink(missing_ok=True)
    instance = run_os(lab, project)
    seen = look(instance, "*.example").body
    assert seen["text"] == '[os.network]\nallow = ["*.example"]\n' and not file.exists()
    assert write(instance, "*.example", seen["version"]).status == 200
    assert file.read_text() == seen["text"] and policy(instance)["allow"] == ["*.example"]


@pytest.mark.parametrize(
    "text,line,shown",
    [
        ('tunnel_secret = "s3"\nnetwork.allow = ["a.example"] # s3', 2, 'network.allow = ["a.example", "b.example:443"]'),
        ('tunnel_secret = "s3"', 3, '[os.network]\nallow = ["b.example:443"]\n'),
        ('network = { allow = ["a.example"] }\ntunnel_secret = "s3"\n', 1, ', "b.example:443"]'),
        ('tunnel_secret = "s3"\nnetwork.allow = [\n  "a.example",\n  "c.example" # s3\n]\n', 4, None),
    ],
)
def test_a_look_shows_what_is_new_alone(lab, project, text, line, shown):
    """A line may have more than the rule: one with a secret in it was shown whole."""
    header = "[os]\n"
    (project / "wasmrun.toml").write_text(header + text)
    seen = look(run_os(lab, project), "b.example:443").body
    shown = shown or '  "c.example", # s3\n  "b.example:443"\n'
    assert (seen["line"], seen["text"]) == (line + 1, shown)


def test_a_secret_in_the_same_line_is_not_shown(lab, project):
    for text in (
        'os = { tunnel_secret = "s3cr3t", network = { allow = ["a.example"] } }\n',
        'os = { network = { allow = ["a.example"] }, tunnel_secret = "s3cr3t" }\n',
        "os = { network = { allow = [\n'a.example' ] }, tunnel_secret = 's3cr3t' }\n",
    ):
        (project / "wasmrun.toml").write_text(text)
        seen = look(run_os(lab, project), "b.example:443").body
        assert "s3cr3t" not in seen["text"] and '"b.example:443"' in seen["text"], seen


def test_a_file_that_has_changed_is_not_written(lab, project):
    file = project / "wasmrun.toml"
    file.write_text("[os.network]\n")
    instance = run_os(lab, project)
    version = look(instance, "a.example").body["version"]
    file.write_text("[os.network]\n# mine\n")
    answer = write(instance, "a.example", version)
    assert answer.status == 409 and "has changed meanwhile" in answer.body["error"]
    assert file.read_text() == "[os.network]\n# mine\n" and policy(instance)["allow"] == []
    assert write(instance, "a.example", look(instance, "a.example").body["version"]).status == 200


@pytest.mark.parametrize(
    "text,status,says",
    [
        ("os = { network = {} }\n", 409, "yourself"),
        ("[os.network]\nallow = ['''a.example''']\n", 409, "yourself"),
    ],
)
def test_a_file_that_is_not_understood_is_not_written(lab, project, text, status, says):
    file = project / "wasmrun.toml"
    file.write_text(text)
    instance = run_os(lab, project)
    answer = look(instance, "b.example")
    assert answer.status == status and says in answer.body["error"]
    assert write(instance, "b.example", "0").status == 409 and file.read_text() == text


def test_a_file_that_is_a_link_is_not_replaced(lab, project, tmp_path):
    file, real = project / "wasmrun.toml", project / "real.toml"
    real.write_text("[os.network]\n")
    file.unlink(missing_ok=True)
    file.symlink_to("real.toml")
    instance = run_os(lab, project)
    answer = write(instance, "a.example", look(instance, "a.example").body["version"])
    assert answer.status == 409 and file.is_symlink() and real.read_text() == "[os.network]\n"


def test_nothing_is_written_where_the_application_writes(lab, project):
    (project / "wasmrun.toml").write_text("[os.network]\n")
    instance = run_os(lab, project, "--writable")
    for answer in (look(instance, "a.example"), write(instance, "a.example", "0")):
        assert answer.status == 403 and "--writable" in answer.body["error"]
    assert (project / "wasmrun.toml").read_text() == "[os.network]\n" and policy(instance)["allow"] == []


def test_a_wrong_wish_to_allow(instance):
    for rule in ("http://x", "a b", 'a"', "*."):
        answer = look(instance, rule)
        assert answer.status == 400 and "no rule" in answer.body["error"], rule
        assert write(instance, rule, "0").status == 400
    for body in ({}, {"version": "0"}, {"rule": 1, "version": "0"}, {"rule": "a.example", "version": "0", "more": 1}):
        assert instance.ask("POST", "/api/network/allow", body).status == 400, body
    assert instance.ask("GET", "/api/network/allow").status == 400
