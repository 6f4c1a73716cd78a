// SPDX-License-Identifier: MIT
// What the browser's tab says of the state, for those who look at another one: a word before the title, a dot on the icon.
import { effect } from "@preact/signals";
import { app, link, project, tunnel } from "./state";

const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
const plainIcon = icon?.href ?? "";

const colours = { good: "#17b45b", busy: "#f5a524", bad: "#e5372b" };

/** The worst first: what of all is not as it should be, or nothing. */
function trouble(): [string, keyof typeof colours] | null {
  const state = app.value?.state ?? "running";
  const shared = tunnel.value?.status;
  if (link.value.state === "lost") return ["connection lost", "bad"];
  if (state === "failed") return [state, "bad"];
  if (shared === "Failed") return ["not shared", "bad"];
  if (state !== "running") return [state, "busy"];
  return shared === "Reconnecting" ? ["reconnecting", "busy"] : null;
}

function iconWith(colour: string): string {
  const dot = `<circle cx="11.5" cy="11.5" r="4" fill="${colour}" stroke="#fff"/>`;
  return plainIcon.replace("%3C/svg%3E", `${encodeURIComponent(dot)}%3C/svg%3E`);
}

effect(() => {
  const now = trouble();
  const tone = now?.[1] ?? (tunnel.value?.status === "Connected" ? "good" : null);
  document.title = project.value ? `${now ? `${now[0]}: ` : ""}${project.value} – wasmrun` : "wasmrun";
  if (icon) icon.href = tone ? iconWith(colours[tone]) : plainIcon;
});
