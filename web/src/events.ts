// SPDX-License-Identifier: MIT
// GET /api/events, for as long as the page is seen: a browser opens six connections to a server, so a
// hidden tab lets its own go. EventSource can't send the token, hence fetch.

import { messageOf, request } from "./api";
import type { Events } from "./schema";

const HIDDEN_MS = 3000; // until a hidden tab lets go: switching to and fro costs nothing
const TURN_MS = 20; // how long events may keep the page from its user
const RETRY_MS = [500, 1000, 2000, 4000];

export type Link = { state: "connecting" | "open" | "resting" } | { state: "lost"; why: string; retryAt: number };

type Handlers = { [Name in keyof Events]?: (event: Events[Name]) => void };

export interface Subscription {
  handlers: Handlers;
  /** Each time when events come again: what was missed must be asked for. */
  opened: () => void;
  changed: (link: Link) => void;
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<[string, string]> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let rest = "";
  let began = performance.now();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    // What has come already is read without a turn of the event loop: while events come faster than they
    // are handled, no timer, no key and no drawing would have one. Half of the time is theirs; the server counts what doesn't fit meanwhile.
    const took = performance.now() - began;
    if (took > TURN_MS) {
      await new Promise((resolve) => setTimeout(resolve, took));
      began = performance.now();
    }
    const events = (rest + value).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      // Not (.*): a dot is no U+2028, which JSON may have.
      const found = /^event: (\w+)\ndata: ([^\n]*)$/.exec(event);
      if (found) yield [found[1] as string, found[2] as string];
    }
  }
}

async function read(subscription: Subscription, signal: AbortSignal): Promise<void> {
  const answer = await request("api/events", { signal });
  if (!answer.ok || !answer.body) {
    const failure = await answer.json().catch(() => null);
    throw new Error(failure?.error ?? `wasmrun has answered ${answer.status}`);
  }
  subscription.changed({ state: "open" });
  subscription.opened();
  for await (const [name, data] of eventsOf(answer.body)) {
    const handler = subscription.handlers[name as keyof Events] as ((event: unknown) => void) | undefined;
    handler?.(JSON.parse(data));
  }
  throw new Error("wasmrun has ended, or can't be reached");
}

function whenVisible(): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", function shown() {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", shown);
      resolve();
    });
  });
}

/** Aborts when the page has been hidden for a while; `stop` ends the watch. */
function untilHidden(): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  let timer = 0;
  const changed = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => controller.abort(), HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", changed);
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", changed);
    },
  };
}

/** Follows the events for ever. */
export async function follow(subscription: Subscription): Promise<never> {
  for (let failures = 0; ; ) {
    await whenVisible();
    const hidden = untilHidden();
    const changed = subscription.changed;
    let opened = false;
    const note = (state: Link) => {
      opened = true;
      changed(state);
    };
    try {
      await read({ ...subscription, changed: note }, hidden.signal);
    } catch (error) {
      failures = opened ? 0 : failures + 1;
      const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] as number;
      if (hidden.signal.aborted) changed({ state: "resting" });
      else {
        const unreachable = error instanceof TypeError;
        const why = unreachable ? "wasmrun has ended, or can't be reached" : messageOf(error);
        changed({ state: "lost", why, retryAt: Date.now() + wait });
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    } finally {
      hidden.stop();
    }
  }
}
