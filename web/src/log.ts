// SPDX-License-Identifier: MIT
// The lines of the log, in order and without gaps: what comes by an event waits while older lines are
// still being read. Whoever shows them is told once a frame.
import { signal } from "@preact/signals";
import { call } from "./api";
import type { LogLine } from "./schema";

export const LINES_MAX = 20000;

class Log {
  /** All that are kept, oldest first. */
  lines: LogLine[] = [];
  /** Grows with each change: a reader looks at `lines` anew. */
  readonly version = signal(0);
  /** The number of lines that the server no longer had. */
  readonly lost = signal(0);
  private last = 0;
  private reading = false;
  private waiting: LogLine[] = [];
  private frame = 0;

  add(line: LogLine): void {
    if (this.reading) this.waiting.push(line);
    else this.take(line);
  }

  /** Reads what the server has behind the last line. */
  async catchUp(): Promise<void> {
    if (this.reading) return;
    this.reading = true;
    try {
      for (let more = true; more; ) {
        const answer = await call("GET /api/logs", { query: { since: this.last } });
        const first = answer.lines[0];
        if (answer.lost && this.last && first) this.lost.value += first.seq - this.last - 1;
        for (const line of answer.lines) this.take(line);
        this.last = Math.max(this.last, answer.last);
        // Who prints without a pause is never caught up with: what is there already waits no more.
        this.waiting = this.waiting.filter((line) => line.seq > this.last);
        more = answer.more;
      }
    } catch {
      // The stream of events fails as well, and says so.
    } finally {
      this.reading = false;
      for (const line of this.waiting.splice(0)) this.take(line);
    }
  }

  /** Those that are shown; the server keeps its own. */
  clear(): void {
    this.lines = [];
    this.tell();
  }

  private take(line: LogLine): void {
    if (line.seq <= this.last) return;
    this.last = line.seq;
    this.lines.push(line);
    this.tell();
  }

  private tell(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.lines.length > LINES_MAX) this.lines = this.lines.slice(-LINES_MAX);
      this.version.value++;
    });
  }
}

export const log = new Log();
