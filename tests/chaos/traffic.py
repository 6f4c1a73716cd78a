# SPDX-License-Identifier: MIT
"""
Streams whose every byte is known, from both of their ends: "traffic.py answer INDEX PORT" is an application,
"traffic.py visit SEED RATE MOST INDEX:HOST:PORT..." its visitors, until SIGTERM. Each end prints a line of JSON per stream.

Whoever opens a stream tells how much goes each way, so that either end knows by itself what a whole stream is. A socket
resets when its program dies: what only looks like an end is then the tunnel's doing.
"""

import asyncio
import json
import random
import signal
import socket
import struct
import sys
import time

MAGIC = b"chao"
REQUEST = struct.Struct("!4sQBIIII")  # MAGIC, number, mode, bytes up, bytes down, where it breaks off, pause in ms
ANSWER = struct.Struct("!4sIQ")  # MAGIC, index of the application, number
MODES = HALF_CLOSED, DOWNLOAD, DUPLEX, VISITOR_RESETS, APP_RESETS, HELD = range(6)
WEIGHTS = 30, 20, 25, 8, 8, 9
LARGEST = 3_000_000
CHUNK = 1 << 16
BLOCK = random.Random("chaos").randbytes(1 << 20)
ENDLESS = BLOCK + BLOCK[:CHUNK]
# What a stream may take at most, once nothing disturbs it any more: see docs/security.md on vanished peers.
PATIENCE_S = 100


class Wrong(Exception):
    """A byte that nobody sent, or one too many: what must never be."""


class Short(Exception):
    """An ordinary end before everything came: the same."""


class Nothing(Exception):
    """An ordinary end before anything came: somebody was turned away."""


class BrokenOff(Exception):
    """Our own reset."""


def content(number, direction, at, size):
    start = (number * 7919 + direction * 500_009 + at) % len(BLOCK)
    return ENDLESS[start : start + min(size, CHUNK, len(ENDLESS) - start)]


class Stream:
    def __init__(self, sock, number=0, mode=0, up=0, down=0, cut=0, pause_ms=0):
        self.sock, self.loop = sock, asyncio.get_running_loop()
        self.number, self.mode, self.up, self.down, self.cut, self.pause_ms = number, mode, up, down, cut, pause_ms
        self.sent = self.got = 0
        linger(sock, True)
        # A reset is sent once: one that was lost on a broken link is found out by asking.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)

    async def read_exactly(self, size):
        data = b""
        while len(data) < size:
            part = await self.loop.sock_recv(self.sock, size - len(data))
            if not part:
                raise Short if data else Nothing
            data += part
        return data

    async def send(self, direction, size, breaks_off):
        while self.sent < size:
            if breaks_off and self.sent >= self.cut:
                raise BrokenOff
            part = content(self.number, direction, self.sent, size - self.sent)
            await self.loop.sock_sendall(self.sock, part)
            self.sent += len(part)
        self.sock.shutdown(socket.SHUT_WR)

    async def receive(self, direction, size, pauses):
        while data := await self.loop.sock_recv(self.sock, CHUNK):
            at = 0
            while at < len(data):
                part = content(self.number, direction, self.got, len(data) - at)
                if self.got + len(part) > size or data[at : at + len(part)] != part:
                    raise Wrong(f"byte {self.got} of {size}")
                at += len(part)
                self.got += len(part)
            if pauses and self.got >= self.cut:
                await asyncio.sleep(self.pause_ms / 1000)
                pauses = False
        if self.got < size:
            raise Short(f"{self.got} of {size} bytes")

    async def visit(self, index):
        await self.loop.sock_sendall(
            self.sock, REQUEST.pack(MAGIC, self.number, self.mode, self.up, self.down, self.cut, self.pause_ms)
        )

        async def receive():
            if await self.read_exactly(ANSWER.size) != ANSWER.pack(MAGIC, index, self.number):
                raise Wrong("another stream's answer")
            await self.receive(1, self.down, self.pause_ms)

        send = self.send(0, self.up, self.mode == VISITOR_RESETS)
        await self.both(send, receive(), one_after_the_other={HALF_CLOSED: (0, 1), DOWNLOAD: (1, 0)})

    async def answer(self, index):
        magic, self.number, self.mode, self.up, self.down, self.cut, self.pause_ms = REQUEST.unpack(
            await self.read_exactly(REQUEST.size)
        )
        if magic != MAGIC or self.mode not in MODES:
            raise Wrong("no request of ours")

        async def send():
            await self.loop.sock_sendall(self.sock, ANSWER.pack(MAGIC, index, self.number))
            if self.mode == HELD:
                await asyncio.sleep(self.pause_ms / 1000)
            await self.send(1, self.down, self.mode == APP_RESETS)

        await self.both(send(), self.receive(0, self.up, 0), one_after_the_other={HALF_CLOSED: (1, 0), DOWNLOAD: (0, 1)})

    async def both(self, *ways, one_after_the_other):
        tasks = []
        try:
            for way in one_after_the_other.get(self.mode, ()):
                tasks.append(asyncio.ensure_future(ways[way]))
                await tasks[-1]
            tasks = tasks or [asyncio.ensure_future(way) for way in ways]
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for way in ways:
                way.close()

    async def run(self, index, steps):
        """Runs to the end, whatever that is, and tells it."""
        began, why = time.time(), ""
        try:
            await steps
            linger(self.sock, False)
            end = "whole"
        except asyncio.CancelledError:
            end = "open"
        except BrokenOff:
            end = "broken off"
        except (Wrong, Short, Nothing) as failure:
            end, why = type(failure).__name__.lower(), str(failure)
        except OSError as failure:
            end, why = "cut", failure.strerror
        finally:
            self.sock.close()
        print(
            json.dumps(
                {
                    "index": index, "number": self.number, "mode": self.mode, "up": self.up, "down": self.down, "end": end, "why": why,
                    "sent": self.sent, "got": self.got, "began": began, "seconds": round(time.time() - began, 3),
                }
            ),
            flush=True,
        )  # fmt: skip


def linger(sock, resets):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", resets, 0))


def tcp_socket():
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def finish(tasks):
    """Those that are still open then are told as open."""
    if tasks:
        await asyncio.wait(tasks, timeout=PATIENCE_S)
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def keep(tasks, coroutine):
    task = asyncio.ensure_future(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def answer(index, port):
    tasks, told = set(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    with socket.create_server(("127.0.0.1", int(port)), backlog=1024) as listener:
        listener.setblocking(False)

        async def accept():
            while True:
                sock, _ = await loop.sock_accept(listener)
                sock.setblocking(False)
                stream = Stream(sock)
                keep(tasks, stream.run(int(index), stream.answer(int(index))))

        accepting = asyncio.ensure_future(accept())
        print("ready", flush=True)
        await told.wait()
        accepting.cancel()
    await finish(tasks)


def plan(rng, number):
    """A stream: sizes from a few bytes to LARGEST, each magnitude as often; every fifth reader pauses."""
    mode = rng.choices(MODES, WEIGHTS)[0]
    up, down = (int(LARGEST ** rng.random()) for _ in range(2))
    pause_ms = rng.randrange(200, 12_000) if mode == HELD or rng.random() < 0.2 else 0
    return {"number": number, "mode": mode, "up": up, "down": down, "cut": rng.randrange(max(up, down)), "pause_ms": pause_ms}


async def visit(seed, rate, most, *tunnels):
    rng, tasks, told = random.Random(seed), set(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    tunnels = [tunnel.split(":") for tunnel in tunnels]

    async def one(index, host, port, how):
        stream = Stream(tcp_socket(), **how)
        if stream.pause_ms:
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)

        async def steps():
            await loop.sock_connect(stream.sock, (host, int(port)))
            await stream.visit(int(index))

        await stream.run(int(index), steps())

    number = rng.getrandbits(48)
    while not told.is_set():
        try:
            await asyncio.wait_for(told.wait(), rng.expovariate(float(rate)))
        except asyncio.TimeoutError:
            if len(tasks) < int(most):
                number += 1
                keep(tasks, one(*rng.choice(tunnels), plan(rng, number)))
    await finish(tasks)


if __name__ == "__main__":
    asyncio.run({"answer": answer, "visit": visit}[sys.argv[1]](*sys.argv[2:]))
