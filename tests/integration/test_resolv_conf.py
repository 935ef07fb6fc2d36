# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose ``/etc/resolv.conf`` it is."""

from __future__ import annotations

from typing import Any

from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    module,
    refused,
    shell,
)

_OURS = "nameserver 192.0.2.1\nsearch example.net\n"
_OWN = "nameserver 192.0.2.99\n"


def _held(name: str) -> str:
    return inside(name, "cat", "/etc/resolv.conf")


def _restart(name: str) -> None:
    module("jail_state", name=[name], state="restarted")


def test_it_is_the_jails_again_and_ours_again(box: str) -> None:
    """Left alone through changes by the jail, runs and starts; and back, at once, as it was given before."""
    module("jail_net", name=box, dns=["192.0.2.1"], search=["example.net"])
    shell(box, f"printf '{_OWN}' > /etc/resolv.conf")
    _restart(box)
    assert _held(box) == _OURS
    result = module("jail_net", name=box, resolv_conf="leave")
    assert actions(result, box) == [("resolv_conf", "manage", "leave", "live")]
    assert _held(box) == _OURS
    shell(box, f"printf '{_OWN}' > /etc/resolv.conf")
    assert not module("jail_net", name=box, resolv_conf="leave", names=False)["changed"]
    _restart(box)
    assert _held(box) == _OWN
    wishes: list[dict[str, Any]] = [
        {"dns": ["192.0.2.2"]},
        {"search": []},
        {"dns": ["192.0.2.2"], "resolv_conf": "leave"},
    ]
    for wish in wishes:
        assert "resolv_conf: manage" in refused("jail_net", name=box, **wish)
    assert _held(box) == _OWN
    module("jail_net", name=box, resolv_conf="manage")
    assert _held(box) == _OURS
    assert not module("jail_net", name=box, dns=["192.0.2.1"], search=["example.net"])["changed"]


def test_it_is_the_jails_while_nobody_says_anything_of_it(box: str) -> None:
    """Also where it is to be managed: there is nothing to write."""
    shell(box, f"printf '{_OWN}' > /etc/resolv.conf")
    assert not module("jail_net", name=box, resolv_conf="manage")["changed"]
    _restart(box)
    assert _held(box) == _OWN
    module("jail_net", name=box, resolv_conf="leave")
    module("jail_net", name=box, resolv_conf="manage", dns=["192.0.2.1"])
    assert _held(box) == "nameserver 192.0.2.1\n"
