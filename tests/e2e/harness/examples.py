# SPDX-License-Identifier: MIT
"""Copies of the examples, as they come with the project: whatever was built, run or tried in their folders before."""

import pathlib
import shutil
import subprocess

from .lab import ROOT

# What building and running them leaves behind, where git can't tell.
STRAYS = shutil.ignore_patterns("dist", "node_modules", "target", "__pycache__", ".venv", "visits")


def copy_example(name, target, root=ROOT):
    source = pathlib.Path(root, "examples", name)
    said = subprocess.run(["git", "-C", source, "ls-files", "-z"], capture_output=True, text=True)
    if said.returncode or not said.stdout:
        return shutil.copytree(source, target, ignore=STRAYS)
    for file in filter(None, said.stdout.split("\0")):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / file, target / file)
    return target
