# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inner user namespace, for a jail that may mount or have children.

Who has made a mount namespace may take off every mount in it, the covers of masked paths too. So the root is built in
the jail's user namespace, and handed to one below it by a copy of the mount namespace: the kernel locks all mounts of
such a copy together, with their flags (mount_namespaces(7), "Restrictions on mount namespaces"). The inner one has the
same ids, and owns the network, where that is the jail's own, and the host name, for which its capabilities count.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..kernel import namespaces, paths, process, ucounts
from . import ids


class Inner(NamedTuple):
    """The namespace, before anybody is in it.

    :param userns: a descriptor of it.
    :param parameters: a descriptor of the kernel parameters as the jail will not see them, writable.
    """

    userns: int
    parameters: int


def prepare(owned: Sequence[str]) -> Inner:
    """Make it, and go into its namespaces of these kinds. We are the root of its parent, alone, and still see the
    host's /proc."""
    kinds = ("user", *owned)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = process.fork(lambda: _make(theirs, kinds))
        theirs.close()
        try:
            data, descriptors, _flags, _address = socket.recv_fds(ours, 32, len(kinds))
            if len(descriptors) != len(kinds):
                raise OSError(0, "the process that was to make the inner user namespace ended early")
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{int(data)}/{name}", "w", encoding="ascii") as file:
                    file.write(f"0 0 {ids.COUNT}\n")
            ours.send(b".")
        finally:
            ours.close()
            process.wait(child)
    userns, *others = descriptors
    for descriptor, kind in zip(others, owned):
        with paths.opened(descriptor):
            namespaces.setns(descriptor, namespaces.KINDS[kind])
    os.set_inheritable(userns, False)
    return Inner(userns, ucounts.open_parameters())


def _make(theirs: socket.socket, kinds: Sequence[str]) -> None:
    namespaces.unshare(sum(namespaces.KINDS[kind] for kind in kinds))
    process.show_memory()  # the map belongs to us only then; there is nobody who could look
    # The host's /proc has us under the host's number.
    number = os.readlink("/proc/self").encode()
    socket.send_fds(theirs, [number], [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in kinds])
    theirs.recv(1)


def enter(inner: Inner, limits: Mapping[str, int]) -> None:
    """Go into it with a copy of the mount namespace, as its root; below it there will be no more than these
    (:mod:`ucounts`)."""
    namespaces.setns(inner.userns, namespaces.CLONE_NEWUSER)
    namespaces.unshare(namespaces.CLONE_NEWNS)
    ucounts.bound(inner.parameters, limits)
