# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices a jail can open: those that it was given, by what it was given, wherever a node comes from."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import devices, live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import devicefilter, mounts, process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.devicefilter import Rule
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    options_changed,
    refused,
    shell,
)

_LOOP = "/dev/loop-control"
_KERNEL_LOG = "/dev/kmsg"


@pytest.fixture(scope="module")
def disk() -> Iterator[str]:
    """A loop device of the host's."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.truncate(1 << 20)
        done = subprocess.run(["losetup", "-f", "--show", file.name], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this host has no loop devices: {done.stderr}")
        device = done.stdout.strip()
        try:
            yield device
        finally:
            subprocess.run(["losetup", "-d", device], check=True)


def opened(name: str, path: str, how: str) -> str:
    """How an attempt to open a device ends in a jail, to read (``<``) or to write (``>``)."""
    done = jail("exec", name, "--", "sh", "-c", f": {how} {path}")
    return "ok" if done.returncode == 0 else done.stderr.decode().rpartition(": ")[2].strip()


def test_a_device_comes_and_goes_live(box: str, disk: str) -> None:
    """It is not there, then it is, with what it was given for, and then it is not there and cannot be opened either;
    restarts in between keep it."""
    name = disk[len("/dev/") :]
    assert name not in inside(box, "ls", "/dev").split()
    wish: list[dict[str, Any]] = [{"path": disk, "access": "r", "mode": "0640"}]
    result = module("jail_state", name=[box], devices=wish)
    assert options_changed(result, box) == [("devices", "live")]
    assert opened(box, disk, "<") == "ok"
    assert opened(box, disk, ">") == "Operation not permitted"
    assert inside(box, "stat", "-c", "%a %u:%g", disk) == "640 0:0\n"
    assert not module("jail_state", name=[box], devices=wish)["changed"]
    module("jail_state", name=[box], state="restarted")
    assert opened(box, disk, "<") == "ok"
    module("jail_state", name=[box], devices=[{"path": disk}])
    assert opened(box, disk, ">") == "ok"
    module("jail_state", name=[box], devices=[])
    assert name not in inside(box, "ls", "/dev").split()
    assert not module("jail_state", name=[box], devices=[])["changed"]


@pytest.mark.parametrize(
    "script",
    [
        "rm /dev/{0}; mkdir -p /dev/{0}/deeper; touch /dev/{0}/deeper/file",
        "rm /dev/{0}; ln -s /etc/passwd /dev/{0}",
        "rm /dev/{0}; mkfifo /dev/{0}",
        "mv /dev/jail-in /dev/kept; ln -s kept /dev/jail-in",
    ],
)
def test_what_a_jail_has_put_in_the_place_of_a_node_keeps_none(box: str, disk: str, script: str) -> None:
    """Its root replaces a node, or the directory that it is in: the device is taken away all the same, and one that is
    given again is there."""
    place = Path("/dev/jail-in")
    place.mkdir()
    try:
        os.mknod(place / "disk", stat.S_IFBLK | 0o600, os.stat(disk).st_rdev)
        wish = [{"path": f"{place}/disk"}]
        module("jail_state", name=[box], devices=wish)
        assert opened(box, f"{place}/disk", "<") == "ok"
        shell(box, script.format("jail-in/disk"))
        assert module("jail_state", name=[box], devices=[])["changed"]
        assert not module("jail_state", name=[box], devices=[])["changed"]
        for node in shell(box, "find /dev -type b").split():
            assert opened(box, node, "<") == "Operation not permitted"
        shell(box, "rm -rf /dev/jail-in")
        module("jail_state", name=[box], devices=wish)
        assert opened(box, f"{place}/disk", "<") == "ok"
    finally:
        shutil.rmtree(place)


def test_a_node_that_lies_somewhere_opens_nothing(box: str, disk: str) -> None:
    """One of a disk in a directory that the jail is given without nodev: the control group refuses it, until the jail
    is given the device. A null device beside it works, so it is not the mount that refuses."""
    folder = Path(tempfile.mkdtemp(prefix="jails-devices-", dir="/var/tmp"))
    try:
        os.mknod(folder / "disk", stat.S_IFBLK | 0o666, os.stat(disk).st_rdev)
        os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        volume = {"source": str(folder), "target": "/mnt", "nodev": False}
        module("jail_state", name=[box], mounts=[volume])
        assert opened(box, "/mnt/null", "<") == "ok"
        assert opened(box, "/mnt/disk", "<") == "Operation not permitted"
        module("jail_state", name=[box], devices=[{"path": disk}])
        assert opened(box, "/mnt/disk", "<") == "ok"
        module("jail_state", name=[box], devices=[], mounts=[])
    finally:
        shutil.rmtree(folder)


def test_the_standard_ones_work_for_all(box: str) -> None:
    """Each can be read and written by a user of the jail (terminals: ``test_terminal.py``)."""
    for device in ("null", "zero", "full", "random", "urandom"):
        script = f": < /dev/{device}; : > /dev/{device}"
        assert jail("exec", "-u", "7", box, "--", "sh", "-c", script).returncode == 0, device
    assert live.group_of(box).devices_restricted(devices.rules(()))


def test_from_securelevel_1_on_disks_are_read(box: str, disk: str) -> None:
    """A disk that was given to be written can only be read; another device stays as it was given."""
    wish = [{"path": disk}, {"path": "/dev/kmsg"}]
    module("jail_state", name=[box], devices=wish, securelevel=1, state="restarted")
    assert opened(box, disk, "<") == "ok"
    assert opened(box, disk, ">") == "Operation not permitted"
    assert opened(box, "/dev/kmsg", ">") == "ok"


def test_a_device_in_a_directory(box: str) -> None:
    """Its directory is made; a link that the jail's root put in its way leads nowhere."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("this host has no /dev/net/tun")
    wish = [{"path": "/dev/net/tun", "mode": "0666"}]
    shell(box, "ln -s /etc /dev/net")
    assert "symbolic link" in refused("jail_state", name=[box], devices=wish)
    shell(box, "rm /dev/net")
    module("jail_state", name=[box], devices=wish)
    assert opened(box, "/dev/net/tun", "<") == "ok"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"path": "/dev/nothing"}, "devices: /dev/nothing: No such file"),
        ({"path": "/dev/shm"}, "devices: /dev/shm is the jail's own"),
        ({"path": "/dev/null"}, "devices: /dev/null is the jail's own"),
        ({"path": "/etc/passwd"}, "is not a path below /dev"),
        ({"path": "/dev/../etc/passwd"}, "is not a path below /dev"),
        ({"path": "/dev/fd/0"}, "devices: /dev/fd/0 is the jail's own"),
        ({"path": "/dev/kmsg", "mode": "4755"}, "mode '4755' is not one"),
    ],
)
def test_what_is_no_device(box: str, device: dict[str, Any], said: str) -> None:
    """Is refused by its name."""
    assert said in refused("jail_state", name=[box], devices=[device])


_RULES = [Rule("c", 1, 3, "rw"), Rule("c", 1, 5, "r"), Rule("c", 136, None, "rw")]


@pytest.fixture
def unified() -> Iterator[str]:
    """An own group of the version 2 hierarchy, whatever this host keeps its controllers in."""
    roots = [mount.target for mount in mounts.mount_table() if mount.fstype == "cgroup2"]
    if not roots:
        pytest.skip("this host has no cgroup of version 2")
    place = os.path.join(roots[0], f"jails-test-{os.getpid()}")
    os.mkdir(place)
    try:
        yield place
    finally:
        for _try in range(100):
            try:
                os.rmdir(place)
                break
            except OSError:
                time.sleep(0.05)


def _attempts(group: str) -> list[str]:
    """How a process of the group fares with some devices."""
    reading, writing = os.pipe()

    def child() -> None:
        Path(group, "cgroup.procs").write_text("0", encoding="ascii")
        answers = []
        for path, flags in (("null", os.O_RDWR), ("zero", os.O_RDONLY), ("zero", os.O_RDWR), ("full", os.O_RDONLY)):
            try:
                os.close(os.open(f"/dev/{path}", flags))
                answers.append("ok")
            except OSError as error:
                answers.append(str(error.strerror))
        os.write(writing, "\n".join(answers).encode())

    pid = process.fork(child)
    os.close(writing)
    with os.fdopen(reading) as file:
        found = file.read().split("\n")
    assert process.wait(pid) == 0
    return found


def test_the_filter_of_version_2(unified: str) -> None:
    """The BPF program lets through what its rules say, access by access, and takes the place of an earlier one; without
    one all is open."""
    no = "Operation not permitted"
    assert _attempts(unified) == ["ok", "ok", "ok", "ok"]
    directory = os.open(unified, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            devicefilter.attach(directory, _RULES)
        except OSError as error:
            pytest.skip(f"this host lets us load no BPF program: {error}")
        assert _attempts(unified) == ["ok", "ok", no, no]
        assert devicefilter.holds(directory, _RULES)
        assert not devicefilter.holds(directory, _RULES[1:])
        devicefilter.attach(directory, [Rule("c", 1, None, "rwm")])
        assert _attempts(unified) == ["ok", "ok", "ok", "ok"]
        devicefilter.attach(directory, [Rule("b", 1, None, "rwm"), Rule("c", 2, None, "rw")])
        assert _attempts(unified) == [no, no, no, no]
        assert not devicefilter.holds(directory, _RULES)
    finally:
        os.close(directory)
