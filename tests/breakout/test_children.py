# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attacks by root of a child, with all capabilities of its user namespace, in a jail that may have children: what
goes through reaches namespaces of its own, and the host, the jail and its neighbours stay as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.tests.breakout.support import attacks, cells
from ansible_collections.cellblock.jails.tests.breakout.support.attacks import Attack
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.breakout.support.outside import Chroot
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, inside, jail, shell

_CHILDREN_MAX = 500
_KINDS = ("-U", "-r", "-m", "-n", "-u", "-i")
_OPENED = {
    "unshare",
    "clone",
    "setns",
    "mount tmpfs",
    "bind mount",
    "mount binfmt_misc",
    "raw IPv4",
    "raw IPv6",
    "host name",
}
"""What goes through: in namespaces of its own. (binfmt_misc since Linux 6.7, one for the child alone.)"""


class Child:
    """The root of a child of a jail."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def command(self, *words: str) -> list[str]:
        """The command line of the jail that runs a command so."""
        return ["unshare", *_KINDS, *words]

    def says(self, *words: str) -> str:
        """What the attack says there."""
        done = jail("exec", self.cell.name, "--", *self.command(self.cell.programs.attack, *words))
        if done.returncode == 128 + signal.SIGSYS:
            return "SIGSYS"
        assert done.returncode == 0, done
        return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def child(compiled: Programs) -> Iterator[Child]:
    """One, in a jail of its own."""
    name = fresh_name()
    try:
        yield Child(cells.made(name, compiled, children_max=_CHILDREN_MAX))
    finally:
        attempt("jail_state", name=[name], state="absent")


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(each, marks=pytest.mark.row(each.row), id=str(each))
        for each in attacks.ALL
        if each.name not in _OPENED
    ],
)
def test_attack(attack: Attack, child: Child, chroot: Chroot, record_property: Record) -> None:
    """It is refused there, too, and goes through in a plain chroot."""
    assert child.says(*attack.words) in attack.stopped
    chroot.expect_through(attack, record_property)


@pytest.mark.row(31)
def test_what_goes_through_stays_inside(child: Child, compiled: Programs) -> None:
    """Mounts, a name, devices and raw packets of a child are the child's. The jail, in which the same is refused, and
    the host have none of it."""
    cell = child.cell
    opened = [each for each in attacks.ALL if each.name in _OPENED and each.name != "mount binfmt_misc"]
    assert {each.name: child.says(*each.words) for each in opened} == {each.name: "ok" for each in opened}
    for each in opened:
        # Making a user namespace is what is opened; every other one takes a capability that the jail has not.
        if each.name not in ("unshare", "clone"):
            assert cell.run(*each.words) in each.stopped, each
    host_name, mounted = os.uname().nodename, Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    table = inside(cell.name, "cat", "/proc/1/mountinfo")
    devices = inside(cell.name, "ls", "/sys/class/net")
    script = "hostname evil; mount -t tmpfs none /tmp; touch /tmp/x; ip link add v0 type veth peer name v1; ip link"
    said = inside(cell.name, *child.command("sh", "-c", script))
    assert "v0" in said
    assert inside(cell.name, "hostname") == f"{cell.name}\n"
    assert os.uname().nodename == host_name
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == mounted
    assert inside(cell.name, "cat", "/proc/1/mountinfo") == table
    assert inside(cell.name, "ls", "/sys/class/net") == devices
    assert "x" not in shell(cell.name, "ls /tmp").split()


@pytest.mark.row(31)
def test_overlayfs_writes_nothing_that_is_not_the_childs(child: Child) -> None:
    """A child can make an overlay; a setuid program copied up in it is the user's that the jail knows, and what is
    below read-only or masked parts is not reached by it (CVE-2023-0386 took a file of another file system's root)."""
    overlay = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay -o {} none /mnt/m && {}"
    layers = "userxattr,lowerdir={},upperdir=/mnt/u,workdir=/mnt/w"
    good = overlay.format(layers.format("/etc"), "echo x >> /mnt/m/passwd && tail -n 1 /mnt/m/passwd")
    before = inside(child.cell.name, "cat", "/etc/passwd")
    assert inside(child.cell.name, *child.command("sh", "-c", good)) == "x\n"
    assert inside(child.cell.name, "cat", "/etc/passwd") == before
    for covered in ("/proc", "/sys"):
        bad = overlay.format(layers.format(covered), "true")
        assert jail("exec", child.cell.name, "--", *child.command("sh", "-c", bad)).returncode != 0


@pytest.mark.row(22)
def test_release_agent(child: Child, chroot: Chroot, tmp_path: Path) -> None:
    """Neither a hierarchy of its own nor one of the host's is there for a child, and no control group can be its own;
    root of a chroot has the kernel start a program by it."""
    program, trace = tmp_path / "handler", tmp_path / "trace"
    program.write_text(f"#!/bin/sh\necho ran > {trace}\n", encoding="ascii")
    program.chmod(0o755)
    name = fresh_name()
    assert child.says("release_agent", name, "/tmp/hierarchy", str(program)) == "EPERM"
    for options in ("none,name=systemd", "pids", "memory", "devices"):
        assert child.says("mount", "cgroup", "/tmp/mounted", options) == "EPERM"
    own_groups = jail("exec", child.cell.name, "--", *child.command("unshare", "-C", "true"))
    assert b"No space left" in own_groups.stderr or b"invalid option" in own_groups.stderr
    assert not trace.exists()
    assert chroot.says("release_agent", name, "/tmp/hierarchy", str(program)) == "ok"
    deadline = time.monotonic() + 10
    while not trace.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.row(34)
@pytest.mark.parametrize("how", ["trace", "memory", "signal", "root"])
@pytest.mark.parametrize("whose", ["host", "neighbour"])
def test_processes_of_others(
    how: str, whose: str, child: Child, neighbour: Cell, chroot: Chroot, canary: Path, victim: subprocess.Popen[bytes]
) -> None:
    """With all capabilities of its own namespace a child has no name for a process of the host or of a neighbour of the
    jail; root of the host has."""
    words = cells.words_against(how, whose, victim.pid, neighbour.name, canary)
    assert child.says(*words) in ("ESRCH", "ENOENT")
    assert chroot.says(*words) == "ok"


@pytest.mark.row(34)
def test_processes_of_the_jail(child: Child) -> None:
    """The jail's own first process is nothing that root of a child may trace or whose memory it may write, though both
    are the same user of the host; it may signal it, as that user always could."""
    for how in ("trace", "memory"):
        assert child.says(how, "1", "./etc/passwd") in ("EPERM", "EACCES")
        assert child.cell.run(how, "1", "./etc/passwd") == "ok"
