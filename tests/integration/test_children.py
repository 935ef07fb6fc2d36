# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``children_max``: jails inside a jail, how many, how deep, and what holds them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import enter, live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, paths, pidfd, ucounts
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    options_changed,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.nursery import SECONDS

_USERS = "0x10000000"
_BUBBLEWRAP = shutil.which("bwrap")
_REAPER = ["sh", "-c", "while :; do sleep 77777 & wait; done"]
"""An init, as far as it matters here: as long as nobody has waited for it, a process keeps its namespaces."""
_PROC_OPEN: dict[str, Any] = {
    "masked_paths": {"remove": [path for path in policy.MASKED_PATHS if path.startswith("/proc/")]},
    "readonly_paths": {"remove": list(policy.READONLY_PATHS)},
}
_PROC_COVERED: dict[str, Any] = {"masked_paths": {}, "readonly_paths": {}}


@pytest.fixture(scope="module")
def place(probe: str) -> Iterator[str]:
    """A jail with what makes children."""
    name = f"{sandbox.PREFIX}parent"
    binaries = ["busybox", probe, *([_BUBBLEWRAP] if _BUBBLEWRAP else [])]
    try:
        module("jail_rootfs", name=name, method="skeleton", binaries=binaries, trust_group="children")
        yield name
    finally:
        attempt("jail_state", name=[name], state="absent")


class Parent:
    """That jail, for one test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._kept: list[subprocess.Popen[bytes]] = []

    def start(self, children_max: int, **options: Any) -> None:
        """Start it so."""
        wish: dict[str, Any] = {"command": _REAPER, **_PROC_COVERED, "allow_set_hostname": False, **options}
        module("jail_state", name=[self.name], children_max=children_max, **wish, state="restarted")

    def keep(self, *words: str, user: int = 0) -> bool:
        """Make a child that stays; whether that went well."""
        command = [layout.COMMAND, "exec", "-u", str(user), self.name, "--", "unshare", "-Ur", *words]
        process = subprocess.Popen(
            [*command, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._kept.append(process)
        assert process.stdout
        return process.stdout.readline() == b"\n"

    def end_all(self) -> None:
        """End those."""
        running = live.find(self.name)
        for pid in running.group.processes() if running else ():
            if running and pid != running.pid:
                with contextlib.suppress(ProcessLookupError):  # a child's first process takes the others with it
                    os.kill(pid, signal.SIGKILL)
        for process in self._kept:
            process.communicate(timeout=SECONDS)
        self._kept.clear()

    def child(self, script: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a script as root of a child with namespaces of these kinds, as unshare(1) has them."""
        return jail("exec", self.name, "--", "unshare", "-Ur", *words, "sh", "-c", script)

    def in_time(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command there, again until it goes well: namespaces are cleared away some time after their last
        process."""
        deadline = time.monotonic() + 20
        while True:
            done = jail("exec", self.name, "--", *words)
            if done.returncode == 0 or time.monotonic() > deadline:
                return done
            time.sleep(0.1)


@pytest.fixture
def parent(place: str) -> Iterator[Parent]:
    """The jail, which ends with the test."""
    made = Parent(place)
    yield made
    made.end_all()
    attempt("jail_state", name=[place], state="stopped")


def test_there_are_none_unless_it_is_said(parent: Parent, probe: str) -> None:
    """The default, and the control for all below: neither root nor a user, by neither call, by no launcher."""
    parent.start(0)
    for call in ("unshare", "clone"):
        assert inside(parent.name, probe, call, _USERS) == "EPERM\n"
        assert jail("exec", "-u", "5", parent.name, "--", probe, call, _USERS).stdout == b"EPERM\n"
    assert inside(parent.name, "cat", "/proc/sys/user/max_user_namespaces") == "0\n"
    assert parent.child("true").returncode != 0
    parent.start(0, seccomp="unconfined")
    assert inside(parent.name, probe, "unshare", _USERS) == "ENOSPC\n"
    parent.start(0, seccomp="default")


def test_so_many_and_no_more(parent: Parent, probe: str) -> None:
    """Two at a time, whichever users they are of, and a third one when one has ended. Of the other ways to a third none
    goes."""
    parent.start(2)
    assert inside(parent.name, "cat", "/proc/sys/user/max_user_namespaces") == "2\n"
    assert parent.keep()
    assert parent.keep(user=1000)
    for user in ("0", "1000", "5"):
        for call in ("unshare", "clone"):
            assert jail("exec", "-u", user, parent.name, "--", probe, call, _USERS).stdout == b"ENOSPC\n"
    assert inside(parent.name, probe, "clone3") == "ENOSYS\n"
    assert not parent.keep()
    parent.end_all()
    assert parent.in_time("unshare", "-Ur", "unshare", "-Ur", "true").returncode == 0


def test_children_of_children_count_as_its_own(parent: Parent, probe: str) -> None:
    """At whatever depth: the root of a child may set what it likes for those below it, and gets no more than is
    left."""
    parent.start(3)
    raised = "echo 1000 > /proc/sys/user/max_user_namespaces && cat /proc/sys/user/max_user_namespaces"
    # Its own /proc/sys is read-only; one that is not shows that the number there is not what holds.
    parent.start(3, **_PROC_OPEN)
    deep = f"{raised}; unshare -Ur sh -c '{raised}; unshare -Ur {probe} unshare {_USERS}'"
    assert parent.child(deep).stdout == b"1000\n1000\nENOSPC\n"
    parent.start(4, **_PROC_OPEN)
    assert parent.child(deep).stdout == b"1000\n1000\nok\n"
    assert b"denied" in jail("exec", parent.name, "--", "sh", "-c", raised).stderr
    parent.start(3)
    assert b"Read-only" in parent.child(raised).stderr


def test_other_namespaces_are_bounded_too(parent: Parent) -> None:
    """One child cannot have any number of the other kinds, and none of control groups; the jail itself makes none."""
    parent.start(1)
    most = policy.NAMESPACES_PER_CHILD
    script = f"for i in $(seq {2 * most}); do unshare -u sleep 100 & done 2>&1; sleep 1; pidof sleep | wc -w"
    done = parent.child(script, "-p", "-f")
    assert done.stdout.count(b"No space left") >= most - 2
    parent.start(1)
    assert parent.child("unshare -u true && unshare -m true && unshare -n true && unshare -p true").returncode == 0
    for kind in "umnip":
        assert b"not permitted" in jail("exec", parent.name, "--", "unshare", f"-{kind}", "true").stderr


def test_bubblewrap(parent: Parent) -> None:
    """It makes a child with a tree, a network, processes and a name of its own, that cannot write to the jail's; two at
    a time."""
    if _BUBBLEWRAP is None:
        pytest.skip("bubblewrap is not installed")
    kinds = [f"--unshare-{kind}" for kind in ("user", "pid", "net", "ipc", "uts")]
    command = [_BUBBLEWRAP, *kinds, "--hostname", "child", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp"]
    script = "hostname; id -u; ls /sys/class/net; echo x > /tmp/x && cat /tmp/x; touch /x 2>&1; touch /proc/1/x 2>&1"
    parent.start(0)
    assert jail("exec", parent.name, "--", *command, "true").returncode != 0
    parent.start(1)
    said = inside(parent.name, *command, "sh", "-c", f"{script}; true").splitlines()
    assert said[:2] == ["child", "0"]
    assert "x" in said
    assert any("/x: Read-only file system" in line for line in said)
    assert jail("exec", parent.name, "--", "ls", "/x").returncode != 0


def test_a_proc_of_its_own_takes_one_without_covers(parent: Parent) -> None:
    """The kernel refuses a child a fresh /proc, in which the covers of the jail's would be gone, until the
    administrator has taken them away."""
    mount = "mount -t proc none /mnt && ls /mnt/self/exe && head -c 1 /mnt/kallsyms"
    parent.start(2)
    assert parent.child(mount, "-m", "-p", "-f").returncode != 0
    parent.start(2, **_PROC_OPEN)
    assert parent.child(mount, "-m", "-p", "-f").returncode == 0
    if _BUBBLEWRAP:
        command = [_BUBBLEWRAP, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc"]
        done = parent.in_time(*command, "ps", "-o", "pid,comm")
        assert [line.split()[0] for line in done.stdout.decode().splitlines()[1:]] == ["1", "2"]


_ON_MOUNTS = (
    "umount /proc/kallsyms",
    "umount /proc/sys",
    "umount -l /proc",
    "umount /sys/firmware",
    "umount -l /dev",
    "umount /srv/in",
    "mount -o remount,bind,rw /proc/sys",
    "mount -o remount,bind,rw /sys",
    "mount -o remount,bind,rw /srv/in",
    "mount -o remount,bind,dev /",
    "mount --move /proc /mnt",
    "mount --bind /proc /mnt",
    "mount --bind /sys /mnt",
    "mount -t proc proc /mnt",
    "mount -t proc -o subset=pid proc /mnt",
    "mount -t sysfs sysfs /mnt",
    "mount -t cgroup2 none /mnt",
    "mount -t cgroup -o pids none /mnt",
    "mount -t debugfs none /mnt",
    "mount -t tracefs none /mnt",
    "mount -t securityfs none /mnt",
    "mount -t devtmpfs none /mnt",
    "mount -t overlay -o userxattr,lowerdir=/proc:/usr none /mnt",
)


@pytest.mark.parametrize("renamed", [False, True], ids=["", "allow_set_hostname"])
def test_what_the_jail_has_mounted_is_locked(parent: Parent, tmp_path: Path, renamed: bool) -> None:
    """The root of a child takes no cover off and makes nothing writable, in one step or by a child of its own; also
    where the jail's root has the capability to mount, and lacks the call for it only without children. (That the same
    does uncover where nothing is locked: ``test_unlocked_a_cover_does_come_off``.)"""
    (tmp_path / "file").write_text("host\n", encoding="utf-8")
    tmp_path.chmod(0o755)
    parent.start(60, mounts=[{"source": str(tmp_path), "target": "/srv/in"}], allow_set_hostname=renamed)
    assert inside(parent.name, "cat", "/srv/in/file") == "host\n"
    after = "; echo $?; head -c 1 /proc/kallsyms; touch /srv/in/x /proc/sys/x 2>&1"
    for command in _ON_MOUNTS:
        for kinds in (("-m", "-n"), ("-m", "-n", "-i", "-u", "-p", "-f")):
            said = parent.child(command + after, *kinds).stdout.decode().splitlines()
            assert said[0] != "0", (command, said)
            assert len(said) == 3, (command, said)
        if renamed:
            said = shell(parent.name, f"({command}){after}; true").splitlines()
            assert said[0] != "0", (command, said)
    deeper = "unshare -Urm sh -c 'umount -l /proc/kallsyms || umount -l /proc'"
    assert parent.child(deeper, "-m").returncode != 0
    assert not (tmp_path / "x").exists()
    assert jail("audit", parent.name).returncode == 0
    assert not list(tmp_path.glob("x"))
    module("jail_state", name=[parent.name], mounts=[], allow_set_hostname=False, state="stopped")


def test_its_limits_hold_for_its_children(parent: Parent) -> None:
    """What runs in a child is counted with the jail, and the same number of processes is the most for both."""
    parent.start(1)
    module("jail_limits", name=parent.name, pids_max="40")
    try:
        assert parent.keep("-p", "-f", "-m")
        running = live.expect(parent.name)
        assert any(namespaces.is_below(pid, running.pid) for pid in running.group.processes())
        parent.end_all()
        assert parent.in_time("unshare", "-Ur", "-p", "-f", "true").returncode == 0
        assert b"can't fork" in parent.child("for i in $(seq 100); do sleep 9 & done", "-p", "-f").stderr
    finally:
        module("jail_limits", name=parent.name, pids_max="4096")


def test_it_is_changed_in_a_running_jail(parent: Parent, probe: str) -> None:
    """From a number to another, also to none and back, while what there is stays; from none by a restart only."""
    parent.start(1)
    deep = ("unshare", "-Ur", probe, "unshare", _USERS)
    assert inside(parent.name, *deep) == "ENOSPC\n"
    result = module("jail_state", name=[parent.name], children_max=3)
    assert options_changed(result, parent.name) == [("children_max", "live")]
    assert not module("jail_state", name=[parent.name], children_max=3)["changed"]
    assert inside(parent.name, "cat", "/proc/sys/user/max_user_namespaces") == "3\n"
    assert parent.in_time(*deep).stdout == b"ok\n"
    assert parent.keep()
    assert module("jail_state", name=[parent.name], children_max=0)["jails"][parent.name]["restart_required"] == []
    assert inside(parent.name, probe, "unshare", _USERS) == "ENOSPC\n"
    assert jail("audit", parent.name).returncode == 0
    module("jail_state", name=[parent.name], children_max=2)
    assert parent.in_time("unshare", "-Ur", "true").returncode == 0
    parent.end_all()
    parent.start(0)
    for _again in range(2):
        result = module("jail_state", name=[parent.name], children_max=2)
        assert result["jails"][parent.name]["restart_required"] == ["children_max"]
    assert not result["changed"]
    assert inside(parent.name, probe, "unshare", _USERS) == "EPERM\n"
    module("jail_state", name=[parent.name], state="restarted")
    assert inside(parent.name, probe, "unshare", _USERS) == "ok\n"


def test_attestation(parent: Parent) -> None:
    """Children are no drift, though their root has capabilities that the jail has not; a limit that somebody has raised
    is, and so is a process with such capabilities in the jail itself."""
    parent.start(2)
    assert parent.keep("-m", "-p", "-f")
    found = _attested(parent.name)
    assert found["drift"] == []
    assert found["facts"]["namespaces_max"]["live"]["user"] == 2
    running = live.expect(parent.name)
    with paths.opened(ucounts.open_parameters()) as parameters:
        enter.call_above(running, lambda: ucounts.bound(parameters, {"user": 50}))
        assert _attested(parent.name)["drift"] == ["namespaces_max"]
        result = module("jail_state", name=[parent.name], children_max=2)
        assert options_changed(result, parent.name) == [("children_max", "live")]
        assert _attested(parent.name)["drift"] == []
        enter.call_above(running, lambda: ucounts.bound(parameters, {"net": 5000}))
        assert _attested(parent.name)["drift"] == ["namespaces_max"]


def _attested(name: str) -> dict[str, Any]:
    found = module("jail_info", name=[name], gather=["isolation"])["jails"][name]["isolation"]
    assert isinstance(found, dict)
    return found


def test_it_ends_with_its_children(parent: Parent) -> None:
    """A stop leaves nothing of them."""
    parent.start(2)
    assert parent.keep("-m", "-p", "-f", "-n")
    running = live.expect(parent.name)
    below = [pid for pid in running.group.processes() if namespaces.is_below(pid, running.pid)]
    handles = [os.pidfd_open(pid) for pid in below]
    assert handles
    module("jail_state", name=[parent.name], state="stopped")
    for handle in handles:
        with paths.opened(handle):
            assert pidfd.has_ended(handle)


def test_beside_other_switches(parent: Parent) -> None:
    """With ``allow_mount`` the jail's root mounts in the jail, and so does a child's in the child, unseen by the
    jail."""
    parent.start(1, allow_mount=True)
    try:
        shell(parent.name, "mount -t tmpfs none /mnt && echo jail > /mnt/x")
        done = parent.child("cat /mnt/x; mount -t tmpfs none /mnt && echo child > /mnt/x && cat /mnt/x", "-m")
        assert done.stdout == b"jail\nchild\n"
        assert inside(parent.name, "cat", "/mnt/x") == "jail\n"
        assert parent.child("umount /mnt", "-m").returncode != 0
    finally:
        module("jail_state", name=[parent.name], allow_mount=False, state="stopped")


def test_what_it_cannot_be(parent: Parent) -> None:
    """With the host's users no number would be the jail's own."""
    assert "children_max: " in refused("jail_state", name=[parent.name], userns="host", children_max=1)
    for number in (-1, 1001):
        assert "not a number of jails" in refused("jail_state", name=[parent.name], children_max=number)
