# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel interfaces, attempted as root of a default jail: refused, and what they are after on the host unchanged."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.breakout.support import attacks, cells
from ansible_collections.cellblock.jails.tests.breakout.support.attacks import Attack
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.breakout.support.outside import Chroot
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    pid_of,
    shell,
)

_IPC_RMID = 0


@pytest.mark.parametrize(
    "attack", [pytest.param(each, marks=pytest.mark.row(each.row), id=str(each)) for each in attacks.ALL]
)
def test_attack(attack: Attack, cell: Cell, chroot: Chroot, record_property: Record) -> None:
    """It is refused in a jail, and goes through in a plain chroot."""
    assert cell.run(*attack.words) in attack.stopped
    chroot.expect_through(attack, record_property)


@pytest.mark.row(32)
def test_a_32_bit_program_has_no_way_around(cell: Cell, record_property: Record) -> None:
    """The filter does not let 32-bit programs call the kernel, by whichever entry; outside they get sockets of some of
    these families."""
    program = cell.programs.bits32
    if program is None:
        pytest.skip("there are no 32-bit programs for this machine")
    assert jail("exec", cell.name, "--", program).returncode == 128 + 31
    ran = subprocess.run([program], check=False).returncode
    if ran < 0:
        record_property("control", "this kernel does not run 32-bit programs")
    else:
        assert ran > 64


@pytest.fixture
def handler(tmp_path: Path) -> tuple[Path, Path]:
    """A program of the host that leaves a trace when it runs, and the trace."""
    trace = tmp_path / "trace"
    program = tmp_path / "handler"
    program.write_text(f"#!/bin/sh\necho ran > {trace}\n", encoding="ascii")
    program.chmod(0o755)
    return program, trace


@pytest.mark.row(22)
def test_release_agent(cell: Cell, chroot: Chroot, handler: tuple[Path, Path]) -> None:
    """The kernel starts no program on the host for a jail that empties a control group (CVE-2022-0492); for a chroot it
    does."""
    program, trace = handler
    name = fresh_name()
    assert cell.run("release_agent", name, "/tmp/hierarchy", str(program)) == "EPERM"
    time.sleep(0.2)
    assert not trace.exists()
    assert chroot.says("release_agent", name, "/tmp/hierarchy", str(program)) == "ok"
    _wait_for(trace.exists)


def _wait_for(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.row(23)
def test_a_jail_stays_in_its_control_group(cell: Cell) -> None:
    """No file of a control group can be reached from inside, so neither another group nor a limit. A process of the
    host that is in a group like that leaves it, and lifts the limit."""
    names = ("cgroup.procs", "tasks", "pids.max", "memory.max", "memory.limit_in_bytes", "release_agent")
    wanted = " -o ".join(f"-name {name}" for name in names)
    assert shell(cell.name, f"find / -xdev {wanted}; find /sys /run /dev {wanted}") == ""
    group = live.group_of(fresh_name())
    group.create()
    try:
        directory = Path(live.hierarchies().roots["pids"], layout.CGROUP_PARENT, group.name)
        group.set("pids_max", 50)
        inner = directory / "inner"
        inner.mkdir()
        script = (
            f"echo 0 > {inner}/cgroup.procs && echo 0 > {directory}/cgroup.procs && echo max > {directory}/pids.max"
        )
        assert subprocess.run(["sh", "-c", script], check=False).returncode == 0
        assert group.get("pids_max") is None
    finally:
        group.remove()


@pytest.mark.row(24)
def test_no_core_leaves_a_jail(cell: Cell, tmp_path: Path) -> None:
    """A program that crashes in a jail dumps no core, though it asks for one of any size. (What the host does with one
    is decided by core_pattern, which may start a program there; it stays as it is for this test.) Outside it does."""
    crash = "ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls"
    before = shell(cell.name, "cd /tmp; ls")
    assert shell(cell.name, f"cd /tmp; {crash}") == before
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if pattern != "core":
        pytest.skip(f"core_pattern is {pattern!r}: a control would start what others have set up")
    done = subprocess.run(["sh", "-c", crash], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "core" in done.stdout


def _root_handle(chroot: Chroot, place: Path) -> tuple[str, str, str]:
    """Handle of the root of the file system that holds a file, and the file's path from there."""
    target = max(
        (each.target for each in mounts.mount_table() if f"{place}/".startswith(each.target.rstrip("/") + "/")), key=len
    )
    table = next(each for each in reversed(mounts.mount_table()) if each.target == target)
    if table.root != "/":
        pytest.skip(f"{place} is on a part of a file system, whose root cannot be named for the control")
    done = subprocess.run([chroot.program, "handle", target], check=True, capture_output=True, text=True)
    kind, text = done.stdout.split()
    return kind, text, str(place.relative_to(target))


@pytest.mark.row(26)
def test_files_by_handle(cell: Cell, chroot: Chroot, canary: Path) -> None:
    """A handle of the host's root directory, which can be guessed, opens nothing from inside; from a chroot every file
    of the host can be read with it ("shocker")."""
    words = ("open_by_handle", *_root_handle(chroot, canary))
    assert cell.run(*words) == "EPERM"
    assert chroot.says(*words) == "ok"


@pytest.mark.row(28)
def test_reboot_for_good(cell: Cell, chroot: Chroot) -> None:
    """A restart of the machine is refused; a process that may ends its pid namespace by it, here one of the control's
    own."""
    assert cell.run("reboot", "really") == "EPERM"
    done = chroot.run("reboot", "really", wrapper=("--pid", "--fork"))
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.row(33)
def test_abstract_sockets_of_the_host(cell: Cell, chroot: Chroot) -> None:
    """They belong to the network namespace of who listens; the host's own processes reach them, in a chroot too."""
    name = fresh_name()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen()
        assert cell.run("abstract", name) == "ECONNREFUSED"
        assert chroot.says("abstract", name) == "ok"


@pytest.mark.row(33)
def test_abstract_sockets_in_the_hosts_network(compiled: Programs) -> None:
    """There they are reached, as is said of ``network=host`` in every result; by it alone, and a restart ends it."""
    name = fresh_name()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen()
        try:
            module("jail_net", name=name, network="host")
            cell = cells.made(name, compiled)
            assert cell.run("abstract", name) == "ok"
            module("jail_net", name=name, network="private")
            cell.restart()
            assert cell.run("abstract", name) == "ECONNREFUSED"
        finally:
            attempt("jail_state", name=[name], state="absent")


@pytest.mark.row(34)
@pytest.mark.parametrize("how", ["trace", "memory", "signal", "root"])
@pytest.mark.parametrize("whose", ["host", "neighbour"])
def test_processes_of_others(
    how: str, whose: str, cell: Cell, neighbour: Cell, chroot: Chroot, canary: Path, victim: subprocess.Popen[bytes]
) -> None:
    """A jail has no name for a process of the host or of a neighbour: to trace it, to write its memory, to signal it,
    to go through its root directory. Root of the host has, in a chroot too."""
    words = cells.words_against(how, whose, victim.pid, neighbour.name, canary)
    assert cell.run(*words) in ("ESRCH", "ENOENT")
    assert chroot.says(*words) == "ok"


@pytest.mark.row(34)
def test_no_process_of_others_is_there(cell: Cell) -> None:
    """Among all numbers that there can be, a jail finds its own processes alone."""
    script = "i=1; while [ $i -lt 4000 ]; do [ -d /proc/$i ] && cat /proc/$i/comm; i=$((i+1)); done"
    assert set(shell(cell.name, script).split()) <= {"sleep", "sh"}


@pytest.fixture
def shared() -> Iterator[dict[str, str]]:
    """What the host has of System V and POSIX IPC, by the attack on it."""
    name = f"/{fresh_name()}"
    key = 0x62726B00 + os.getpid() % 256
    libc = ctypes.CDLL(None)
    memory = Path(f"/dev/shm{name}")
    with contextlib.ExitStack() as stack:
        made = [libc.shmget(key, 4096, 0o1666), libc.semget(key, 1, 0o1666)]
        stack.callback(libc.shmctl, made[0], _IPC_RMID, None)
        stack.callback(libc.semctl, made[1], 0, _IPC_RMID)
        made.append(libc.mq_open(name.encode(), os.O_CREAT | os.O_RDWR, ctypes.c_uint(0o666), None))
        stack.callback(libc.mq_unlink, name.encode())
        assert min(made) >= 0
        stack.callback(os.close, made[2])
        memory.write_bytes(b"x")
        stack.callback(memory.unlink)
        yield {"segment": hex(key), "semaphores": hex(key), "queue": name, "shared_memory": name}


@pytest.mark.row(35)
@pytest.mark.parametrize("userns", ["auto", "host"])
def test_shared_memory_and_queues_of_the_host(cell: Cell, chroot: Chroot, shared: dict[str, str], userns: str) -> None:
    """None of them is there in a jail, also where System V IPC is allowed, and with the host's users; all are there for
    a chroot."""
    cell.restart(userns=userns, allow_sysvipc=True)
    try:
        assert {attack: cell.run(attack, key) for attack, key in shared.items()} == dict.fromkeys(shared, "ENOENT")
        assert {attack: chroot.says(attack, key) for attack, key in shared.items()} == dict.fromkeys(shared, "ok")
    finally:
        cell.restart(userns="auto", allow_sysvipc=False)


@pytest.mark.row(38)
def test_setuid_programs_of_a_jail_are_no_use_outside(cell: Cell) -> None:
    """A program that a jail makes set-user-ID belongs to user 0 on the host's disk. A user of the host does not get
    there: not by its path, not by /proc. Where the user does get, it gives what is root's."""
    program = cell.programs.attack
    shell(cell.name, f"cp {program} /root/evil; chmod 4755 /root/evil; chmod 755 /root")
    stored = storage.describe(cell.name)
    assert stored is not None
    assert stored.writable is not None
    planted = f"{stored.writable}/root/evil"
    assert os.stat(planted).st_mode & stat.S_ISUID
    assert os.stat(planted).st_uid == 0
    pid = pid_of(cell.name)
    with _open_directory() as folder:
        secret = folder / "secret"
        secret.write_text("root's\n", encoding="ascii")
        secret.chmod(0o600)
        for path in (planted, f"/proc/{pid}/root/root/evil", f"/proc/{pid}/cwd/root/evil"):
            assert _as_nobody(path, secret) == "no way to it", path
        shutil.copy(planted, folder / "evil")
        (folder / "evil").chmod(0o755)
        assert _as_nobody(str(folder / "evil"), secret) == "EACCES"
        (folder / "evil").chmod(0o4755)
        assert _as_nobody(str(folder / "evil"), secret) == "ok"


@contextlib.contextmanager
def _open_directory() -> Iterator[Path]:
    """A directory that everybody reaches, on the disk on which the jails are."""
    folder = Path(f"/var/tmp/{fresh_name()}")
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _as_nobody(program: str, file: Path) -> str:
    """What an attack says that nobody runs, to read a file."""
    command = [program, "read", str(file)]
    try:
        done = subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True, check=True)
    except PermissionError:
        return "no way to it"
    return done.stdout.decode().strip()


@pytest.mark.row(39)
def test_a_shared_layer_is_not_written(cell: Cell, neighbour: Cell) -> None:
    """Two jails of one template: what one of them does to a file, its flags, owner, mode, attributes and content, also
    by a descriptor and a mapping, is not seen by the other."""
    before = shell(neighbour.name, "stat -c '%u %g %a %s' /bin/busybox /etc/hosts; md5sum /bin/busybox /etc/hosts")
    shell(
        cell.name,
        "chown 5:5 /bin/busybox; chmod 777 /etc/hosts; echo x >> /etc/hosts; exec 3<> /etc/hosts; echo y >&3;"
        "dd if=/dev/zero of=/etc/hosts bs=1 count=3 conv=notrunc 2>/dev/null;"
        "ln /etc/hosts /etc/again; echo z > /etc/again",
    )
    assert (
        shell(neighbour.name, "stat -c '%u %g %a %s' /bin/busybox /etc/hosts; md5sum /bin/busybox /etc/hosts") == before
    )
    assert inside(cell.name, "stat", "-c", "%u", "/bin/busybox") == "5\n"


@pytest.mark.row(42)
def test_chroot_in_chroot(cell: Cell, chroot: Chroot, canary: Path) -> None:
    """A second root directory is no way out of a jail, whose root is that of its mounts; of a chroot it is."""
    assert cell.run("leave_chroot", str(canary)) == "ENOENT"
    assert chroot.says("leave_chroot", str(canary)) == "ok"
