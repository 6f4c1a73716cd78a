# SPDX-License-Identifier: MIT
"""wasmrun-guest: what a module may have of the machine, whatever it asks for."""

import os

import pytest

from harness.guests import GUEST, TRAP, Run

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")


def section(number, items):
    content = bytes([len(items)]) + b"".join(items)
    return bytes([number, len(content)]) + content


def module_with(memories):
    """(module (memory (export "memory") 1) (memory 1)... (func (export "_start")))"""
    return b"\0asm\1\0\0\0" + b"".join((
        section(1, [b"\x60\0\0"]),
        section(3, [b"\0"]),
        section(5, [b"\0\1"] * memories),
        section(7, [b"\6memory\2\0", b"\6_start\0\0"]),
        section(10, [b"\2\0\x0b"]),
    ))


def test_a_second_memory_is_no_way_round_the_limit(tmp_path):
    """The engine's limit is that of each memory."""
    for memories, expected in (1, 0), (2, TRAP):
        path = tmp_path / f"{memories}.wasm"
        path.write_bytes(module_with(memories))
        process = Run(path, folder=tmp_path, listen=False).process
        assert process.wait_exit() == expected
        assert ("memory count too high" in process.text("stderr")) == (memories > 1)
        assert not process.stop()
