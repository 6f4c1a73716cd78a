// SPDX-License-Identifier: MIT

// Answers each HTTP request with a page about it.

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escape = (text) => text.replace(/[&<>]/g, (c) => escapes[c]);

function page({ method, url }) {
  const { pathname, search } = new URL(url);
  console.log(`${method} ${pathname}${search}`);
  return `<!doctype html>
<title>Hello from JavaScript</title>
<h1>Hello from JavaScript in WebAssembly</h1>
<p>You sent <code>${escape(method)} ${escape(pathname + search)}</code> at ${new Date().toISOString()}.</p>
`;
}

addEventListener("fetch", (event) => {
  event.respondWith(
    new Response(page(event.request), { headers: { "content-type": "text/html; charset=utf-8" } }),
  );
});
