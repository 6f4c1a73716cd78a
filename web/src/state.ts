// SPDX-License-Identifier: MIT
// What the page knows, as signals. Only the events and the answers of calls write here.
import { computed, signal } from "@preact/signals";
import { call, messageOf } from "./api";
import { follow, type Link } from "./events";
import { log } from "./log";
import { keep, readRequests, recording } from "./requests";
import type { App, Connection, Decision, Forward, PolicyAnswer, Tunnel } from "./schema";

const CONNECTIONS_MAX = 100;
const DECISIONS_MAX = 200;
const SAMPLES_MAX = 600; // seconds of the charts
const REREAD_MS = 1000; // at most so often, while events are lost

export const link = signal<Link>({ state: "connecting" });
export const app = signal<App | null>(null);
export const tunnel = signal<Tunnel | null>(null);
export const forwards = signal<Forward[]>([]);
export const policy = signal<PolicyAnswer | null>(null);
/** The last first. */
export const decisions = signal<Decision[]>([]);
export const connections = signal<Connection[]>([]);
/** There are others, which are not among them. */
export const moreConnections = signal(false);

export const refusals = computed(() => decisions.value.filter((one) => !one.allowed));
export const project = computed(() => app.value?.project?.split("/").at(-1) ?? "");

/** The wall clock, once a second: for what counts up or down. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

/** One measurement a second, the last at the end. */
export class Series {
  readonly values = signal<number[]>([]);
  add(value: number): void {
    this.values.value = [...this.values.value.slice(1 - SAMPLES_MAX), value];
  }
}

/** Bytes a second through the tunnel, both ways. */
export const traffic = new Series();
/** Bytes, and hundredths of a processor. */
export const memory = new Series();
export const processor = new Series();

let lastBytes: number | null = null;
let lastCpu: { pid: number | null; ms: number; at: number } | null = null;

function sampleTraffic(): void {
  const bytes = tunnel.value ? tunnel.value.bytes.in + tunnel.value.bytes.out : 0;
  traffic.add(lastBytes === null ? 0 : Math.max(0, bytes - lastBytes));
  lastBytes = bytes;
}

function sampleApp(one: App): void {
  const at = performance.now();
  memory.add(one.pid ? one.memory_bytes : 0);
  const same = lastCpu && lastCpu.pid === one.pid && one.pid;
  processor.add(same && lastCpu ? (100 * Math.max(0, one.cpu_ms - lastCpu.ms)) / (at - lastCpu.at) : 0);
  lastCpu = { pid: one.pid, ms: one.cpu_ms, at };
}

async function sample(): Promise<void> {
  if (document.hidden || link.value.state !== "open") return;
  sampleTraffic();
  if (!app.value?.pid) return;
  const one = await call("GET /api/app").catch(() => null);
  if (!one) return;
  sampleApp(one);
  app.value = one;
}
setInterval(() => void sample(), 1000);

const GLANCE_MS = 10000; // browsers let a hidden tab's timers run once a minute at least

/** A hidden tab has no events: for its title and icon it asks, now and then. */
async function glance(): Promise<void> {
  if (!document.hidden || link.value.state === "open") return;
  try {
    [app.value, tunnel.value] = await Promise.all([call("GET /api/app"), call("GET /api/tunnel/status")]);
    link.value = { state: "resting" };
  } catch (error) {
    link.value = { state: "lost", why: messageOf(error), retryAt: Date.now() };
  }
}
setInterval(() => void glance(), GLANCE_MS);

function keepConnection(one: Connection): void {
  const rest = connections.value.filter((other) => other.id !== one.id);
  connections.value = [one, ...rest].slice(0, CONNECTIONS_MAX);
  moreConnections.value ||= rest.length >= CONNECTIONS_MAX;
}

// A repeat takes the place of the one before.
function keepDecision(one: Decision): void {
  const rest = decisions.value.filter((other) => other.asked !== one.asked || other.why !== one.why);
  decisions.value = [one, ...rest].slice(0, DECISIONS_MAX);
}

export async function readPolicy(): Promise<void> {
  policy.value = await call("GET /api/network/policy");
}

export async function readConnections(): Promise<void> {
  const answer = await call("GET /api/connections", { query: { limit: CONNECTIONS_MAX } });
  connections.value = answer.connections;
  moreConnections.value = answer.more;
}

async function readAll(): Promise<void> {
  const [decided] = await Promise.all([
    call("GET /api/network/decisions"),
    readConnections(),
    readPolicy(),
    readRequests(),
  ]);
  for (const one of decided.decisions) keepDecision(one);
}

let rereading = false;

/** Events are gone, of whatever kind: all that they tell is asked for. */
async function reread(): Promise<void> {
  if (rereading) return;
  rereading = true;
  await new Promise((resolve) => setTimeout(resolve, REREAD_MS));
  rereading = false;
  [tunnel.value, app.value, { forwards: forwards.value }] = await Promise.all([
    call("GET /api/tunnel/status"),
    call("GET /api/app"),
    call("GET /api/forwards"),
  ]);
  await readAll();
}

export function start(): void {
  void follow({
    handlers: {
      app: (one) => {
        app.value = one;
      },
      tunnel: (one) => {
        tunnel.value = one;
      },
      traffic: (one) => {
        if (tunnel.value) tunnel.value = { ...tunnel.value, ...one };
      },
      forwards: (one) => {
        forwards.value = one.forwards;
      },
      connection: keepConnection,
      decision: keepDecision,
      recording: (one) => {
        recording.value = one.recording;
        void readRequests().catch(() => {});
      },
      request: keep,
      log: (line) => log.add(line),
      lost: () => {
        void log.catchUp();
        void reread().catch(() => {});
      },
    },
    opened: () => {
      void log.catchUp();
      void readAll().catch(() => {});
    },
    changed: (state) => {
      link.value = state;
    },
  });
}
