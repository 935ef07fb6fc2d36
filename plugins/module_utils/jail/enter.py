# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enter a running jail: by the same descent as its init (DESIGN: "Entering").

A helper process joins the jail's cgroup, its namespaces by pidfd, and forks the process that execs; that one ends
as a child of ours. Until its exec it cannot be traced, and it holds no descriptor but those that it was given.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ..errors import JailError
from ..kernel import image, namespaces, paths, process
from . import channel, confinement, freeze, ids, leash, resources, terminal
from .channel import Channel
from .confinement import Confinement
from .live import Running

_HOST_IDS = (1 << 32) - 1  # the last one stands for "no id" (setresuid(2))
NOT_STARTED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""Exit statuses of a command that did not run, as env(1) and docker exec have them."""


class Command(NamedTuple):
    """What to run: ``directory`` must exist in the jail; ``uid`` and ``gid`` are numbers inside it."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str = "/"
    uid: int = 0
    gid: int = 0


def execute(running: Running, command: Command, listeners: Sequence[int] = ()) -> int:
    """Run a command in a jail with our standard input, output and error; its exit status as a shell counts it.

    Those of the three that are terminals are replaced by a terminal of the jail's own, so that nothing in the jail
    ever holds ours. When we are killed, what the command has not detached is hung up (:mod:`leash`).

    :param listeners: descriptors of ours; the same happens when nobody is at their other ends any more.
    :raises JailError: when the jail ended meanwhile or the command cannot be run.
    """
    if running.first_id is None and not image.is_read_only():
        raise JailError("only a process whose program file cannot be written may enter it")  # see :mod:`image`
    count = _HOST_IDS if running.first_id is None else ids.COUNT
    if max(command.uid, command.gid) >= count:
        raise JailError(f"user {command.uid}:{command.gid} is none of the {count} ids that the jail has")
    freeze.refuse_frozen(running)
    prepared = confinement.prepare(running.isolation, running.resources)
    target = _open(running)
    ours, theirs = channel.pair()
    terminals = [number for number in (0, 1, 2) if os.isatty(number)]
    process.adopt_orphans(True)
    try:
        helper = process.fork(lambda: _descend(running, target, command, prepared, terminals, theirs, ours))
        theirs.close()
        try:
            message, (target_process,) = _expect(ours)
        finally:
            process.wait(helper)
        pid = int(message["pid"])
        with paths.opened(target_process), leash.held(running, pid, target_process, listeners):
            with contextlib.suppress(BrokenPipeError):  # it was killed
                ours.send({"go": True})
            masters = _expect(ours)[1] if terminals else []
            with terminal.forwarded_signals(pid):
                for master in masters:
                    terminal.relay(master, target_process, terminals)
                process.await_end(pid)
        status = process.wait(pid)
        _raise_error(ours)
        return status
    finally:
        ours.close()
        os.close(target)
        process.adopt_orphans(False)


_FOR_ITS_FILES = ("user", "mnt", "uts")


def call(running: Running, function: Callable[[int], Any], kinds: Sequence[str] = _FOR_ITS_FILES) -> Any:
    """Run ``function`` as the jail's root in its namespaces of these kinds, its user namespace among them, with a
    descriptor of the root directory there.

    For reading and writing the jail's own files and names: whatever its tree holds, it holds only against itself.
    What the function returns must be JSON-able; its :class:`OSError` comes back as one, and so its
    :class:`JailError`.
    """
    with paths.opened(_open(running)) as target:

        def inside() -> Any:
            with paths.opened(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
                return function(root)

        return _answer(target, _flags(running, kinds), inside)


def call_above(running: Running, function: Callable[[], Any]) -> Any:
    """The same as root of the user namespace above that of the jail's processes, where that is an inner one
    (:mod:`inner`), and seeing the host's files."""
    with paths.opened(running.open_part("ns/user")) as own, paths.opened(namespaces.parent(own)) as above:
        return _answer(above, namespaces.CLONE_NEWUSER, function)


def _answer(target: int, flags: int, function: Callable[[], Any]) -> Any:
    """What a function gives as root of the namespaces that a descriptor leads to."""
    reading, writing = os.pipe()

    def inside() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w", encoding="utf-8") as answers:
            try:
                process.forbid_imports()
                process.hide_memory()
                namespaces.setns(target, flags)
                confinement.become_root()
                json.dump({"value": function()}, answers)
            except OSError as error:
                json.dump({"errno": error.errno, "error": error.strerror, "path": error.filename}, answers)
            except JailError as error:
                json.dump({"refusal": [error.args[0], error.option, error.advice]}, answers)

    child = process.fork(inside)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answers:
        text = answers.read()
    process.wait(child)
    answer: dict[str, Any] = json.loads(text) if text else {"errno": 0, "error": "the process sent into the jail died"}
    if "error" in answer:
        raise OSError(answer["errno"], answer["error"], answer.get("path"))
    if "refusal" in answer:
        what, option, advice = answer["refusal"]
        raise JailError(what, option, advice)
    return answer["value"]


def _open(running: Running) -> int:
    target = running.open()
    if target is None:
        raise JailError("it has just ended", advice="look at its log with: jail log " + running.name)
    return target


def _flags(running: Running, kinds: Sequence[str]) -> int:
    """The namespaces to join: one that is our own already may not be joined again (setns(2), EINVAL for a user
    namespace)."""
    return sum(namespaces.KINDS[kind] for kind in kinds if not namespaces.is_own(running.pid, kind))


def _expect(ours: Channel) -> tuple[dict[str, Any], list[int]]:
    try:
        message, descriptors = ours.receive()
    except EOFError:
        raise JailError(
            "the process that was to enter ended early", advice="are its pids_max and memory_max enough?"
        ) from None
    if "error" in message:
        raise JailError(f"cannot enter: {message['error']}")
    return message, descriptors


def _raise_error(ours: Channel) -> None:
    """An exec closed the channel without a word; else a message says why there was none."""
    with contextlib.suppress(EOFError):
        message, _descriptors = ours.receive()
        raise CommandError(str(message["error"]), int(message["status"]))


class CommandError(JailError):
    """The command did not run; ``status`` is what the caller exits with."""

    def __init__(self, what: str, status: int) -> None:
        self.status = status
        super().__init__(what)


def _descend(
    running: Running,
    target: int,
    command: Command,
    prepared: Confinement,
    terminals: Sequence[int],
    theirs: Channel,
    ours: Channel,
) -> None:
    """The helper: cgroup, namespaces, fork, end."""
    ours.close()
    try:
        flags = _flags(running, tuple(namespaces.KINDS))
        if running.isolation.time_offset:
            flags |= namespaces.CLONE_NEWTIME
        process.hide_memory()
        confinement.forget_caller()
        running.group.join()
        resources.take(running.resources, running.pid)
        process.close_all_but([0, 1, 2, target, theirs.fileno()])
        process.forbid_imports()
        namespaces.setns(target, flags)
        os.close(target)
        pid = process.fork(lambda: _become(command, prepared, terminals, theirs))
        theirs.send({"pid": pid}, [os.pidfd_open(pid)])
    except OSError as error:
        full = "; its pids_max is reached" if error.errno == errno.EAGAIN else ""
        theirs.send({"error": f"{error.strerror}{full}"})


def _become(command: Command, prepared: Confinement, terminals: Sequence[int], theirs: Channel) -> None:
    """The process in the jail: terminal, identity, privileges, exec."""
    status = NOT_STARTED
    try:
        confinement.become_root()
        process.hide_memory()
        os.setsid()
        theirs.receive()  # from now on somebody looks after this session
        if terminals:
            master, slave = terminal.open_in_jail()
            theirs.send({"terminal": True}, [master])
            terminal.take(slave, terminals)
        process.close_all_but([0, 1, 2, theirs.fileno()])
        os.chdir(command.directory)
        confinement.apply(prepared)
        if (command.uid, command.gid) != (0, 0):
            os.setgroups([])
            os.setresgid(command.gid, command.gid, command.gid)
            os.setresuid(command.uid, command.uid, command.uid)
            process.hide_memory()  # another user's may be shown, by fs.suid_dumpable (proc_sys_fs(5))
        status = NOT_EXECUTABLE
        raise confinement.execute(command.argv, dict(command.environment))
    except EOFError:
        os._exit(status)  # our client was killed already
    except OSError as error:
        if status == NOT_EXECUTABLE and isinstance(error, FileNotFoundError):
            status = NOT_FOUND
        text = (
            f"{command.argv[0]}: {error.strerror}" if status != NOT_STARTED else f"{error.strerror} ({error.filename})"
        )
        with contextlib.suppress(OSError):  # nobody listens any more
            theirs.send({"error": text, "status": status})
        os._exit(status)
