// SPDX-License-Identifier: MIT
// The application's process: how it is, and starting and ending it.
import { useSignal } from "@preact/signals";
import Anser from "anser";
import { call } from "../api";
import { clock, duration, size } from "../format";
import { Action, Failure } from "../parts/action";
import { Chart } from "../parts/chart";
import { Copy } from "../parts/copy";
import { Facts, Word } from "../parts/facts";
import type { App, AppState, Build } from "../schema";
import { app, memory, now, processor } from "../state";
import "../style/share.css";

const tones: Record<AppState, "good" | "bad" | "busy" | "quiet"> = {
  stopped: "quiet",
  building: "busy",
  starting: "busy",
  running: "good",
  restarting: "busy",
  stopping: "busy",
  failed: "bad",
};

/** Of the API's words. */
const kinds: Record<string, string> = {
  preview1: "WASI preview 1",
  "preview1-sockets": "WASI preview 1, with its own socket",
  cgi: "CGI",
  "component-http": "component, HTTP",
  component: "component, with its own socket",
  static: "static files",
};

const startable = (state: AppState) => state === "stopped" || state === "failed";

function buildWords({ time, duration_ms, ok }: Build): string {
  if (duration_ms === null) return `under way for ${duration(Math.max(0, now.value - time))}`;
  const end = ok === null ? "given up" : ok ? "ok" : "failed";
  return `${end} at ${clock(time + duration_ms)}, after ${duration(duration_ms)}`;
}

function LocalUrl({ url }: { url: string }) {
  return (
    <p class="url">
      <a href={url} target="_blank" rel="noopener noreferrer">
        {url}
      </a>
      <Copy text={url} what="the local address" />
    </p>
  );
}

function facts(one: App): [string, unknown][] {
  return [
    ["Kind", one.kind && (kinds[one.kind] ?? one.kind)],
    ["Up", one.state === "running" && one.since && duration(Math.max(0, now.value - one.since))],
    ["Last build", one.build && buildWords(one.build)],
    ["Restarts", one.restarts ? String(one.restarts) : null],
    ["Process", one.pid && `${one.pid}`],
  ].map(([name, value]) => [name as string, value || null]);
}

/** Lines of a compiler, or of what has ended. */
function Said({ title, lines, open }: { title: string; lines: string[]; open: boolean }) {
  if (!lines.length) return null;
  const text = lines.map((line) => Anser.ansiToText(line)).join("\n");
  return (
    <details class="said" open={open}>
      <summary>{title}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys */}
      <pre class="contents" tabIndex={0}>
        {text}
      </pre>
    </details>
  );
}

export function ApplicationPanel() {
  const failure = useSignal<string | null>(null);
  const failed = (why: string | null) => {
    failure.value = why;
  };
  const one = app.value;
  const state = one?.state ?? "stopped";
  const prefix = state === "running" ? "Before this run: " : "";
  return (
    <section class="card" aria-labelledby="app-title">
      <div class="card-head">
        <h2 id="app-title">Application</h2>
        {one && <Word word={one.next ? `${state}, ${one.next} the next version` : state} tone={tones[state]} />}
        <span class="actions">
          {one && startable(state) && (
            <Action primary run={() => call("POST /api/app/start")} failed={failed}>
              Start
            </Action>
          )}
          {one && !startable(state) && (
            <>
              <Action run={() => call("POST /api/app/restart")} failed={failed} disabled={state === "stopping"}>
                Restart
              </Action>
              <Action run={() => call("POST /api/app/stop")} failed={failed} disabled={state === "stopping"}>
                Stop
              </Action>
            </>
          )}
        </span>
      </div>
      <Failure why={failure.value} />
      {one?.exit_reason && <p class={state === "running" ? "hint" : "failure"}>{prefix + one.exit_reason}</p>}
      {one && <Said title="The first error of the build" lines={one.build?.error ?? []} open />}
      {one && <Said title="What it said last on stderr" lines={one.exit_output} open={state !== "running"} />}
      {one?.state === "running" && one.url && <LocalUrl url={one.url} />}
      {one && <Facts rows={facts(one) as [string, string | null][]} />}
      {one?.pid && (
        <div class="charts">
          <Chart series={memory} least={1 << 20} label="Memory" format={size} />
          <Chart series={processor} least={10} label="Processor" format={(value) => `${Math.round(value)} %`} />
        </div>
      )}
    </section>
  );
}
