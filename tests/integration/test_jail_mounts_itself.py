# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``allow_mount``: a jail's root mounts what is its own, and takes nothing off that its start has put on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import policy
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)

_ADDRESS = "10.85.0.2/24"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the host with a file that the jail may read."""
    place = Path(tempfile.mkdtemp(prefix="jails-own-mounts-", dir="/var/tmp"))
    (place / "file").write_text("host\n", encoding="utf-8")
    yield place
    shutil.rmtree(place)


@pytest.fixture
def mounter(probe: str, folder: Path) -> Iterator[str]:
    """A running jail that may mount, with a network and a read-only mount of the host's."""
    name = f"{sandbox.PREFIX}mounter"
    try:
        module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", probe], trust_group="isolation")
        module("jail_net", name=name, interfaces=[{"name": "eth0", "bridge": "br-mounter", "addresses": [_ADDRESS]}])
        module(
            "jail_state",
            name=[name],
            command=["sleep", "100000"],
            allow_mount=True,
            mounts=[{"source": str(folder), "target": "/srv/in"}],
            readonly_paths={"add": ["/usr"]},
            state="started",
        )
        yield name
    finally:
        attempt("jail_state", name=[name], state="absent")


def test_it_mounts_and_unmounts(mounter: str) -> None:
    """tmpfs, bind and overlay, by mount(8), seen by others of the jail; and off again. Without the switch none of it
    (``test_inside_confinement.py``)."""
    shell(mounter, "mount -t tmpfs none /mnt && echo x > /mnt/x && mount --bind /mnt /opt")
    assert inside(mounter, "cat", "/opt/x") == "x\n"
    shell(mounter, "umount /opt && umount /mnt")
    assert inside(mounter, "ls", "-A", "/mnt", "/opt") == "/mnt:\n\n/opt:\n"
    layers = "mkdir /mnt/l /mnt/u /mnt/w /mnt/m && echo low > /mnt/l/f"
    overlay = "mount -t overlay -o userxattr,lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w none /mnt/m"
    shell(mounter, f"mount -t tmpfs none /mnt && {layers} && {overlay} && echo up > /mnt/m/f")
    assert shell(mounter, "cat /mnt/l/f /mnt/u/f") == "low\nup\n"


def test_programs_fall_back_to_the_calls_that_it_may_make(mounter: str, probe: str) -> None:
    """libmount tries the newer calls first, and mount(2) only where they say that they are not there."""
    assert inside(mounter, probe, "fsopen", "tmpfs") == "ENOSYS\n"
    module("jail_state", name=[mounter], allow_mount=False, state="restarted")
    assert inside(mounter, probe, "fsopen", "tmpfs") == "EPERM\n"


@pytest.mark.parametrize(
    "command",
    [
        "umount /proc/kallsyms",
        "umount /proc/sys",
        "umount -l /proc",
        "umount /sys/firmware",
        "umount /srv/in",
        "umount -l /dev",
        "mount -o remount,bind,rw /proc/sys",
        "mount -o remount,bind,rw /sys",
        "mount -o remount,bind,rw /srv/in",
        "mount -o remount,bind,rw /usr",
        "mount -o remount,bind,dev /",
        "mount -o remount,bind,suid /run",
        "mount --move /proc /mnt",
        "mount --bind /proc /mnt",
        "mount --bind /sys /mnt",
        "mount -t proc proc /mnt",
        "mount -t sysfs sysfs /mnt",
        "mount -t overlay -o lowerdir=/sys:/mnt none /mnt",
        "mount -t overlay -o lowerdir=/proc:/mnt none /mnt",
        "mount -t debugfs none /mnt",
        "mount -t tracefs none /mnt",
        "mount -t securityfs none /mnt",
        "mount -t ext4 /dev/vda /mnt",
        "mount -t devtmpfs none /mnt",
    ],
)
def test_what_its_start_has_mounted_is_locked(mounter: str, command: str) -> None:
    """No cover comes off, no flag, nor is there another way to what is covered: each of these is refused, and all is as
    it was."""
    done = jail("exec", mounter, "--", "sh", "-c", command)
    assert done.returncode != 0, command
    assert inside(mounter, "head", "-c", "1", "/proc/kallsyms") == ""
    assert b"Read-only" in jail("exec", mounter, "--", "touch", "/srv/in/x", "/usr/x").stderr
    assert jail("audit", mounter).returncode == 0


def test_a_mount_namespace_of_its_own_is_no_way_around(mounter: str, probe: str) -> None:
    """It can make some, in which the same is locked; and no other kind."""
    done = jail("exec", mounter, "--", "unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt && umount /proc/kallsyms")
    assert b"Invalid argument" in done.stderr, done
    assert inside(mounter, "head", "-c", "1", "/proc/kallsyms") == ""
    assert inside(mounter, probe, "unshare", "0x20000").strip() == "ok"
    for others in ("0x24000000", "0x4000000", "0x2020000"):
        assert inside(mounter, probe, "unshare", others).strip() == "EPERM", others
    module("jail_state", name=[mounter], allow_mount=False, state="restarted")
    assert inside(mounter, probe, "unshare", "0x20000").strip() == "EPERM"


@pytest.mark.row(55)
def test_the_number_of_mount_namespaces_is_held(mounter: str) -> None:
    """A jail has some, where the host makes as many as it likes."""
    each = "unshare -m sh -c 'echo made; exec sleep 60 > /dev/null 2>&1' 2> /dev/null"
    script = f"n=0; while [ $n -lt 300 ]; do {each} & n=$((n+1)); done; sleep 3"
    most = policy.MOUNT_NAMESPACES_MAX
    assert most // 2 < shell(mounter, script).count("made") < most
    on_host = ["busybox", "sh", "-c", script]
    with subprocess.Popen(on_host, stdout=subprocess.PIPE, text=True, start_new_session=True) as control:
        assert control.stdout
        try:
            assert control.stdout.read().count("made") == 300
        finally:
            os.killpg(control.pid, signal.SIGKILL)


def test_unlocked_a_cover_does_come_off(mounter: str) -> None:
    """The control: with the same capability and no filter, but without the switch, and so without the inner namespace,
    the jail's root uncovers what it likes."""
    module(
        "jail_state",
        name=[mounter],
        allow_mount=False,
        capabilities={"add": ["SYS_ADMIN"]},
        seccomp="unconfined",
        state="restarted",
    )
    assert inside(mounter, "head", "-c", "1", "/proc/kallsyms") == ""
    shell(mounter, "umount /proc/kallsyms")
    assert inside(mounter, "head", "-c", "1", "/proc/kallsyms") != ""
    shell(mounter, "mount -o remount,bind,rw /srv/in")


def test_all_else_is_as_in_any_jail(mounter: str, probe: str) -> None:
    """Ids, capabilities on the network, low ports, its name, devices, what enters: the inner namespace is not felt; and
    there is none below it."""
    assert inside(mounter, "id", "-u") == "0\n"
    assert _ADDRESS in inside(mounter, "ip", "addr")
    assert "eth0" in inside(mounter, "ls", "/sys/class/net").split()
    assert inside(mounter, "hostname") == f"{mounter}\n"
    shell(mounter, "echo x > /root/file; chown 7:8 /root/file; chmod 4755 /root/file")
    assert inside(mounter, "stat", "-c", "%u:%g", "/root/file") == "7:8\n"
    listening = jail("exec", mounter, "--", "timeout", "0.3", "nc", "-l", "-p", "80")
    assert b"denied" not in listening.stderr
    assert inside(mounter, probe, "unshare", "0x10000000").strip() == "EPERM"
    assert inside(mounter, "cat", "/proc/sys/user/max_user_namespaces") == "0\n"
    first = Path(f"/proc/{pid_of(mounter)}/uid_map").read_text(encoding="ascii").split()
    assert (first[0], first[2]) == ("0", "65536")
    module("jail_state", name=[mounter], allow_raw_sockets=True, allow_set_hostname=True, state="restarted")
    assert inside(mounter, probe, "socket", "2", "3", "1").strip() == "ok"
    assert inside(mounter, probe, "sethostname", "mine").strip() == "ok"
    assert inside(mounter, "hostname") == "mine\n"
    assert module("jail_state", name=[mounter], hostname="again")["changed"]
    assert inside(mounter, "hostname") == "again\n"
    module("jail_state", name=[mounter], sysctls={"net.ipv4.ip_forward": 1})
    assert inside(mounter, "cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"


def test_no_user_namespace_without_the_filter_either(mounter: str, probe: str) -> None:
    """The kernel's count holds where no filter does."""
    module("jail_state", name=[mounter], seccomp="unconfined", state="restarted")
    assert inside(mounter, probe, "unshare", "0x10000000").strip() == "ENOSPC"


def test_its_mounts_wait_for_a_restart(mounter: str, folder: Path) -> None:
    """A mount that the host would add live would not be locked, so it is refused, and made by a restart."""
    wish = [{"source": str(folder), "target": "/srv/other"}]
    assert "restart the jail" in refused("jail_state", name=[mounter], mounts=wish)
    module("jail_state", name=[mounter], mounts=wish, state="restarted")
    assert inside(mounter, "cat", "/srv/other/file") == "host\n"
    assert not module("jail_state", name=[mounter], mounts=wish, state="started")["changed"]


def test_not_in_the_hosts_user_namespace(mounter: str) -> None:
    """There it would be power over the host."""
    assert "allow_mount: " in refused("jail_state", name=[mounter], userns="host")
