# SPDX-License-Identifier: MIT
"""The files of deploy/: each is run by what it is for, or checked by it, in a Debian 12 of its own."""

import json
import re
import subprocess
from fnmatch import fnmatch

import pytest

from harness.chroot import SHELL, Chroot
from harness.lab import OURS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.root]

DEPLOY = ROOT / "deploy"
RUN = {("systemd", 1), ("Dynamic DNS", 1), ("Firewall and fail2ban", 1), ("Firewall and fail2ban", 2), ("Firewall and fail2ban", 3), ("Monitoring", 1)}
UNITS = "bore-server.service", "bore-server@.service"
DUCKDNS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("/duckdns.asked", "a").write(self.path + "\\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(open("/duckdns.answer", "rb").read())
http.server.HTTPServer(("127.0.0.1", 8001), Handler).serve_forever()
"""


def blocks():
    """The commands that the document says are run here, by section and number."""
    found = {}
    for section in re.split(r"^## ", (ROOT / "docs" / "self-hosting.md").read_text(), flags=re.M)[1:]:
        name = section.partition("\n")[0]
        shown = re.findall(r"^<!-- run by tests/e2e/test_deploy.py -->\n```sh\n(.*?)^```", section, re.M | re.S)
        found |= {(name, number): text for number, text in enumerate(shown, 1)}
    return found


def block(section, number=1):
    assert (section, number) in RUN
    return blocks()[section, number]


def test_all_commands_are_run():
    assert set(blocks()) == RUN


@pytest.fixture
def system(tmp_path):
    """With bore as a package installs it, and the tools that deploy/ has files for."""
    chroot = Chroot("tools", tmp_path)
    chroot.put(DEPLOY, "/deploy")
    chroot.put(OURS, "/usr/bin/bore")
    for name in UNITS:
        unit = re.sub(r"^ExecStart=\S+", "ExecStart=/usr/bin/bore", (OURS.parent / "deploy" / name).read_text(), flags=re.M)
        chroot.write(f"/usr/lib/systemd/system/{name}", unit)
    chroot.put(DEPLOY / "bore.sysusers", "/usr/lib/sysusers.d/bore.conf")
    chroot.put(DEPLOY / "bore.logrotate", "/etc/logrotate.d/bore")
    return chroot


def test_units_are_sound(system):
    """systemd finds no mistake in them, and at most 1.5 of 10 of what a service can be exposed to."""
    system.run("systemd-sysusers; cp /deploy/duckdns.* /etc/systemd/system/")
    said = system.run("systemd-analyze verify --man=no /lib/systemd/system/bore-server{,@a}.service /etc/systemd/system/duckdns.*")
    assert said == ""
    for unit in (*(f"/lib/systemd/system/{name}" for name in UNITS), "/etc/systemd/system/duckdns.service"):
        system.run(f"systemd-analyze security --offline=true --threshold=15 {unit}")
    bare = system.run("sed '/^Protect/d' /lib/systemd/system/bore-server.service >/etc/systemd/system/bare.service; "
                      "systemd-analyze security --offline=true --threshold=15 bare.service", check=False)
    assert "Overall exposure level for bare.service" in bare
    assert float(re.search(r"bare.service: (\d+\.\d)", bare)[1]) > 1.5


def test_service(system):
    """systemd runs the relay behind all that the unit has; its log is rotated, and fail2ban reads from it who guesses the secret."""
    said = system.boot(f"""
        {block("systemd")}
        cd /
        serve 8000
        bore local 8000 --to 127.0.0.1 --secret-file /etc/bore/secret >/client.log 2>&1 &
        await 'listening at 127.0.0.1:20[0-9]{{3}}$' /client.log
        fetch "http://$(grep -o '127.0.0.1:20[0-9]*$' /client.log | tail -n 1)/hello"
        fetch http://127.0.0.1:9835/metrics >/metrics
        fail2ban-regex /var/log/bore/connections.log /deploy/fail2ban/filter.conf >/before || true
        bore local 8000 --to 127.0.0.1 --secret wrong && exit 1 || echo "refused with $?"
        await "tunnel_refused .*invalid secret" /var/log/bore/connections.log
        touch /var/log/auth.log  # of the jail that is there anyway
        {{ {block("Firewall and fail2ban", 3)} }} >/after
        cp /var/log/bore/connections.log /before.log
        logrotate --force /etc/logrotate.d/bore
        cmp /before.log /var/log/bore/connections.log.1
        bore local 8000 --to 127.0.0.1 --secret wrong || true
        await "tunnel_refused .*invalid secret" /var/log/bore/connections.log
        cmp /before.log /var/log/bore/connections.log.1
        stat -c 'log %U %G %a' /var/log/bore /var/log/bore/connections.log
        systemctl stop bore-server
        systemctl show -p Result -p ExecMainStatus bore-server
        """)
    assert "hello through the tunnel" in said
    assert "refused with 5" in said
    assert "OK: configuration test is successful" in (system.upper / "after").read_text()
    assert said.count("log bore bore 7") == 1 and said.count("log bore bore 640") == 1, said
    assert "Result=success\nExecMainStatus=0" in said
    hits = [int(re.search(r"^Failregex: (\d+) total", (system.upper / when).read_text(), re.M)[1]) for when in ("before", "after")]
    assert hits == [0, 1]
    told = set(re.findall(r"^(bore_\w+)", (system.upper / "metrics").read_text(), re.M))
    assert not shown_metrics() - told


def test_two_instances_take_turns(system):
    """The one that is started serves on the same ports, the other one ends by itself; both are asked to open a rotated log."""
    said = system.boot("""
        install -D -m 600 /dev/null /etc/bore/secret
        openssl rand -hex 32 >/etc/bore/secret
        systemd-sysusers
        systemctl start bore-server@a
        serve 8000
        bore local 8000 --to 127.0.0.1 --secret-file /etc/bore/secret >/client.log 2>&1 &
        await 'listening at 127.0.0.1:[0-9]*$' /client.log
        url="http://$(grep -o '127.0.0.1:[0-9]*$' /client.log | tail -n 1)/hello"
        for turn in 'a b' 'b a'; do
            set -- $turn
            systemctl start bore-server@$2
            timeout 300 sh -c 'while systemctl is-active --quiet bore-server@'$1'; do sleep 0.1; done'
            echo "after $2: $(fetch "$url")"
            systemctl show -p Id -p Result -p ExecMainStatus bore-server@$1
        done
        logrotate --force /etc/logrotate.d/bore
        echo "then: $(fetch "$url")"
        systemctl is-active bore-server@a bore-server@b bore-server || true
        """)
    for one, next_ in ("ab", "ba"):
        assert f"after {next_}: hello through the tunnel\n" in said
        assert f"Id=bore-server@{one}.service" in said
    assert said.count("Result=success") == said.count("ExecMainStatus=0") == 2, said
    assert "then: hello through the tunnel\nactive\ninactive\ninactive\n" in said, said


def test_service_without_secret(system):
    """The unit doesn't start an open relay by mistake."""
    said = system.boot("systemctl start bore-server && exit 1; systemctl show -p Result -p ExecMainStatus bore-server")
    assert "ExecMainStatus=243" in said  # CREDENTIALS


def test_duckdns(system):
    """The service asks what its file says, and fails where the answer isn't OK, though its status is 200."""
    commands = block("Dynamic DNS")
    assert "https://www.duckdns.org/" in commands
    system.write("/duckdns.py", DUCKDNS)
    said = system.boot(f"""
        printf OK >/duckdns.answer
        python3 /duckdns.py 2>/duckdns.log &
        timeout 300 sh -c 'until ss -ltn | grep -q :8001; do sleep 0.1; done'
        {commands.replace("https://www.duckdns.org/", "http://127.0.0.1:8001/")}
        echo "answered OK"
        printf KO >/duckdns.answer
        systemctl start duckdns.service || echo "answered KO"
        journalctl -u duckdns.service
        systemctl list-timers
        """)
    assert "answered OK" in said and "answered KO" in said
    assert "the update was answered with 'KO', not OK" in said
    assert "duckdns.timer" in said
    assert set((system.upper / "duckdns.asked").read_text().split()) == {"/update?domains=NAME&token=TOKEN&ip="}


def test_firewall(system):
    """nftables takes its file, and ufw the document's lines."""
    said = system.boot(f"""
        {block("Firewall and fail2ban", 1)}
        nft list ruleset
        systemctl stop nftables
        {block("Firewall and fail2ban", 2).replace("ufw ", "ufw --dry-run ")}
        """)
    assert "policy drop" in said and "tcp dport { 22, 7835, 20000-20999 } accept" in said
    assert "--dport 7835 -j ACCEPT" in said and "--dports 20000:20999 -j ACCEPT" in said


def dashboard():
    return json.loads((DEPLOY / "monitoring" / "grafana.json").read_text())


def expressions():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def shown_metrics():
    return set(re.findall(r"\bbore_\w+", " ".join(expressions()) + (DEPLOY / "monitoring" / "alerts.yml").read_text()))


def test_monitoring(system):
    """Prometheus takes the configuration, each alert fires and is silent when it should, and what the dashboard asks can be asked."""
    filled = [one.replace("$instance", ".*").replace("$__rate_interval", "5m") for one in expressions()]
    rules = [{"record": f"e2e_{number}", "expr": one} for number, one in enumerate(filled)]
    system.write("/dashboard.json", json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    said = system.run(f"{block('Monitoring')}\ncd /deploy/monitoring; promtool test rules alerts_test.yml; promtool check rules /dashboard.json")
    assert "4 rules found" in said and f"{len(rules)} rules found" in said
    spots = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard()["panels"]]
    assert len(set(spots)) == len(spots)
    assert "FAILED" in system.run(
        "cd /deploy/monitoring; sed -i 's/0.8 [*]/0.6 */' alerts.yml; promtool test rules alerts_test.yml", check=False)


def dockerfile():
    """The stages: (base, name, [(instruction, argument)])."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    stages = []
    for instruction, argument in lines:
        if instruction == "FROM":
            image, _, name = argument.partition(" AS ")
            stages.append((image, name, []))
        else:
            stages[-1][2].append((instruction, argument))
    return stages


def test_dockerfile(tmp_path):
    """Its steps, each in a Debian as the image has it: the relay runs as nobody in particular, and `command: server …` is for it."""
    systems, told = {}, {}
    for (image, name, steps), layer in zip(dockerfile(), ("build", "base"), strict=True):
        assert image == "debian:bookworm-slim"
        system, folder = Chroot(layer, tmp_path / layer), "/"
        systems[name] = system
        for instruction, argument in steps:
            if instruction == "RUN":
                system.run(f"mkdir -p {folder}; cd {folder}; {argument.replace('apt-get update &&', '')}")
            elif instruction == "WORKDIR":
                folder = argument
            elif instruction == "COPY":
                *sources, target = argument.split()
                source = systems[sources.pop(0).partition("=")[2]].upper if sources[0].startswith("--from=") else ROOT
                for path in sources:
                    into = f"{folder}/{target}{path if target.endswith('/') else ''}" if not target.startswith("/") else target
                    system.put(source / path.lstrip("/"), into.replace("./", ""))
            else:
                told[instruction] = argument
    assert json.loads(told["ENTRYPOINT"]) == ["bore"] and told["EXPOSE"] == "7835"
    user, group = told["USER"].split(":")
    system.write("/run.sh", SHELL + f"""
        bore() {{ setpriv --reuid={user} --regid={group} --clear-groups --no-new-privs --bounding-set=-all bore "$@"; }}
        cd /; bore server --secret s >/server.log 2>&1 &
        await 'server listening at' /server.log
        exec 3<>/dev/tcp/127.0.0.1/7835
        bore local 1 --to 127.0.0.1 --secret wrong && exit 1 || echo "refused with $?"
        bore local 1 --to 127.0.0.1 --secret s >/client.log 2>&1 &
        await 'listening at 127.0.0.1' /client.log
        grep ^Uid: /proc/$(pidof bore | cut -d' ' -f1)/status
        """)
    said = system.run("bash -euo pipefail /run.sh")
    assert "refused with 5" in said and re.search(rf"^Uid:\s{user}\s{user}\s", said, re.M)


def test_secret_stays_out_of_the_image():
    """What the guide has one write beside the Compose file is sent to no builder, and committed by no `git add`; all that is copied is sent."""
    secret = next(line.split(": ./")[1] for line in (DEPLOY / "compose.yaml").read_text().splitlines() if "file: ./" in line)
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]

    def sent(path):
        """The last rule that names the path, or a folder that it is in, counts."""
        named = [rule for rule in rules if fnmatch(path, rule.lstrip("!")) or path.startswith(rule.lstrip("!") + "/")]
        return named[-1].startswith("!")

    copied = [argument.split()[:-1] for _, _, steps in dockerfile() for how, argument in steps if how == "COPY" and "--from" not in argument]
    assert copied and all(sent(path) for paths in copied for path in paths) and sent("deploy/meson.build")
    assert not sent(f"deploy/{secret}") and not sent(".git/config")
    ignored = [subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode for path in (f"deploy/{secret}", "deploy/compose.yaml")]
    assert ignored == [0, 1]


def test_compose_and_kubernetes(system):
    """By docker-compose's own reader and Kubernetes' own schema; and both find a mistake."""
    system.write("/validate.py", VALIDATE)
    said = system.run("docker-compose -f /deploy/compose.yaml config; python3 /validate.py /deploy/kubernetes.yaml")
    ports = {int(port) for port in re.findall(r"published: (\d+)", said)}
    assert ports == {7835, *range(20000, 20100)}
    assert "kubernetes: good" in said
    wrong = "sed 's/restart: unless/restrat: unless/' /deploy/compose.yaml >/deploy/wrong.yaml; docker-compose -f /deploy/wrong.yaml config"
    assert "restrat" in system.run(wrong, check=False)
    wrong = "sed 's/hostNetwork:/hostNetwrok:/' /deploy/kubernetes.yaml >/wrong.yaml; python3 /validate.py /wrong.yaml"
    assert "hostNetwrok" in system.run(wrong, check=False)


VALIDATE = """
import json, jsonschema, sys, yaml
SCHEMAS = "/opt/kubernetes-schemas/"
for document in yaml.safe_load_all(open(sys.argv[1])):
    group, _, version = document["apiVersion"].rpartition("/")
    name = f"{document['kind'].lower()}-{group + '-' if group else ''}{version}.json"
    load = lambda address: json.load(open(SCHEMAS + address.rpartition("/")[2]))
    schema = load(name)
    jsonschema.Draft7Validator(schema, resolver=jsonschema.RefResolver(schema["$id"], schema, handlers={"https": load})).validate(document)
print("kubernetes: good")
"""
