# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH host keys of a jail are its own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, identity, state
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    jail,
    module,
    pid_of,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.identities import (
    FILES,
    ONE,
    SERVER,
    content,
    fingerprints,
    restart,
)


def test_a_server_gets_keys_once(box: str) -> None:
    """A jail without an SSH server gets none; with one, keys of each type at the next start, which are its own and
    stay. One that it has of its own keeps ours away."""
    assert jail("exec", box, "--", "test", "-e", "/etc/ssh").returncode == 1
    shell(box, SERVER)
    restart(box)
    first = fingerprints(box)
    assert set(first) == {"ecdsa", "ed25519", "rsa"}
    assert f" root@{box}\n" in inside(box, "cat", "/etc/ssh/ssh_host_rsa_key.pub")
    restart(box)
    assert fingerprints(box) == first
    shell(box, "cd /etc/ssh; rm ssh_host_ecdsa_key* ssh_host_rsa_key*")
    restart(box)
    assert fingerprints(box) == {"ed25519": first["ed25519"]}
    assert not [mount for mount in Path("/proc/mounts").read_text().splitlines() if "ssh" in mount]


def test_chosen_types(box: str) -> None:
    """Live and at a start: missing ones are made, others removed, those that are there stay; none at all can be chosen,
    and no program is looked for then."""
    result = module("jail_rootfs", name=box, ssh_host_keys=["rsa", "ed25519"])
    assert actions(result, box) == [("ssh_host_keys", [], ["ed25519", "rsa"], "live")]
    first = fingerprints(box)
    assert set(first) == {"ed25519", "rsa"}
    assert not module("jail_rootfs", name=box, ssh_host_keys=["ed25519", "rsa"])["changed"]
    result = module("jail_rootfs", name=box, ssh_host_keys=["ed25519", "ecdsa"])
    assert actions(result, box) == [("ssh_host_keys", ["ed25519", "rsa"], ["ecdsa", "ed25519"], "live")]
    second = fingerprints(box)
    assert set(second) == {"ed25519", "ecdsa"}
    assert second["ed25519"] == first["ed25519"]
    shell(box, "rm /etc/ssh/ssh_host_ecdsa_key")
    restart(box)
    assert fingerprints(box)["ed25519"] == first["ed25519"]
    assert set(fingerprints(box)) == {"ed25519", "ecdsa"}
    shell(box, SERVER)
    module("jail_state", name=[box], state="stopped")
    module("jail_rootfs", name=box, ssh_host_keys=[])
    module("jail_state", name=[box], state="started")
    assert fingerprints(box) == {}
    assert not module("jail_rootfs", name=box, ssh_host_keys=[])["changed"]


def test_renewed_by_hand(furnished: str) -> None:
    """``jail renew`` of a stopped jail: its next start makes another machine id and other keys, and forgets the id
    that was chosen; all else stays. A start after that changes nothing."""
    shell(furnished, f"{SERVER}; echo data > /root/data")
    module("jail_rootfs", name=furnished, ssh_host_keys=["ecdsa", "ed25519"], **ONE)
    before, keys = content(furnished), fingerprints(furnished)
    assert b"it runs; stop it first" in jail("renew", furnished).stderr
    module("jail_state", name=[furnished], state="stopped")
    assert jail("renew", furnished).returncode == 0
    module("jail_state", name=[furnished], state="started")
    after = content(furnished)
    assert {option for option in FILES if after[option] != before[option]} == {"machine_id"}
    assert re.fullmatch(r"[0-9a-f]{32}\n", after["machine_id"])
    renewed = fingerprints(furnished)
    assert set(renewed) == set(keys)
    assert not set(renewed.values()) & set(keys.values())
    assert inside(furnished, "cat", "/root/data") == "data\n"
    restart(furnished)
    assert content(furnished) == after
    assert fingerprints(furnished) == renewed
    assert b"no such jail" in jail("renew", "nobody").stderr


def test_a_start_that_was_killed_after_renewing_renews_once(furnished: str) -> None:
    """The order is still there then; its work is found done."""
    shell(furnished, SERVER)
    module("jail_state", name=[furnished], state="stopped")
    identity.renew(furnished)
    order = os.path.join(layout.desired(furnished), "renewal")
    kept = Path(order).read_bytes()
    module("jail_state", name=[furnished], state="started")
    assert not os.path.exists(order)
    machine_id, keys = inside(furnished, "cat", "/etc/machine-id"), fingerprints(furnished)
    Path(order).write_bytes(kept)
    restart(furnished)
    assert (inside(furnished, "cat", "/etc/machine-id"), fingerprints(furnished)) == (machine_id, keys)


def test_a_host_without_ssh_keygen(box: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jail with a server runs, and the package to install is named; one without does not need it."""
    monkeypatch.setattr(hosttools, "_SEARCH_PATH", "/nonexistent")
    again: dict[str, Any] = {"name": box, "state": "restarted"}
    assert converge.converge(state.FACET, [again], False)[box].error is None
    shell(box, SERVER)
    error = converge.converge(state.FACET, [again], False)[box].error
    assert error == "it runs, but ssh-keygen is not installed on the host; install the package openssh-client there"
    assert pid_of(box)
