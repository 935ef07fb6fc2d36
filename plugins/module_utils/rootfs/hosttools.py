# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host, run so that nothing of them outlives us.

A builder can be killed at any time, and what it had started must not go on writing into a tree that the next one
clears. So a program runs as pid 1 of a pid namespace: when it ends, in whatever way, the kernel kills every
descendant that is left (pid_namespaces(7)). A guard process stands between it and us::

    we -- guard -- pid 1 (the program) -- its children

The guard holds one end of a pipe, we hold the other. However we end, the kernel closes ours: the guard sees that,
kills pid 1, and ends only after the last process of the namespace. It is a plain fork, so it holds the locks that we
hold (flock(2)): whoever waits for such a lock gets it when the last writer is gone. Should the guard itself be
killed, pid 1 goes with it by PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Callable, NoReturn

from .. import layout
from ..errors import JailError
from ..kernel import mounts, namespaces, paths, process

_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_NOT_STARTED = 127
_WHOLE_HOST: Mapping[str, int] = MappingProxyType({})


def look_up(program: str) -> str | None:
    """The path of a program of the host, looked up in a fixed list of directories."""
    return shutil.which(program, path=_SEARCH_PATH)


def find(program: str, package: str) -> str:
    """The path of a program of the host.

    :raises JailError: when it is missing; names the ``package`` that has it.
    """
    found = look_up(program)
    if found is None:
        raise JailError(f"{program} is not installed on the host", advice=f"install the package {package} there")
    return found


def run(command: Sequence[str], output: int, places: Mapping[str, int] = _WHOLE_HOST) -> int:
    """Run a program to its end, as the module says; its exit status, or 128 plus the signal that ended it.

    It has nothing to read at stdin, the descriptor ``output`` as stdout and stderr, no other descriptor, ``/`` as
    working directory, the umask 022, mounts that nobody else sees, and of the environment only the proxies.

    :param command: the absolute path of the program, and its arguments.
    :param places: by absolute path, detached mounts that are all that it finds; without any it finds what we do.
    """
    lifeline, ours = os.pipe()

    def guard() -> None:
        os.close(ours)
        _or_say_why(lambda: os._exit(_guard(command, output, places, lifeline)), output)

    with paths.opened(lifeline):
        pid = process.fork(guard)
    try:
        with paths.opened(ours):
            return process.wait(pid)
    except BaseException:
        # Our end is closed now, and that is the guard's order to kill. Nobody may clear the tree before it has.
        with contextlib.suppress(ChildProcessError):
            process.wait(pid)
        raise


def output_of(command: Sequence[str]) -> tuple[int, str]:
    """Run a program as :func:`run` does; its exit status and all that it printed."""
    with paths.opened(os.memfd_create("output")) as memory:
        status = run(command, memory)
        return status, os.pread(memory, os.fstat(memory).st_size, 0).decode(errors="replace")


def fork_bound(child: Callable[[], None]) -> int:
    """:func:`process.fork` of a child that the kernel kills when we end; its pid.

    We may end before the child has asked for that. A process that ends closes its descriptors first and then signals
    its children (``do_exit()`` in the kernel's ``kernel/exit.c``): a child that asked too late finds the pipe broken.
    """
    told, telling = os.pipe()

    def bound() -> None:
        os.close(told)
        process.die_with_parent()
        os.write(telling, b".")
        os.close(telling)
        child()

    with paths.opened(told):
        with paths.opened(telling):
            pid = process.fork(bound)
        os.read(told, 1)
    return pid


def _guard(command: Sequence[str], output: int, places: Mapping[str, int], lifeline: int) -> int:
    os.setsid()  # a Ctrl-C at the terminal is for us to handle
    namespaces.unshare(namespaces.CLONE_NEWPID | namespaces.CLONE_NEWNS)
    mounts.make_private()
    pid = fork_bound(lambda: _become(command, output, places))
    with paths.opened(os.pidfd_open(pid)) as program:
        poll = select.poll()
        poll.register(program, select.POLLIN)
        poll.register(lifeline, 0)  # POLLHUP, the other end's being closed, is always reported
        if any(descriptor == lifeline for descriptor, _event in poll.poll()):
            os.kill(pid, signal.SIGKILL)
    return process.wait(pid)


def _become(command: Sequence[str], output: int, places: Mapping[str, int]) -> NoReturn:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _or_say_why(lambda: _execute(command, places), 2)


def _execute(command: Sequence[str], places: Mapping[str, int]) -> NoReturn:
    if places:
        _leave_for(places)
    process.close_all_but((0, 1, 2))
    process.reset_signals()
    os.chdir("/")
    os.umask(0o022)
    environment = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    environment.update(PATH=_SEARCH_PATH, HOME="/root", LC_ALL="C")
    os.execve(command[0], list(command), environment)


def _leave_for(places: Mapping[str, int]) -> None:
    """Make these mounts all that there is, with a /proc in which is nothing but the program (the C library's chmod(3)
    needs it): whatever link a path goes through, it leads to nothing else."""
    root = mounts.create("tmpfs", {"mode": "0755", "size": "64k"}, mounts.NOSUID | mounts.NODEV)
    with paths.opened(paths.open_directory(layout.RUN)) as place:
        mounts.attach(root, place)
    own = mounts.create("proc", {"subset": "pid"}, mounts.NOSUID | mounts.NODEV | mounts.NOEXEC)
    for path, mount in {**places, "/proc": own}.items():
        parts = path.strip("/").split("/")
        for count in range(len(parts)):
            os.close(paths.make_directory(root, "/".join(parts[: count + 1])))
        mounts.attach(mount, root, "/".join(parts))
    mounts.pivot_into(root)


def _or_say_why(action: Callable[[], NoReturn], output: int) -> NoReturn:
    """Do what ends this process; if it cannot be done, say so where the program would have, and end as a shell does."""
    try:
        action()
    except OSError as error:
        os.write(output, f"{error}\n".encode(errors="replace"))
    os._exit(_NOT_STARTED)
