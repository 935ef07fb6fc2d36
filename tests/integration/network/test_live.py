# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes while connections are open."""

from __future__ import annotations

import socket
import sys

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    FULL,
    PLAIN,
    Jail,
    assert_alive,
    connect,
    converge,
    listener,
)


@pytest.mark.parametrize("address", ["10.77.0.12", "fd77::12"])
def test_connections_live_through_changes(jail: Jail, address: str) -> None:
    both = {**FULL, "addresses": ["10.77.0.11/24", "10.77.0.12/24", "fd77::11/64", "fd77::12/64"]}
    converge(jail, both)
    near, far = connect(address, jail.pid)
    with near, far:
        for changes in (
            {"addresses": ["10.77.0.12/24", "fd77::12/64"]},  # 10.77.0.12 is a secondary address of 10.77.0.11
            {"mtu": 1400},
            {"gateway": "10.77.0.254", "gateway6": "fd77::fe"},
            {"masquerade": False},
            {"spoof_protection": False},
            {"allow_router": True, "allow_metadata": True},
            {"isolate": True},
            {"connections_max": 1},
            {"neighbours_max": 1},
            {"rate_in": "1Mbit", "rate_out": "2Mbit", "packets_max": 100},
            {"addresses": ["10.77.0.12/16", "fd77::12/48"]},
            {"mac": "02:00:00:00:00:77"},
        ):
            converge(jail, {**both, **changes})
            assert_alive((near, far))
        converge(jail, both, {"name": "data", "bridge": "br-data", "addresses": ["10.78.0.1/24"]})
        assert_alive((near, far))


def test_an_address_that_stays_is_not_taken_away_for_a_moment(jail: Jail) -> None:
    both = {**PLAIN, "addresses": ["10.77.0.11/24", "10.77.0.12/24"], "gateway": "10.77.0.1"}
    converge(jail, both)
    with listener(jail.pid) as hears:
        converge(jail, {**both, "addresses": ["10.77.0.12/24"]})
        removed = _messages(hears, 21)  # RTM_DELADDR
    assert len(removed) == 1
    assert socket.inet_aton("10.77.0.11") in removed[0]


def _messages(hears: socket.socket, kind: int) -> list[bytes]:
    found = []
    try:
        while True:
            message = hears.recv(1 << 16)
            if int.from_bytes(message[4:6], sys.byteorder) == kind:
                found.append(message)
    except BlockingIOError:
        return found
