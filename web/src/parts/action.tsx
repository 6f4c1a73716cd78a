// SPDX-License-Identifier: MIT
// Buttons that call, and what they have been told.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { messageOf } from "../api";

export interface ActionProps {
  children: ComponentChildren;
  run: () => Promise<unknown>;
  /** null: it went well, or is being tried. */
  failed: (why: string | null) => void;
  primary?: boolean;
  small?: boolean;
  disabled?: boolean;
  label?: string;
}

/** Can't be pressed again while it is at work. */
export function Action({ children, run, failed, primary, small, disabled, label }: ActionProps) {
  const busy = useSignal(false);
  const press = async () => {
    busy.value = true;
    failed(null);
    try {
      await run();
    } catch (error) {
      failed(messageOf(error));
    }
    busy.value = false;
  };
  return (
    <button
      type="button"
      class={`${primary ? "primary" : ""} ${small ? "small" : ""}`}
      disabled={disabled || busy.value}
      aria-busy={busy.value}
      aria-label={label}
      onClick={() => void press()}
    >
      {children}
    </button>
  );
}

export function Failure({ why }: { why: string | null | undefined }) {
  return (
    <p class="failure" role="alert" hidden={!why}>
      {why}
    </p>
  );
}
