// SPDX-License-Identifier: MIT
// Numbers, sizes and times as people read them.

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit && value < 100 ? value.toFixed(1).replace(".0", "") : Math.round(value)} ${units[unit]}`;
}

export function rate(bytesPerSecond: number): string {
  return `${size(bytesPerSecond)}/s`;
}

/** "850 ms", "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h" */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1).replace(".0", "")} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const parts: [number, string][] = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const at = parts.findIndex(([unit]) => seconds >= unit);
  const [unit, name] = parts[at] as [number, string];
  const [below, belowName] = parts[at + 1] ?? [0, ""];
  const whole = Math.floor(seconds / unit);
  const rest = below ? Math.floor((seconds - whole * unit) / below) : 0;
  return `${whole} ${name}${rest ? ` ${rest} ${belowName}` : ""}`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

let clockSecond = -1;
let clockText = "";

/** Local time of the day. Lines of a log share their second, and to format it takes longer than all else of a line. */
export function clock(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== clockSecond) clockText = clockFormat.format(ms);
  clockSecond = second;
  return clockText;
}

/** Local date and time. */
export function date(ms: number): string {
  return dateFormat.format(ms);
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}
