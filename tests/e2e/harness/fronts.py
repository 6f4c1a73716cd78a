# SPDX-License-Identifier: MIT
"""HTTP fronts of Debian's, with the configurations of docs/self-hosting.md, and certificates of a CA of the test's own."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from .lab import ROOT
from .wait import DEADLINE, TimeLimit

PAGE = ROOT / "docs" / "self-hosting.md"
NAMES = ("tunnel.mydomain.com", "app.mydomain.com")


def documented(title):
    """The block of the page whose first line is the comment `title`."""
    for _, block in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        if block.startswith(f"# {title}\n"):
            return block
    raise AssertionError(f"no configuration '{title}' in {PAGE.name}")


class Certificates:
    """`ca` signs; each certificate is (file, key)."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o755)
        self.ca = folder / "ca.pem"
        self.openssl("req", "-x509", *self.new_key("ca"), "-out", self.ca, "-days", 30, "-subj", "/CN=a test's CA")
        self.good = self.sign("good", NAMES)
        self.expired = self.sign("expired", NAMES, days=-1)
        self.other = self.sign("other", ("other.mydomain.com",))

    def openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], cwd=self.folder, check=True, capture_output=True)

    def new_key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")

    def sign(self, name, names, days=30):
        (self.folder / f"{name}.ext").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        self.openssl("req", *self.new_key(name), "-out", f"{name}.csr", "-subj", f"/CN={names[0]}")
        self.openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile",
            f"{name}.ext", "-out", f"{name}.pem")
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        (self.folder / f"{name}.both").write_text("".join(file.read_text() for file in files))
        files[1].chmod(0o644)
        return files

    def put(self, text, certificate=None):
        """A configuration with these files in place of its own."""
        file, key = certificate or self.good
        text = re.sub(r"/etc/letsencrypt/live/[\w.]+/fullchain\.pem", str(file), text)
        text = re.sub(r"/etc/letsencrypt/live/[\w.]+/privkey\.pem", str(key), text)
        return text.replace("/etc/haproxy/tunnel.pem", str(file.with_suffix(".both")))


class Front:
    """A program with a configuration, in a namespace."""

    def __init__(self, lab, where, argv, ports, env=None):
        self.lab, self.where, self.argv, self.ports, self.env = lab, where, argv, ports, env
        self.start()

    def start(self):
        self.process = self.lab.process(self.argv, pathlib.Path(self.argv[0]).name, env=self.env, where=self.where)
        for port in self.ports:
            self.wait_port(port)

    def wait_port(self, port):
        limit = TimeLimit(DEADLINE)
        while True:
            with self.where.entered(), socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert self.process.alive() and not limit.over(), f"nobody listens on port {port}:\n{self.process.tail()}"

    def stop(self):
        """With all of its processes, and at once: in order, Apache would wait for those whom it serves."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait_exit()


def need(program):
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not found:
        pytest.skip(f"'{program}' is not installed: script/setup --tests does")
    return found


def folder_for(lab, name):
    folder = lab.folder / f"{name}{len(list(lab.folder.iterdir()))}"
    folder.mkdir()
    return folder


def nginx(lab, where, text, ports, top=""):
    program, folder = need("nginx"), folder_for(lab, "nginx")
    (folder / "site.conf").write_text(text)
    temporary = "".join(f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = "" if not text else f"http {{ access_log off; {temporary} include {folder}/site.conf; }}\n"
    (folder / "nginx.conf").write_text(f"user root; daemon off; worker_processes 1; pid {folder}/pid;\n{top}\nevents {{ }}\n{http}")
    return Front(lab, where, [program, "-c", folder / "nginx.conf", "-e", "/dev/stderr"], ports)


def nginx_stream(lab, where, text, ports):
    module = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    need("nginx")
    if not module.exists():
        pytest.skip("nginx has no module 'stream': script/setup --tests installs libnginx-mod-stream")
    # What stands beside http { } must come behind events { }.
    program, folder = need("nginx"), folder_for(lab, "nginx")
    (folder / "nginx.conf").write_text(f"load_module {module};\nuser root; daemon off; pid {folder}/pid;\nevents {{ }}\n{text}")
    return Front(lab, where, [program, "-c", folder / "nginx.conf", "-e", "/dev/stderr"], ports)


def haproxy(lab, where, text, ports):
    program, folder = need("haproxy"), folder_for(lab, "haproxy")
    (folder / "haproxy.cfg").write_text(text)
    return Front(lab, where, [program, "-db", "-f", folder / "haproxy.cfg"], ports)


def caddy(lab, where, text, ports):
    program, folder = need("caddy"), folder_for(lab, "caddy")
    (folder / "Caddyfile").write_text(text)
    env = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return Front(lab, where, [program, "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"], ports, env)


def apache(lab, where, text, ports):
    program, folder = need("apache2"), folder_for(lab, "apache")
    modules = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http", "ssl", "socache_shmcb")
    lines = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in modules]
    lines += [f"ServerRoot {folder}", f"DefaultRuntimeDir {folder}", f"PidFile {folder}/pid", f"ErrorLog {folder}/error.log", "ServerName front"]
    lines += ["User www-data", "Group www-data", *(f"Listen {port}" for port in ports)]
    (folder / "apache.conf").write_text("\n".join(lines) + "\n" + text)
    return Front(lab, where, [program, "-f", folder / "apache.conf", "-X"], ports)


# Each one's documented way to the relay, with and without TLS.
FRONTS = {
    "nginx": (nginx, ("/etc/nginx/conf.d/tunnel.conf", "/etc/nginx/conf.d/tunnel-tls.conf")),
    "haproxy": (haproxy, ("/etc/haproxy/haproxy.cfg",)),
    "caddy": (caddy, ("/etc/caddy/Caddyfile",)),
    "apache2": (apache, ("/etc/apache2/sites-enabled/tunnel.conf",)),
}


def start(name, lab, where, certificates, certificate=None):
    run, titles = FRONTS[name]
    text = certificates.put("".join(documented(title) for title in titles), certificate)
    return run(lab, where, text, (80, 443))
