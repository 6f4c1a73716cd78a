// SPDX-License-Identifier: MIT
// The project's files, to look at; with --writable to edit, too.
import { useEffect } from "preact/hooks";
import * as state from "../files";
import { clock, date, size } from "../format";
import { Action, Failure } from "../parts/action";
import { Copy } from "../parts/copy";
import type { Entry } from "../schema";

const failed = (why: string | null) => {
  state.failure.value = why;
};

function Row({ one }: { one: Entry }) {
  const press = () => {
    if (one.type === "folder") void state.open([...state.folder.value, one.name]);
    else void state.view(one.name);
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
        {state.hasDraft(state.pathOf(one.name)) && <span class="hint"> not saved</span>}
      </td>
      <td>{one.type === "file" ? size(one.size) : one.type}</td>
      <td>{date(one.modified)}</td>
    </tr>
  );
}

/** What was typed for a file that is gone. */
function Orphan({ name }: { name: string }) {
  return (
    <tr>
      <td>
        <button type="button" class="plain-button" onClick={() => void state.view(name)}>
          {name}
        </button>
        <span class="hint"> not saved</span>
      </td>
      <td>gone</td>
      <td />
    </tr>
  );
}

function Path() {
  const parts = state.file.value ? [...state.folder.value, state.file.value.name] : state.folder.value;
  return (
    <nav class="path" aria-label="Folder">
      <button type="button" class="plain-button" onClick={() => void state.open([])}>
        project
      </button>
      {parts.map((part, i) => (
        <span key={parts.slice(0, i + 1).join("/")}>
          /{" "}
          {state.file.value && i === parts.length - 1 ? (
            part
          ) : (
            <button type="button" class="plain-button" onClick={() => void state.open(parts.slice(0, i + 1))}>
              {part}
            </button>
          )}
        </span>
      ))}
    </nav>
  );
}

function Conflict() {
  if (!state.conflict.value) return null;
  const { theirs } = state.conflict.value;
  return (
    <section class="wish" aria-labelledby="conflict-title" role="alert">
      <h3 id="conflict-title">{theirs ? "The file has changed meanwhile" : "The file is gone"}</h3>
      <p>What you have typed stands above, and is not saved.{theirs && " In the file stands now:"}</p>

      {theirs && <pre class="contents theirs">{theirs.text}</pre>}
      <p class="buttons">
        <Action run={state.overwrite} failed={failed}>
          {theirs ? "Overwrite it with mine" : "Write it anew"}
        </Action>
        <button type="button" onClick={state.putAside}>
          {theirs ? "Take what is there" : "Let it be gone"}
        </button>
      </p>
    </section>
  );
}

function Aside() {
  const one = state.aside.value;
  return (
    one && (
      <details>
        <summary>
          What you had typed for <span class="mono">{one.path}</span>
        </summary>
        <p class="buttons">
          <Copy text={one.text} what="what you had typed" />
        </p>
        <pre class="contents">{one.text}</pre>
      </details>
    )
  );
}

function Editor({ one }: { one: state.OpenFile }) {
  const draft = state.draft.value;
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void state.attempt(state.save);
  };
  return (
    <>
      <textarea
        class={`contents editor ${state.conflict.value ? "disputed" : ""}`}
        spellcheck={false}
        aria-label={`Text of ${one.name}`}
        value={draft?.text ?? one.text}
        onInput={(event) => state.edit(event.currentTarget.value)}
        onKeyDown={onKey}
      />
      {!state.conflict.value && (
        <p class="buttons">
          <Action primary run={state.save} failed={failed} disabled={!draft}>
            Save
          </Action>
          <button type="button" disabled={!draft} onClick={state.putAside}>
            Discard
          </button>
          <span class="hint" role="status">
            {draft ? "Not saved" : state.savedAt.value ? `Saved ${clock(state.savedAt.value)}` : ""}
          </span>
        </p>
      )}
      <Conflict />
    </>
  );
}

const READ_ONLY =
  "To edit files here, start wasmrun with --writable. The application may change the project then, too, and so what the next build runs.";

function File({ one }: { one: state.OpenFile }) {
  // A draft stays to be seen, whatever has become of the file.
  if (state.writable.value && (!one.fixed || state.draft.value)) return <Editor one={one} />;
  return (
    <>
      <p class="hint">{one.fixed ?? READ_ONLY}</p>
      <pre class="contents">{one.text}</pre>
    </>
  );
}

export function FilesPanel() {
  useEffect(() => {
    if (!state.file.peek()) void state.open(state.folder.peek());
  }, []);
  return (
    <div class="files">
      <Path />
      <Failure why={state.failure.value} />
      {state.file.value ? (
        <File one={state.file.value} />
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
            {state.entries.value.map((one) => (
              <Row key={one.name} one={one} />
            ))}
            {state.orphans.value.map((path) => (
              <Orphan key={path} name={path.split("/").at(-1) ?? path} />
            ))}
          </tbody>
        </table>
      )}
      {!state.file.value && state.more.value && <p class="hint">The folder holds more than is shown.</p>}
      <Aside />
    </div>
  );
}
