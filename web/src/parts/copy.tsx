// SPDX-License-Identifier: MIT
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";

const SHOWN_MS = 1500;

/** Where the page isn't from a safe origin (http:// of another machine) there is no clipboard. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

interface CopyProps {
  text: string;
  what: string;
  primary?: boolean;
  children?: ComponentChildren;
}

export function Copy({ text, what, primary, children }: CopyProps) {
  const done = useSignal<"" | "Copied" | "Can't copy here">("");
  const press = async () => {
    done.value = (await copy(text)) ? "Copied" : "Can't copy here";
    setTimeout(() => {
      done.value = "";
    }, SHOWN_MS);
  };
  return (
    <button type="button" class={primary ? "small primary" : "small"} onClick={() => void press()}>
      {done.value || (children ?? "Copy")}
      {!children && <span class="unseen"> {what}</span>}
      <span class="unseen" role="status">
        {done.value}
      </span>
    </button>
  );
}
