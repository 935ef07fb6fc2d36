# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the kernel: so many as were said, and not one more; as many as ever in the same jail without."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    attempt,
    jail,
    module,
    options_changed,
    refused,
    shell,
)

_OPENED: dict[str, Any] = {"allow_sysvipc": True}
_CASES = [
    ("instance", 10, {"inotify_instances": 4}, "4 EMFILE"),
    ("watch", 10, {"inotify_watches": 5}, "5 ENOSPC"),
    ("queue", 8, {"mqueue_queues": 3}, "3 ENOSPC"),
    ("shm-bytes", 8, {"shmmax": "4M"}, "4 EINVAL"),
    ("shm", 8, {"shmmni": 2}, "2 ENOSPC"),
    ("msg", 8, {"msgmni": 2}, "2 ENOSPC"),
    ("sem", 8, {"sem": "250 32000 100 3"}, "3 ENOSPC"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of ``objects.c``, compiled."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    path = str(tmp_path_factory.mktemp("objects") / "objects")
    source = Path(__file__).parents[1] / "support" / "objects.c"
    subprocess.run([compiler, "-static", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path, str(source)], check=True)
    return path


@pytest.fixture(scope="module")
def maker(program: str) -> Iterator[str]:
    """A jail with that program that may have System V IPC."""
    name = fresh_name()
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", program])
    module("jail_state", name=[name], command=["sleep", "100000"], state="started", **_OPENED)
    yield name
    attempt("jail_state", name=[name], state="absent")


def _made(name: str, program: str, kind: str, most: int) -> str:
    """How many there came to be, and the error. What outlives its maker is in an IPC namespace that goes with the next
    start."""
    done = jail("exec", name, "--", program, kind, str(most))
    return done.stdout.decode().strip()


def _restarted(name: str) -> None:
    module("jail_state", name=[name], state="restarted")


@pytest.mark.parametrize(("kind", "most", "limits", "ended"), _CASES, ids=[case[0] for case in _CASES])
def test_one_more_fails(maker: str, program: str, kind: str, most: int, limits: dict[str, Any], ended: str) -> None:
    """As many as it likes; live no more than was said, and so after a start; and without the limit as many again."""
    _restarted(maker)
    assert _made(maker, program, kind, most) == f"{most} ok"
    _restarted(maker)
    result = module("jail_limits", name=maker, kernel_objects=limits)
    assert options_changed(result, maker) == [("kernel_objects", "live")]
    assert _made(maker, program, kind, most) == ended
    assert not module("jail_limits", name=maker, kernel_objects=limits)["changed"]
    _restarted(maker)
    assert _made(maker, program, kind, most) == ended
    result = module("jail_limits", name=maker, kernel_objects={})
    assert options_changed(result, maker) == [("kernel_objects", "live")]
    _restarted(maker)
    assert _made(maker, program, kind, most) == f"{most} ok"


def test_taken_back_live_it_is_what_it_was(maker: str) -> None:
    """By the kernel's own files, for one that was changed twice and beside one that stays."""
    _restarted(maker)
    show = "cat /proc/sys/user/max_inotify_instances /proc/sys/kernel/shmmni /proc/sys/kernel/sem"
    before = shell(maker, show)
    module("jail_limits", name=maker, kernel_objects={"inotify_instances": 3, "shmmni": 9})
    result = module("jail_limits", name=maker, kernel_objects={"inotify_instances": "2", "sem": "1 2 3 4"})
    said = {"inotify_instances": "3", "shmmni": "9"}, {"inotify_instances": "2", "sem": "1 2 3 4"}
    assert actions(result, maker) == [("kernel_objects", *said, "live")]
    assert shell(maker, show).split() == ["2", before.split()[1], "1", "2", "3", "4"]
    module("jail_limits", name=maker, kernel_objects={})
    assert shell(maker, show) == before


def test_mount_namespaces_of_a_jail_that_may_mount(program: str, name: str) -> None:
    """They are counted where the jail cannot reach, for all of it; the audit knows the number, and ``children_max``
    leaves it."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", program])
    state: dict[str, Any] = {"allow_mount": True, "children_max": 2}
    module("jail_state", name=[name], command=["sleep", "100000"], state="started", **state)
    assert _made(name, program, "mnt", 12) == "12 ok"
    module("jail_limits", name=name, kernel_objects={"mnt_namespaces": 6})
    held = _made(name, program, "mnt", 12)
    assert held.endswith("ENOSPC")
    assert int(held.split()[0]) <= 5
    module("jail_state", name=[name], children_max=3)
    assert _made(name, program, "mnt", 12) == held
    assert not module("jail_limits", name=name, kernel_objects={"mnt_namespaces": 6})["changed"]
    found = module("jail_info", name=[name], gather=["isolation"])["jails"][name]["isolation"]
    assert found["drift"] == []
    _restarted(name)
    assert _made(name, program, "mnt", 12) == held


def test_terminals(program: str, name: str) -> None:
    """No more than were said, from the next start on, which the result asks for."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", program])
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    assert _made(name, program, "pty", 20) == "20 ok"
    result = module("jail_limits", name=name, ptys_max="7")
    assert actions(result, name) == [("ptys_max", "256", "7", "record")]
    assert result["jails"][name]["restart_required"] == ["ptys_max"]
    _restarted(name)
    assert _made(name, program, "pty", 20) == "7 ENOSPC"
    result = module("jail_limits", name=name, ptys_max="7")
    assert (result["changed"], result["jails"][name]["restart_required"]) == (False, [])


def test_without_a_user_namespace_they_are_the_hosts(program: str, name: str) -> None:
    """Those that a user namespace counts are refused with what is in the way; those of IPC hold."""
    module("jail_rootfs", name=name, method="skeleton", storage="directory", binaries=["busybox", program])
    state: dict[str, Any] = {"userns": "host", "allow_sysvipc": True}
    module("jail_state", name=[name], command=["sleep", "100000"], state="started", **state)
    message = refused("jail_limits", name=name, kernel_objects={"inotify_instances": 3})
    assert "userns=host" in message
    module("jail_limits", name=name, kernel_objects={"shmmni": 2})
    assert _made(name, program, "shm", 8) == "2 ENOSPC"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"sockets": 3}, "'sockets' is no object"),
        ({"inotify_watches": -1}, "is not a number"),
        ({"inotify_watches": "unlimited"}, "is not a number"),
        ({"shmmax": "big"}, "shmmax: 'big' is not a size"),
        ({"sem": "1 2 3"}, "is not four numbers"),
    ],
)
def test_words_that_mean_nothing(limits: dict[str, Any], said: str) -> None:
    """They are named with what would be right."""
    assert said in refused("jail_limits", name="x", kernel_objects=limits)
    assert "write 1 to" in refused("jail_limits", name="x", ptys_max="0")
