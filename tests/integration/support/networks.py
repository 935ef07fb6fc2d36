# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of the tests: those of processes that cannot end meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces
from ansible_collections.cellblock.jails.plugins.module_utils.net import loopback


@contextlib.contextmanager
def network_of(pid: int) -> Iterator[int]:
    """A descriptor of the network namespace of a process."""
    namespace = namespaces.open_namespace(pid, "net")
    try:
        yield namespace
    finally:
        os.close(namespace)


@contextlib.contextmanager
def network_namespace(pid: int) -> Iterator[None]:
    """Be in the network namespace of a process for a ``with`` block."""
    with network_of(pid) as namespace, namespaces.inside(namespace, "net"):
        yield


def bring_up_loopback() -> None:
    """In the network namespace that we are in."""
    with network_of(os.getpid()) as namespace:
        loopback.bring_up(namespace)
