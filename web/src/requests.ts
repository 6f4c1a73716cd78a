// SPDX-License-Identifier: MIT
// Recorded requests: the list as it is told by the events, and the one that is looked at.
import { computed, signal } from "@preact/signals";
import { call } from "./api";
import type { RecordedExchange, RecordedRequest } from "./schema";

const REQUESTS_MAX = 200; // as many as the server keeps
const KEEP_MS = 100; // what has changed is shown so often

export const recording = signal(false);
/** The last first. */
export const requests = signal<RecordedRequest[]>([]);
export const chosen = signal<number | null>(null);
export const exchange = signal<RecordedExchange | null>(null);

export const text = signal(""); // in head and body: the server looks
export const method = signal("");
export const statusClass = signal("");
/** What the server has found for `text`; null: nothing is searched for. */
const found = signal<Set<number> | null>(null);

export const shown = computed(() =>
  requests.value.filter(
    (one) =>
      (!method.value || one.method === method.value) &&
      (!statusClass.value || String(one.status ?? "").startsWith(statusClass.value)) &&
      (!found.value || found.value.has(one.id)),
  ),
);
export const methods = computed(() => [...new Set(requests.value.map((one) => one.method ?? ""))].filter(Boolean));

const underWay = (one: RecordedRequest) => ["request", "waiting", "response"].includes(one.state);

const changed = new Map<number, RecordedRequest>();

/** Under load there are thousands a second, and all of the list is drawn anew each time: ten times will do. */
export function keep(one: RecordedRequest): void {
  if (!changed.size) setTimeout(keepChanged, KEEP_MS);
  changed.set(one.id, one);
}

function keepChanged(): void {
  const known = new Map([...requests.value.map((one) => [one.id, one] as const), ...changed]);
  const touched = chosen.value !== null && changed.has(chosen.value);
  changed.clear();
  requests.value = [...known.values()].sort((a, b) => b.id - a.id).slice(0, REQUESTS_MAX);
  if (touched) void lookAgain();
}

export async function readRequests(): Promise<void> {
  changed.clear(); // The answer will have them.
  const before = new Set(requests.value);
  const answer = await call("GET /api/requests");
  // What events have told meanwhile is newer.
  const newer = requests.value.filter((one) => !before.has(one));
  recording.value = answer.recording;
  requests.value = answer.requests.reverse();
  for (const one of newer.reverse()) keep(one);
}

/** An answer that comes when another text stands there is nobody's: what it leaves out would be missing for good. */
export async function search(): Promise<void> {
  const wanted = text.value;
  if (!wanted) {
    found.value = null;
    return;
  }
  const answer = await call("GET /api/requests", { query: { search: wanted } });
  if (wanted !== text.value) return;
  found.value = new Set(answer.requests.map((one) => one.id));
}

let looking = 0;

/** Fetches one, unless another one was chosen meanwhile. */
export async function look(id: number): Promise<void> {
  chosen.value = id;
  const mine = ++looking;
  const answer = await call("GET /api/requests/{id}", { path: { id } }).catch(() => null);
  if (mine !== looking) return;
  exchange.value = answer;
}

let again: "" | "asked" | "stale" = "";

/** The one that is looked at has got further: of all that it gets while it is fetched, one more time is enough. */
async function lookAgain(): Promise<void> {
  if (again) {
    again = "stale";
    return;
  }
  do {
    again = "asked";
    if (chosen.value !== null) await look(chosen.value);
  } while ((again as string) === "stale");
  again = "";
}

export const record = (on: boolean) => call("POST /api/requests/record", { body: { recording: on } });

export async function clear(): Promise<void> {
  await call("DELETE /api/requests");
  changed.clear();
  requests.value = [];
  close();
}

/** Nothing is looked at. */
export function close(): void {
  looking++;
  chosen.value = null;
  exchange.value = null;
}

/** The next or the one before in the list. */
export function step(by: number): void {
  const list = shown.value;
  const at = list.findIndex((one) => one.id === chosen.value);
  const to = list[Math.min(Math.max(at + by, 0), list.length - 1)];
  if (to) void look(to.id);
}

export { underWay };
