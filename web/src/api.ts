// SPDX-License-Identifier: MIT
// Calls of the REST API, with the types that the server's own tables give. Addresses are relative to
// the page, which may be served behind another port or path.
import type { Calls, Failure } from "./schema";

// Bound to another address than loopback, the API asks for the token in the URL's fragment.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const authorization: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};

type Answers<Call extends keyof Calls> = Calls[Call]["answers"];
type Good<Call extends keyof Calls> = Exclude<Answers<Call>[keyof Answers<Call>], Failure>;
type Body<Call extends keyof Calls> = Calls[Call] extends { body?: infer B } ? B : never;

export interface CallOptions<Call extends keyof Calls> {
  path?: Record<string, string | number>;
  query?: Record<string, string | number | undefined>;
  body?: Body<Call>;
  /** What is replaced must be this version still; else a CallError with the status CHANGED. */
  ifMatch?: string | null;
  signal?: AbortSignal;
}

/** The status of a CallError: what was to be replaced is another version by now. */
export const CHANGED = 412;

/** What the server has said no with, in words for people. */
export class CallError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export function request(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(path, { ...init, headers: { ...authorization, ...init.headers } });
}

function address(template: string, path: Record<string, string | number>, query: Record<string, unknown>): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(path[name])));
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return filled.slice(1) + (search && `?${search}`);
}

async function ask(method: string, to: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await request(to, { ...init, method });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new CallError("wasmrun doesn't answer: has it ended? Start 'wasmrun os' again", 0);
  }
  if (answer.ok) return answer;
  const failure = (await answer.json().catch(() => null)) as Failure | null;
  throw new CallError(failure?.error ?? `wasmrun has answered ${answer.status}`, answer.status);
}

/** The version of what was answered, for `ifMatch`. A front that packs answers calls it weak, which is not for that. */
const versionOf = (answer: Response) => answer.headers.get("ETag")?.replace(/^W\//, "") ?? null;

/** `callVersioned("GET /api/network/policy")`; throws a CallError with what to tell the user. */
export async function callVersioned<Call extends keyof Calls>(
  name: Call,
  options: CallOptions<Call> = {},
): Promise<{ answer: Good<Call>; version: string | null }> {
  const [method, template] = name.split(" ") as [string, string];
  const init: RequestInit = options.signal ? { signal: options.signal } : {};
  if (options.body instanceof Blob) init.body = options.body;
  else if (options.body !== undefined) init.body = JSON.stringify(options.body);
  if (options.ifMatch) init.headers = { "If-Match": options.ifMatch };
  const answer = await ask(method, address(template, options.path ?? {}, options.query ?? {}), init);
  const json = answer.headers.get("Content-Type") === "application/json";
  return { answer: (json ? await answer.json() : await answer.blob()) as Good<Call>, version: versionOf(answer) };
}

export async function call<Call extends keyof Calls>(name: Call, options: CallOptions<Call> = {}): Promise<Good<Call>> {
  return (await callVersioned(name, options)).answer;
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
