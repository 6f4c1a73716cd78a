// SPDX-License-Identifier: MIT
// The log. Its lines are plain elements in blocks of 200, of which the browser lays out those that are
// seen (content-visibility): so its own search and selection go over all of them. Preact only makes the
// frame; the lines would be too many for it.
import { computed, effect, signal } from "@preact/signals";
import Anser from "anser";
import { useEffect, useRef } from "preact/hooks";
import { clock, count } from "../format";
import { LINES_MAX, log } from "../log";
import type { LogLine, LogStream } from "../schema";

const BLOCK_LINES = 200;

const streams: Record<LogStream, string> = {
  stdout: "output",
  stderr: "errors",
  build: "build",
  supervisor: "wasmrun",
};

const shown = signal<Record<LogStream, boolean>>({ stdout: true, stderr: true, build: true, supervisor: true });
const search = signal("");
const wrap = signal(true);
const following = signal(true);
const paused = signal(false);
const filter = computed(() => ({ shown: shown.value, search: search.value.toLowerCase() }));

const diagnostic = /^(.*?:\d+(:\d+)?:\s*)?(fatal )?(error|warning)(\[\w+\])?:/i;

// A style of the element's own, set by the browser's object model, is none that the policy refuses.
function textOf(text: string): (Node | string)[] {
  if (!text.includes("\u001b")) return [text];
  return Anser.ansiToJson(text, { json: true, remove_empty: true }).map((part) => {
    const span = document.createElement("span");
    span.textContent = part.content;
    if (part.fg) span.style.color = `rgb(${part.fg})`;
    if (part.bg) span.style.backgroundColor = `rgb(${part.bg})`;
    for (const decoration of part.decorations ?? []) span.classList.add(`ansi-${decoration}`);
    return span;
  });
}

function elementOf(line: LogLine): HTMLElement {
  const row = document.createElement("div");
  const time = document.createElement("time");
  const found = diagnostic.exec(line.text);
  row.className = `line ${line.stream}`;
  if (found) row.classList.add((found[4] as string).toLowerCase());
  time.textContent = clock(line.time);
  row.append(time, " ", ...textOf(line.text));
  return row;
}

/** The lines in their element: appended as they come, made anew when the filter changes. */
class View {
  private last = 0;
  private block: HTMLElement | null = null;
  private count = 0;

  constructor(
    private readonly place: HTMLElement,
    private readonly counted: (n: number) => void,
  ) {}

  renew(): void {
    this.place.replaceChildren();
    this.block = null;
    this.last = this.count = 0;
    this.extend();
  }

  extend(): void {
    const { shown, search } = filter.peek();
    const atEnd = following.peek();
    const fresh = log.lines.slice(this.firstNew());
    if (!log.lines.length) this.place.replaceChildren();
    for (const line of fresh) {
      this.last = line.seq;
      if (shown[line.stream] && (!search || line.text.toLowerCase().includes(search))) this.append(elementOf(line));
    }
    while (this.count > LINES_MAX + BLOCK_LINES && this.place.firstElementChild) {
      this.count -= this.place.firstElementChild.childElementCount;
      this.place.firstElementChild.remove();
    }
    this.counted(this.count);
    if (atEnd) this.toEnd();
  }

  toEnd(): void {
    this.place.scrollTop = this.place.scrollHeight;
  }

  private firstNew(): number {
    let at = log.lines.length;
    while (at > 0 && (log.lines[at - 1] as LogLine).seq > this.last) at--;
    return at;
  }

  private append(element: HTMLElement): void {
    if (!this.block || this.block.childElementCount >= BLOCK_LINES) {
      this.block = document.createElement("div");
      this.block.className = "block";
      this.place.append(this.block);
    }
    this.block.append(element);
    this.count++;
  }
}

function download(): void {
  const text = log.lines.map((line) => `${new Date(line.time).toISOString()} ${line.stream} ${line.text}\n`).join("");
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  anchor.download = "wasmrun.log";
  anchor.click();
  URL.revokeObjectURL(anchor.href);
}

function Bar({ seen }: { seen: number }) {
  return (
    <div class="bar">
      <input
        type="search"
        placeholder="Filter lines"
        aria-label="Filter lines"
        onInput={(event) => {
          search.value = event.currentTarget.value;
        }}
      />
      {(Object.keys(streams) as LogStream[]).map((stream) => (
        <label key={stream} class="check">
          <input
            type="checkbox"
            checked={shown.value[stream]}
            onChange={(event) => {
              shown.value = { ...shown.value, [stream]: event.currentTarget.checked };
            }}
          />
          {streams[stream]}
        </label>
      ))}
      <label class="check">
        <input
          type="checkbox"
          checked={wrap.value}
          onChange={(event) => {
            wrap.value = event.currentTarget.checked;
          }}
        />
        wrap
      </label>
      <span class="actions">
        <span class="hint">{count(seen, "line")}</span>
        <button
          type="button"
          class="small"
          aria-pressed={paused.value}
          onClick={() => {
            paused.value = !paused.value;
          }}
        >
          {paused.value ? "Go on" : "Pause"}
        </button>
        <button type="button" class="small" onClick={() => log.clear()}>
          Clear
        </button>
        <button type="button" class="small" onClick={download}>
          Download
        </button>
      </span>
    </div>
  );
}

const seen = signal(0);

export function LogPanel() {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<View | null>(null);
  useEffect(() => {
    const mine = new View(place.current as HTMLElement, (n) => {
      seen.value = n;
    });
    view.current = mine;
    const stops = [
      effect(() => {
        filter.value;
        mine.renew();
      }),
      effect(() => {
        log.version.value;
        if (!paused.value) mine.extend();
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, []);
  const onScroll = (event: Event) => {
    const pane = event.currentTarget as HTMLElement;
    following.value = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;
  };
  return (
    <div class="log-panel">
      <Bar seen={seen.value} />
      {log.lost.value > 0 && <p class="hint">{count(log.lost.value, "line")} came too fast and are gone.</p>}
      <div
        class={`log ${wrap.value ? "wrap" : ""}`}
        ref={place}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys
        tabIndex={0}
        role="log"
        aria-label="Log"
        aria-live="off"
        onScroll={onScroll}
      />
      {!following.value && (
        <button type="button" class="to-end small" onClick={() => view.current?.toEnd()}>
          To the last line
        </button>
      )}
    </div>
  );
}
