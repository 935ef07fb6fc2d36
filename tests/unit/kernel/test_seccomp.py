# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled filters on real processes: a child loads one, makes calls, and tells how each ended."""

from __future__ import annotations

import ctypes
import errno
import functools
import json
import os
import platform
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import syscall_policy
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import programs
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process, seccomp
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.seccomp import (
    ALLOW,
    Argument,
    Filter,
    Rule,
    answer,
)

_libc = ctypes.CDLL(None, use_errno=True)
_BY_MACHINE = {
    # name: (x86_64, aarch64)
    "mount": (165, 40),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "clone": (56, 220),
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "personality": (135, 92),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "swapon": (167, 224),
    "quotactl": (179, 60),
    "getpid": (39, 172),
    "fsopen": (430, 430),
    "ioctl": (16, 29),
    "socket": (41, 198),
}
_MACHINES = ("x86_64", "aarch64")
_NUMBERS = {
    name: numbers[_MACHINES.index(platform.machine())]
    for name, numbers in _BY_MACHINE.items()
    if platform.machine() in _MACHINES
}

pytestmark = pytest.mark.skipif(not _NUMBERS, reason=f"no system call numbers here for {platform.machine()}")


def call(name: str | int, *arguments: int) -> str:
    """Make a system call; ``ok`` or the name of the error."""
    number = _NUMBERS[name] if isinstance(name, str) else name
    result = _libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments))
    return "ok" if result != -1 else errno.errorcode[ctypes.get_errno()]


def under(filters: list[Filter], action: Callable[[], Any]) -> Any:
    """What an action gives in a child that has loaded the one program of these filters. Its end by a signal raises."""
    compiled = [seccomp.compile_filter(each) for each in filters]
    return under_programs([functools.reduce(seccomp.chain, compiled)] if compiled else [], action)


def under_programs(programs: list[bytes], action: Callable[[], Any]) -> Any:
    """The same for programs."""
    reading, writing = os.pipe()

    def child() -> None:
        process.forbid_new_privileges()
        for program in programs:
            seccomp.load(program)
        os.write(writing, json.dumps(action()).encode())

    pid = process.fork(child)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    status = process.wait(pid)
    if status:
        raise ChildProcessError(status)
    return json.loads(text)


def policy() -> list[Filter]:
    """What a jail gets."""
    return list(syscall_policy.filters())


@pytest.mark.parametrize(
    "name",
    ["mount", "bpf", "keyctl", "add_key", "io_uring_setup", "unshare", "setns", "open_by_handle_at", "perf_event_open",
     "userfaultfd", "kexec_load", "init_module", "reboot", "settimeofday", "swapon", "quotactl", "fsopen"],
)  # fmt: skip
def test_what_a_jail_has_no_use_for_is_refused(name: str) -> None:
    """By the filter, whatever the arguments: ``EPERM``. Without it the kernel looks at them first."""
    arguments = (0xFFFFFFFF,) * 6
    assert under(policy(), lambda: call(name, *arguments)) == "EPERM"
    outside = under([], lambda: call(name, *arguments))
    if outside == "EPERM":
        pytest.skip("this kernel refuses it to us without a filter too")
    assert outside != "ok"


def test_unknown_calls_do_not_exist() -> None:
    """A number that nobody knows, and clone3, say ``ENOSYS``, so that programs fall back."""
    assert under(policy(), lambda: call(1000)) == "ENOSYS"
    assert under(policy(), lambda: call("clone3", 0, 0)) == "ENOSYS"
    assert under([], lambda: call("clone3", 0, 0)) == "EINVAL"


@pytest.mark.parametrize("flag", syscall_policy._NAMESPACE_FLAGS)
def test_clone_makes_no_namespace(flag: int) -> None:
    """Each flag for a new namespace is refused also beside others, and a plain fork works."""
    assert under(policy(), lambda: call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)) == "EPERM"
    assert under(policy(), lambda: process.wait(process.fork(lambda: None))) == 0


def _open_socket(family: int, kind: int, protocol: int) -> str:
    result = _libc.socket(ctypes.c_int(family), ctypes.c_int(kind), ctypes.c_int(protocol))
    return "ok" if result != -1 else errno.errorcode[ctypes.get_errno()]


@pytest.mark.parametrize("family", range(70))
def test_families_of_sockets(family: int) -> None:
    """Unix, IPv4, IPv6 and netlink pass the filter; every other number is refused before the kernel looks at it."""
    answered = under(policy(), lambda: _open_socket(family, 99, 0))
    if family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        assert answered != "EAFNOSUPPORT"
        assert answered == under([], lambda: _open_socket(family, 99, 0))
    else:
        assert answered == "EAFNOSUPPORT"


def test_a_family_with_high_bits_set_is_no_way_round() -> None:
    """The kernel takes the low 32 bits of the argument; so must the filter."""
    assert under([], lambda: call("socket", (7 << 32) | socket.AF_PACKET, socket.SOCK_RAW, 0)) in ("ok", "EPERM")
    assert under(policy(), lambda: call("socket", (7 << 32) | socket.AF_PACKET, socket.SOCK_RAW, 0)) == "EAFNOSUPPORT"


def test_netlink_is_for_routes_only() -> None:
    """Protocol 0, which lists addresses; audit and netfilter are said not to be there."""
    assert under(policy(), lambda: _open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)) == "ok"
    others = (4, 6, 9, 12, 15, 16)
    answers = under(policy(), lambda: [_open_socket(socket.AF_NETLINK, socket.SOCK_RAW, each) for each in others])
    assert answers == ["EPROTONOSUPPORT"] * len(others)


@pytest.mark.parametrize("request_number", [0x5412, 0x541C, 0x5412 | 1 << 32, 0x541C | 1 << 63])
def test_typing_into_terminals_is_refused(request_number: int) -> None:
    """TIOCSTI and TIOCLINUX, also with high bits set, which the kernel does not see (CVE-2016-10124); others pass."""
    assert under(policy(), lambda: call("ioctl", 0, request_number, 0)) == "EPERM"
    assert under(policy(), lambda: call("ioctl", 999, 0x5413, 0)) == "EBADF"
    assert under([], lambda: call("ioctl", 999, request_number, 0)) == "EBADF"


def test_personalities() -> None:
    """Asking and the usual one pass; one that switches protections off does not, and gets the filter's default: a rule
    cannot compare one argument with several values."""
    assert under(policy(), lambda: call("personality", 0xFFFFFFFF)) == "ok"
    assert under(policy(), lambda: call("personality", 0)) == "ok"
    assert under(policy(), lambda: call("personality", 0x0040000)) == "ENOSYS"
    assert under([], lambda: call("personality", 0x0040000)) == "ok"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="this machine has no second entry to the kernel")
def test_the_other_entry_to_the_kernel_is_closed() -> None:
    """Who calls by x32's numbers, which are none of the native architecture, is killed by SIGSYS."""
    number = 0x40000000 + _NUMBERS["getpid"]
    assert under([], lambda: call(number)) in ("ok", "ENOSYS")
    with pytest.raises(ChildProcessError, match=str(128 + signal.SIGSYS)):
        under(policy(), lambda: call(number))


def test_what_ordinary_programs_do_works() -> None:
    """Files, processes, threads, sockets, time: a Python that is busy with all of them does not notice."""

    def busy() -> list[int]:
        import subprocess
        import tempfile
        import threading

        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a").write_text("x", encoding="ascii")
            os.rename(f"{folder}/a", f"{folder}/b")
            os.link(f"{folder}/b", f"{folder}/c")
            os.chmod(f"{folder}/c", 0o600)
        threads = [threading.Thread(target=lambda: None) for _each in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]):
            return [subprocess.run(["true"], check=True).returncode]

    assert under(policy(), busy) == [0]


@pytest.mark.parametrize(
    ("comparison", "passes"), [("==", [5]), ("!=", [4, 6]), ("<", [4]), ("<=", [4, 5]), (">", [6]), (">=", [5, 6])]
)
def test_comparisons(comparison: str, passes: list[int]) -> None:
    """Each comparison of an argument does what its sign says. (Call: getpid, which ignores arguments.)"""
    one = Filter(ALLOW, ALLOW, (Rule("getpid", answer(errno.EDOM), (Argument(0, comparison, 5),)),))
    refused = under([one], lambda: [value for value in (4, 5, 6) if call("getpid", value) == "EDOM"])
    assert refused == passes


def test_calls_that_the_library_does_not_know_are_passed_over() -> None:
    """A policy may name what an old library has never heard of."""
    newer = Filter(
        ALLOW,
        ALLOW,
        (
            Rule("call_of_the_future", answer(errno.EDOM)),
            Rule("getpid", answer(errno.EDOM)),
        ),
    )
    assert under([newer], lambda: call("getpid")) == "EDOM"


def test_compiled_programs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time nothing is compiled: what is loaded is what lies in the cache. One that somebody removed is not
    taken for an empty one."""
    monkeypatch.setattr(layout, "CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(layout, "LOCKS", str(tmp_path / "locks"))
    read = programs.read.__wrapped__
    name = programs.keep(policy())
    assert read(name) == functools.reduce(seccomp.chain, map(seccomp.compile_filter, policy()))
    assert programs.keep(policy()[:1]) != name
    (kept,) = [path for path in (tmp_path / "cache").iterdir() if name in path.name]
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_bytes(b"\0" * 8)
    assert programs.keep(policy()) == name
    assert read(name) == b"\0" * 8
    kept.unlink()
    with pytest.raises(JailError, match="restart the jail"):
        read(name)


@pytest.mark.parametrize("family", [socket.AF_PACKET, socket.AF_NETLINK, 30, 40, 44])
def test_a_pair_of_sockets_is_no_way_round(family: int) -> None:
    """socketpair(2) asks the family too, and so would reach, and load, every one of them."""

    def pair() -> str:
        two = (ctypes.c_int * 2)()
        result = _libc.socketpair(ctypes.c_int(family), ctypes.c_int(2), ctypes.c_int(0), two)
        return "ok" if result != -1 else errno.errorcode[ctypes.get_errno()]

    assert under(policy(), pair) == "EAFNOSUPPORT"
    assert under(policy(), lambda: len(socket.socketpair())) == 2


def test_the_old_way_to_packet_sockets_is_closed() -> None:
    """AF_INET with type SOCK_PACKET is AF_PACKET (packet(7))."""
    assert under([], lambda: _open_socket(socket.AF_INET, 10, 3)) in ("ok", "EPERM")
    assert under(policy(), lambda: _open_socket(socket.AF_INET, 10, 3)) == "EAFNOSUPPORT"


def test_the_core_limit_stays() -> None:
    """Who sets another is told that it is done: with 0 the host's core_pattern pipe would run, with 1 it does not."""

    def set_and_read() -> list[int]:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        return list(resource.getrlimit(resource.RLIMIT_CORE))

    assert under([], set_and_read) == [0, 0]

    def lower() -> list[int]:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (17, 17))
        return [*resource.getrlimit(resource.RLIMIT_CORE), *resource.getrlimit(resource.RLIMIT_NOFILE)]

    before = resource.getrlimit(resource.RLIMIT_CORE)
    assert under(policy(), lower) == [*before, 17, 17]


def test_newer_calls_are_missing() -> None:
    """Above the last call that the library knows, "no" becomes "there is no such call"; below it stays "no"."""
    everything = Filter(answer(errno.EPERM), answer(errno.EPERM), tuple(Rule(name, ALLOW) for name in _TO_REPORT))

    def ask() -> list[str]:
        return [call("getpid"), call("mount"), call(1000)]

    assert under([everything], ask) == ["EPERM", "EPERM", "EPERM"]
    missing, compiled = seccomp.newer_calls_missing(), seccomp.compile_filter(everything)
    assert under_programs([compiled, missing], ask) == ["EPERM", "EPERM", "ENOSYS"]
    assert under_programs([seccomp.chain(missing, compiled)], ask) == ["EPERM", "EPERM", "ENOSYS"]


def test_a_chain_answers_as_its_parts_do() -> None:
    """One program for both halves of the policy: every call says what it says under the two."""

    def ask() -> list[str]:
        found = [call(number, *(0xFFFFFFFF,) * 6) for number in _NUMBERS.values() if number != _NUMBERS["clone"]]
        found += [call("ioctl", 99, request) for request in (0x5401, 0x5412, 0x541C, 0x100005412)]
        found += [_open_socket(family, socket.SOCK_DGRAM, 0) for family in range(70)]
        return [*found, call(1000), call("personality", 8), call("personality", 0x40000)]

    halves = [seccomp.compile_filter(each) for each in policy()]
    stacked = under_programs(halves, ask)
    assert under(policy(), ask) == stacked
    assert under(policy()[1:], ask) != stacked
    assert under(policy()[:1], ask) != stacked


_TO_REPORT = ("write", "exit_group", "seccomp", "mmap", "munmap", "brk", "futex", "rt_sigaction", "madvise")
"""What a child needs for telling its findings."""


def test_an_architecture_that_the_library_does_not_know() -> None:
    """Is an error, not a filter without it."""
    with pytest.raises(OSError, match="knows no architecture vax"):
        seccomp.compile_filter(Filter(ALLOW, ALLOW, (), ("vax",)))


def test_actions_with_a_number() -> None:
    """What is an error number is told from what is none."""
    assert seccomp.answers(answer(errno.EPERM))
    assert seccomp.answers(answer(0))
    assert not any(
        map(seccomp.answers, (ALLOW, seccomp.LOG, seccomp.TRAP, seccomp.trace(1), seccomp.KILL_THREAD, 1 << 31))
    )
