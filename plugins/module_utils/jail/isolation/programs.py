# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled seccomp filters, kept under :data:`layout.CACHE` until the next boot.

A program is named by what it was compiled from. A running jail records the names of its programs, so what enters it
later gets the very ones that its first process has, whatever has become of a profile file meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
from collections.abc import Hashable, Sequence
from typing import Callable

from ... import files, layout
from ...errors import JailError
from ...kernel import seccomp
from ...kernel.seccomp import Filter


def keep(policies: Sequence[Filter]) -> str:
    """The name of the one program of these filters, each of which decides what those before it allow; compiled now if
    it was not yet.

    :raises JailError: where libseccomp is missing, or refuses it.
    """
    return _keep(tuple(policies), lambda: functools.reduce(seccomp.chain, map(seccomp.compile_filter, policies)))


def keep_with_newer_missing(policy: Filter) -> str:
    """The name of the program of a filter after that of :func:`seccomp.newer_calls_missing`, likewise."""
    return _keep(
        ("newer calls are missing", policy),
        lambda: seccomp.chain(seccomp.newer_calls_missing(), seccomp.compile_filter(policy)),
    )


def _keep(source: Hashable, compiled: Callable[[], bytes]) -> str:
    name = _name(source)
    path = _path(name)
    if not os.path.exists(path):
        try:
            program = compiled()
        except OSError as error:
            raise JailError(f"its filter cannot be compiled: {error.strerror}", option="seccomp") from error
        with files.locked("seccomp"):
            files.write_bytes(path, program)
    return name


@functools.lru_cache(maxsize=16)
def _name(source: Hashable) -> str:
    text = f"{source!r} {seccomp.version()} {platform.machine()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@functools.lru_cache(maxsize=16)
def read(name: str) -> bytes:
    """The program of this name.

    :raises JailError: when somebody has removed it.
    """
    with contextlib.suppress(FileNotFoundError), open(_path(name), "rb") as file:
        return file.read()
    raise JailError(f"its seccomp program {_path(name)} is gone", advice="restart the jail")


def _path(name: str) -> str:
    return os.path.join(layout.CACHE, f"seccomp-{name}.bpf")
