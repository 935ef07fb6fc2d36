# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys by which a system is known over SSH: ``/etc/ssh/ssh_host_TYPE_key`` (sshd(8)).

Nothing in the tree is asked to make them: it may hold anything in the place of a program. The host's ssh-keygen(1)
makes them outside, and only files go in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...kernel import mounts, paths
from ...kernel.mounts import NODEV, NOEXEC, NOSUID
from .. import hosttools, intree, treefiles

TYPES = ("ecdsa", "ed25519", "rsa")
"""What ``ssh-keygen -A`` makes."""

_FOLDER = "etc/ssh"
_SERVERS = ("usr/sbin/sshd", "usr/bin/sshd", "sbin/sshd")


class Pair(NamedTuple):
    """The text of a private and of its public key."""

    private: str
    public: str


def present(root: int) -> list[str]:
    """The types that the tree has a key of, sorted; also of kinds that we do not make."""
    names = intree.entries(root, _FOLDER)
    found = [name[len("ssh_host_") : -len("_key")] for name in names if _is_private(name)]
    return sorted(kind for kind in found if treefiles.text_of(root, _path(kind)))


def missing(root: int) -> list[str]:
    """The types to make for a first start: all for a tree that has an SSH server and no key of any type."""
    has_server = any(treefiles.is_file(root, path) for path in _SERVERS)
    return list(TYPES) if has_server and not present(root) else []


def generate(types: Sequence[str], comment: str) -> dict[str, Pair]:
    """Make new keys, on the host. They are never in a file that has a name there.

    :raises JailError: when the host has no ssh-keygen.
    """
    if not types:
        return {}
    program = hosttools.find("ssh-keygen", "openssh-client")
    # Not attached anywhere: it is gone with the descriptor, however we end.
    place = mounts.create("tmpfs", {"mode": "0700", "size": "1m"}, NOSUID | NODEV | NOEXEC)
    with paths.opened(place):
        return {kind: _generate(program, kind, comment, place) for kind in types}


def _generate(program: str, kind: str, comment: str, place: int) -> Pair:
    file = f"/proc/{os.getpid()}/fd/{place}/{kind}"
    status, said = hosttools.output_of([program, "-q", "-t", kind, "-N", "", "-C", comment, "-f", file])
    if status:
        raise OSError(0, f"ssh-keygen ended with status {status}: {said.strip()}")
    return Pair(treefiles.text_of(place, kind), treefiles.text_of(place, f"{kind}.pub"))


def place(root: int, keys: Mapping[str, Sequence[str]]) -> None:
    """Put keys into the tree: of each type a :class:`Pair`."""
    for kind, (private, public) in keys.items():
        treefiles.put(root, f"{_path(kind)}.pub", public.encode())
        treefiles.put(root, _path(kind), private.encode(), 0o600)


def keep_only(root: int, types: Sequence[str]) -> list[str]:
    """Remove the keys of all other types; the types that are missing."""
    found = present(root)
    for kind in found:
        if kind not in types:
            intree.remove(root, _path(kind))
            intree.remove(root, f"{_path(kind)}.pub")
    return [kind for kind in types if kind not in found]


def _is_private(name: str) -> bool:
    return name.startswith("ssh_host_") and name.endswith("_key")


def _path(kind: str) -> str:
    return f"{_FOLDER}/ssh_host_{kind}_key"
