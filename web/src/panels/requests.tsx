// SPDX-License-Identifier: MIT
// Who has asked what, and what was answered.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { call } from "../api";
import { clock, duration, size } from "../format";
import { curlOf, draftOf, lackOf, replayOf } from "../message";
import { Action, Failure } from "../parts/action";
import { Body } from "../parts/body";
import { Copy } from "../parts/copy";
import { save } from "../parts/save";
import * as state from "../requests";
import type { RecordedExchange, RecordedHeader, RecordedMessage, RecordedRequest, Replay } from "../schema";
import { app, tunnel } from "../state";

const failure = signal<string | null>(null);
const failed = (why: string | null) => {
  failure.value = why;
};

const secrets = new Set(["authorization", "cookie", "set-cookie", "proxy-authorization"]);

function tone({ state, status }: RecordedRequest): string {
  if (state === "cut" || (status ?? 0) >= 500) return "bad";
  if ((status ?? 0) >= 400) return "busy";
  return status && status >= 200 && status < 300 ? "good" : "quiet";
}

/** "192.0.2.1" of "192.0.2.1:50312": ports tell nobody apart. */
const addressOf = (from: string | null) => from?.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");

function outcome(one: RecordedRequest): string {
  if (one.status) return String(one.status);
  return { request: "…", waiting: "…", response: "…", cut: "cut", foreign: "–", upgraded: "101", done: "" }[one.state];
}

function Row({ one }: { one: RecordedRequest }) {
  const chosen = state.chosen.value === one.id;
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (chosen) row.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return (
    <tr ref={row} aria-selected={chosen} class={chosen ? "chosen" : ""} onClick={() => void state.look(one.id)}>
      <td class="mono">{one.method ?? "–"}</td>
      <td class="mono target" title={one.target ?? ""}>
        <button type="button" class="plain-button" onClick={() => void state.look(one.id)}>
          {one.replay_of && <span class="hint">again </span>}
          {one.target ?? (one.state === "foreign" ? "a connection without HTTP" : "")}
        </button>
      </td>
      <td class={`status ${tone(one)}`}>{outcome(one)}</td>
      <td class="number">{one.duration_ms === null ? "" : duration(one.duration_ms)}</td>
      <td class="number size">{size(one.bytes_out)}</td>
      <td class="from mono">{one.kind === "replay" ? "replay" : (addressOf(one.from) ?? "–")}</td>
      <td class="when">
        <time>{clock(one.time)}</time>
      </td>
    </tr>
  );
}

function Bar() {
  return (
    <div class="bar">
      <Action primary={!state.recording.value} run={() => state.record(!state.recording.value)} failed={failed}>
        {state.recording.value ? "Stop recording" : "Record"}
      </Action>
      <input
        type="search"
        placeholder="Text to find"
        aria-label="Text in head or body"
        value={state.text.value}
        onInput={(event) => {
          state.text.value = event.currentTarget.value;
          void state.search().catch((error) => failed(error.message));
        }}
      />
      <select
        aria-label="Method"
        onChange={(event) => {
          state.method.value = event.currentTarget.value;
        }}
      >
        <option value="">any method</option>
        {state.methods.value.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
      <select
        aria-label="Status"
        onChange={(event) => {
          state.statusClass.value = event.currentTarget.value;
        }}
      >
        <option value="">any status</option>
        {["2", "3", "4", "5"].map((one) => (
          <option key={one} value={one}>
            {one}xx
          </option>
        ))}
      </select>
      <span class="actions">
        <Action run={exportHar} failed={failed} disabled={!state.shown.value.length}>
          Export HAR
        </Action>
        <Action run={state.clear} failed={failed} disabled={!state.requests.value.length}>
          Clear
        </Action>
      </span>
    </div>
  );
}

async function exportHar(): Promise<void> {
  const ids = state.shown.value.map((one) => one.id).join(",");
  save("requests.har", JSON.stringify(await call("GET /api/requests/har", { query: { ids } })), "application/json");
}

async function replay(id: number, body: Replay = {}): Promise<void> {
  const made = await call("POST /api/requests/{id}/replay", { path: { id }, body });
  await state.look(made.id);
}

/** The recorded request, whole, and its like again: as it was, or changed. */
function Again({ one, request }: { one: RecordedExchange; request: RecordedMessage }) {
  const draft = useSignal<string | null>(null);
  const isText = request.base64 === null;
  const origin = app.value?.url ?? tunnel.value?.public_url ?? "http://localhost";
  const { id } = one.summary;
  const lacks = lackOf(request);
  return (
    <>
      <p class="buttons">
        <Action run={() => replay(id)} failed={failed}>
          Replay
        </Action>
        <button
          type="button"
          aria-expanded={draft.value !== null}
          onClick={() => {
            draft.value = draft.value === null ? draftOf(request) : null;
          }}
        >
          Edit and replay
        </button>
        {lacks ? (
          <span class="hint">{`No command for curl: ${lacks}.`}</span>
        ) : (
          <Copy text={curlOf(one, origin)} what="as curl">
            Copy as curl
          </Copy>
        )}
      </p>
      {draft.value !== null && (
        <>
          <textarea
            class="contents"
            rows={12}
            spellcheck={false}
            aria-label="The request to send"
            value={draft.value}
            onInput={(event) => {
              draft.value = event.currentTarget.value;
            }}
          />
          <p class="buttons">
            <Action primary run={async () => replay(id, replayOf(draft.value ?? "", isText))} failed={failed}>
              Send
            </Action>
            {!isText && <span class="hint">Its body is no text, and is sent as it was.</span>}
          </p>
        </>
      )}
    </>
  );
}

function Header({ one }: { one: RecordedHeader }) {
  const hidden = useSignal(secrets.has(one.name.toLowerCase()));
  return (
    <tr>
      <th scope="row">{one.name}</th>
      <td>
        {hidden.value ? (
          <button
            type="button"
            class="plain-button"
            onClick={() => {
              hidden.value = false;
            }}
          >
            hidden: show
          </button>
        ) : (
          one.value
        )}
      </td>
    </tr>
  );
}

const HEADERS_MAX = 1000; // that are shown: there may be 20,000, over which a browser sits for seconds

function Message({ message, title, name }: { message: RecordedMessage; title: string; name: string }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <p class="mono start-line">{message.line}</p>
      <table class="headers">
        <tbody>
          {message.headers.slice(0, HEADERS_MAX).map((one, i) => (
            <Header key={`${message.line} ${i}`} one={one} />
          ))}
        </tbody>
      </table>
      {message.headers.length > HEADERS_MAX && (
        <p class="hint">
          The first {HEADERS_MAX} of {message.headers.length} headers
        </p>
      )}
      <Body message={message} name={name} />
    </section>
  );
}

/** Where it came from. A replay has no visitor. */
function origin({ kind, from }: RecordedRequest): string {
  if (kind === "replay") return "Replayed from here";
  return `From ${from ?? "an address that the relay doesn't tell"}, by ${kind === "tunnel" ? "the tunnel" : "a forward"}`;
}

function Exchange({ one }: { one: RecordedExchange }) {
  const { summary, request, response } = one;
  const place = useRef<HTMLDivElement>(null);
  // Where there is no room for the list beside it, what had the focus is gone.
  useEffect(() => {
    if (document.activeElement === document.body) place.current?.focus();
  }, []);
  return (
    <div class="exchange" ref={place} tabIndex={-1}>
      <div class="exchange-head">
        <p class="hint">
          {origin(summary)}, {clock(summary.time)}
          {summary.first_byte_ms !== null && `; first byte after ${duration(summary.first_byte_ms)}`}
          {summary.why && `; ${summary.why}`}
        </p>
        <button type="button" class="small" onClick={state.close}>
          Close
        </button>
      </div>
      {request && <Again key={summary.id} one={one} request={request} />}
      {request && <Message message={request} title="Request" name={`request-${summary.id}`} />}
      {response && <Message message={response} title="Response" name={`response-${summary.id}`} />}
      {summary.state === "upgraded" && <p class="hint">The connection goes on as something else than HTTP.</p>}
    </div>
  );
}

function Empty() {
  if (state.requests.value.length) return <p class="empty">None of the recorded requests is like that.</p>;
  return state.recording.value ? (
    <p class="empty">
      <strong>Recording</strong>
      What visitors ask on new connections will stand here
      {tunnel.value?.public_url ? ": open the public URL to see the first." : "."}
    </p>
  ) : (
    <p class="empty">
      <strong>Nothing is recorded</strong>
      Press Record to see what visitors ask and what the application answers, head and body, from the next connection
      on. It stays in memory here.
    </p>
  );
}

export function RequestsPanel() {
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") state.close();
    const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    if (!by || /^(INPUT|SELECT|TEXTAREA)$/.test((event.target as Element).tagName)) return;
    event.preventDefault();
    state.step(by);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys that walk the list, which has its own buttons
    <div class={`requests ${state.exchange.value ? "looking" : ""}`} onKeyDown={onKey}>
      <Bar />
      <Failure why={failure.value} />
      <div class="panes">
        {state.shown.value.length ? (
          <div class="list">
            <table>
              <thead>
                <tr>
                  <th>Method</th>
                  <th>Path</th>
                  <th>Status</th>
                  <th class="number">Took</th>
                  <th class="number size">Size</th>
                  <th class="from">From</th>
                  <th class="when">When</th>
                </tr>
              </thead>
              <tbody>
                {state.shown.value.map((one) => (
                  <Row key={one.id} one={one} />
                ))}
              </tbody>
            </table>
          </div>
        ) : (
          <Empty />
        )}
        {state.exchange.value && <Exchange one={state.exchange.value} />}
      </div>
    </div>
  );
}
