# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's network has of the host for as long as it runs: devices that are given back, and a host that answers
for its addresses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import JailError
from ..kernel import paths
from . import hostnet, ids, network, store
from .live import Running


@contextlib.contextmanager
def given_back(running: Running) -> Iterator[None]:
    """While a jail is being stopped: its network outlives it until the host has its devices again."""
    with contextlib.ExitStack() as stack:
        namespace = None
        if hostnet.host().lends(running.slot):
            # It may have ended by itself, and its network with it.
            with contextlib.suppress(JailError):
                namespace = stack.enter_context(paths.opened(running.open_part("ns/net")))
        try:
            yield
        finally:
            hostnet.host().give_back(running.slot, namespace)


@contextlib.contextmanager
def given_back_on_failure(running: Running, wiring: Mapping[str, Any]) -> Iterator[None]:
    """While a jail is being started with this network: likewise, if that fails."""
    if not network.lends(wiring):
        yield
        return
    with paths.opened(running.open_part("ns/net")) as namespace:
        try:
            yield
        except BaseException:
            hostnet.host().give_back(running.slot, namespace)
            raise


def clear(name: str) -> None:
    """Take back what a jail that does not run still has."""
    slot = ids.find(name)
    if slot is not None:
        hostnet.host().give_back(slot, None)
    network.leave_unanswered(store.read(name, "net"), name)
