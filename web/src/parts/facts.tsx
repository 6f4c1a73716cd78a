// SPDX-License-Identifier: MIT
// Names and values below each other.
import type { ComponentChildren } from "preact";

/** What has no value (null, "") isn't shown. */
export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {rows
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A state's word; the colour only repeats it. */
export function Word({ word, tone }: { word: string; tone: "good" | "bad" | "busy" | "quiet" }) {
  return (
    <span class={`word ${tone}`} role="status">
      {word.charAt(0).toUpperCase() + word.slice(1)}
    </span>
  );
}
