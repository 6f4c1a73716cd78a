// SPDX-License-Identifier: MIT
// What a recorded message holds, made readable; and the same as a command, or as a text to edit.
import { size } from "./format";
import type { RecordedExchange, RecordedMessage, Replay } from "./schema";

export const field = (message: RecordedMessage, name: string): string | undefined =>
  message.headers.find((one) => one.name.toLowerCase() === name)?.value;

export function bytesOf(message: RecordedMessage): Uint8Array<ArrayBuffer> {
  if (message.base64 === null) return new TextEncoder().encode(message.text ?? "");
  return Uint8Array.from(atob(message.base64), (char) => char.charCodeAt(0));
}

/** Of what is decoded: a gzip of 64 KiB may hold 64 MiB. */
export const DECODED_MAX = 1 << 20;

/** Without its content coding, as far as it is there: what was cut is shown to where it goes, DECODED_MAX at most. */
export async function decoded(message: RecordedMessage): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = bytesOf(message);
  const coding = field(message, "content-encoding")?.trim().toLowerCase();
  if ((coding !== "gzip" && coding !== "deflate") || !bytes.length) return bytes;
  const parts: Uint8Array[] = [];
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(coding)).getReader();
  try {
    for (let left = DECODED_MAX; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value.subarray(0, left));
      left -= value.length;
    }
    void reader.cancel().catch(() => {});
  } catch {
    // It was cut, or is no gzip: what came out of it stands.
  }
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/** null: no text. */
export function textOf(bytes: Uint8Array): string | null {
  if (bytes.subarray(0, 8192).includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

const HEX_MAX = 1 << 16; // as many bytes as are recorded

export function hexOf(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length && at < HEX_MAX; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (bytes.length > HEX_MAX) rows.push("…");
  return rows.join("\n");
}

const INDENT_MAX = 20; // levels: what is nested deeper would be nothing but blanks
const LAID_OUT_MAX = 4 << 20; // characters: a line for each "1," of a long list is many times as long

/** JSON laid out, with its numbers and keys as they were sent; as it is where it is none. */
export function laidOut(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, INDENT_MAX))}`;
  const opens = (token?: string) => token === "{" || token === "[";
  const closes = (token?: string) => token === "}" || token === "]";
  const made = tokens.map((token, i) => {
    if (token === ",") return `,${line()}`;
    if (token === ":") return ": ";
    if (opens(token) && !closes(tokens[i + 1])) {
      depth++;
      return token + line();
    }
    if (closes(token) && !opens(tokens[i - 1])) {
      depth--;
      return line() + token;
    }
    return token;
  });
  const all = made.join("");
  return all.length > LAID_OUT_MAX ? text : all;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\x00-\x1f\x7f-\x9f]/g;

/** A byte of UTF-8 each, as bash and zsh spell them. No argument of a program can have a zero byte. */
function spelled(char: string): string {
  if (char === "\0") return "";
  return [...new TextEncoder().encode(char)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** A word for a shell. It will be pasted, and a terminal takes a control character for a key: Ctrl-C would end the quotes. */
function quoted(text: string): string {
  if (text.search(controls) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${text.replace(/[\\']/g, "\\$&").replace(controls, spelled)}'`;
}

// What belongs to the connection, or curl makes itself.
const curlsOwn = new Set(["host", "content-length", "connection", "transfer-encoding", "expect"]);
const fieldName = /^[\w!#$%&'*+.^`|~-]+$/; // curl reads a file whose name stands behind an @

/** A target that curl and no shell would change: no "..", no "//host", no blanks. */
const isPlain = (target: string) =>
  /^\/(?!\/)[\w\-.~%!$&'()*+,;=:@/?]*$/.test(target) && !/\/\.\.?([/?]|$)/.test(target);

/** Why the body isn't there as it was sent; "": it is. */
export function lackOf({ size: sent, kept, missing, whole }: RecordedMessage): string {
  if (missing) return "a part of the body was not recorded";
  if (kept < sent) return `of the body only the first ${size(kept)} of ${size(sent)} are kept`;
  return whole ? "" : "the end of the body was not recorded";
}

/** A command for a shell that asks `origin`, and nobody else, the same. */
export function curlOf({ request }: RecordedExchange, origin: string): string {
  if (!request) return "";
  const [, method = "GET", target = "/"] = /^(\S+) (.*) HTTP\/\S*$/s.exec(request.line) ?? [];
  const hasBody = request.kept > 0;
  const words = ["curl", "-i"];
  if (method === "HEAD") words.push("--head");
  else if (method !== (hasBody ? "POST" : "GET")) words.push("-X", quoted(method));
  for (const { name, value } of request.headers)
    if (fieldName.test(name) && !curlsOwn.has(name.toLowerCase()))
      words.push("-H", quoted(value ? `${name}: ${value}` : `${name};`));
  if (hasBody && field(request, "content-type") === undefined) words.push("-H", "'Content-Type:'");
  if (request.text) words.push("--data-raw", quoted(request.text));
  const base = origin.replace(/\/$/, "");
  if (isPlain(target)) words.push(quoted(base + target));
  else words.push("--request-target", quoted(target), quoted(`${base}/`));
  const command = words.join(" ");
  return request.base64 ? `printf %s ${request.base64} | base64 -d | ${command} --data-binary @-` : command;
}

/** The request as a text to edit: its first words, its headers, an empty line, its body where that is text. */
export function draftOf({ line, headers, text }: RecordedMessage): string {
  const head = [line.replace(/ HTTP\/\S*$/, ""), ...headers.map(({ name, value }) => `${name}: ${value}`)];
  return `${head.join("\n")}\n\n${text ?? ""}`;
}

/** The reverse; `withBody` false: the body stays as it was recorded. */
export function replayOf(draft: string, withBody: boolean): Replay {
  const end = draft.indexOf("\n\n");
  const [first = "", ...fields] = (end < 0 ? draft : draft.slice(0, end)).split("\n").filter(Boolean);
  const space = first.indexOf(" ");
  if (space < 1) throw new Error(`'${first}' is no request: write METHOD PATH`);
  const headers = fields.map((field) => {
    const at = field.indexOf(":");
    if (at < 1) throw new Error(`'${field}' is no header: write NAME: VALUE`);
    return { name: field.slice(0, at), value: field.slice(at + 1).trim() };
  });
  const body = withBody ? { text: end < 0 ? "" : draft.slice(end + 2) } : {};
  return { method: first.slice(0, space), target: first.slice(space + 1).trim(), headers, ...body };
}
