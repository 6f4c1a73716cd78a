// SPDX-License-Identifier: MIT
// What the application may reach, what it has asked for, and the ports that lead to it.
import { signal, useSignal } from "@preact/signals";
import { call } from "../api";
import { clock, count, duration, size } from "../format";
import { Action, Failure } from "../parts/action";
import type { Connection, Decision, Forward, Policy, RuleSource } from "../schema";
import { connections, forwards, policy, readPolicy, refusals } from "../state";

const failure = signal<string | null>(null);
const failed = (why: string | null) => {
  failure.value = why;
};

async function change(edit: (one: Policy) => Policy): Promise<void> {
  await readPolicy();
  if (!policy.value) return;
  policy.value = await call("PUT /api/network/policy", { body: edit(policy.value.policy) });
}

const allow = (rule: string) => change((one) => ({ ...one, allow: [...(one.allow ?? []), rule] }));
const without = (source: RuleSource) =>
  change((one) => ({ ...one, [source.list]: one[source.list]?.filter((rule) => rule !== source.rule) ?? [] }));

function Refusal({ one }: { one: Decision }) {
  const remedy = one.remedy;
  return (
    <tr>
      <td>
        <time>{clock(one.time)}</time>
      </td>
      <td class="mono">{one.asked}</td>
      <td>
        {one.why}
        {one.count > 1 && <span class="hint"> ({count(one.count, "time")})</span>}
      </td>
      <td>
        {remedy && (
          <Action run={() => allow(remedy)} failed={failed} label={`Allow ${remedy}`}>
            Allow
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
    <table>
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

function Rules() {
  const rule = useSignal("");
  const sources = policy.value?.sources ?? [];
  const add = async () => {
    await allow(rule.value.trim());
    rule.value = "";
  };
  return (
    <>
      {!sources.length && <p class="hint">The application may connect to nothing.</p>}
      <ul class="rows">
        {sources.map((source) => (
          <li key={`${source.list} ${source.rule}`}>
            <span class={`tag ${source.list}`}>{source.list}</span> <span class="mono">{source.rule}</span>{" "}
            <span class="hint">{source.where}</span>
            <Action run={() => without(source)} failed={failed} label={`Remove ${source.list} ${source.rule}`}>
              Remove
            </Action>
          </li>
        ))}
      </ul>
      <form
        class="add"
        onSubmit={(event) => {
          event.preventDefault();
          void add().catch((error) => failed(error.message));
        }}
      >
        <input
          type="text"
          aria-label="Rule to allow"
          placeholder="api.example.com:443"
          spellcheck={false}
          value={rule.value}
          onInput={(event) => {
            rule.value = event.currentTarget.value;
          }}
        />
        <button type="submit" disabled={!rule.value.trim()}>
          Allow
        </button>
      </form>
      <p class="hint">Holds until wasmrun ends; write it into [os.network] of wasmrun.toml to keep it.</p>
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
          void add().catch((error) => failed(error.message));
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

function Connections() {
  const rows = connections.value.slice(0, 100);
  if (!rows.length) return <p class="hint">No connection yet.</p>;
  return (
    <table>
      <thead>
        <tr>
          <th>Since</th>
          <th>Kind</th>
          <th>From</th>
          <th>To</th>
          <th>In</th>
          <th>Out</th>
          <th>Time</th>
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
            <td class="mono">{one.from ?? "–"}</td>
            <td class="mono">{one.to ?? "–"}</td>
            <td>{size(one.bytes.in)}</td>
            <td>{size(one.bytes.out)}</td>
            <td>{one.open ? "open" : duration(one.duration_ms)}</td>
            <td>{one.end}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function NetworkPanel() {
  return (
    <div class="network">
      <Failure why={failure.value} />
      <section aria-labelledby="refused-title">
        <h3 id="refused-title">Refused connections</h3>
        <Refusals />
      </section>
      <section aria-labelledby="policy-title">
        <h3 id="policy-title">What the application may reach</h3>
        <Rules />
      </section>
      <section aria-labelledby="forwards-title">
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
