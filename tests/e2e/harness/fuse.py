# SPDX-License-Identifier: MIT
"""A file system that shows a folder, and stops to answer when it is told to, as NFS does when its server is gone. It
speaks the kernel's protocol (<linux/fuse.h>) itself: no library is needed, only the right to mount."""

import ctypes
import errno
import os
import select
import struct
import threading

import pytest

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 25, 26, 27, 28, 29, 36, 42
SILENT = FORGET, BATCH_FORGET, INTERRUPT  # have no answer
HEAD = struct.Struct("IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
MNT_FORCE, MNT_DETACH = 1, 2
ROOT_NODE = 1
REQUEST_MAX = 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


class SlowFolder:
    """`folder` at `at`, read-only. Requests that come while it hangs wait in the kernel."""

    def __init__(self, folder, at):
        self.folder, self.at, self.paths = str(folder), str(at), {ROOT_NODE: str(folder)}
        self.hangs, self.ends = False, False
        self.wake, self.woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)[::-1]
        try:
            self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as failure:
            pytest.skip(f"needs /dev/fuse: {failure}")
        options = f"fd={self.device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if libc.mount(b"slow", os.fsencode(self.at), b"fuse", 0, options.encode()) < 0:
            pytest.skip(f"can't mount: {os.strerror(ctypes.get_errno())}")
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def hang(self):
        self._set(hangs=True)

    def answer(self):
        self._set(hangs=False)

    def close(self):
        """Who still waits gets an error."""
        self._set(ends=True)
        self.thread.join()
        libc.umount2(os.fsencode(self.at), MNT_FORCE | MNT_DETACH)
        os.close(self.device)
        os.close(self.wake)
        os.close(self.woken)

    def _set(self, **facts):
        self.__dict__.update(facts)
        os.write(self.wake, b"x")

    def _serve(self):
        while not self.ends:
            ready = select.select([self.woken] if self.hangs else [self.woken, self.device], [], [])[0]
            if self.woken in ready:
                os.read(self.woken, 1)
            elif not self.hangs:
                self._answer(os.read(self.device, REQUEST_MAX))

    def _answer(self, request):
        _, opcode, unique, node, *_ = HEAD.unpack_from(request)
        try:
            error, data = 0, self._do(opcode, node, request[HEAD.size :])
        except OSError as failure:
            error, data = failure.errno, b""
        if opcode not in SILENT:
            os.write(self.device, struct.pack("IiQ", 16 + len(data), -error, unique) + data)

    def _do(self, opcode, node, body):
        if opcode == INIT:
            major, minor, readahead = struct.unpack_from("III", body)
            return struct.pack("IIIIHHIIHHI28x", major, min(minor, 31), readahead, 0, 16, 12, 4096, 1, 0, 0, 0)
        if opcode == LOOKUP:
            path = f"{self.paths[node]}/{os.fsdecode(body.rstrip(bytes(1)))}"
            attr = self._attr(path)
            found = os.stat(path).st_ino << 1  # no other one is ROOT_NODE
            self.paths[found] = path
            return struct.pack("QQQQII", found, 0, 0, 0, 0, 0) + attr
        if opcode == GETATTR:
            return struct.pack("QII", 0, 0, 0) + self._attr(self.paths[node])
        if opcode in (OPEN, OPENDIR):
            return struct.pack("QII", 0, 0, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("QQI", body)
            with open(self.paths[node], "rb") as file:
                file.seek(offset)
                return file.read(size)
        if opcode == READDIR:
            _, offset, _ = struct.unpack_from("QQI", body)
            entries = b""
            for at, name in enumerate(sorted(os.listdir(self.paths[node])), 1):
                text = os.fsencode(name)
                entry = struct.pack("QQII", at + 1, at, len(text), 0) + text
                entries += entry + bytes(-len(entry) % 8) if at > offset else b""
            return entries
        if opcode == STATFS:
            return struct.pack("QQQQQIIII24x", 1, 0, 0, 1, 0, 4096, 255, 4096, 0)
        if opcode in (FLUSH, RELEASE, RELEASEDIR, *SILENT):
            return b""
        raise OSError(errno.ENOSYS, "")

    @staticmethod
    def _attr(path):
        st = os.lstat(path)
        times = [int(t) for t in (st.st_atime, st.st_mtime, st.st_ctime)]
        nanos = [ns % 10**9 for ns in (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns)]
        return struct.pack("QQQ3Q3I7I", st.st_ino, st.st_size, st.st_blocks, *times, *nanos, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, 0, 4096, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
