// SPDX-License-Identifier: MIT
// The frame: what stands at the top, and the panels.
import { effect, signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { ApplicationPanel } from "./panels/application";
import { LogPanel } from "./panels/log";
import { NetworkPanel } from "./panels/network";
import { SharePanel } from "./panels/share";
import { Tabs } from "./parts/tabs";
import { app, link, now, project, refusals } from "./state";

effect(() => {
  const state = app.value?.state;
  document.title = project.value ? `${state === "running" ? "" : `${state}: `}${project.value} – wasmrun` : "wasmrun";
});

const tab = signal("log");

function LinkState() {
  const state = link.value;
  if (state.state === "lost") {
    const seconds = Math.max(0, Math.ceil((state.retryAt - now.value) / 1000));
    return (
      <p class="link lost" role="alert">
        Connection lost: {state.why}. Trying again{seconds ? ` in ${seconds} s` : ""}…
      </p>
    );
  }
  return (
    <p class="link" role="status">
      {state.state === "connecting" ? "Connecting…" : ""}
    </p>
  );
}

const panels: { id: string; name: string; Panel: ComponentType; badge?: () => number }[] = [
  { id: "log", name: "Log", Panel: LogPanel },
  { id: "network", name: "Network", Panel: NetworkPanel, badge: () => refusals.value.length },
];

export function Page() {
  return (
    <>
      <a class="skip" href="#panel">
        Skip to the panels
      </a>
      <header>
        <h1>
          <span class="product">wasmrun</span> <span class="project">{project}</span>
        </h1>
        <LinkState />
      </header>
      <main class={link.value.state === "lost" ? "stale" : ""}>
        <div class="top">
          <SharePanel />
          <ApplicationPanel />
        </div>
        <Tabs tabs={panels} selected={tab} />
      </main>
    </>
  );
}
