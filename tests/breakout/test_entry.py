# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes along when a jail starts and when somebody enters it.

More of the same is in ``tests/integration/test_inside_view.py``, ``test_program_file.py`` and ``test_terminal.py``.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import pidfd
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, pid_of, shell
from ansible_collections.cellblock.jails.tests.integration.support.terminals import SECONDS, Terminal


@pytest.fixture
def directory(canary: Path) -> Iterator[int]:
    """A descriptor of the canary's directory that programs we start inherit."""
    descriptor = os.open(canary.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)
    yield descriptor
    os.close(descriptor)


@pytest.mark.row(14)
def test_a_working_directory_of_the_host(cell: Cell, directory: int) -> None:
    """No number of a descriptor leads to a directory that the caller has open (CVE-2024-21626). For a program of the
    host that it starts one does."""
    script = "cat canary"
    for number in range(3, max(directory, 12) + 1):
        place = f"/proc/self/fd/{number}"
        command = [layout.COMMAND, "exec", "-w", place, cell.name, "--", "sh", "-c", script]
        done = subprocess.run(command, pass_fds=[directory], check=False, capture_output=True)
        assert (done.returncode, done.stdout) == (125, b""), (number, done)
    control = f"cd /proc/self/fd/{directory} && {script}"
    done = subprocess.run(["sh", "-c", control], pass_fds=[directory], check=True, capture_output=True)
    assert done.stdout == b"the host's\n"


@pytest.mark.row(14)
@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_directory_among_the_standard_streams(cell: Cell, directory: int, stream: str) -> None:
    """By it all files of the host could be reached: Python does not even begin. (A program in a chroot begins.)"""
    words = [cell.name, "--", "sh", "-c", "for n in 0 1 2; do ls /proc/self/fd/$n/.. > /root/seen; done"]
    streams: dict[str, Any] = {**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL), stream: directory}
    assert subprocess.Popen([layout.COMMAND, "exec", *words], **streams).wait(SECONDS) != 0
    assert shell(cell.name, "cat /root/seen 2>/dev/null; true") == ""
    assert subprocess.Popen(["chroot", "/", "true"], **streams).wait(SECONDS) == 0


@pytest.mark.row(15)
@pytest.mark.parametrize("how", ["exec", "start"])
def test_capabilities_and_groups_of_the_caller(cell: Cell, how: str) -> None:
    """A caller with inheritable and ambient capabilities and with further groups hands none of them on, to the first
    process or to one that enters; to a program that it starts it does."""
    caller = [
        "setpriv",
        "--groups",
        "4,24",
        "--inh-caps",
        "+net_raw,+sys_admin",
        "--ambient-caps",
        "+net_raw,+sys_admin",
    ]
    if how == "exec":
        command = [*caller, layout.COMMAND, "exec", cell.name, "--", "cat", "/proc/self/status"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    else:
        subprocess.run([*caller, layout.COMMAND, "restart", cell.name], check=True)
        text = Path(f"/proc/{pid_of(cell.name)}/status").read_text(encoding="utf-8")
    assert _sets(text) == {"CapInh": "0", "CapAmb": "0", "Groups": ""}
    control = subprocess.run([*caller, "cat", "/proc/self/status"], check=True, capture_output=True, text=True).stdout
    assert _sets(control) == {"CapInh": "202000", "CapAmb": "202000", "Groups": "4 24"}


def _sets(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.splitlines())
    found = {key: value.strip() for key, _colon, value in lines if key in ("CapInh", "CapAmb", "Groups")}
    return {key: value if key == "Groups" else value.lstrip("0") or "0" for key, value in found.items()}


@pytest.mark.row(30)
@pytest.mark.parametrize("how", ["exec", "start"])
def test_keys_of_the_caller(cell: Cell, how: str) -> None:
    """What a caller has in its session keyring is not in that of a jail, also where its root may ask for keys. A
    program that the caller starts on the host reads it."""
    attack = cell.programs.attack
    read = [attack, "read_key"]
    if how == "exec":
        cell.restart(seccomp="unconfined")
        command = [attack, "with_key", layout.COMMAND, "exec", cell.name, "--", *read]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    else:
        script = f"{' '.join(read)}; exec sleep 100000"
        module("jail_state", name=[cell.name], seccomp="unconfined", command=["sh", "-c", script], state="stopped")
        subprocess.run([attack, "with_key", layout.COMMAND, "start", cell.name], check=True)
        said = jail("log", "-n", "1", cell.name).stdout.decode()
    cell.restart(seccomp="default", command=["sleep", "100000"])
    assert said == "ENOKEY\n"
    assert subprocess.run([attack, "with_key", *read], check=True, capture_output=True).stdout == b"ok\n"


@pytest.mark.row(40)
@pytest.mark.parametrize(
    ("caller", "outside"),
    [
        (["nice", "-n", "-7"], "-7 0 none: prio 0"),
        (["chrt", "--fifo", "1"], "0 1 none: prio 0"),
        (["ionice", "-c", "1", "-n", "0"], "0 0 realtime: prio 0"),
    ],
    ids=["nice", "real-time", "disk"],
)
def test_priority_of_the_caller(cell: Cell, caller: list[str], outside: str) -> None:
    """A caller that comes before others hands that on to no jail; to a program of the host that it starts it does."""
    script = "set -- $(cat /proc/self/stat); echo ${19} ${41} $(busybox ionice)"
    command = [*caller, layout.COMMAND, "exec", cell.name, "--", "sh", "-c", script]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "0 0 none: prio 0"
    control = subprocess.run([*caller, "busybox", "sh", "-c", script], check=True, capture_output=True, text=True)
    assert control.stdout.strip() == outside


@pytest.mark.row(40)
def test_limits_of_the_caller(cell: Cell) -> None:
    """A caller that may schedule itself before all others, or lock all memory, hands that on to no jail."""
    caller = ["prlimit", "--rtprio=50", "--nice=40", "--memlock=unlimited"]
    attack = cell.programs.attack
    may = subprocess.run([*caller, "true"], check=False, capture_output=True, text=True)
    if may.returncode:
        pytest.skip(f"we may not raise limits here: {may.stderr.strip()}")
    for word in (["scheduler", "1"], ["priority"]):
        command = [*caller, layout.COMMAND, "exec", cell.name, "--", attack, *word]
        assert subprocess.run(command, check=True, capture_output=True).stdout == b"EPERM\n"
        control = subprocess.run(
            [*caller, "setpriv", "--reuid", "65534", "--clear-groups", attack, *word], check=True, capture_output=True
        )
        assert control.stdout == b"ok\n"


_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


@pytest.mark.row(17)
@pytest.mark.parametrize("request_number", [_TIOCSTI, _TIOCSTI | 1 << 32, _TIOCLINUX, _TIOCLINUX | 1 << 32], ids=hex)
def test_typing_into_a_terminal(cell: Cell, request_number: int, record_property: Record) -> None:
    """Nothing is typed into the terminal of who has entered, nor pasted, also with bits set that the kernel does not
    look at. Outside a program types."""
    attack = (cell.programs.attack, "type", hex(request_number), "x")
    assert _said(layout.COMMAND, "exec", cell.name, "--", *attack) == "EPERM"
    control = _said(*attack)
    if control in ("EIO", "ENOTTY"):
        what = "types" if control == "EIO" else "has a clipboard"
        record_property("control", f"{request_number:#x}: nobody {what} on such a terminal here ({control})")
    else:
        assert control.endswith("ok")


def _said(*command: str) -> str:
    """What a command says on a terminal."""
    terminal = Terminal(*command)
    try:
        assert terminal.client.wait(SECONDS) == 0
        terminal.end()
        return terminal.shown.decode().strip()
    finally:
        terminal.close()


@pytest.mark.row(18)
def test_who_enters_cannot_be_taken_hold_of(cell: Cell) -> None:
    """Root of a jail that looks for nothing else gets hold of nobody who is still a program of the host: not of memory,
    environment, program, directory or descriptors, and not by ptrace(2) (CVE-2016-9962). Who enters a pid namespace
    unprotected, where root has all capabilities, is taken hold of."""
    command = [layout.COMMAND, "exec", cell.name, "--", cell.programs.attack, "watch", "3", "jail"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            subprocess.run([layout.COMMAND, "exec", "-u", "5", cell.name, "--", "true"], check=True)
            inside(cell.name, "true")
        said = watch.communicate()[0].splitlines()
    assert said[-1] == "EPERM", said
    assert int(said[-2].removeprefix("seen ")) > 0

    # Which of the two is quicker is chance: one that is caught is enough.
    assert any(_is_caught(cell) for _attempt in range(10))


def _is_caught(cell: Cell) -> bool:
    """Whether somebody who enters unprotected is taken hold of."""
    namespace = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    with subprocess.Popen(
        [*namespace, cell.programs.attack, "watch", "3", "nsenter"], stdout=subprocess.PIPE, text=True
    ) as watch:
        time.sleep(0.3)
        (first,) = Path(f"/proc/{watch.pid}/task/{watch.pid}/children").read_text(encoding="ascii").split()
        enter = ["nsenter", "-t", first, "--user", "--pid", "--mount", "sleep", "0.01"]
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            subprocess.run(enter, check=False, capture_output=True, timeout=20)
        return watch.communicate()[0].splitlines()[-1] == "ok"


@pytest.fixture
def taken_for(cell: Cell, victim: subprocess.Popen[bytes]) -> live.Running:
    """What is on record of a jail, were its first process's number now that of a process of the host."""
    running = live.find(cell.name)
    assert running is not None
    return running._replace(pid=victim.pid)


@pytest.mark.row(19)
def test_a_number_that_was_used_again(cell: Cell, taken_for: live.Running) -> None:
    """A process of the host that has got the number of a jail's first process is not taken for it: the jail counts as
    stopped, its host name is not written to the host's, and stopping it harms nobody. With the start time of that
    process, which is what tells them apart, it is."""
    with pytest.raises(JailError, match="it has just ended"):
        taken_for.open_part("ns/uts")
    record = os.path.join(layout.running(cell.name), "live.json")
    before = files.read_json(record)
    try:
        files.write_json(record, {**before, "pid": taken_for.pid})
        assert live.find(cell.name) is None
        assert module("jail_info", name=[cell.name], gather=[])["jails"][cell.name]["status"] == "stopped"
        assert jail("exec", cell.name, "--", "true").returncode == 125
        started = pidfd.start_time(taken_for.pid)
        files.write_json(record, {**before, "pid": taken_for.pid, "start_time": started})
        found = live.find(cell.name)
        assert found is not None
        assert found.pid == taken_for.pid
    finally:
        files.write_json(record, before)
    cell.restart()


@pytest.mark.row(19)
def test_stopping_harms_nobody_who_has_the_number(cell: Cell, taken_for: live.Running) -> None:
    """Nor does a stop, which kills what is in the jail's control group and nothing else."""
    record = os.path.join(layout.running(cell.name), "live.json")
    before = files.read_json(record)
    files.write_json(record, {**before, "pid": taken_for.pid})
    try:
        assert jail("stop", cell.name).returncode == 0
        assert pidfd.open_process(before["pid"], before["start_time"]) is None
        os.kill(taken_for.pid, 0)
    finally:
        module("jail_state", name=[cell.name], state="started")


@pytest.mark.row(20)
def test_users_are_not_looked_up_in_the_jail(cell: Cell) -> None:
    """A user of an exec is a number, also where the jail's passwd has a user of that name who is root. (chroot(8) takes
    the word of the file in the chroot.)"""
    shell(cell.name, "echo '1000:x:0:0::/:/bin/sh' >> /etc/passwd; echo '1000:x:0:' >> /etc/group")
    done = jail("exec", "-u", "1000", cell.name, "--", "sh", "-c", "grep -E '^(Uid|Gid)' /proc/self/status")
    assert done.stdout.split() == [b"Uid:", *[b"1000"] * 4, b"Gid:", *[b"1000"] * 4]
    for word in ("root", "0x0", "-1", "1000:root"):
        assert jail("exec", f"-u={word}", cell.name, "--", "id").returncode in (2, 125), word
    root = f"/proc/{pid_of(cell.name)}/root"
    control = ["chroot", "--userspec=1000", root, "/bin/busybox", "id", "-u"]
    assert subprocess.run(control, check=True, capture_output=True).stdout == b"0\n"


@pytest.mark.row(21)
def test_no_record_is_seen_from_inside(cell: Cell, neighbour: Cell) -> None:
    """None of the directories with the records of jails is there, of its own or of others; by name, by the mount table,
    by a search. For a user of the host they are there, and closed."""
    places = [layout.ETC, layout.LIB, layout.RUN, layout.LOG, layout.RUNTIME]
    for place in places:
        assert jail("exec", cell.name, "--", "ls", place).returncode != 0
        assert os.path.isdir(place)
    table = inside(cell.name, "cat", "/proc/self/mountinfo", "/proc/self/mounts")
    assert not [place for place in places if place in table]
    found = shell(cell.name, "find / -name '*.json' -o -name 'jails*' 2>/dev/null | grep -v ^/proc; true")
    assert neighbour.name not in found
    assert found == ""
    for path in (layout.desired(cell.name), layout.storage(cell.name), layout.running(cell.name)):
        done = subprocess.run(["ls", path], user=65534, group=65534, extra_groups=[], check=False, capture_output=True)
        assert b"Permission denied" in done.stderr
