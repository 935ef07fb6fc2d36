# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the ``jail`` command on the host, from the code that runs right now.

A module arrives on a host with all of this collection's ``module_utils`` (that is what the imports of :mod:`cli`
here and in
:mod:`module` see to), so a bare host needs no installation step: the first module that changes something leaves the
runtime. Each version has a directory of its own, and the command is switched to it by one rename.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from . import cli, files, layout
from .rootfs.staging import sync_filesystem

_PACKAGE = "cellblock_jails"
_SYSTEM_PYTHON = "/usr/bin/python3"
_COMMAND = """#!{python} -I
# Put here by the Ansible collection cellblock.jails; the next run of one of its modules puts it back.
import sys

sys.path.insert(0, {directory!r})
from {package}.cli import main

raise SystemExit(main())
"""


def install() -> None:
    """Install the runtime unless this very version is there. Other versions are removed."""
    sources = dict(_sources(importlib.resources.files(__package__), ""))
    directory = os.path.join(layout.RUNTIME, _digest(sources))
    command = _COMMAND.format(python=_python(), directory=directory, package=_PACKAGE)
    if os.path.isdir(directory) and _content(layout.COMMAND) == command:
        return
    with files.locked("runtime"):
        _write(directory, sources)
        _write_command(command)
        for entry in os.listdir(layout.RUNTIME):
            if os.path.join(layout.RUNTIME, entry) != directory:
                shutil.rmtree(os.path.join(layout.RUNTIME, entry))


def _sources(folder: Any, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Our own Python files, from a directory or from the zip archive in which Ansible sends modules."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _digest(sources: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(sources.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _write(directory: str, sources: dict[str, bytes]) -> None:
    temporary = f"{directory}.new"
    shutil.rmtree(temporary, ignore_errors=True)
    for path, content in {**sources, "__init__.py": b""}.items():
        target = os.path.join(temporary, _PACKAGE, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
    shutil.rmtree(directory, ignore_errors=True)
    sync_filesystem(temporary)
    os.rename(temporary, directory)


def _write_command(text: str) -> None:
    os.makedirs(os.path.dirname(layout.COMMAND), exist_ok=True)
    temporary = f"{layout.COMMAND}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o755)
    os.rename(temporary, layout.COMMAND)


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _python() -> str:
    """The interpreter for the command: the distribution's, which has python3-pyroute2; else ours, unless that is a
    virtual environment, which may be gone tomorrow."""
    if os.path.exists(_SYSTEM_PYTHON):
        return _SYSTEM_PYTHON
    return os.path.realpath(sys.executable)


COMMAND_LINE = cli.main
"""Imported here so that it travels with every module."""
