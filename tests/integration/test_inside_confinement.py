# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds those inside: ids, capabilities, filters, covers and limits are those of the policy, for the first process
and for every one that enters; and each holds something back that works where it is not.
"""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, namespaces, process
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    pid_of,
    shell,
)

_NEW_USER = namespaces.CLONE_NEWUSER
_PF = {"UNIX": 1, "INET": 2, "INET6": 10, "NETLINK": 16, "PACKET": 17, "ALG": 38, "VSOCK": 40, "KEY": 15}
_STREAM, _DGRAM, _RAW = 1, 2, 3


@pytest.fixture(scope="module")
def probed(probe: str) -> Iterator[str]:
    """A running jail that has the program."""
    name = f"{sandbox.PREFIX}probe"
    try:
        module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", probe], trust_group="probe")
        module("jail_state", name=[name], command=["sleep", "100000"], state="started")
        yield name
    finally:
        attempt("jail_state", name=[name], state="absent")


def outside(probe: str, *words: str) -> str:
    """What the program says on the host, as root."""
    return subprocess.run([probe, *words], check=True, capture_output=True, text=True).stdout.strip()


def within(name: str, probe: str, *words: str) -> str:
    """What it says in a jail, as root."""
    return inside(name, probe, *words).strip()


def _status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in text.splitlines())}


@pytest.mark.row(15)
def test_first_and_entered_process_have_the_sets_of_the_policy(probed: str) -> None:
    """Capabilities, filters and groups of the first process and of entered ones are those of the baseline, by the
    kernel's word; the caller on the host has more."""
    baseline = f"{capabilities.to_mask(policy.CAPABILITIES):016x}"
    first = _status(Path(f"/proc/{pid_of(probed)}/status").read_text(encoding="utf-8"))
    entered = _status(inside(probed, "cat", "/proc/self/status"))
    user = _status(jail("exec", "-u", "5", probed, "--", "cat", "/proc/self/status").stdout.decode())
    own = _status(Path("/proc/self/status").read_text(encoding="utf-8"))
    for status in (first, entered, user):
        assert status["CapBnd"] == baseline
        assert status["CapInh"] == status["CapAmb"] == f"{0:016x}"
        assert status["Seccomp"] == "2"
        assert int(status["Seccomp_filters"]) >= 1
        assert status["Groups"] == ""
        assert status["SigIgn"] == status["SigBlk"] == f"{0:016x}"
    for status in (first, entered):
        assert status["CapPrm"] == status["CapEff"] == baseline
        assert status["NoNewPrivs"] == first["NoNewPrivs"]
    assert user["CapPrm"] == user["CapEff"] == f"{0:016x}"
    assert int(own["CapBnd"], 16) > int(baseline, 16)
    assert own["Seccomp_filters"] < first["Seccomp_filters"]


def test_namespaces_are_all_its_own_and_shared_by_the_entered(probed: str) -> None:
    """All seven kinds differ from the host's and are the same for the first and an entered process."""
    first = pid_of(probed)
    for kind in namespaces.KINDS:
        entered = inside(probed, "readlink", f"/proc/self/ns/{kind}").strip()
        assert entered == os.readlink(f"/proc/{first}/ns/{kind}")
        assert entered != os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.row(31, 55)
@pytest.mark.parametrize(
    "words",
    [("unshare", hex(_NEW_USER)), ("clone", hex(_NEW_USER)), ("clone", hex(_NEW_USER | namespaces.CLONE_NEWNET))],
)
def test_no_user_namespace_inside(probed: str, probe: str, words: tuple[str, ...]) -> None:
    """Neither unshare(2) nor clone(2) makes one, though the host's root can."""
    assert outside(probe, *words) == "ok"
    assert within(probed, probe, *words) == "EPERM"


@pytest.mark.row(31)
def test_clone3_is_not_there(probed: str, probe: str) -> None:
    """Its flags cannot be filtered, so it says that it does not exist; the host's kernel has it."""
    assert outside(probe, "clone3") == "EINVAL"
    assert within(probed, probe, "clone3") == "ENOSYS"


@pytest.mark.row(31, 55)
@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "ipc", "uts", "cgroup"])
def test_no_other_namespace_inside(probed: str, probe: str, kind: str) -> None:
    """Nor any other kind."""
    flag = hex(namespaces.KINDS[kind])
    assert outside(probe, "unshare", flag) == "ok"
    assert within(probed, probe, "unshare", flag) == "EPERM"


@pytest.mark.row(31, 55)
def test_counts_of_namespaces_are_bounded_beneath_the_filter(probed: str) -> None:
    """Without the filter the kernel's own count still refuses a user namespace in the jail's: ``ENOSPC``."""
    assert inside(probed, "cat", "/proc/sys/user/max_user_namespaces") == "0\n"
    target = os.pidfd_open(pid_of(probed))

    def child() -> None:
        namespaces.setns(target, _NEW_USER)
        try:
            namespaces.unshare(_NEW_USER)
        except OSError as error:
            os._exit(error.errno or 99)

    try:
        assert os.strerror(process.wait(process.fork(child))) == "No space left on device"
    finally:
        os.close(target)
    control = process.fork(lambda: namespaces.unshare(_NEW_USER))
    assert process.wait(control) == 0


@pytest.mark.row(32)
@pytest.mark.parametrize(
    ("family", "kind", "protocol", "answer"),
    [
        ("UNIX", _STREAM, 0, "ok"),
        ("INET", _STREAM, 0, "ok"),
        ("INET6", _DGRAM, 0, "ok"),
        ("NETLINK", _RAW, 0, "ok"),
        ("NETLINK", _RAW, 12, "EPROTONOSUPPORT"),
        ("INET", _RAW, 1, "EPERM"),
        ("PACKET", _RAW, 0, "EAFNOSUPPORT"),
        ("ALG", 5, 0, "EAFNOSUPPORT"),
        ("VSOCK", _STREAM, 0, "EAFNOSUPPORT"),
        ("KEY", _RAW, 2, "EAFNOSUPPORT"),
    ],
)
def test_socket_families(probed: str, probe: str, family: str, kind: int, protocol: int, answer: str) -> None:
    """The four families work, others do not, and raw sockets do not; outside they do, where the kernel has them."""
    words = ("socket", str(_PF[family]), str(kind), str(protocol))
    assert within(probed, probe, *words) == answer
    control = outside(probe, *words)
    if control == "EAFNOSUPPORT":
        pytest.skip(f"this kernel has no family {family}, so nothing is shown by its refusal")
    assert control == "ok"


@pytest.mark.row(36)
def test_covered_files_cannot_be_read(probed: str, probe: str) -> None:
    """Every file on the list that this kernel has is readable by the host's root and empty in the jail, and the empty
    cover is the null device; the directories are empty."""
    files = [f"/proc/{name}" for name in policy.MASKED_PROC if os.path.isfile(f"/proc/{name}")]
    readable = [path for path in files if outside(probe, "read", path) not in ("EINVAL", "EACCES", "EPERM", "EIO")]
    assert "/proc/kallsyms" in readable
    for path in files:
        assert within(probed, probe, "read", path) == "empty", path
        assert inside(probed, "stat", "-c", "%t %T", path) == "1 3\n"
    folders = [f"/proc/{name}" for name in policy.MASKED_PROC] + [f"/sys/{name}" for name in policy.MASKED_SYS]
    for path in filter(os.path.isdir, [path for folder in folders for path in glob.glob(folder)]):
        assert inside(probed, "ls", "-A", path) == "", path


@pytest.mark.row(24)
def test_read_only_parts_cannot_be_written(probed: str, probe: str) -> None:
    """What would belong to the jail's root, such as limits of its IPC namespace, is read-only; what belongs to
    the host's is closed to it anyway (and read-only too, see ``test_without_user_namespace.py``). The host's root may
    write all of them, and inside a sysctl of the jail's own network may be written."""
    own = ("/proc/sys/kernel/shmmax", "/proc/sys/kernel/msgmax")
    hosts = ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/irq/default_smp_affinity")
    for path in filter(os.path.exists, (*own, *hosts)):
        assert outside(probe, "write", path) == "ok", path
        assert within(probed, probe, "write", path) == ("EROFS" if path in own else "EACCES"), path


@pytest.mark.row(37, 55)
def test_mounting_is_refused(probed: str) -> None:
    """No file system can be mounted, no mount changed or taken off its cover."""
    for script in (
        "mount -t tmpfs none /mnt",
        "mount -t proc proc /mnt",
        "mount --bind /etc /mnt",
        "mount -o remount,rw /proc/sys",
        "umount /proc/kallsyms",
        "umount /sys/firmware",
        "pivot_root /mnt /mnt",
    ):
        done = jail("exec", probed, "--", "sh", "-c", script)
        assert done.returncode != 0, script
        assert b"permitted" in done.stderr.lower() or b"denied" in done.stderr.lower(), (script, done.stderr)
    assert shell(probed, "grep -c . /proc/self/mountinfo") == shell(probed, "grep -c . /proc/1/mountinfo")


@pytest.mark.row(27)
def test_device_nodes_cannot_be_made(probed: str, probe: str, tmp_path: Path) -> None:
    """mknod(2) of a disk or of the kernel's memory is refused; outside root can."""
    assert outside(probe, "mknod", str(tmp_path / "mem"), "1", "1") == "ok"
    assert within(probed, probe, "mknod", "/root/mem", "1", "1") == "EPERM"
    assert within(probed, probe, "mknod", "/dev/mem", "1", "1") == "EPERM"


@pytest.mark.row(40)
def test_host_name_cannot_be_set(probed: str) -> None:
    """The jail's root may not rename the jail, unlike the host's the host."""
    assert jail("exec", probed, "--", "hostname", "mine").returncode != 0
    assert inside(probed, "hostname") == f"{probed}\n"


@pytest.mark.row(26, 34)
def test_handles_and_signals_reach_nobody_outside(probed: str, probe: str) -> None:
    """Files cannot be opened by handle, around every path; a process of the host has no number inside to be signalled
    by."""
    assert within(probed, probe, "open_by_handle_at") == "EPERM"
    assert outside(probe, "open_by_handle_at") != "EPERM"
    victim = subprocess.Popen(["sleep", "60"])
    try:
        assert jail("exec", probed, "--", "kill", "-9", str(victim.pid)).returncode != 0
        jail("exec", probed, "--", "sh", "-c", "kill -9 -1")
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.row(24)
def test_no_core_is_dumped(probed: str, tmp_path: Path) -> None:
    """The limit is 1 byte, which also keeps a core_pattern pipe of the host from starting, for the first and for
    entered processes."""
    assert inside(probed, "sh", "-c", "ulimit -c; ulimit -H -c") in ("0\n0\n", "1\n1\n")
    limits = Path(f"/proc/{pid_of(probed)}/limits").read_text(encoding="ascii")
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["1", "1"]
    entered = inside(probed, "cat", "/proc/self/limits")
    assert line in entered


def test_signals_have_their_default_actions(probed: str) -> None:
    """Python ignores SIGPIPE, and an exec keeps that: a writer to a closed pipe must be killed all the same. A caller
    that ignores more hands that on to no jail."""
    ignored = [signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        status = _status(inside(probed, "cat", "/proc/self/status"))
        module("jail_state", name=[probed], state="restarted")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert int(status["SigIgn"], 16) == 0
    first = _status(Path(f"/proc/{pid_of(probed)}/status").read_text(encoding="utf-8"))
    assert int(first["SigIgn"], 16) == 0
    assert int(first["SigBlk"], 16) == 0
    assert shell(probed, "(yes; echo $? >&2) 2>/tmp/status | head -1 >/dev/null; sleep 0.1; cat /tmp/status") == "141\n"


def test_a_protected_caller_does_not_protect_the_jail(probed: str) -> None:
    """A caller that the kernel must not pick when memory runs out, as sshd's children often are, starts and enters
    jails that it may."""
    score = Path("/proc/self/oom_score_adj")
    before = score.read_text(encoding="ascii")
    try:
        try:
            score.write_text("-500", encoding="ascii")
        except PermissionError as error:
            pytest.skip(f"we may not protect ourselves here: {error}")
        assert inside(probed, "cat", "/proc/self/oom_score_adj") == "0\n"
    finally:
        score.write_text(before, encoding="ascii")


def test_limits_of_open_files(probed: str) -> None:
    """The soft limit is small, as programs that use select(2) need it; both are at most those of the policy."""
    soft, hard = (int(text) for text in shell(probed, "ulimit -n; ulimit -H -n").split())
    assert soft == policy.RLIMITS["nofile"][0]
    assert soft < hard <= policy.RLIMITS["nofile"][1]


def test_the_group_is_joined_before_the_first_instruction(name: str) -> None:
    """What the first process sees of its own control group at its very start is already the jail's."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_limits", name=name, pids_max="3")
    command = "cat /proc/self/cgroup; (sleep 9 & sleep 9 & sleep 9 & sleep 9) ; exec sleep 100000"
    module("jail_state", name=[name], command=["sh", "-c", command], state="started")
    try:
        for _try in range(100):
            log = jail("log", name).stdout.decode()
            if "can't fork" in log:
                break
            time.sleep(0.05)
        assert "can't fork" in log
        assert {line.split(":")[2] for line in log.splitlines() if line[0].isdigit()} == {"/"}
    finally:
        assert len(live.group_of(name).processes()) <= 3
