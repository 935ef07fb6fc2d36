# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: ways to start one program as pid 1 on one tree.

Each contender starts it, says at which nanosecond of CLOCK_MONOTONIC it began and at which the program ran its
first instruction, and ends it again.
"""

from __future__ import annotations

import abc
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import (
    ids,
    limits,
    live,
    policy,
    start,
    stop,
    store,
)
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import options, programs, settled
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities
from ansible_collections.cellblock.jails.plugins.module_utils.net import addresses
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates

from . import host, oci
from .oci import Bundle

Process = subprocess.Popen[bytes]

SECONDS = 10
"""A contender that takes longer has failed."""


class Tree(NamedTuple):
    """What all contenders start.

    :param key: the template.
    :param argv: the program; it prints the time and stays.
    :param folder: a directory for a contender's own files.
    """

    key: str
    argv: Sequence[str]
    folder: str

    @property
    def root(self) -> str:
        """The template's root file system."""
        return templates.tree(self.key)


class Contender(abc.ABC):
    """One way to start a jail.

    :param name: what the table calls it.
    :param work: what it does and does not do, one line.
    """

    name: str
    work: str

    @abc.abstractmethod
    def prepare(self) -> str | None:
        """Make ready and try once; why it cannot be measured here, or ``None``."""

    @abc.abstractmethod
    def start(self) -> tuple[int, int]:
        """Start; the time just before it and that of the first instruction."""

    @abc.abstractmethod
    def stop(self) -> int:
        """End what :meth:`start` started; the nanoseconds that took."""


class Jail(Contender):
    """A jail of this collection, by the call that every module and the ``jail`` command make."""

    def __init__(self, name: str, tree: Tree, interfaces: Sequence[dict[str, Any]]) -> None:
        self._jail = host.PREFIX + ("veth" if interfaces else "plain")
        self._tree = tree
        self._interfaces = interfaces
        self.name = name
        self.work = "all of a start; " + ("a bridge and one veth on it with an address" if interfaces else "lo only")

    def prepare(self) -> str | None:
        storage.create(self._jail, "overlay", self._tree.key)
        store.write(self._jail, "state", {"command": list(self._tree.argv)})
        if self._interfaces:
            parsed = addresses.parse_interfaces(self._jail, list(self._interfaces))
            store.write(self._jail, "net", {"interfaces": parsed})
        try:
            self.start()
            self.stop()
        except JailError as error:
            return str(error)
        return None

    def start(self) -> tuple[int, int]:
        before = time.monotonic_ns()
        start.start(self._jail)
        return before, _first_line(layout.live_console(self._jail))

    def stop(self) -> int:
        before = time.monotonic_ns()
        stop.stop_as_desired(self._jail)
        return time.monotonic_ns() - before


def _first_line(path: str) -> int:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with open(path, "rb") as file:
            line = file.readline()
        if line.endswith(b"\n"):
            return _moment(line)
        time.sleep(0.001)
    raise JailError(f"nothing came to {path}")


def _line_of(running: Process) -> bytes:
    """The next line of its output, read to that and no further; empty at the end and when none comes in time."""
    assert running.stdout
    deadline = time.monotonic() + SECONDS
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([running.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        byte = os.read(running.stdout.fileno(), 1)
        if not byte:
            return b""
        line += byte
    return line


def _said(running: Process) -> str:
    """What it complained of before it ended."""
    assert running.stderr
    return running.stderr.read().decode(errors="replace").strip() or "it ended without a word"


def _moment(line: bytes) -> int:
    """Nanoseconds of CLOCK_MONOTONIC; date(1), where no compiler is, knows those since 1970 only."""
    number = int(line)
    return number - (time.time_ns() - time.monotonic_ns()) if number > 10**18 else number


class Program(Contender):
    """A program that stays the parent of what it starts."""

    def __init__(self, name: str, work: str, command: Sequence[str]) -> None:
        self.name = name
        self.work = work
        self._command = list(command)
        self._running: Process | None = None

    def prepare(self) -> str | None:
        if shutil.which(self._command[0]) is None:
            return f"{self._command[0]} is not installed"
        try:
            self.start()
            self.stop()
        except JailError as error:
            return str(error)
        return None

    def start(self) -> tuple[int, int]:
        before = time.monotonic_ns()
        self._running = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=self._inherited(),
            bufsize=0,
        )
        return before, self._read_moment()

    def _inherited(self) -> Sequence[int]:
        return ()

    def _read_moment(self) -> int:
        assert self._running
        line = _line_of(self._running)
        if not line:
            self._running.kill()
            self._running.wait()
            said = _said(self._running)
            self._close()
            raise JailError(f"{self._command[0]} failed: {said}")
        return _moment(line)

    def stop(self) -> int:
        before = time.monotonic_ns()
        assert self._running
        assert self._running.stdout
        self._running.kill()
        self._running.stdout.read()  # ends when pid 1 has
        self._running.wait()
        took = time.monotonic_ns() - before
        self._close()
        return took

    def _close(self) -> None:
        assert self._running
        assert self._running.stdin
        assert self._running.stdout
        assert self._running.stderr
        for stream in (self._running.stdin, self._running.stdout, self._running.stderr):
            stream.close()
        self._running = None
        host.reap()


def unshare(tree: Tree) -> Contender:
    """unshare(1) of util-linux: the issue's floor."""
    kinds = ("user", "mount", "pid", "net", "ipc", "uts", "cgroup")
    return Program(
        "unshare",
        "same namespaces, root mapped to root, /proc, chroot; no overlay, id range, /dev, /sys, cgroup, masks, seccomp",
        ["unshare", *(f"--{kind}" for kind in kinds), "--map-root-user", "--fork", "--kill-child", "--mount-proc",
         f"--root={tree.root}", *tree.argv],
    )  # fmt: skip


class Bubblewrap(Program):
    """bwrap(1), with our seccomp programs, which it only loads."""

    def __init__(self, tree: Tree) -> None:
        self._filters = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _filters(tree)]
        seccomp_options = [word for descriptor in self._filters for word in ("--add-seccomp-fd", str(descriptor))]
        mounts_options = ["--bind", tree.root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run"]
        identity = ["--uid", "0", "--gid", "0", "--hostname", "bench", "--cap-drop", "ALL"]
        life = ["--unshare-all", "--unshare-user", "--die-with-parent", "--as-pid-1", "--new-session"]
        super().__init__(
            "bwrap",
            "same namespaces, root mapped to root, /proc, /dev, /run, pivot_root, no capabilities, our seccomp; "
            "no overlay, id range, /sys, cgroup, masks",
            ["bwrap", *life, *identity, *mounts_options, *seccomp_options, "--", *tree.argv],
        )

    def _inherited(self) -> Sequence[int]:
        for descriptor in self._filters:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return self._filters


class Floor(Program):
    """``floor.c``: the system calls and nothing else. Its own clock says when it begins."""

    def __init__(self, name: str, work: str, binary: str, tree: Tree, extras: Sequence[str]) -> None:
        jail = f"{host.PREFIX}floor{len(extras)}"
        storage.create(jail, "overlay", tree.key)
        stored = storage.describe(jail)
        assert stored
        first = ids.first_id(ids.allocate(jail))
        words = [str(first), stored.folder, stored.lower or "", layout.RUN, "bench", tree.argv[0], *extras]
        super().__init__(name, work, [binary, *words])

    def start(self) -> tuple[int, int]:
        _before, first = super().start()
        second = self._read_moment()
        return min(first, second), max(first, second)  # the two processes write in any order

    def stop(self) -> int:
        assert self._running
        assert self._running.stdin
        self._running.stdin.close()
        took = self._read_moment()
        self._running.wait()
        self._close()
        return took


def bare_floor(binary: str, tree: Tree) -> Contender:
    """The floor of what every launcher has to do."""
    work = "same namespaces, id range, idmapped layers, overlay, /dev with nodes, devpts, /proc, /sys, pivot_root, exec"
    return Floor("floor", work, binary, tree, [])


def whole_floor(binary: str, tree: Tree) -> Contender:
    """The floor of what our own start does, as far as it is system calls."""
    group = live.group_of(host.PREFIX + "floor")
    hierarchies = live.hierarchies()
    if hierarchies.version == 2:
        # Group.create() has to have switched the controllers on once; then a start is one directory, one limit.
        group.create()
        group.remove()
    parents = dict.fromkeys(os.path.join(root, layout.CGROUP_PARENT) for root in hierarchies.roots.values())
    for parent in parents:
        os.makedirs(parent, exist_ok=True)
    extras = [f"cgroup={parent}/{group.name}" for parent in parents]
    pids = os.path.join(hierarchies.roots["pids"], layout.CGROUP_PARENT, group.name, "pids.max")
    extras.append(f"limit={pids}:{limits.DEFAULT_PIDS}")
    extras.append("more=1")
    extras += [f"readonly=proc/{path}" for path in policy.READONLY_PROC]
    extras += [f"writable=proc/{path}" for path in policy.WRITABLE_PROC]
    extras += [f"mask=proc/{path}" for path in policy.MASKED_PROC] + [f"mask=sys/{path}" for path in policy.MASKED_SYS]
    extras.append(f"keep={capabilities.to_mask(policy.CAPABILITIES):#x}")
    extras += [f"seccomp={path}" for path in _filters(tree)]
    work = "the same and what else our start asks of the kernel: cgroup, limit, masks, capabilities, seccomp"
    return Floor("floor, all", work, binary, tree, extras)


def _filters(tree: Tree) -> list[str]:
    """Our compiled seccomp programs, as files."""
    names = settled.settle(options.desired({})).programs
    found = []
    for number, program in enumerate(map(programs.read, names)):
        path = os.path.join(tree.folder, f"seccomp{number}.bpf")
        with open(path, "wb") as file:
            file.write(program)
        found.append(path)
    return found


class OciRuntime(Contender):
    """runc or crun on a bundle with our namespaces, id range, limits, masks, capabilities and list of system calls."""

    def __init__(self, runtime: str, tree: Tree) -> None:
        self.name = runtime
        self.work = (
            "same namespaces, id range, /dev, /proc, /sys, cgroup, masks, capabilities, pivot_root, one seccomp list, "
            "which it compiles; its root is an idmapped overlay made once beforehand"
        )
        self._bundle = Bundle(runtime, tree.key, tree.folder)
        self._argv = tree.argv
        self._running: Process | None = None

    def prepare(self) -> str | None:
        if shutil.which(self.name) is None:
            return f"{self.name} is not installed"
        self._bundle.make(self._argv, oci.our_list())
        try:
            self.start()
            self.stop()
        except JailError as error:
            return str(error)
        return None

    def start(self) -> tuple[int, int]:
        before = time.monotonic_ns()
        running = self._bundle.run("--detach")
        line = _line_of(running)
        if not line:
            running.kill()
            running.wait()
            self._bundle.delete()
            raise JailError(f"{self.name} failed: {_said(running)}")
        running.wait()
        self._running = running
        return before, _moment(line)

    def stop(self) -> int:
        assert self._running
        assert self._running.stdout
        assert self._running.stderr
        before = time.monotonic_ns()
        self._bundle.delete()
        self._running.stdout.read()
        took = time.monotonic_ns() - before
        self._running.stdout.close()
        self._running.stderr.close()
        host.reap()
        return took
