// SPDX-License-Identifier: MIT
// The public URL: its state, starting and stopping it, and where it leads.
import { effect, signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { call, request } from "../api";
import { clock, duration, rate, size } from "../format";
import { Action, Failure } from "../parts/action";
import { Chart } from "../parts/chart";
import { Copy } from "../parts/copy";
import { Facts, Word } from "../parts/facts";
import type { Tunnel, TunnelCheck, TunnelProtocol, TunnelStart, TunnelWord } from "../schema";
import { link, now, traffic, tunnel } from "../state";
import "../style/share.css";

const tones: Record<TunnelWord, "good" | "bad" | "busy" | "quiet"> = {
  "Not started": "quiet",
  Disconnected: "quiet",
  Connecting: "busy",
  Connected: "good",
  Reconnecting: "busy",
  Failed: "bad",
};

const active = (word: TunnelWord) => word === "Connecting" || word === "Connected" || word === "Reconnecting";

function QrCode({ url }: { url: string }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const aborter = new AbortController();
    void (async () => {
      const answer = await request("api/tunnel/qr.svg", { signal: aborter.signal });
      if (!answer.ok) return;
      const svg = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `QR code of ${url}`);
      place.current?.replaceChildren(svg);
    })().catch(() => {});
    return () => aborter.abort();
  }, [url]);
  return <div class="qr" ref={place} />;
}

function PublicUrl({ url, children }: { url: string; children: ComponentChildren }) {
  const qr = useSignal(false);
  return (
    <div class="public">
      <div>
        <p class="url">
          <a href={url} target="_blank" rel="noopener noreferrer">
            {url}
          </a>
          <span class="buttons">
            <Copy primary text={url} what="the public URL" />
            <button
              type="button"
              class="small"
              aria-expanded={qr.value}
              onClick={() => {
                qr.value = !qr.value;
              }}
            >
              QR code
            </button>
          </span>
        </p>
        {children}
      </div>
      {qr.value && <QrCode url={url} />}
    </div>
  );
}

/** The URL that there was: nothing answers there now, so that it is no link. */
function LastUrl({ one }: { one: Tunnel }) {
  const wait = Math.max(0, Math.ceil(((one.next_attempt ?? 0) - now.value) / 1000));
  return (
    <>
      {one.public_url && (
        <p class="last-url">
          <span class="hint">Was</span> <span class="mono">{one.public_url}</span>
        </p>
      )}
      <p class="hint" role="timer">
        {wait ? `The relay is tried again in ${wait} s.` : "The relay is tried now…"}
      </p>
    </>
  );
}

const outcomes: Record<TunnelCheck["outcome"], string> = {
  works: "Works from outside",
  refused: "Refused",
  silent: "No answer",
  unanswered: "Not answered",
  other: "Another application answers",
  unresolved: "No such name",
  unreachable: "Unreachable",
};

const ASK_WITHIN_MS = 1000;
let asked: number | null = null; // the `since` of the tunnel that this page has asked about by itself

/** Whether the public URL works, as it is seen from here: once by itself, and whenever one wants to know. */
function Reachability({ one }: { one: Tunnel }) {
  const failure = useSignal<string | null>(null);
  const ask = () => call("POST /api/tunnel/check");
  const seen = one.check;
  useEffect(() => {
    if (seen || link.value.state !== "open" || asked === one.since) return;
    // Of several pages that are open one is enough: it tells the others what it has seen.
    const timer = setTimeout(() => {
      asked = one.since;
      void ask().catch(() => {});
    }, Math.random() * ASK_WITHIN_MS);
    return () => clearTimeout(timer);
  }, [seen, one.since, link.value.state]);
  return (
    <div class="reach">
      <p role="status">
        {seen ? (
          <>
            <Word word={outcomes[seen.outcome]} tone={seen.outcome === "works" ? "good" : "bad"} />{" "}
            <span class="hint">looked at {clock(seen.time)}</span>
          </>
        ) : (
          <span class="hint">Whether it works from outside is being looked at…</span>
        )}
        <Action small run={ask} failed={(why) => (failure.value = why)} label="Check the public URL">
          {seen ? "Check again" : "Check"}
        </Action>
      </p>
      {seen && <p class={seen.outcome === "works" ? "hint" : "failure"}>{seen.text}</p>}
      <Failure why={failure.value} />
    </div>
  );
}

/** What was typed for a start; what is left empty comes from the configuration. */
const typed = signal({ server: "", secret: "", port: "", protocol: "" });
const settingsOpen = signal(false);

function wanted(): TunnelStart {
  const { server, secret, port, protocol } = typed.value;
  return {
    ...(server && { server }),
    ...(secret && { secret }),
    ...(port && { port: Number(port) }),
    ...(protocol && { protocol: protocol as TunnelProtocol }),
  };
}

/** A start takes the form away, and a failed one brings it back as it was; but a secret isn't put into the page again. */
function Settings() {
  const set = (change: Partial<typeof typed.value>) => {
    typed.value = { ...typed.value, ...change };
  };
  const { server, secret, port, protocol } = typed.value;
  const kept = useSignal(secret !== "");
  return (
    <details
      class="settings"
      open={settingsOpen.value}
      onToggle={(event) => {
        settingsOpen.value = event.currentTarget.open;
      }}
    >
      <summary>Relay settings</summary>
      <form class="fields" onSubmit={(event) => event.preventDefault()}>
        <label>
          Relay
          <input
            type="text"
            spellcheck={false}
            placeholder={tunnel.value?.server ?? "bore.pub:7835"}
            value={server}
            onInput={(event) => set({ server: event.currentTarget.value })}
          />
        </label>
        <label>
          Secret
          <input
            type="password"
            autocomplete="off"
            placeholder={kept.value ? "as typed before" : "as configured"}
            value={kept.value ? "" : secret}
            onInput={(event) => {
              kept.value = false;
              set({ secret: event.currentTarget.value });
            }}
          />
        </label>
        <label>
          Public port
          <input
            type="number"
            min={1}
            max={65535}
            placeholder="any"
            value={port}
            onInput={(event) => set({ port: event.currentTarget.value })}
          />
        </label>
        <label>
          Protocol
          <select value={protocol} onChange={(event) => set({ protocol: event.currentTarget.value })}>
            <option value="">as configured</option>
            <option value="auto">auto</option>
            <option value="bore">bore</option>
            <option value="line">line</option>
          </select>
        </label>
      </form>
      {kept.value && (
        <p class="buttons">
          <button
            type="button"
            class="small"
            onClick={() => {
              kept.value = false;
              set({ secret: "" });
            }}
          >
            Forget the secret
          </button>
        </p>
      )}
    </details>
  );
}

function facts(one: Tunnel): [string, string | null][] {
  const connected = one.status === "Connected";
  return [
    ["Relay", one.server],
    ["Protocol", `${one.protocol}, ${one.has_secret ? "with a secret" : "no secret"}`],
    ["Up", connected && one.since ? duration(Math.max(0, now.value - one.since)) : null],
    ["Ends in", one.expires && active(one.status) ? duration(Math.max(0, one.expires - now.value)) : null],
    ["Reconnects", one.reconnects ? String(one.reconnects) : null],
    [
      "Visitors",
      one.connections.total || connected
        ? `${one.connections.open} now, ${one.connections.total.toLocaleString()} in all`
        : null,
    ],
    ["Traffic", one.connections.total || connected ? `${size(one.bytes.in)} in, ${size(one.bytes.out)} out` : null],
  ];
}

export function SharePanel() {
  const failure = useSignal<string | null>(null);
  const one = tunnel.value;
  const word = one?.status ?? "Not started";
  // Once it is under way, the events tell how it goes on: an answer that is still waited for would call a stop a failure.
  const start = async () => {
    const body = wanted();
    const aborter = new AbortController();
    const dispose = effect(() => {
      if (active(tunnel.value?.status ?? "Not started")) aborter.abort();
    });
    try {
      await call("POST /api/tunnel/start", { ...(Object.keys(body).length && { body }), signal: aborter.signal });
    } catch (error) {
      // The state says the same, with its reason.
      if (!aborter.signal.aborted && tunnel.value?.status !== "Failed") throw error;
    } finally {
      dispose();
    }
  };
  return (
    <section class="card share" aria-labelledby="share-title">
      <div class="card-head">
        <h2 id="share-title">Public URL</h2>
        <Word word={word} tone={tones[word]} />
        <span class="actions">
          {active(word) ? (
            <Action key="stop" run={() => call("POST /api/tunnel/stop")} failed={(why) => (failure.value = why)}>
              Stop sharing
            </Action>
          ) : (
            <Action key="start" primary run={start} failed={(why) => (failure.value = why)} disabled={!one}>
              Share
            </Action>
          )}
        </span>
      </div>
      {word === "Connected" && one?.public_url && (
        <PublicUrl url={one.public_url}>
          <Reachability one={one} />
        </PublicUrl>
      )}
      {one && (word === "Reconnecting" || (word === "Connecting" && one.next_attempt)) && <LastUrl one={one} />}
      <Failure why={failure.value ?? one?.error} />
      {!active(word) && (
        <>
          <p class="hint">
            Share gives the application an address that anyone can open, at the relay{" "}
            <span class="mono">{one?.server}</span>. There is no TLS on the way.
          </p>
          <Settings />
        </>
      )}
      {one && word !== "Not started" && <Facts rows={facts(one)} />}
      {(word === "Connected" || word === "Reconnecting") && (
        <Chart series={traffic} least={1024} label="Traffic" format={rate} />
      )}
    </section>
  );
}
