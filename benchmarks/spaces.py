# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces without a process in them: a descriptor holds each, and with that it goes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces
from ansible_collections.cellblock.jails.plugins.module_utils.net import loopback


def make() -> int:
    """A descriptor of a new one."""
    home = namespaces.open_namespace(os.getpid(), "net")
    try:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        made = namespaces.open_namespace(os.getpid(), "net")
        namespaces.setns(home, namespaces.CLONE_NEWNET)
    finally:
        os.close(home)
    loopback.bring_up(made)
    return made


@contextlib.contextmanager
def several(number: int) -> Iterator[list[int]]:
    """So many new ones, for a ``with`` block."""
    made = [make() for _each in range(number)]
    try:
        yield made
    finally:
        for each in made:
            os.close(each)


@contextlib.contextmanager
def inside(space: int | None) -> Iterator[None]:
    """Be in one; ``None``: where we are."""
    if space is None:
        yield
    else:
        with namespaces.inside(space, "net"):
            yield


def run(words: str, space: int | None = None) -> str:
    """What a command prints there."""
    with inside(space):
        return subprocess.run(words.split(), check=True, capture_output=True, text=True).stdout


def path(space: int) -> str:
    """A name by which other programs find one, while we live."""
    return f"/proc/{os.getpid()}/fd/{space}"


def connect(one: int, other: int | None, names: Sequence[str]) -> None:
    """A bare veth pair between one and another, or where we are; both ends are up."""
    run(f"ip link add {names[0]} type veth peer name {names[1]}")
    for name, space in zip(names, (one, other)):
        if space is not None:
            run(f"ip link set {name} netns {path(space)}")
        run(f"ip link set {name} up", space)
