// SPDX-License-Identifier: MIT
// The body of a recorded message: JSON and forms laid out, other text as it is, the rest in hex.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { size } from "../format";
import { bytesOf, DECODED_MAX, decoded, field, hexOf, laidOut, textOf } from "../message";
import type { RecordedMessage } from "../schema";
import { save } from "./save";

const ROWS_MAX = 1000;

function Form({ text }: { text: string }) {
  const rows = [...new URLSearchParams(text)];
  return (
    <table class="headers">
      {rows.length > ROWS_MAX && (
        <caption class="hint">
          The first {ROWS_MAX} of {rows.length} fields
        </caption>
      )}
      <tbody>
        {rows.slice(0, ROWS_MAX).map(([name, value], i) => (
          <tr key={i}>
            <th scope="row">{name}</th>
            <td>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Shown({ bytes, type }: { bytes: Uint8Array; type: string }) {
  const text = textOf(bytes);
  if (text === null) return <pre class="contents">{hexOf(bytes)}</pre>;
  if (type.startsWith("application/x-www-form-urlencoded")) return <Form text={text} />;
  return <pre class="contents">{/[/+]json/.test(type) ? laidOut(text) : text}</pre>;
}

export function Body({ message, name }: { message: RecordedMessage; name: string }) {
  const bytes = useSignal<Uint8Array | null>(null);
  const raw = useSignal(false);
  useEffect(() => {
    void decoded(message).then((made) => {
      bytes.value = made;
    });
  }, [message]);
  if (!message.size) return <p class="hint">No body.</p>;
  const cut = message.size > message.kept + message.missing;
  return (
    <>
      <p class="hint">
        {size(message.size)}
        {message.chunked && ", chunked"}
        {field(message, "content-encoding") && `, ${field(message, "content-encoding")}`}
        {cut && `; cut at ${size(message.kept)}`}
        {message.missing > 0 && `; ${size(message.missing)} went by too fast to be seen`}
        {!message.whole && "; its end has not come"}
        {bytes.value &&
          bytes.value.length >= DECODED_MAX &&
          `; the first ${size(DECODED_MAX)} of what it holds are shown`}
      </p>
      <p class="buttons">
        <button
          type="button"
          class="small"
          aria-pressed={raw.value}
          onClick={() => {
            raw.value = !raw.value;
          }}
        >
          Raw bytes
        </button>
        <button type="button" class="small" onClick={() => save(name, bytesOf(message), "application/octet-stream")}>
          Save the body
        </button>
      </p>
      {raw.value ? (
        <pre class="contents">{hexOf(bytesOf(message))}</pre>
      ) : (
        bytes.value && <Shown bytes={bytes.value} type={field(message, "content-type") ?? ""} />
      )}
    </>
  );
}
