// SPDX-License-Identifier: MIT

// Fetches what its visitor names, /http/HOST:PORT or /https/HOST:PORT, and tells how it went.

async function tell(url) {
  const [, scheme, place] = new URL(url).pathname.split("/");
  try {
    const answer = await fetch(`${scheme}://${place}/`);
    return `${answer.status} ${await answer.text()}`;
  } catch (error) {
    return `failed: ${error.message}`;
  }
}

addEventListener("fetch", (event) => {
  event.respondWith(tell(event.request.url).then((said) => new Response(said)));
});
