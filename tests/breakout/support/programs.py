# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attack programs: small, static, of our own."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_SOURCES = Path(__file__).parent.parent / "programs"
_OPTIONS = ("-static", "-no-pie", "-Wall", "-Wextra", "-Werror", "-O1")
_FREESTANDING = ("-m32", "-nostdlib", "-ffreestanding", "-fno-pic", "-fno-stack-protector")
_ATTACK = ("main", "calls", "exhaustion", "files", "namespaces", "processes", "sockets")


class Programs(NamedTuple):
    """Their paths, the same on the host and in a jail. ``bits32`` is ``None`` where there are no 32-bit programs."""

    attack: str
    server: str
    bits32: str | None

    def all(self) -> list[str]:
        """Those that there are."""
        return [path for path in self if path]


def compiled(folder: Path) -> Programs:
    """Compile them into a folder.

    :raises FileNotFoundError: when gcc is not installed.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("gcc is not installed")

    def build(name: str, sources: tuple[str, ...], *options: str) -> str:
        path = str(folder / name)
        files = [str(_SOURCES / f"{source}.c") for source in sources]
        subprocess.run([compiler, *_OPTIONS, *options, "-o", path, *files], check=True)
        return path

    return Programs(
        build("attack", _ATTACK),
        build("server", ("server",)),
        build("bits32", ("bits32",), *_FREESTANDING) if platform.machine() == "x86_64" else None,
    )
