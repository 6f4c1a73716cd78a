// SPDX-License-Identifier: MIT
// The project's files, to look at.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, callBytes, messageOf } from "../api";
import { date, size } from "../format";
import { Failure } from "../parts/action";
import type { Entry } from "../schema";

const SHOWN_MAX = 512 * 1024; // of a file's text

const path = signal<string[]>([]);
const entries = signal<Entry[]>([]);
const more = signal(false);
const file = signal<{ name: string; text: string; cut: boolean } | null>(null);
const failure = signal<string | null>(null);

const joined = (parts: string[]) => parts.join("/");

async function attempt(run: () => Promise<void>): Promise<void> {
  failure.value = null;
  await run().catch((error) => {
    failure.value = messageOf(error);
  });
}

function order(one: Entry, other: Entry): number {
  const folders = Number(other.type === "folder") - Number(one.type === "folder");
  return folders || one.name.localeCompare(other.name);
}

const open = (to: string[]) =>
  attempt(async () => {
    const answer = await call("GET /api/fs/list", to.length ? { query: { path: joined(to) } } : {});
    file.value = null;
    path.value = to;
    entries.value = answer.entries.sort(order);
    more.value = answer.more;
  });

const view = (name: string) =>
  attempt(async () => {
    const answer = await callBytes("GET", "/api/fs/read", { path: joined([...path.value, name]) });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (bytes.subarray(0, 8000).includes(0)) throw new Error(`'${name}' isn't a text`);
    const text = new TextDecoder().decode(bytes.subarray(0, SHOWN_MAX));
    file.value = { name, text, cut: bytes.length > SHOWN_MAX };
  });

function Row({ one }: { one: Entry }) {
  const press = () => {
    if (one.type === "folder") void open([...path.value, one.name]);
    else void view(one.name);
  };
  const opens = one.type === "folder" || one.type === "file";
  return (
    <tr>
      <td>
        {opens ? (
          <button type="button" class="plain-button" onClick={press}>
            {one.name}
            {one.type === "folder" && "/"}
          </button>
        ) : (
          one.name
        )}
      </td>
      <td>{one.type === "file" ? size(one.size) : one.type}</td>
      <td>{date(one.modified)}</td>
    </tr>
  );
}

function Path() {
  const parts = file.value ? [...path.value, file.value.name] : path.value;
  return (
    <nav class="path" aria-label="Folder">
      <button type="button" class="plain-button" onClick={() => void open([])}>
        project
      </button>
      {parts.map((part, i) => (
        <span key={joined(parts.slice(0, i + 1))}>
          /{" "}
          {file.value && i === parts.length - 1 ? (
            part
          ) : (
            <button type="button" class="plain-button" onClick={() => void open(parts.slice(0, i + 1))}>
              {part}
            </button>
          )}
        </span>
      ))}
    </nav>
  );
}

export function FilesPanel() {
  useEffect(() => void open(path.peek()), []);
  return (
    <div class="files">
      <Path />
      <Failure why={failure.value} />
      {file.value ? (
        <>
          {file.value.cut && <p class="hint">Only the first {size(SHOWN_MAX)} are shown.</p>}
          <pre class="contents">{file.value.text}</pre>
        </>
      ) : (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th>Size</th>
              <th>Changed</th>
            </tr>
          </thead>
          <tbody>
            {entries.value.map((one) => (
              <Row key={one.name} one={one} />
            ))}
          </tbody>
        </table>
      )}
      {more.value && <p class="hint">The folder holds more than is shown.</p>}
    </div>
  );
}
