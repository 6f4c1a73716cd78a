// SPDX-License-Identifier: MIT
// What the application may reach, what it has asked for, and the ports that lead to it.
import { type Signal, signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { CallError, CHANGED, call, callVersioned, messageOf } from "../api";
import { clock, count, duration, size } from "../format";
import { Action, Failure } from "../parts/action";
import type { AllowPreview, Connection, Decision, Explanation, Forward, RuleSource } from "../schema";
import { connections, forwards, moreConnections, now, policy, readConnections, readPolicy, refusals } from "../state";
import "../style/share.css";

const failure = signal<string | null>(null);
const failed = (why: string | null) => {
  failure.value = why;
};

/** A form for one HOST:PORT or rule. */
function OneLine({
  label,
  text,
  button,
  send,
}: {
  label: string;
  text: Signal<string>;
  button: string;
  send: () => Promise<void>;
}) {
  return (
    <form
      class="add"
      onSubmit={(event) => {
        event.preventDefault();
        failed(null);
        void send().catch((error) => failed(messageOf(error)));
      }}
    >
      <input
        type="text"
        aria-label={label}
        placeholder="api.example.com:443"
        spellcheck={false}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
      />
      <button type="submit" disabled={!text.value.trim()}>
        {button}
      </button>
    </form>
  );
}

const TRIES = 5;

/** The whole policy is replaced, but only as it was read: another page, or wasmrun.toml, may change it meanwhile. */
async function without({ list, rule }: RuleSource): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { answer, version } = await callVersioned("GET /api/network/policy");
    const body = { ...answer.policy, [list]: answer.policy[list]?.filter((one) => one !== rule) ?? [] };
    try {
      policy.value = await call("PUT /api/network/policy", { body, ifMatch: version });
      return;
    } catch (error) {
      if (tries === TRIES || !(error instanceof CallError) || error.status !== CHANGED) throw error;
    }
  }
}

/** The rule that is to be allowed, and what that would write; or why it can't be written. */
const wish = signal<{ rule: string; preview: AllowPreview | null; why: string | null } | null>(null);

async function look(rule: string): Promise<void> {
  try {
    wish.value = { rule, preview: await call("GET /api/network/allow", { query: { rule } }), why: null };
  } catch (error) {
    wish.value = { rule, preview: null, why: messageOf(error) };
  }
}

function Wish() {
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.focus(), [wish.value]);
  if (!wish.value) return null;
  const { rule, preview, why } = wish.value;
  const write = async ({ version }: AllowPreview) => {
    await call("POST /api/network/allow", { body: { rule, version } });
    wish.value = null;
    await readPolicy();
  };
  const hold = async () => {
    await call("POST /api/network/allow", { body: { rule } });
    wish.value = null;
    await readPolicy();
  };
  const outranked = policy.value?.sources.some((source) => source.where === "--allow-net");
  return (
    <section class="wish" ref={place} tabIndex={-1} aria-labelledby="wish-title">
      <h3 id="wish-title">
        Allow <span class="mono">{rule}</span>
      </h3>
      {preview && (
        <>
          <p>
            This is written into <span class="mono">{preview.file}</span>, from line {preview.line} on:
          </p>
          <pre class="contents">{preview.text}</pre>
        </>
      )}
      {preview && outranked && (
        <p class="hint">wasmrun was started with --allow-net: at a next start with it, that outranks the file.</p>
      )}
      <Failure why={why} />
      <p class="buttons">
        {preview && (
          <Action primary run={() => write(preview)} failed={failed}>
            Write it
          </Action>
        )}
        <Action run={hold} failed={failed}>
          Only until wasmrun ends
        </Action>
        <button
          type="button"
          onClick={() => {
            wish.value = null;
          }}
        >
          Cancel
        </button>
      </p>
    </section>
  );
}

/** "May it connect there?" */
function Explain() {
  const to = useSignal("");
  const answer = useSignal<Explanation | null>(null);
  const ask = async () => {
    answer.value = await call("GET /api/network/explain", { query: { to: to.value.trim() } });
  };
  const askAnew = () => {
    answer.value = null;
    return ask();
  };
  // What was said is of the policy that held then.
  useEffect(() => {
    if (answer.peek()) void ask().catch(() => {});
  }, [policy.value]);
  const remedy = answer.value?.remedy;
  return (
    <>
      <OneLine label="Host and port" text={to} button="Explain" send={askAnew} />
      <p role="status">
        {answer.value && (
          <>
            <span class={`tag ${answer.value.allowed ? "allow" : "deny"}`}>
              {answer.value.allowed ? "allowed" : "refused"}
            </span>{" "}
            <span class="mono">{answer.value.asked}</span>: {answer.value.why}
            {answer.value.allowed &&
              answer.value.resolves &&
              ". Each of its addresses is judged as well: one that isn't public needs a rule of its own."}
          </>
        )}
      </p>
      {remedy && (
        <Action run={() => look(remedy)} failed={failed}>
          Allow {remedy}…
        </Action>
      )}
    </>
  );
}

function Refusal({ one }: { one: Decision }) {
  const remedy = one.remedy;
  return (
    <tr>
      <td>
        <time>{clock(one.time)}</time>
      </td>
      <td class="mono">{one.asked}</td>
      <td class="whole">
        {one.why}
        {one.count > 1 && <span class="hint"> ({count(one.count, "time")})</span>}
      </td>
      <td>
        {remedy && (
          <Action run={() => look(remedy)} failed={failed} label={`Allow ${remedy}`}>
            Allow…
          </Action>
        )}
      </td>
    </tr>
  );
}

function Refusals() {
  const rows = refusals.value;
  if (!rows.length) return <p class="hint">Nothing was refused.</p>;
  return (
    <table class="stack">
      <thead>
        <tr>
          <th>When</th>
          <th>Asked for</th>
          <th>Why not</th>
          <th>
            <span class="unseen">Allow it</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((one) => (
          <Refusal key={`${one.asked} ${one.why}`} one={one} />
        ))}
      </tbody>
    </table>
  );
}

const places: Record<string, string> = {
  "PUT /api/network/policy": "set here",
  "POST /api/network/allow": "until wasmrun ends",
};

function Rules() {
  const rule = useSignal("");
  const sources = policy.value?.sources ?? [];
  const add = async () => {
    await look(rule.value.trim());
    rule.value = "";
  };
  return (
    <>
      {!sources.length && (
        <p class="hint">
          The application may connect to nothing yet. Allow a host and port that it needs: what it has asked for in vain
          stands above.
        </p>
      )}
      <ul class="rows">
        {sources.map((source) => (
          <li key={`${source.list} ${source.rule}`}>
            <span class={`tag ${source.list}`}>{source.list}</span> <span class="mono">{source.rule}</span>{" "}
            <span class="hint">{places[source.where] ?? source.where}</span>
            <Action run={() => without(source)} failed={failed} label={`Remove ${source.list} ${source.rule}`}>
              Remove
            </Action>
          </li>
        ))}
      </ul>
      <OneLine label="Rule to allow" text={rule} button="Allow…" send={add} />
    </>
  );
}

function ForwardRow({ one }: { one: Forward }) {
  const host = one.address.includes(":") ? `[${one.address}]` : one.address;
  return (
    <li>
      <a class="mono" href={`http://${host}:${one.host_port}/`} target="_blank" rel="noopener noreferrer">
        {host}:{one.host_port}
      </a>{" "}
      <span>to {one.app_port ? `the application's port ${one.app_port}` : "what the tunnel shows"}</span>{" "}
      <span class="hint">
        {one.connections.open} open, {one.connections.total.toLocaleString()} in all
      </span>
      <Action
        run={() => call("DELETE /api/forwards/{port}", { path: { port: one.host_port } })}
        failed={failed}
        label={`Remove the forward of port ${one.host_port}`}
      >
        Remove
      </Action>
    </li>
  );
}

function Forwards() {
  const port = useSignal("");
  const appPort = useSignal("");
  const add = async () => {
    await call("POST /api/forwards", {
      body: { host_port: Number(port.value), ...(appPort.value ? { app_port: Number(appPort.value) } : {}) },
    });
    port.value = appPort.value = "";
  };
  return (
    <>
      {!forwards.value.length && (
        <p class="hint">
          No port of this machine leads to the application, beside its own. Name one to add it; 0 is any that is free.
        </p>
      )}
      <ul class="rows">
        {forwards.value.map((one) => (
          <ForwardRow key={one.host_port} one={one} />
        ))}
      </ul>
      <form
        class="add"
        onSubmit={(event) => {
          event.preventDefault();
          failed(null);
          void add().catch((error) => failed(messageOf(error)));
        }}
      >
        <input
          type="number"
          min={0}
          max={65535}
          aria-label="Port of this machine"
          placeholder="Port here"
          value={port.value}
          onInput={(event) => {
            port.value = event.currentTarget.value;
          }}
        />
        <input
          type="number"
          min={1}
          max={65535}
          aria-label="Port of the application"
          placeholder="Its port"
          value={appPort.value}
          onInput={(event) => {
            appPort.value = event.currentTarget.value;
          }}
        />
        <button type="submit" disabled={port.value === ""}>
          Forward
        </button>
      </form>
    </>
  );
}

const kinds: Record<Connection["kind"], string> = { tunnel: "visitor", forward: "forward", outward: "outward" };

const REFRESH_MS = 2000; // of the open connections' bytes

function Connections() {
  const rows = connections.value;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && connections.peek().some((one) => one.open)) void readConnections().catch(() => {});
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  if (!rows.length)
    return <p class="hint">No connection yet. Those of visitors and of the application itself will stand here.</p>;
  return (
    <>
      <table class="stack">
        <thead>
          <tr>
            <th>Since</th>
            <th>Kind</th>
            <th>From</th>
            <th>To</th>
            <th class="number">In</th>
            <th class="number">Out</th>
            <th class="number">Lasts</th>
            <th>End</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => (
            <tr key={one.id}>
              <td>
                <time>{clock(one.since)}</time>
              </td>
              <td>{kinds[one.kind]}</td>
              <td class={one.from ? "mono" : ""} data-name="from">
                {one.from ?? (one.kind === "outward" ? "the application" : "–")}
              </td>
              <td class={one.to ? "mono" : ""} data-name="to">
                {one.to ?? "the application"}
              </td>
              <td class="number" data-name="in">
                {size(one.bytes.in)}
              </td>
              <td class="number" data-name="out">
                {size(one.bytes.out)}
              </td>
              <td class="number">
                {one.open ? duration(Math.max(0, now.value - one.since)) : duration(one.duration_ms)}
              </td>
              <td>
                {one.open ? (
                  <Action
                    run={() => call("DELETE /api/connections/{id}", { path: { id: one.id } })}
                    failed={failed}
                    label={`End the connection ${one.from ? `from ${one.from}` : `to ${one.to}`}`}
                  >
                    End
                  </Action>
                ) : (
                  one.end
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {moreConnections.value && <p class="hint">The last {rows.length} are shown; there are older ones.</p>}
    </>
  );
}

export function NetworkPanel() {
  return (
    <div class="network">
      <Failure why={failure.value} />
      <Wish />
      <section aria-labelledby="refused-title">
        <h3 id="refused-title">Refused connections</h3>
        <Refusals />
      </section>
      <section class="half rules" aria-labelledby="policy-title">
        <h3 id="policy-title">What the application may reach</h3>
        <Rules />
      </section>
      <section class="half" aria-labelledby="explain-title">
        <h3 id="explain-title">May it connect there?</h3>
        <Explain />
      </section>
      <section class="half" aria-labelledby="forwards-title">
        <h3 id="forwards-title">Forwards</h3>
        <Forwards />
      </section>
      <section aria-labelledby="connections-title">
        <h3 id="connections-title">Connections</h3>
        <Connections />
      </section>
    </div>
  );
}
