// SPDX-License-Identifier: MIT
// Shows what /api/events tells and sends what the buttons say.
"use strict";

const LINES_MAX = 2000;
const REFUSALS_MAX = 50;
const RETRY_MS = 1000;

// Bound to another address than loopback, the API asks for the token in the URL's fragment.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const byId = (id) => document.getElementById(id);
let lastLine = 0;
let shownUrl = null;

function show(id, text) {
  byId(id).textContent = text ?? "–";
}

function showLink(id, url) {
  const link = document.createElement("a");
  link.href = link.textContent = url ?? "";
  link.rel = "noreferrer";
  byId(id).replaceChildren(url ? link : "–");
}

function showState(id, word, good, bad) {
  show(id, word);
  byId(id).className = `state ${word === good ? "good" : bad.includes(word) ? "bad" : ""}`;
}

function showApp(app) {
  showState("app-state", app.state, "running", ["failed", "restarting"]);
  if (app.next) byId("app-state").append(`, the next version is ${app.next}`);
  showLink("app-url", app.url);
  show("app-kind", app.kind);
  show("app-process", app.pid ? `${app.pid}, ${size(app.memory_bytes)}, ${app.restarts} restarts` : null);
  const prefix = app.state === "running" ? "Last: " : "";
  byId("app-reason").textContent = app.exit_reason ? prefix + app.exit_reason : "";
  byId("project").textContent = app.project ?? "";
}

function showTraffic({ connections, bytes }) {
  show(
    "tunnel-traffic",
    `${connections.open} now, ${connections.total} in all, ${size(bytes.in)} in, ${size(bytes.out)} out`,
  );
}

async function showTunnel(tunnel) {
  showState("tunnel-state", tunnel.status, "Connected", ["Failed", "Reconnecting"]);
  showLink("tunnel-url", tunnel.public_url);
  show("tunnel-server", tunnel.server);
  byId("tunnel-reason").textContent = tunnel.error ?? "";
  showTraffic(tunnel);
  if (tunnel.public_url === shownUrl) return;
  shownUrl = tunnel.public_url;
  byId("qr").replaceChildren();
  if (!shownUrl) return;
  const answer = await fetch("api/tunnel/qr.svg", { headers });
  if (!answer.ok) return;
  const svg = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  byId("qr").replaceChildren(svg);
}

function showForwards({ forwards }) {
  byId("forwards").hidden = !forwards.length;
  byId("forwards-list").replaceChildren(
    ...forwards.map(({ address, host_port, app_port }) => {
      const item = document.createElement("li");
      const host = address.includes(":") ? `[${address}]` : address;
      item.textContent = `${host}:${host_port} leads to ${app_port ? `the application's port ${app_port}` : "what the tunnel shows"}`;
      return item;
    }),
  );
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

// A repeat takes the place of the one before.
function showDecision({ asked, allowed, why, count, time }) {
  if (allowed) return;
  const list = byId("refused-list");
  const key = `${asked} ${why}`;
  [...list.children].find((row) => row.dataset.key === key)?.remove();
  const row = document.createElement("li");
  row.dataset.key = key;
  row.textContent = `${new Date(time).toLocaleTimeString()} ${asked}: ${why}${count > 1 ? ` (${count} times)` : ""}`;
  list.prepend(row);
  while (list.childElementCount > REFUSALS_MAX) list.lastElementChild.remove();
  byId("refused").hidden = false;
}

function showLine(line) {
  if (line.seq <= lastLine) return;
  lastLine = line.seq;
  const log = byId("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const row = document.createElement("div");
  row.className = line.stream;
  row.textContent = `${new Date(line.time).toLocaleTimeString()} ${line.text}`;
  log.append(row);
  while (log.childElementCount > LINES_MAX) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

async function readLog() {
  for (let more = true; more; ) {
    const answer = await call("GET", `logs?since=${lastLine}`);
    answer.lines.forEach(showLine);
    lastLine = Math.max(lastLine, answer.last);
    more = answer.more;
  }
}

async function readDecisions() {
  const { decisions } = await call("GET", "network/decisions");
  decisions.forEach(showDecision);
}

async function call(method, path) {
  const answer = await fetch(`api/${path}`, { method, headers });
  return answer.json();
}

const handlers = {
  app: showApp,
  tunnel: showTunnel,
  traffic: showTraffic,
  forwards: showForwards,
  log: showLine,
  decision: showDecision,
  lost: readLog,
};

// EventSource can't send the token.
async function readEvents() {
  const answer = await fetch("api/events", { headers });
  if (!answer.ok) throw new Error((await answer.json()).error);
  byId("link").textContent = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const reading = readLog();
  void readDecisions();
  for (let rest = "", read; !(read = await reader.read()).done; ) {
    const events = (rest + read.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const found = /^event: (\w+)\ndata: (.*)$/.exec(event);
      if (found?.[1] === "log") await reading;
      if (found) handlers[found[1]]?.(JSON.parse(found[2]));
    }
  }
  throw new Error("wasmrun has ended, or can't be reached");
}

async function follow() {
  for (;;) {
    try {
      await readEvents();
    } catch (error) {
      byId("link").textContent = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

for (const button of document.querySelectorAll("button[data-call]"))
  button.addEventListener("click", async () => {
    const [what] = button.dataset.call.split("/");
    button.disabled = true;
    try {
      const answer = await call("POST", button.dataset.call);
      byId(`${what}-reason`).textContent = answer.error ?? "";
    } catch (error) {
      byId("link").textContent = error.message;
    }
    button.disabled = false;
  });

void follow();
