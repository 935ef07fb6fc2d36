# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment, the next run converges and nothing is left over; run twice at once, it happens once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits, live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import pidfd
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates
from ansible_collections.cellblock.jails.tests.integration.support import calls, evidence, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module
from ansible_collections.cellblock.jails.tests.integration.support.nursery import SECONDS

Names = Callable[[int], list[str]]
Steps = list[tuple[str, dict[str, Any]]]

_SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
_KILLS = 20


def provisioning(jails: list[str], trust_group: str = "killed") -> Steps:
    """Three jails from nothing, in four calls."""
    return [
        ("jail_rootfs", {"jails": [{"name": each, **_SKELETON, "trust_group": trust_group} for each in jails]}),
        ("jail_limits", {"jails": [{"name": each, "memory_max": "64M", "pids_max": "50"} for each in jails]}),
        (
            "jail_net",
            {
                "jails": [
                    {
                        "name": each,
                        "interfaces": [
                            {
                                "name": "eth0",
                                "bridge": "br-kill",
                                "addresses": [f"10.88.0.{10 + number}/24"],
                                "gateway": "10.88.0.1",
                                "masquerade": True,
                            }
                        ],
                        "dns": ["192.0.2.53"],
                    }
                    for number, each in enumerate(jails)
                ]
            },
        ),
        ("jail_state", {"jails": [{"name": each, "command": ["sleep", "9999"], "state": "started"} for each in jails]}),
    ]


def removing(jails: list[str]) -> Steps:
    """And to nothing again."""
    return [("jail_state", {"name": jails, "state": "absent"})]


def run_until(steps: Steps, seconds: float) -> bool:
    """Run steps, each in a process of its own, and kill that of the moment when the time is up; whether it came to
    that."""
    deadline = time.monotonic() + seconds
    for which, options in steps:
        process = subprocess.Popen(
            calls.command_line(which),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin
        process.stdin.write(calls.arguments(options))
        process.stdin.close()
        try:
            process.wait(max(0.001, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
    return False


def converge(steps: Steps) -> None:
    """Run steps to their end, then once more: now nothing is left to do."""
    for which, options in steps:
        module(which, **options)
    for which, options in steps:
        assert not module(which, **options)["changed"], which


def assert_works(jails: list[str]) -> None:
    """Each jail is what was asked for."""
    for number, each in enumerate(jails):
        assert f"10.88.0.{10 + number}/24" in inside(each, "ip", "addr")
        assert live.group_of(each).get("memory_max") == 64 << 20
        assert len(live.group_of(each).processes()) == 1


def leftovers(jails: list[str], before: dict[str, Any]) -> dict[str, Any]:
    """What is there besides what was, and besides what a finished run means to leave."""
    time.sleep(0.1)
    now = evidence.everything()
    meant = (layout.LOCKS, layout.LOG, layout.HOST_STATE, layout.CACHE, layout.RUNTIME, layout.COMMAND, layout.IDS)
    new = {path for path in now["files"] if path not in before["files"] and not path.startswith(meant)}
    return {
        "files": sorted(path for path in new if not path.startswith(os.path.join(layout.TEMPLATES, "skeleton-"))),
        "half made": [path for path in now["files"] if "/.new-" in path or "/.old-" in path or path.endswith(".new")],
        "names": [path for path in now["files"] if os.path.basename(path) in jails],
        "network": [] if now["network"] == before["network"] else [now["network"]],
        "groups": now["groups"],
        "processes": sandbox.processes(),
        "mounts": sandbox.mount_points(),
    }


@pytest.fixture
def clean_before() -> dict[str, Any]:
    """What is on the host before the test, a template of another trust group among it."""
    module("jail_rootfs", name=f"{sandbox.PREFIX}first", **_SKELETON)
    module("jail_state", name=[f"{sandbox.PREFIX}first"], state="absent")
    return evidence.everything()


def test_killed_at_random_moments_it_converges(names: Names, clean_before: dict[str, Any]) -> None:
    """Twenty times a run that makes three jails is killed by SIGKILL at a random moment; then the same run converges,
    the jails work, and removing them leaves nothing: no file, mount, process, control group, device, or rule."""
    seed = int(os.environ.get("JAILS_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: set JAILS_TEST_SEED to repeat")
    chance = random.Random(seed)
    jails = names(3)
    steps = provisioning(jails)
    began = time.monotonic()
    for which, options in steps:
        assert not subprocess.run(
            calls.command_line(which), input=calls.arguments(options), text=True, stdout=subprocess.DEVNULL, check=False
        ).returncode
    whole = time.monotonic() - began
    kills = 0
    for number in range(_KILLS):
        module("jail_state", name=jails, state="absent")
        templates.remove(next(key for key in templates.names() if not _is_first(key))) if _others() else None
        moment = chance.uniform(0, whole)
        kills += run_until(steps, moment)
        if number % 4 == 3:
            converge(steps)
            assert_works(jails)
            kills += run_until(removing(jails), chance.uniform(0, 0.5))
    print(f"{kills} of {_KILLS * 5 // 4} runs were killed before their end; a whole one takes {whole:.1f} s")
    assert kills >= _KILLS // 2
    converge(steps)
    assert_works(jails)
    converge(removing(jails))
    found = leftovers(jails, clean_before)
    assert not any(found.values()), found


def _others() -> list[str]:
    return [key for key in templates.names() if not _is_first(key)]


def _is_first(key: str) -> bool:
    found = templates.describe(key)
    return found is None or found["recipe"]["trust_group"] != "killed"


def test_killed_between_removing_and_forgetting(name: str) -> None:
    """A root file system that was removed but is still recorded is forgotten by the same run, and another can be made
    then."""
    module("jail_rootfs", name=name, **_SKELETON)
    storage.remove(name)
    module("jail_rootfs", name=name, state="absent")
    assert not os.path.exists(layout.desired(name))
    module("jail_rootfs", name=name, **_SKELETON)
    storage.remove(name)
    message = calls.refused(
        "jail_rootfs", name=name, method="debootstrap", suite="no-such-suite", mirror="http://192.0.2.1/"
    )
    assert "means nothing to" not in message


def test_killed_while_a_jail_is_removed(name: str) -> None:
    """A removal that was killed when the files were gone is finished by the next: bridge, packet filter and ids go."""
    before = evidence.network()
    module("jail_rootfs", name=name, **_SKELETON)
    interface = {"name": "e0", "bridge": "br-half", "addresses": ["10.89.0.2/24"], "masquerade": True}
    module("jail_net", name=name, interfaces=[interface])
    module("jail_state", name=[name], command=["sleep", "99"], state="started")
    module("jail_state", name=[name], state="stopped")
    storage.remove(name)
    module("jail_state", name=[name], state="absent")
    assert evidence.network() == before


def test_a_temporary_file_of_a_killed_run_keeps_no_jail_alive(name: str) -> None:
    """What a write that was killed leaves behind is no part of a jail, and goes with it."""
    module("jail_rootfs", name=name, **_SKELETON)
    for pid in (4_000_001, 4_000_002):
        with open(f"{layout.desired(name)}/rootfs.json.{pid}.new", "w", encoding="ascii") as file:
            file.write("{")
    module("jail_rootfs", name=name, state="absent")
    assert name not in module("jail_info")["jails"]
    assert not os.path.exists(layout.desired(name))


def test_a_killed_build_leaves_no_process_group_or_ids(name: str) -> None:
    """A program that a builder runs confined dies with the builder, and what else it had is free again after the next
    build."""
    module("jail_rootfs", name=name, **_SKELETON)
    builder = _confine(name, ["/bin/sleep", "1000"])
    group = live.group_of(f".build-{builder.pid}-{pidfd.start_time(builder.pid)}")
    _wait_for(lambda: group.exists() and group.processes())
    builder.kill()
    builder.wait()
    _wait_for(lambda: not group.processes())
    assert group.exists()
    assert _confine(name, ["/bin/true"]).wait() == 0
    assert not group.exists()
    with open(layout.IDS, encoding="ascii") as file:
        assert ".build-" not in file.read()


def _confine(name: str, command: list[str]) -> subprocess.Popen[bytes]:
    stored = storage.describe(name)
    assert stored is not None
    code = (
        "import os, sys\n"
        "from ansible_collections.cellblock.jails.plugins.module_utils.jail import build\n"
        "from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job\n"
        "null = os.open('/dev/null', os.O_WRONLY)\n"
        f"sys.exit(build.confine({stored.lower!r}, Job({command!r}, null, null)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.join(calls.ROOT, ".collections")}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def _wait_for(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_runs_at_once_are_one_after_the_other(names: Names) -> None:
    """Two calls for the same three jails at the same moment both succeed; one template is built, and one set of jails
    runs."""
    jails = names(3)
    for which, options in provisioning(jails, "twice"):
        running = [
            subprocess.Popen(
                calls.command_line(which),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _each in range(2)
        ]
        for process in running:
            assert process.stdin
            process.stdin.write(calls.arguments(options))
            process.stdin.flush()
        results = []
        for process in running:
            output, errors = process.communicate(timeout=SECONDS)
            results.append(calls.checked(process.returncode, output, errors))
        assert not any(result.get("failed") for result in results), results
        for each in jails:
            assert [result["jails"][each]["changed"] for result in results].count(True) == 1, (which, results)
    assert_works(jails)
    with open(layout.BUILD_LOG, encoding="utf-8") as file:
        assert sum("building" in line and '"twice"' in line for line in file) == 1


def test_a_jail_is_worked_on_by_one_at_a_time(box: str) -> None:
    """While somebody holds a jail's lock, a module and the command wait; afterwards both go on. Other jails, and check
    mode, do not wait."""
    wish = calls.arguments({"name": box, "memory_max": "64M"})
    with files.locked(f"jail-{box}"):
        module_waiting = subprocess.Popen(
            calls.command_line("jail_limits"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert module_waiting.stdin
        module_waiting.stdin.write(wish)
        module_waiting.stdin.close()
        command_waiting = subprocess.Popen([layout.COMMAND, "restart", box])
        pid = calls.pid_of(box)
        assert module("jail_limits", check=True, name=box, memory_max="64M")["changed"]
        time.sleep(2)
        assert (module_waiting.poll(), command_waiting.poll()) == (None, None)
        assert live.group_of(box).get("memory_max") == limits.DEFAULT_MEMORY
        assert calls.pid_of(box) == pid
    assert module_waiting.wait(SECONDS) == 0
    assert command_waiting.wait(SECONDS) == 0
    assert module_waiting.stdout
    module_waiting.stdout.close()
    assert live.group_of(box).get("memory_max") == 64 << 20
    assert calls.pid_of(box) != pid
