// SPDX-License-Identifier: MIT
// The frame: what stands at the top, and the panels.
import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { ApplicationPanel } from "./panels/application";
import { FilesPanel } from "./panels/files";
import { LogPanel } from "./panels/log";
import { NetworkPanel } from "./panels/network";
import { RequestsPanel } from "./panels/requests";
import { SharePanel } from "./panels/share";
import { Tabs } from "./parts/tabs";
import { app, link, now, project, refusals } from "./state";

const tab = signal("requests");

/** Whether there is room for the log beside the other panels. */
const wide = signal(false);
const wideQuery = matchMedia("(min-width: 80rem)");
wide.value = wideQuery.matches;
wideQuery.addEventListener("change", (event) => {
  wide.value = event.matches;
});

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
  { id: "requests", name: "Requests", Panel: RequestsPanel },
  { id: "log", name: "Log", Panel: LogPanel },
  { id: "network", name: "Network", Panel: NetworkPanel, badge: () => refusals.value.length },
  { id: "files", name: "Files", Panel: FilesPanel },
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
        <div class={wide.value ? "two" : "one"}>
          <Tabs tabs={wide.value ? panels.filter((one) => one.id !== "log") : panels} selected={tab} />
          {wide.value && (
            <section class="card side" aria-labelledby="log-title">
              <h2 id="log-title">Log</h2>
              <LogPanel />
            </section>
          )}
        </div>
      </main>
      <footer class="hint">
        Guide: <code>{app.value?.guide ?? "man wasmrun"}</code>
      </footer>
    </>
  );
}
