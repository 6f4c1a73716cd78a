// SPDX-License-Identifier: MIT
// What a recorded message holds, made readable; and the same as a command or an archive.
import type { RecordedExchange, RecordedHeader, RecordedMessage } from "./schema";

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

const harHeaders = (headers: RecordedHeader[]) => headers.map(({ name, value }) => ({ name, value }));

function harEntry({ summary, request, response }: RecordedExchange) {
  if (!request) return [];
  const [method = "", target = "", httpVersion = ""] = request.line.split(" ");
  const url = `http://${summary.host ?? "localhost"}${target}`;
  const [, status = "0", ...words] = (response?.line ?? "").split(" ");
  const total = summary.duration_ms ?? 0;
  const wait = Math.min(summary.first_byte_ms ?? total, total);
  return [
    {
      startedDateTime: new Date(summary.time).toISOString(),
      time: total,
      request: {
        method,
        url,
        httpVersion,
        cookies: [],
        headers: harHeaders(request.headers),
        queryString: [...new URL(url).searchParams].map(([name, value]) => ({ name, value })),
        ...(request.size
          ? { postData: { mimeType: field(request, "content-type") ?? "", text: request.text ?? request.base64 ?? "" } }
          : {}),
        headersSize: -1,
        bodySize: request.size,
      },
      response: {
        status: Number(status),
        statusText: words.join(" "),
        httpVersion: response?.line.split(" ")[0] ?? "",
        cookies: [],
        headers: harHeaders(response?.headers ?? []),
        content: {
          size: response?.size ?? 0,
          mimeType: summary.type ?? "",
          text: response?.text ?? response?.base64 ?? "",
          ...(response?.base64 ? { encoding: "base64" } : {}),
        },
        redirectURL: (response && field(response, "location")) ?? "",
        headersSize: -1,
        bodySize: response?.size ?? -1,
      },
      cache: {},
      timings: { send: 0, wait, receive: total - wait },
    },
  ];
}

/** HTTP Archive 1.2, which browsers and proxies read. */
export function harOf(exchanges: RecordedExchange[]): string {
  const log = { version: "1.2", creator: { name: "wasmrun", version: "" }, entries: exchanges.flatMap(harEntry) };
  return JSON.stringify({ log }, null, 1);
}
