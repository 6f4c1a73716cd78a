// SPDX-License-Identifier: MIT
// The project's files: the folder and the file that are looked at, and what was typed and isn't saved yet.
//
// A draft belongs to a path and stays until it is saved, or is put aside, where it can still be copied from: whatever
// else is opened meanwhile. It is saved over the version that it was made of, and over no other one.
import { computed, signal } from "@preact/signals";
import { CallError, CHANGED, call, callVersioned, messageOf } from "./api";
import { size } from "./format";
import { hexOf } from "./message";
import type { Entry } from "./schema";

const SHOWN_MAX = 512 * 1024; // of a file's text
const SHOWN_BYTES_MAX = 16 * 1024; // of what is no text

export interface OpenFile {
  name: string;
  path: string;
  /** With "\n" as the end of a line: browsers edit no other. */
  text: string;
  crlf: boolean;
  version: string | null;
  /** Why it can't be edited, whoever would; null: it can. */
  fixed: string | null;
}

interface Draft {
  text: string;
  crlf: boolean;
  /** That it was made of; null: there was no file. */
  base: string | null;
}

export const folder = signal<string[]>([]);
export const entries = signal<Entry[]>([]);
export const more = signal(false);
export const writable = signal(false);
export const file = signal<OpenFile | null>(null);
/** What stands in the file by now, while the draft was made of something else. */
export const conflict = signal<{ theirs: OpenFile | null } | null>(null);
export const aside = signal<{ path: string; text: string } | null>(null);
export const savedAt = signal<number | null>(null);
export const failure = signal<string | null>(null);

const drafts = signal<ReadonlyMap<string, Draft>>(new Map());
export const hasDraft = (path: string) => drafts.value.has(path);
/** In this folder, of files that aren't there any more. */
export const orphans = computed(() =>
  [...drafts.value.keys()].filter(
    (path) => !entries.value.some(({ name }) => pathOf(name) === path) && path === pathOf(path.split("/").at(-1) ?? ""),
  ),
);
export const draft = computed(() => drafts.value.get(file.value?.path ?? "") ?? null);

window.addEventListener("beforeunload", (event) => {
  if (drafts.peek().size) event.preventDefault();
});

function setDraft(path: string, to: Draft | null): void {
  const next = new Map(drafts.value);
  if (to) next.set(path, to);
  else next.delete(path);
  drafts.value = next;
}

export async function attempt(run: () => Promise<void>): Promise<void> {
  failure.value = null;
  await run().catch((error) => {
    failure.value = messageOf(error);
  });
}

export const pathOf = (name: string) => [...folder.value, name].join("/");

function order(one: Entry, other: Entry): number {
  const folders = Number(other.type === "folder") - Number(one.type === "folder");
  return folders || one.name.localeCompare(other.name);
}

let asked = 0; // the last click counts, whichever answer comes last

export const open = (to: string[]) =>
  attempt(async () => {
    const mine = ++asked;
    const answer = await call("GET /api/fs/list", to.length ? { query: { path: to.join("/") } } : {});
    if (mine !== asked) return;
    file.value = null;
    folder.value = to;
    entries.value = answer.entries.sort(order);
    more.value = answer.more;
    writable.value = answer.writable;
  });

/** null: it is no text. */
function strictTextOf(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  try {
    // A mark at the beginning belongs to the file.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function shown(bytes: Uint8Array): Pick<OpenFile, "text" | "crlf" | "fixed"> {
  const text = strictTextOf(bytes);
  if (text === null) {
    const cut = bytes.length > SHOWN_BYTES_MAX ? `, of which the first ${size(SHOWN_BYTES_MAX)} are shown` : "";
    const fixed = `This is no UTF-8 text, so that it can't be edited here. It has ${size(bytes.length)}${cut}.`;
    return { text: hexOf(bytes.subarray(0, SHOWN_BYTES_MAX)), crlf: false, fixed };
  }
  const crlf = text.includes("\r\n");
  const lines = text.replaceAll("\r\n", "\n");
  if (text.length > SHOWN_MAX)
    return {
      text: lines.slice(0, SHOWN_MAX),
      crlf,
      fixed: `Only the beginning is shown, since it is longer than ${size(SHOWN_MAX)}; so it can't be edited here.`,
    };
  if (lines.includes("\r") || (crlf && text.replaceAll("\r\n", "").includes("\n")))
    return { text: lines, crlf, fixed: "Its lines end in several ways (LF, CR LF, CR), which can't be edited here." };
  return { text: lines, crlf, fixed: null };
}

async function readIfThere(path: string): Promise<OpenFile | null> {
  try {
    const { answer, version } = await callVersioned("GET /api/fs/read", { query: { path } });
    const name = path.split("/").at(-1) ?? path;
    return { name, path, version, ...shown(new Uint8Array(await answer.arrayBuffer())) };
  } catch (error) {
    if (error instanceof CallError && error.status === 404) return null;
    throw error;
  }
}

export const view = (name: string) =>
  attempt(async () => {
    const mine = ++asked;
    const path = pathOf(name);
    const theirs = await readIfThere(path);
    if (mine !== asked) return;
    const unsaved = drafts.value.get(path);
    if (!theirs && !unsaved) throw new Error(`'${path}' is gone`);
    file.value = theirs ?? { name, path, text: "", crlf: false, version: null, fixed: null };
    savedAt.value = null;
    conflict.value = unsaved && unsaved.base !== file.value.version ? { theirs } : null;
  });

export function edit(text: string): void {
  const now = file.value;
  if (!now) return;
  const { base, crlf } = draft.value ?? { base: now.version, crlf: now.crlf };
  setDraft(now.path, text === now.text && base === now.version ? null : { text, crlf, base });
}

export async function save(): Promise<void> {
  const [now, made] = [file.value, draft.value];
  if (!now || !made) return;
  const body = new Blob([made.crlf ? made.text.replaceAll("\n", "\r\n") : made.text]);
  try {
    const { path } = now;
    const { version } = await callVersioned("PUT /api/fs/write", { query: { path }, body, ifMatch: made.base });
    // What was typed meanwhile is a draft of what is there now.
    const typed = drafts.value.get(path);
    setDraft(path, typed && typed.text !== made.text ? { ...typed, base: version } : null);
    if (file.value?.path !== path) return;
    file.value = { ...now, text: made.text, crlf: made.crlf, version, fixed: null };
    conflict.value = null;
    savedAt.value = Date.now();
  } catch (error) {
    if (!(error instanceof CallError) || error.status !== CHANGED) throw error;
    const theirs = await readIfThere(now.path);
    if (file.value?.path === now.path) conflict.value = { theirs };
  }
}

/** Over what stands there by now, as it was shown. */
export async function overwrite(): Promise<void> {
  const [now, made, met] = [file.value, draft.value, conflict.value];
  if (!now || !made || !met) return;
  setDraft(now.path, { ...made, base: met.theirs?.version ?? null });
  await save();
}

/** What stands in the file counts; what was typed can be copied still. */
export function putAside(): void {
  const [now, made, met] = [file.value, draft.value, conflict.value];
  if (!now || !made) return;
  aside.value = { path: now.path, text: made.text };
  setDraft(now.path, null);
  conflict.value = null;
  if (met?.theirs) file.value = met.theirs;
  else if (met) void open(folder.value);
}
