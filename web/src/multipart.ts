// SPDX-License-Identifier: MIT
// The parts of a multipart body (RFC 2046, 5.1.1), as far as they are there: it may have been cut.

const PARTS_MAX = 200;

export interface Part {
  head: string;
  /** Its Content-Type, in small letters up to the parameters; "": none. */
  type: string;
  body: Uint8Array<ArrayBuffer>;
}

/** null: it is no multipart. */
export function boundaryOf(type: string): string | null {
  const found = /^multipart\/[^;]+;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type);
  return found?.[1] ?? found?.[2] ?? null;
}

/** A character for each byte, so that both can be cut at the same places. */
function charsOf(bytes: Uint8Array): string {
  let chars = "";
  for (const byte of bytes) chars += String.fromCharCode(byte);
  return chars;
}

const bytesOf = (chars: string) => Uint8Array.from(chars, (char) => char.charCodeAt(0));

/** Of what stands behind a delimiter, from its line's end on: with no header there is an empty line at once. */
function partOf(chars: string): Part {
  const end = chars.indexOf("\r\n\r\n");
  const head = new TextDecoder().decode(bytesOf(chars.slice(2, end < 0 ? undefined : end)));
  const type = /^content-type:\s*(.*)$/im.exec(head)?.[1] ?? "";
  return {
    head,
    type: type.replace(/^[^;]*/, (name) => name.trim().toLowerCase()),
    body: bytesOf(end < 0 ? "" : chars.slice(end + 4)),
  };
}

export function partsOf(bytes: Uint8Array, boundary: string): Part[] {
  // The first delimiter has no line's end before it; a line that only begins like one is none.
  const chars = `\r\n${charsOf(bytes)}`;
  const delimiter = new RegExp(`\\r\\n--${boundary.replace(/\W/g, "\\$&")}(--)?[ \\t]*(?=\\r\\n|$)`, "g");
  const found = [...chars.matchAll(delimiter)];
  const last = found.findIndex(([, end]) => end);
  return found
    .slice(0, last < 0 ? PARTS_MAX : Math.min(last, PARTS_MAX))
    .map((one, i) => partOf(chars.slice(one.index + one[0].length, found[i + 1]?.index)));
}
