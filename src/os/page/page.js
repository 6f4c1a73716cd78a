// SPDX-License-Identifier: MIT
// The plain page, for a program that was built without Node: shows what /api/events tells, and sends what
// the buttons say. The whole one is in web/.
"use strict";

const REFUSALS_MAX = 50;
const RETRY_MS = 1000;

// Bound to another address than loopback, the API asks for the token in the URL's fragment.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const byId = (id) => document.getElementById(id);

function show(what, state, url, reason) {
  byId(`${what}-state`).textContent = state;
  byId(`${what}-url`).textContent = url ?? "";
  byId(`${what}-url`).href = url ?? "";
  byId(`${what}-url`).hidden = !url;
  byId(`${what}-reason`).textContent = reason ?? "";
}

// A repeat takes the place of the one before.
function showDecision({ asked, allowed, why }) {
  if (allowed) return;
  const text = `${asked}: ${why}`;
  const list = byId("refused");
  [...list.children].find((row) => row.textContent === text)?.remove();
  const row = document.createElement("li");
  row.textContent = text;
  list.prepend(row);
  while (list.childElementCount > REFUSALS_MAX) list.lastElementChild.remove();
}

const handlers = {
  app: ({ state, url, exit_reason }) => show("app", state, url, exit_reason),
  tunnel: ({ status, public_url, error }) => show("tunnel", status, public_url, error),
  decision: showDecision,
};

async function call(method, path) {
  const answer = await fetch(`api/${path}`, { method, headers });
  return answer.json();
}

// EventSource can't send the token.
async function readEvents() {
  const answer = await fetch("api/events", { headers });
  if (!answer.ok) throw new Error((await answer.json()).error);
  byId("link").textContent = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const { decisions } = await call("GET", "network/decisions");
  decisions.forEach(showDecision);
  for (let rest = "", read; !(read = await reader.read()).done; ) {
    const events = (rest + read.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const found = /^event: (\w+)\ndata: (.*)$/.exec(event);
      if (found) handlers[found[1]]?.(JSON.parse(found[2]));
    }
  }
  throw new Error("wasmrun has ended, or can't be reached");
}

async function follow() {
  for (;;) {
    await readEvents().catch((error) => {
      byId("link").textContent = error.message;
    });
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

for (const button of document.querySelectorAll("button[data-call]"))
  button.addEventListener("click", async () => {
    const [what] = button.dataset.call.split("/");
    button.disabled = true;
    try {
      byId(`${what}-reason`).textContent = (await call("POST", button.dataset.call)).error ?? "";
    } catch (error) {
      byId("link").textContent = error.message;
    }
    button.disabled = false;
  });

void follow();
