// SPDX-License-Identifier: MIT
// Bundles the page: node build.mjs OUT_FOLDER API_TYPES
//
// The names of script and style have a hash of their contents, so that browsers keep them for ever;
// index.html is what names them, and all addresses in it are relative: the page may be served behind
// another path.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "dist"));

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const { metafile } = await build({
  entryPoints: { page: join(here, "src/main.tsx") },
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome123", "firefox120", "safari17.5"], // the first with light-dark()
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  entryNames: "[name]-[hash]",
  legalComments: "none",
  metafile: true,
  outdir: out,
  logLevel: "warning",
  absWorkingDir: here,
});

let html = await readFile(join(here, "src/index.html"), "utf8");
for (const path of Object.keys(metafile.outputs)) {
  const name = basename(path);
  html = html.replace(name.endsWith(".css") ? "page.css" : "page.js", name);
}
await writeFile(join(out, "index.html"), html);
