// SPDX-License-Identifier: MIT
// What a recorded message holds, made readable; and the same as a command, or as a text to edit.
import type { RecordedExchange, RecordedMessage, Replay } from "./schema";

export const field = (message: RecordedMessage, name: string): string | undefined =>
  message.headers.find((one) => one.name.toLowerCase() === name)?.value;

export function bytesOf(message: RecordedMessage): Uint8Array<ArrayBuffer> {
  if (message.base64 === null) return new TextEncoder().encode(message.text ?? "");
  return Uint8Array.from(atob(message.base64), (char) => char.charCodeAt(0));
}

/** Without its content coding, as far as it is there: what was cut is shown to where it goes. */
export async function decoded(message: RecordedMessage): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = bytesOf(message);
  const coding = field(message, "content-encoding")?.trim().toLowerCase();
  if ((coding !== "gzip" && coding !== "deflate") || !bytes.length) return bytes;
  const parts: Uint8Array[] = [];
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(coding)).getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) parts.push(read.value);
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

export function hexOf(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return rows.join("\n");
}

/** JSON laid out; as it is where it is none. */
export function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const hopByHop = new Set(["host", "content-length", "connection", "transfer-encoding"]);

/** A command for a shell that asks `origin` the same. */
export function curlOf({ request }: RecordedExchange, origin: string): string {
  if (!request) return "";
  const [method = "GET", target = "/"] = request.line.split(" ");
  const words = ["curl", "-i"];
  if (method !== "GET") words.push("-X", quoted(method));
  for (const { name, value } of request.headers)
    if (!hopByHop.has(name.toLowerCase())) words.push("-H", quoted(`${name}: ${value}`));
  if (request.text) words.push("--data-binary", quoted(request.text));
  words.push(quoted(new URL(target, origin).href));
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
