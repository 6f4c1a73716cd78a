// SPDX-License-Identifier: MIT
// Tabs by the pattern of WAI-ARIA (arrow keys, Home, End). A panel that isn't seen isn't there.
import type { Signal } from "@preact/signals";
import type { ComponentType } from "preact";

export interface Tab {
  id: string;
  name: string;
  Panel: ComponentType;
  badge?: () => number;
}

function Badge({ of }: { of: (() => number) | undefined }) {
  const n = of?.() ?? 0;
  return n ? <span class="badge">{n > 99 ? "99+" : n}</span> : null;
}

export function Tabs({ tabs, selected }: { tabs: Tab[]; selected: Signal<string> }) {
  const shown = tabs.find((one) => one.id === selected.value) ?? (tabs[0] as Tab);
  const onKey = (event: KeyboardEvent) => {
    const at = tabs.indexOf(shown);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    selected.value = (tabs[to % tabs.length] as Tab).id;
    document.getElementById(`tab-${selected.value}`)?.focus();
  };
  return (
    <section class="tabs">
      <div role="tablist" aria-label="Panels" onKeyDown={onKey}>
        {tabs.map((one) => (
          <button
            key={one.id}
            type="button"
            role="tab"
            id={`tab-${one.id}`}
            aria-selected={one === shown}
            aria-controls="panel"
            tabIndex={one === shown ? 0 : -1}
            onClick={() => {
              selected.value = one.id;
            }}
          >
            {one.name} <Badge of={one.badge} />
          </button>
        ))}
      </div>
      <div role="tabpanel" id="panel" aria-labelledby={`tab-${shown.id}`}>
        <shown.Panel />
      </div>
    </section>
  );
}
