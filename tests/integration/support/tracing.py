# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work under strace(1): which system calls it makes, and what becomes of it when it is killed at each of them."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools

from .processes import Action, in_another_process

# The question mark: a name that an architecture does not have is passed over.
CHANGING = ",".join(
    f"?{name}"
    for name in (
        *("mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
        *("unlink", "unlinkat", "mknod", "mknodat", "truncate", "ftruncate", "fallocate", "copy_file_range"),
        *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utimensat"),
        *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "fsync", "fdatasync"),
        *("syncfs", "flock", "ioctl", "quotactl", "quotactl_fd", "mount", "umount2", "move_mount", "fsopen"),
        *("fsconfig", "fsmount", "open_tree", "mount_setattr", "pivot_root", "setns", "unshare", "fork", "vfork"),
        *("clone", "clone3", "kill", "pidfd_send_signal", "write", "pwrite64", "sendfile", "sendmsg"),
    )
)
"""The calls by which a process changes anything outside itself. A file that was only opened for writing is as it was
made until the next of these."""


_OPENED = re.compile(r'\bopen(?:at|at2)?\((?:[A-Z_]+|\d+|-\d+), "(?P<path>[^"]*)", (?P<flags>.*)')
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")
# About a terminal, a descriptor, where a file lies on disk, and whether it can share content at all.
_QUESTION = re.compile(
    r"\bioctl\(\d+, (TCGETS|TIOCGWINSZ|FIOCLEX|FIONBIO|FS_IOC_FIEMAP|FIDEDUPERANGE, \{.*\bdest_count=0)\b"
)
_FAILED = re.compile(r" = -1 E[A-Z]+ \([^()]*\)$")
_OWN_OUTPUT = re.compile(r"\bwrite\([12], ")
_LOCAL_SOCKET = re.compile(r"\bsocket\(AF_UNIX, ")
_NO_FILES = ("/dev/null", "/dev/tty")


def touches(line: str) -> bool:
    """Whether a line of the trace is a call that changes a file system or reaches for a network."""
    call = re.match(r"\d+ +(\w+)\(", line)
    if call is None or " resumed>" in line:
        return False
    name = call[1]
    if name == "socket":
        return not _LOCAL_SOCKET.search(line)
    opened = _OPENED.search(line)
    if opened:
        return bool(_WRITING.search(opened["flags"])) and opened["path"] not in _NO_FILES
    if name in ("fork", "vfork", "clone", "clone3"):
        return False  # what a child does is in the trace as well
    if f"?{name}" not in CHANGING.split(","):
        return False
    return not (_QUESTION.search(line) or _OWN_OUTPUT.search(line))


def needs_strace() -> None:
    """Skip the test where there is no strace."""
    if hosttools.look_up("strace") is None:
        pytest.skip("strace is not installed")


def calls_of(command: list[str], given: str, environment: dict[str, str]) -> list[str]:
    """Run a command with all its children to its end; its system calls, one a line, with their arguments."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as trace:
        options = ["-f", "-qq", "-s", "200", "-o", trace.name]
        whole = ["strace", *options, *command]
        subprocess.run(whole, input=given, text=True, check=False, env=environment, timeout=300)
        return trace.read().splitlines()


def steps(action: Action) -> list[tuple[str, int]]:
    """The changing calls that a process of ours makes for an action, in their order: the name of each, and the how
    manieth of that name it is. Those of its children are theirs. One that failed or was a question has changed nothing:
    killed there, a process leaves what it leaves at the next one."""
    with tempfile.TemporaryDirectory() as place:
        trace = Path(place) / "trace"
        status = _traced(action, ["-o", str(trace), "-e", f"trace={CHANGING}"])
        assert status == 0, f"the undisturbed run ended with {status}"
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    counted: Counter[str] = Counter()
    found = []
    for line in lines:
        name, bracket, _rest = line.partition("(")
        counted[name] += bool(bracket)
        if bracket and not _FAILED.search(line) and not _QUESTION.search(line):
            found.append((name, counted[name]))
    return found


def killed_at_each_step(action: Action, most: int | None = None) -> Iterator[tuple[int, str]]:
    """For each of these steps, or ``most`` so many of them at equal distances: have a process begin the action and be
    killed by SIGKILL as it enters that call; then give the step's number and name, for the caller to look at what is
    left and to run it to its end. Number 0 is a run that was not hit: it had less to do than the undisturbed one."""
    # What is made once on a host would be steps that no later run takes.
    assert process.wait(in_another_process(action)) == 0, "the first run failed"
    yield 0, "the first run"
    found = steps(action)
    assert found, "the action changes nothing"
    yield 0, "the undisturbed run"
    hits, missed = 0, list[str]()
    for number in spread(len(found), most):
        name, count = found[number - 1]
        kill = f"inject={name}:signal=SIGKILL:when={count}"  # strace counts each system call by itself
        status = _traced(action, ["-o", os.devnull, "-e", f"trace={name}", "-e", kill])
        assert status in (0, 128 + signal.SIGKILL), f"step {number} ({name}): ended with {status}"
        hits += status != 0
        missed += [] if status else [f"{number} ({name})"]
        yield number if status else 0, name
    print(f"killed at {hits} of {len(found)} steps; without effect at {', '.join(missed) or 'none'}")


def spread(count: int, most: int | None) -> range:
    """The numbers from 1 to ``count``, or at most so many of them at equal distances."""
    return range(1, count + 1, math.ceil(count / (most or count)))


def _traced(action: Action, options: list[str]) -> int:
    """Run an action in a process that strace has got hold of before its first step; its exit status."""

    def child() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        action()

    pid = process.fork(child)
    os.waitpid(pid, os.WUNTRACED)
    with subprocess.Popen(
        ["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as tracer:
        assert tracer.stderr
        said = tracer.stderr.readline()
        assert "attached" in said, said
        os.kill(pid, signal.SIGCONT)
        status = process.wait(pid)
        tracer.stderr.read()
    return status
