# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode tells what the real run then does, and touches nothing."""

from __future__ import annotations

from typing import Any

from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, attempt, module, pid_of

_SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
_COMMAND = ["sleep", "9999"]


def _net(host: int, bridge: str = "br-check") -> dict[str, Any]:
    return {
        "interfaces": [
            {
                "name": "eth0",
                "bridge": bridge,
                "addresses": [f"10.82.0.{host}/24"],
                "gateway": "10.82.0.1",
                "masquerade": True,
            }
        ],
        "dns": ["192.0.2.53"],
    }


def stages(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Calls through a jail's life, with every kind of action."""
    return [
        ("jail_rootfs", {"name": name, **_SKELETON}),
        ("jail_limits", {"name": name, "memory_max": "64M"}),
        ("jail_net", {"name": name, **_net(2)}),
        ("jail_state", {"name": [name], "command": _COMMAND, "state": "started"}),
        ("jail_limits", {"name": name, "memory_max": "32M", "cpus": "0.5", "pids_max": "100"}),
        ("jail_net", {"name": name, **_net(3, "br-check2")}),
        ("jail_state", {"name": [name], "hostname": "other", "command": ["sleep", "8888"], "init": "/bin/init"}),
        ("jail_state", {"name": [name], "state": "restarted", "stop_timeout": 1.5}),
        ("jail_state", {"name": [name], "state": "stopped", "hostname": "third"}),
        ("jail_net", {"name": name, "interfaces": []}),
        ("jail_rootfs", {"name": name, "state": "absent"}),
        ("jail_state", {"name": [name], "state": "absent"}),
    ]


def test_every_stage_is_foretold_and_nothing_is_touched(name: str) -> None:
    """For each stage of a jail's life: check mode leaves files, network, packet filter, forwarding, control groups and
    processes as they were, and its actions and its diff are those of the real run, which does change something."""
    module("jail_info")  # whatever a first call makes is there
    for which, options in stages(name):
        before = evidence.everything()
        foretold = module(which, check=True, **options)
        assert evidence.everything() == before, (which, options)
        done = module(which, **options)
        assert foretold["changed"], (which, options)
        assert actions(foretold, name), (which, options)
        assert foretold["jails"] == done["jails"], (which, options)
        assert foretold["diff"] == done["diff"], (which, options)
        assert evidence.everything() != before, (which, options)


def test_diff_shows_values_in_the_words_of_the_user(box: str) -> None:
    """A diff holds one line for each option that differs, before and after, and how it is made."""
    module("jail_limits", name=box, memory_max="64M")
    (diff,) = module("jail_limits", check=True, name=box, memory_max="1536K", cpus="0.5", pids_max="4096")["diff"]
    assert diff["before_header"] == diff["after_header"] == f"{box} (limits)"
    assert diff["before"] == "memory_max: 64M\ncpus: unlimited\n"
    assert diff["after"] == "memory_max: 1536K  (live)\ncpus: 0.5  (live)\n"


def test_check_mode_refuses_what_the_real_run_refuses(box: str) -> None:
    """Bad values, and what is refused for the state that things are in, fail in check mode with the same words."""
    for which, options in (
        ("jail_limits", {"name": box, "memory_max": "lots"}),
        ("jail_rootfs", {"name": box, "state": "absent"}),
        ("jail_rootfs", {"name": box, "method": "skeleton", "binaries": ["busybox", "sh"]}),
        ("jail_net", {"name": box, "interfaces": [{"name": "e", "bridge": "b", "addresses": ["10.0.0.1"]}]}),
    ):
        foretold = attempt(which, check=True, **options)
        done = attempt(which, **options)
        assert foretold["failed"], (which, options)
        assert foretold["msg"] == done["msg"]


def test_check_mode_on_a_host_without_any_jail_works(name: str) -> None:
    """What does not exist yet can be planned in one pass, as ``--check`` of a whole play does."""
    for which, options in stages(name)[:4]:
        assert module(which, check=True, **options)["changed"], which


def test_foretelling_leaves_a_running_jail_alone(box: str) -> None:
    """A restart that is foretold does not happen."""
    pid = pid_of(box)
    module("jail_state", check=True, name=[box], state="restarted")
    assert pid_of(box) == pid
