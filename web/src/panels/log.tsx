// SPDX-License-Identifier: MIT
// The log. Its lines are plain elements in blocks of 200, of which the browser lays out those that are
// seen (content-visibility): so its own search and selection go over all of them. Preact only makes the
// frame; the lines would be too many for it.
import { computed, effect, signal } from "@preact/signals";
import Anser from "anser";
import { useEffect, useRef } from "preact/hooks";
import { clock, count } from "../format";
import { LINES_MAX, log } from "../log";
import { save } from "../parts/save";
import type { LogLine, LogStream } from "../schema";

const BLOCK_LINES = 200;
const FRAME_LINES = 500; // made in one frame, so that thousands at once hold up nothing else

const streams: Record<LogStream, string> = {
  stdout: "output",
  stderr: "errors",
  build: "build",
  supervisor: "wasmrun",
};

const shown = signal<Record<LogStream, boolean>>({ stdout: true, stderr: true, build: true, supervisor: true });
const wanted = signal("");
const wrap = signal(true);
const following = signal(true);
const paused = signal(false);
const filter = computed(() => ({ shown: shown.value, wanted: wanted.value.toLowerCase() }));

const filtered = computed(() => wanted.value !== "" || Object.values(shown.value).includes(false));

/** What is looked for in the lines that are shown, how many have it, and which of them is looked at (from 1 on). */
const search = signal("");
const found = signal({ count: 0, at: 0 });

// As gcc, clang and rustc begin them ("error[E0308]:"), and tsc ("error TS2322:").
const diagnostic = /^(\S.*?[:)]\s*)?(fatal )?(error|warning)(\[\w+\]| TS\d+)?:/i;
// Go's have a place alone, and no word.
const placed = /^\S+\.\w+:\d+:\d+: (?!note|warning)/;

function grade(line: LogLine): string {
  const word = diagnostic.exec(line.text)?.[3];
  if (word) return word.toLowerCase();
  if (line.stream === "build" && placed.test(line.text)) return "error";
  return line.stream === "supervisor" && line.text.includes("-> failed") ? "error" : "";
}

/** The colour of a class of Anser's; the first sixteen are the page's own, in light and dark. */
function colourOf(name: string, truecolor: string | null): string {
  if (truecolor) return `rgb(${truecolor})`;
  const n = Number(/^ansi-palette-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
  if (Number.isNaN(n)) return `var(--${name})`;
  if (n >= 232) return `rgb(${[0, 0, 0].fill(8 + 10 * (n - 232))})`;
  return `rgb(${[36, 6, 1].map((unit) => [0, 95, 135, 175, 215, 255][Math.floor((n - 16) / unit) % 6])})`;
}

// A style of the element's own, set by the browser's object model, is none that the policy refuses.
function textOf(text: string): (Node | string)[] {
  if (!text.includes("\u001b")) return [text];
  return Anser.ansiToJson(text, { json: true, remove_empty: true, use_classes: true }).map((part) => {
    const span = document.createElement("span");
    span.textContent = part.content;
    if (part.fg) span.style.color = colourOf(part.fg, part.fg_truecolor);
    if (part.bg) span.style.backgroundColor = colourOf(part.bg, part.bg_truecolor);
    for (const decoration of part.decorations ?? []) span.classList.add(`ansi-${decoration}`);
    return span;
  });
}

function elementOf(line: LogLine): HTMLElement {
  const row = document.createElement("div");
  const time = document.createElement("time");
  row.className = `line ${line.stream} ${grade(line)}`;
  time.textContent = clock(line.time);
  row.append(time, " ");
  if (line.stream !== "stdout") {
    const label = document.createElement("span");
    label.className = "stream";
    label.textContent = streams[line.stream];
    row.append(label, " ");
  }
  row.append(...textOf(line.text));
  return row;
}

const isAtEnd = (pane: HTMLElement) => pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;

/** The lines in their element: appended as they come, made anew when the filter changes. */
class View {
  private last = 0;
  private block: HTMLElement | null = null;
  private count = 0;
  private frame = 0;
  /** A block gets its real height when it is seen, which moves the end on, and so does another width. */
  private readonly sizes = new ResizeObserver(() => {
    if (following.peek()) this.toEnd();
  });
  private hits: HTMLElement[] = [];

  constructor(
    private readonly place: HTMLElement,
    private readonly counted: (n: number) => void,
  ) {}

  close(): void {
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
  }

  renew(): void {
    this.empty();
    this.last = 0;
    this.extend();
  }

  extend(): void {
    const { shown, wanted } = filter.peek();
    if (!log.lines.length) this.empty();
    const first = this.firstNew();
    for (const line of log.lines.slice(first, first + FRAME_LINES)) {
      this.last = line.seq;
      if (shown[line.stream] && (!wanted || line.text.toLowerCase().includes(wanted))) this.append(elementOf(line));
    }
    while (this.count > LINES_MAX + BLOCK_LINES && this.place.firstElementChild) {
      this.count -= this.place.firstElementChild.childElementCount;
      this.place.firstElementChild.remove();
    }
    this.counted(this.count);
    this.tellHits();
    if (following.peek()) this.toEnd();
    if (first + FRAME_LINES < log.lines.length)
      this.frame ||= requestAnimationFrame(() => {
        this.frame = 0;
        this.extend();
      });
  }

  toEnd(): void {
    following.value = true;
    this.place.scrollTop = this.place.scrollHeight;
  }

  find(): void {
    for (const hit of this.hits) hit.classList.remove("found", "current");
    this.hits = [];
    found.value = { count: 0, at: 0 };
    if (search.peek()) for (const line of this.place.querySelectorAll<HTMLElement>(".line")) this.match(line);
    this.tellHits();
  }

  /** To the next one that has what is looked for, or to the one before; from the last to the first. */
  step(by: number): void {
    const { count, at } = found.peek();
    if (!count) return;
    const next = at ? ((at - 1 + by + count) % count) + 1 : by > 0 ? 1 : count;
    this.hits[at - 1]?.classList.remove("current");
    const hit = this.hits[next - 1];
    hit?.classList.add("current");
    following.value = false;
    hit?.scrollIntoView({ block: "center" });
    found.value = { count, at: next };
  }

  private match(line: HTMLElement): void {
    if (!line.textContent?.toLowerCase().includes(search.peek().toLowerCase())) return;
    line.classList.add("found");
    this.hits.push(line);
  }

  private tellHits(): void {
    const gone = this.hits.findIndex((hit) => hit.isConnected);
    if (gone > 0) this.hits.splice(0, gone);
    const { count, at } = found.peek();
    if (gone > 0 || count !== this.hits.length)
      found.value = { count: this.hits.length, at: Math.max(0, at - Math.max(0, gone)) };
  }

  private empty(): void {
    this.place.replaceChildren();
    this.sizes.disconnect();
    this.sizes.observe(this.place);
    this.block = null;
    this.count = 0;
    this.hits = [];
    found.value = { count: 0, at: 0 };
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
      this.sizes.observe(this.block);
    }
    this.block.append(element);
    this.count++;
    if (search.peek()) this.match(element);
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;

/** Without colours, and without what would steer the terminal on which the file is looked at. */
function plain(text: string): string {
  return Anser.ansiToText(text).replace(controls, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function download(): void {
  const text = log.lines
    .map((line) => `${new Date(line.time).toISOString()} ${line.stream} ${plain(line.text)}\n`)
    .join("");
  save("wasmrun.log", text, "text/plain");
}

function Search({ step }: { step: (by: number) => void }) {
  const { count: n, at } = found.value;
  const keys = (event: KeyboardEvent) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
  };
  return (
    <span class="search">
      <input
        type="search"
        placeholder="Search"
        aria-label="Search the log"
        value={search.value}
        onInput={(event) => {
          search.value = event.currentTarget.value;
        }}
        onKeyDown={keys}
      />
      <span class="hint" role="status">
        {search.value && (at ? `${at} of ${n}` : n ? `${n} found` : "none")}
      </span>
      {["Previous", "Next"].map((name, i) => (
        <button key={name} type="button" class="small" disabled={!n} aria-label={name} onClick={() => step(2 * i - 1)}>
          {i ? "↓" : "↑"}
        </button>
      ))}
    </span>
  );
}

function Check({ name, checked, change }: { name: string; checked: boolean; change: (on: boolean) => void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => change(event.currentTarget.checked)} />
      {name}
    </label>
  );
}

function Bar({ seen, step }: { seen: number; step: (by: number) => void }) {
  return (
    <div class="bar">
      <input
        type="search"
        placeholder="Only lines with…"
        aria-label="Only lines with"
        value={wanted.value}
        onInput={(event) => {
          wanted.value = event.currentTarget.value;
        }}
      />
      <Search step={step} />
      <span class="checks">
        {(Object.keys(streams) as LogStream[]).map((stream) => (
          <Check
            key={stream}
            name={streams[stream]}
            checked={shown.value[stream]}
            change={(on) => {
              shown.value = { ...shown.value, [stream]: on };
            }}
          />
        ))}
        <Check
          name="wrap"
          checked={wrap.value}
          change={(on) => {
            wrap.value = on;
          }}
        />
      </span>
      <span class="actions">
        {filtered.value && <span class="hint">{count(seen, "line")}</span>}
        <button
          type="button"
          class="small"
          aria-pressed={paused.value}
          onClick={() => {
            paused.value = !paused.value;
          }}
        >
          Pause
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
  const top = useRef(0);
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
      effect(() => {
        search.value;
        mine.find();
      }),
    ];
    return () => {
      mine.close();
      for (const stop of stops) stop();
    };
  }, []);
  const onScroll = (event: Event) => {
    // Who scrolls up stops following; what only grows doesn't.
    const pane = event.currentTarget as HTMLElement;
    if (isAtEnd(pane)) following.value = true;
    else if (pane.scrollTop < top.current) following.value = false;
    top.current = pane.scrollTop;
  };
  return (
    <div class="log-panel">
      <Bar seen={seen.value} step={(by) => view.current?.step(by)} />
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
      {seen.value === 0 && (
        <p class="empty none">
          {log.lines.length ? "None of the lines is like that." : "What the application prints will stand here."}
        </p>
      )}
      {!following.value && (
        <button type="button" class="to-end small" onClick={() => view.current?.toEnd()}>
          To the last line
        </button>
      )}
    </div>
  );
}
