# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail shows those inside: itself, and nothing of the host."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ids, live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.hierarchies import ON_DEMAND
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, pid_of, shell

_OWN_FILESYSTEMS = {"overlay", "tmpfs", "devpts", "mqueue", "proc", "sysfs"}
"""What a jail's root is made of; all of it is mounted anew for each jail."""


def _ids_of(pid: int) -> tuple[set[int], set[int]]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    uid, gid = (next(line for line in lines if line.startswith(key)).split()[1:] for key in ("Uid:", "Gid:"))
    return set(map(int, uid)), set(map(int, gid))


def test_root_inside_is_nobody_in_particular_outside(shared_box: str) -> None:
    """``id -u`` says 0, while the host sees an unprivileged id of the range that was allocated."""
    assert inside(shared_box, "id", "-u") == "0\n"
    assert inside(shared_box, "id", "-G") == "0\n"
    slot = ids.find(shared_box)
    assert slot is not None
    first = ids.first_id(slot)
    assert first >= ids.FIRST > 65536
    assert _ids_of(pid_of(shared_box)) == ({first}, {first})
    command = subprocess.Popen([layout.COMMAND, "exec", "-u", "33:44", shared_box, "--", "sleep", "4321"])
    try:
        entered = _wait_for_process(shared_box, b"sleep\x004321\x00")
        assert _ids_of(entered) == ({first + 33}, {first + 44})
        assert "Groups:\t\n" in Path(f"/proc/{entered}/status").read_text(encoding="utf-8").replace("\t \n", "\t\n")
        os.kill(entered, 9)
    finally:
        command.wait(20)


def _wait_for_process(name: str, command_line: bytes) -> int:
    for _try in range(200):
        for pid in live.group_of(name).processes():
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command_line:
                return pid
        time.sleep(0.02)
    raise AssertionError(f"no {command_line!r} in {name}")


def test_ps_shows_only_its_own(shared_box: str) -> None:
    """The process table holds the first process, as number 1, and what was entered; the host's holds far more."""
    listed = inside(shared_box, "ps", "-o", "pid,args").splitlines()
    assert listed[0].split() == ["PID", "COMMAND"]
    assert [line.split(None, 1)[1] for line in listed[1:]] == ["sleep 100000", "ps -o pid,args"]
    assert listed[1].split()[0] == "1"
    assert len([entry for entry in os.listdir("/proc") if entry.isdigit()]) > len(listed)


@pytest.mark.row(41)
def test_mount_table_shows_nothing_of_the_host(shared_box: str) -> None:
    """No file system of the host, none of its devices and none of its paths is in the jail's table, which the kernel's
    own view of the process confirms. (The table of a process of the host has all three.)"""
    table = mounts.mount_table(str(pid_of(shared_box)))
    text = inside(shared_box, "cat", "/proc/self/mountinfo")
    assert len(text.splitlines()) == len(table)
    assert {mount.fstype for mount in table} <= _OWN_FILESYSTEMS
    host = mounts.mount_table()
    shown = {(mount.device, mount.fstype) for mount in host}
    assert not {(mount.device, mount.fstype) for mount in table} & shown
    secrets = [
        layout.LIB,
        layout.ETC,
        layout.RUN,
        layout.LOG,
        *(mount.source for mount in host if mount.source[0] == "/"),
    ]
    assert [secret for secret in secrets if secret in text] == []
    assert any(secret in Path("/proc/self/mountinfo").read_text(encoding="utf-8") for secret in secrets)


@pytest.mark.row(41)
def test_nothing_that_pid_1_holds_tells_of_the_host(shared_box: str) -> None:
    """The descriptors, working directory and root of the first process name nothing outside the jail."""
    shown = shell(shared_box, "for f in /proc/1/fd/* /proc/1/cwd /proc/1/root; do readlink $f; done")
    assert layout.LOG not in shown
    assert shown.splitlines()[-2:] == ["/", "/"]


def test_files_keep_their_owners_on_disk(shared_box: str) -> None:
    """What root and user 1000 of the jail write belongs to 0 and to 1000 on disk, not to the ids of the range."""
    shell(shared_box, "echo a > /root/by-root; mkdir /srv/by-user; chown 1000:1001 /srv/by-user")
    jail("exec", "-u", "1000:1001", shared_box, "--", "touch", "/srv/by-user/file")
    stored = storage.describe(shared_box)
    assert stored is not None
    owners = {
        path: (os.lstat(f"{stored.writable}/{path}").st_uid, os.lstat(f"{stored.writable}/{path}").st_gid)
        for path in ("root/by-root", "srv/by-user", "srv/by-user/file")
    }
    assert owners == {"root/by-root": (0, 0), "srv/by-user": (1000, 1001), "srv/by-user/file": (1000, 1001)}
    assert inside(shared_box, "stat", "-c", "%u:%g", "/srv/by-user/file") == "1000:1001\n"


@pytest.mark.row(39)
def test_template_is_never_written(shared_box: str) -> None:
    """Changing and removing files of the template changes the jail alone."""
    stored = storage.describe(shared_box)
    assert stored is not None
    assert stored.lower is not None
    before = Path(f"{stored.lower}/etc/passwd").read_bytes()
    shell(shared_box, "echo changed >> /etc/passwd; rm /etc/nsswitch.conf; chmod 600 /etc/group")
    assert Path(f"{stored.lower}/etc/passwd").read_bytes() == before
    assert os.path.exists(f"{stored.lower}/etc/nsswitch.conf")
    assert os.stat(f"{stored.lower}/etc/group").st_mode & 0o777 == 0o644
    assert "changed" in inside(shared_box, "cat", "/etc/passwd")


def test_host_name_is_the_jails(shared_box: str) -> None:
    """The jail has its own host name, and the host keeps its own."""
    assert inside(shared_box, "hostname") == f"{shared_box}\n"
    assert socket.gethostname() != shared_box


@pytest.mark.row(16)
def test_environment_is_clean(shared_box: str) -> None:
    """Neither the first process nor an entered one sees a variable of its caller's, besides the kind of terminal. (A
    program of the host that the same caller starts sees all of them.)"""
    caller = {**os.environ, "HOST_SECRET": "hunter2"}
    assert b"HOST_SECRET=hunter2" in subprocess.run(["env"], env=caller, check=True, capture_output=True).stdout
    first = set(filter(None, shell(shared_box, "tr '\\0' '\\n' < /proc/1/environ").splitlines()))
    assert first == {f"{key}={value}" for key, value in policy.ENVIRONMENT.items()}
    entered = set(inside(shared_box, "env").splitlines())
    assert {line for line in entered if not line.startswith("TERM=")} == first
    done = jail("exec", "-e", "A=b=c", "-e", "HOME=/srv", shared_box, "--", "env")
    assert {b"A=b=c", b"HOME=/srv"} <= set(done.stdout.splitlines())


@pytest.mark.row(14)
def test_only_the_three_standard_descriptors_are_open(shared_box: str) -> None:
    """Whatever its caller had open, and told to be inherited, a process in the jail has 0, 1 and 2. (A program of the
    host that the same caller starts has it.)"""
    leak = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        subprocess.run([layout.COMMAND, "restart", shared_box], pass_fds=[leak], check=True)
        control = subprocess.Popen(["sleep", "60"], pass_fds=[leak])
        command = subprocess.Popen([layout.COMMAND, "exec", shared_box, "--", "sleep", "5432"], pass_fds=[leak])
        try:
            entered = _wait_for_process(shared_box, b"sleep\x005432\x00")
            assert set(os.listdir(f"/proc/{entered}/fd")) == {"0", "1", "2"}
            os.kill(entered, 9)
            assert str(leak) in os.listdir(f"/proc/{control.pid}/fd")
        finally:
            control.kill()
            control.wait()
            command.wait(20)
    finally:
        os.close(leak)
    assert set(os.listdir(f"/proc/{pid_of(shared_box)}/fd")) == {"0", "1", "2"}


def test_every_process_is_in_the_jails_control_group(shared_box: str) -> None:
    """The first process, an entered one and their children are all in the jail's group, in each hierarchy with a
    controller that counts; inside, that group looks like the root."""
    shell(shared_box, "sleep 3210 >/dev/null 2>&1 &")
    first = pid_of(shared_box)
    child = _wait_for_process(shared_box, b"sleep\x003210\x00")
    always = set(live.hierarchies().roots) - set(ON_DEMAND)
    for pid in (first, child):
        placed = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
        for line in placed:
            _number, controllers, path = line.split(":", 2)
            if set(controllers.split(",")) & always or (not controllers and live.hierarchies().version == 2):
                assert path.startswith(f"/{layout.CGROUP_PARENT}/{shared_box}"), line
    assert {
        path for line in inside(shared_box, "cat", "/proc/1/cgroup").splitlines() for path in [line.split(":")[2]]
    } == {"/"}
    os.kill(child, 9)


def test_devices_are_the_standard_ones(shared_box: str) -> None:
    """/dev holds the standard nodes, which work, with their numbers; no disk, no memory, no console of the host."""
    listed = set(inside(shared_box, "ls", "/dev").split())
    assert listed == {*policy.DEVICES, *policy.DEVICE_LINKS, "pts", "shm", "mqueue"}
    owners = shell(shared_box, "stat -c %u:%g /dev /dev/* /dev/pts/ptmx")
    assert set(owners.split()) == {"0:0"}
    for device, (major, minor) in policy.DEVICES.items():
        assert (
            inside(shared_box, "stat", "-c", "%F %t %T", f"/dev/{device}").split("file ")[1] == f"{major:x} {minor:x}\n"
        )
    assert shell(
        shared_box, "echo x > /dev/null; head -c 3 /dev/zero | od -An -tx1; head -c 9 /dev/urandom | wc -c"
    ).split() == [
        "00",
        "00",
        "00",
        "9",
    ]


def test_log_has_what_the_first_process_prints(shared_box: str) -> None:
    """What goes to the standard output and error of the first process is in the jail's log, and a new start adds."""
    module("jail_state", name=[shared_box], command=["sh", "-c", "echo out; echo err >&2; exec sleep 100000"])
    module("jail_state", name=[shared_box], state="restarted")
    for _try in range(100):
        if jail("log", shared_box).stdout.endswith(b"out\nerr\n"):
            break
        time.sleep(0.02)
    assert jail("log", shared_box).stdout.endswith(b"out\nerr\n")
    assert os.stat(layout.live_console(shared_box)).st_mode & 0o077 == 0
    module("jail_state", name=[shared_box], command=["sleep", "100000"], state="restarted")
