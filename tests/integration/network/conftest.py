# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces for host and jails, of each test's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces
from ansible_collections.cellblock.jails.tests.integration.support.networks import bring_up_loopback
from ansible_collections.cellblock.jails.tests.integration.support.wiring import Jail, empty_namespace, end, run


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network namespace that plays the host: the test is in it, and the machine's own stays as it is."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    monkeypatch.setattr(layout, "HOST_STATE", str(tmp_path / "host.json"))
    monkeypatch.setattr(layout, "LOCKS", str(tmp_path / "locks"))
    home = namespaces.open_namespace(os.getpid(), "net")
    try:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        bring_up_loopback()
        yield
    finally:
        namespaces.setns(home, namespaces.CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def start() -> Iterator[Callable[..., Jail]]:
    """Makes jails without a network; they end with the test."""
    pids = []

    def one(name: str = "web1", slot: int = 1) -> Jail:
        pids.append(empty_namespace())
        return Jail(pids[-1], name, slot)

    yield one
    for pid in pids:
        end(pid)


@pytest.fixture
def jail(start: Callable[..., Jail]) -> Jail:
    """The jail ``web1``, without a network."""
    return start()


@pytest.fixture
def outside() -> Iterator[int]:
    """The pid of a machine beyond the host, at 192.0.2.2 and 2001:db8::2, that knows no route to the jails."""
    pid = empty_namespace()
    run(f"ip link add uplink type veth peer name eth0 netns {pid}")
    run("ip addr add 192.0.2.1/24 dev uplink")
    run("ip addr add 2001:db8::1/64 dev uplink nodad")
    run("ip link set uplink up")
    run("ip addr add 192.0.2.2/24 dev eth0", pid)
    run("ip addr add 2001:db8::2/64 dev eth0 nodad", pid)
    run("ip link set eth0 up", pid)
    yield pid
    end(pid)
