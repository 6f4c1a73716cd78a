// SPDX-License-Identifier: MIT
// The body of a recorded message: JSON and forms laid out, multipart's parts apart, other text as it is, the rest in hex.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { size } from "../format";
import { bytesOf, DECODED_MAX, decoded, field, hexOf, laidOut, textOf } from "../message";
import { boundaryOf, partsOf } from "../multipart";
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

function Hex({ bytes }: { bytes: Uint8Array }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys
    <pre class="contents hex" tabIndex={0}>
      {hexOf(bytes)}
    </pre>
  );
}

function Plain({ bytes, type }: { bytes: Uint8Array; type: string }) {
  const text = textOf(bytes);
  if (text === null) return <Hex bytes={bytes} />;
  if (type.startsWith("application/x-www-form-urlencoded")) return <Form text={text} />;
  return <pre class="contents">{/[/+]json/.test(type) ? laidOut(text) : text}</pre>;
}

/** What is a multipart among its parts stays a text: nothing ends how deep they may be nested. */
function Shown({ bytes, type }: { bytes: Uint8Array; type: string }) {
  const boundary = boundaryOf(type);
  if (!boundary) return <Plain bytes={bytes} type={type} />;
  return (
    <>
      {partsOf(bytes, boundary).map(({ head, type, body }, i) => (
        <div class="part" key={i}>
          <p class="hint mono">{head}</p>
          <Plain bytes={body} type={type} />
        </div>
      ))}
    </>
  );
}

export function Body({ message, name }: { message: RecordedMessage; name: string }) {
  const bytes = useSignal<Uint8Array | null>(null);
  const raw = useSignal(false);
  useEffect(() => {
    let shown = true; // another one may be decoded sooner
    void decoded(message).then((made) => {
      if (shown) bytes.value = made;
    });
    return () => {
      shown = false;
    };
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
        <Hex bytes={bytesOf(message)} />
      ) : (
        bytes.value && <Shown bytes={bytes.value} type={field(message, "content-type") ?? ""} />
      )}
    </>
  );
}
