# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a process as pid 1 of a new jail.

Three processes take part. The *launcher* (the module or the ``jail`` command) stays outside. A first child leaves the
namespaces and forks; that second child is *pid 1*, becomes an orphan of the launcher by the first one's end, and
builds its root while the launcher maps its ids, moves it into its cgroup and wires its network. Until the launcher says
go, pid 1 ends when the launcher does: killed at any moment, no half-made jail stays. Nothing of ours stays beside a
running jail.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, NamedTuple, NoReturn

from .. import layout
from ..errors import JailError
from ..kernel import idmap, mounts, namespaces, paths, pidfd, process, ucounts
from ..kernel.cgroup.group import Group
from ..kernel.mounts import NODEV, RDONLY
from ..rootfs.layers import Layers, Subject
from . import assemble, channel, confinement, devices, ids, inits, inner, nesting, policy, resources
from .channel import Channel
from .confinement import Confinement
from .isolation import covers
from .isolation.record import Isolation
from .resources import Resources
from .volumes import placing
from .volumes.given import given
from .volumes.words import Volume


class Streams(NamedTuple):
    """Descriptors that become pid 1's standard input (``None``: /dev/null), output and error."""

    input: int | None
    output: int
    errors: int


class Preparation(NamedTuple):
    """What a start does in the tree before its first program runs.

    What makes a start impossible is raised. What a jail can run without is a *problem*: a sentence to tell.

    :param prepare: called as the jail's root with a descriptor of its root directory, in its UTS namespace, whose name
        is set; gives the names of the things that only the host can make, and problems.
    :param make: called on the host with these names, if there are any; JSON-able things by name.
    :param place: called like ``prepare``, with the things; gives problems.
    """

    prepare: Callable[[int], tuple[Sequence[str], Sequence[str]]]
    make: Callable[[Sequence[str]], Mapping[str, Any]]
    place: Callable[[int, Mapping[str, Any]], Sequence[str]]


class Plan(NamedTuple):
    """All that a start needs.

    :param layers: of its root, ``None`` for one that is empty; the mounts are used up.
    :param subject: a tree to be found at :data:`toolbox.SUBJECT`, or ``None``; its mounts are used up.
    :param first_id: the host id of user 0, or ``None`` for the host's own user namespace.
    :param preparation: of the tree, or ``None`` where it is used as it is.
    :param tools: a mount of :func:`toolbox.packed` to be found at :data:`toolbox.PLACE`, or ``None``.
    :param isolation: what holds its processes.
    :param resources: what they begin with.
    :param ptys: how many pseudoterminals they may have.
    :param volumes: mounts beside its root, as :mod:`volumes.words` has them.
    :param tied: whether the jail ends with the launcher.
    """

    hostname: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    layers: Layers | None
    subject: Subject | None
    first_id: int | None
    group: Group
    streams: Streams
    preparation: Preparation | None
    tools: int | None
    isolation: Isolation
    resources: Resources
    ptys: int
    volumes: Sequence[Volume]
    tied: bool


class Started(NamedTuple):
    """A pid 1 that runs, by pid, start time (:func:`pidfd.start_time`) and pidfd; and the problems of its tree's
    preparation."""

    pid: int
    start_time: int
    pidfd: int
    problems: Sequence[str]


def _nothing_more() -> None:
    """For a program that needs nothing set in its namespaces."""


def launch(plan: Plan, before_go: Callable[[int, int], None], at_last: Callable[[], None] = _nothing_more) -> Started:
    """Start a jail. Its cgroup and limits must stand.

    :param before_go: called with pid 1's host pid and start time while it builds its root, to wire the network and
        record the jail; the jail's first instruction comes after it.
    :param at_last: called when its root and all its namespaces stand, but for an inner user namespace (:mod:`inner`).
    :raises JailError: when a step failed; nothing of the jail is left then but the cgroup, which is the caller's.
    """
    prepared = confinement.prepare(plan.isolation, plan.resources)
    ours, theirs = channel.pair()
    process.adopt_orphans(True)
    try:
        with (
            paths.opened(devices.create(plan.first_id or 0, plan.isolation.devices)) as dev,
            contextlib.ExitStack() as first,
        ):
            first.callback(process.wait, process.fork(lambda: _leave_host(plan, prepared, theirs, ours)))
            theirs.close()
            message, (handle,) = _expect(ours)
            pid = int(message["pid"])
            with _ended_on_failure(pid, handle, first):
                with _last_words(pid, ours):
                    started = pidfd.start_time(pid)
                    _hand_over_layers(plan, pid, dev, ours)
                    # Moving a process takes the kernel milliseconds on version 1; pid 1 builds its root meanwhile.
                    plan.group.join(pid)
                    resources.give(plan.resources, pid)
                    first.close()
                if plan.isolation.has_inner:
                    _expect(ours)  # it is in its network namespace then
                with _last_words(pid, ours):
                    before_go(pid, started)
                problems, manages_groups = _await_root(plan, ours)
                if manages_groups:
                    _hand_over_groups(plan, pid)
                at_last()
                ours.send({})
                _expect_exec(ours)
                return Started(pid, started, handle, problems)
    finally:
        ours.close()
        process.adopt_orphans(False)


@contextlib.contextmanager
def _ended_on_failure(pid: int, handle: int, first: contextlib.ExitStack) -> Iterator[None]:
    """End pid 1 when the block fails, and reap it: it is ours once the first child has ended."""
    try:
        yield
    except BaseException:
        pidfd.send_signal(handle, signal.SIGKILL)
        first.close()
        process.wait(pid)
        os.close(handle)
        raise


@contextlib.contextmanager
def _last_words(pid: int, ours: Channel) -> Iterator[None]:
    """When a step of ours fails and pid 1 has ended, why it ended is the reason, and all else follows from it.

    It says so before it ends, and the channel is closed early in its end, before its namespaces go.
    """
    try:
        yield
    except (OSError, JailError):
        while ours.has_something() or pidfd.is_ending(pid):
            _expect(ours)
        raise


def _expect(ours: Channel) -> tuple[dict[str, Any], list[int]]:
    try:
        message, descriptors = ours.receive()
    except EOFError:
        raise JailError(
            "the process that was to become pid 1 ended early",
            advice="memory_max or pids_max may be too low for a start, see the kernel's log",
        ) from None
    if "error" in message:
        raise JailError(f"starting failed: {message['error']}", advice=message.get("advice"))
    return message, descriptors


def _await_root(plan: Plan, ours: Channel) -> tuple[Sequence[str], bool]:
    """Wait until pid 1 has built its root, and make for its tree what only the host can make. Gives problems, and
    whether its program manages control groups."""
    problems = []
    message, _descriptors = _expect(ours)
    if plan.preparation is not None and "wanted" in message:
        made: Mapping[str, Any] = {}
        try:
            made = plan.preparation.make(message["wanted"])
        except (JailError, OSError) as error:
            problems.append(str(error))
        ours.send({"made": made})
        message, _descriptors = _expect(ours)
    return [*problems, *message["problems"]], message["manages_groups"]


def _hand_over_groups(plan: Plan, pid: int) -> None:
    try:
        plan.group.hand_over(pid, plan.first_id or 0, policy.GROUPS_MAX)
    except OSError as error:
        raise JailError(
            f"{plan.argv[0]} is systemd, which needs control groups of its own: {error.strerror}",
            option="init",
            advice="mount the unified hierarchy: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified; or have another init",
        ) from error


def _expect_exec(ours: Channel) -> None:
    """An exec closes the channel; a message says that there was none."""
    with contextlib.suppress(EOFError):
        message, _descriptors = ours.receive()
        raise JailError(f"the init cannot be run: {message['error']}", option="command")


def _hand_over_layers(plan: Plan, pid: int, dev: int, ours: Channel) -> None:
    """Map pid 1's ids and send it the mounts of its tree: only the host's root may idmap (mount_setattr(2)).

    No device node that lies in a tree can be opened: the standard ones are in /dev, which is not part of it.
    """
    with contextlib.ExitStack() as stack:
        userns = None
        if plan.first_id is not None:
            idmap.map_ids(pid, plan.first_id, ids.COUNT)
            userns = stack.enter_context(paths.opened(namespaces.open_namespace(pid, "user")))
        sent = {"devices": dev}
        for name, mount, attributes in _layers(plan):
            _prepare(mount, userns, attributes)
            sent[name] = mount
        if plan.tools is not None:
            sent["tools"] = plan.tools
        if plan.isolation.shares_network:
            # The kernel lets only who owns a network mount a sysfs, which shows its devices (sysfs_init_fs_context).
            # So it gets one of ours, not the mount at the host's /sys with what lies on that. It is no less tight than
            # a jail's own: read-only, under the same covers, and its files belong to the host's root, who is nobody in
            # the jail. What it shows besides is the host's network devices, which netlink tells a jail in that network
            # in any case; an empty /sys would take the processors' from every program, and from an init its groups.
            sent["system"] = stack.enter_context(paths.opened(assemble.system()))
        ours.send({"mounts": list(sent)}, list(sent.values()))
        if plan.volumes:
            for each in stack.enter_context(given(plan.volumes, userns)):
                ours.send({}, each.mounts)


def _layers(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """Each layer's name in :class:`assemble.Tree`, its mount, and the attributes that it gets."""
    if plan.layers is not None:
        yield "upper", plan.layers.upper, NODEV
        if plan.layers.lower is not None:
            yield "lower", plan.layers.lower, NODEV | RDONLY
    if plan.subject is not None:
        yield "subject_upper", plan.subject.layers.upper, NODEV if plan.subject.writable else NODEV | RDONLY
        if plan.subject.layers.lower is not None:
            yield "subject_lower", plan.subject.layers.lower, NODEV | RDONLY


def _prepare(layer: int, userns: int | None, attributes: int) -> None:
    if userns is None:
        mounts.set_attributes(layer, attributes)
        return
    try:
        idmap.map_mount(layer, userns, attributes)
    except OSError as error:
        raise JailError(
            f"{layout.LIB}: {error.strerror}",
            option="userns",
            advice=f"put {layout.LIB} on a file system that can (ext4, xfs, btrfs), or do without a user namespace: "
            "userns=host (with storage=directory where overlayfs cannot use the file system either)",
        ) from error


def _leave_host(plan: Plan, prepared: Confinement, theirs: Channel, ours: Channel) -> None:
    """The first child: out of the namespaces, fork pid 1, end."""
    ours.close()
    with _reported(theirs):
        confinement.forget_caller()
        clocks = [namespaces.open_clocks()] if plan.isolation.time_offset else []
        if plan.first_id is not None:
            # What the kernel counts for each user (inotify instances, message queues, pending signals: ucounts) it
            # counts for the maker of a user namespace too. That must not be the host's root, who makes them all.
            process.act_as(plan.first_id)
        process.die_with_parent()
        process.hide_memory()
        _take(plan.streams)
        process.close_all_but([0, 1, 2, theirs.fileno(), *clocks])
        kinds = dict(namespaces.KINDS)
        del kinds["cgroup"]  # its root will be the cgroup in which pid 1 is at the end
        del kinds["ipc"]  # its message queues will belong to the user that pid 1 is then
        if plan.first_id is None:
            del kinds["user"]
        if plan.isolation.shares_network:
            del kinds["net"]
        if clocks:
            kinds["time"] = namespaces.CLONE_NEWTIME
        namespaces.unshare(sum(kinds.values()))
        for descriptor in clocks:
            namespaces.set_clocks(descriptor, plan.isolation.time_offset)
        pid = process.fork(lambda: _become_init(plan, prepared, theirs))
        theirs.send({"pid": pid}, [os.pidfd_open(pid)])


def _take(streams: Streams) -> None:
    """Make these our standard streams. None of them is lost when they have such numbers already."""
    copies = [os.dup(streams.output if each is None else each) for each in streams]
    for number, copy in enumerate(copies):
        os.dup2(copy, number)


def _become_init(plan: Plan, prepared: Confinement, theirs: Channel) -> None:
    """Pid 1: build the root, wait for go, exec."""
    with _reported(theirs):
        process.forbid_imports()
        message, sent = theirs.receive()
        confinement.become_root()
        process.hide_memory()
        namespaces.unshare(namespaces.CLONE_NEWIPC)
        if plan.first_id is not None:
            with paths.opened(ucounts.open_parameters()) as parameters:
                ucounts.bound(parameters, nesting.above(plan.isolation))
        mounts.make_private()
        nested = _prepare_inner(plan, theirs) if plan.isolation.has_inner else None
        tree = assemble.Tree(**dict(zip(message["mounts"], sent)))
        root = assemble.root_of(tree)
        subject = assemble.subject_of(tree, plan.subject is not None and plan.subject.writable)
        kernels_own = assemble.furnish(root, tree, plan.ptys)
        if subject is not None:
            assemble.place_subject(root, subject)
        _place_volumes(plan, root, theirs)
        covers.put_on({"/": root, **kernels_own}, tree.devices, plan.isolation)
        namespaces.set_hostname(plan.hostname)
        problems = _prepare_tree(plan.preparation, root, theirs)
        if plan.streams.input is None:
            os.dup2(os.open("null", os.O_RDWR | os.O_NOFOLLOW, dir_fd=tree.devices), 0)
        manages_groups = inits.manages_groups(root, plan.argv, plan.environment)
        if manages_groups:
            inits.accommodate(root)
        mounts.pivot_into(root)
        theirs.send({"problems": problems, "manages_groups": manages_groups})
        try:
            theirs.receive()
        except EOFError:
            os._exit(1)  # the launcher is gone before it recorded us
        # Before the inner user namespace, so that who has the capability there cannot mount control groups: in
        # hierarchies where the jail has no group of its own it would see the host's.
        namespaces.unshare(namespaces.CLONE_NEWCGROUP)
        if manages_groups:
            assemble.mount_groups()
        if nested is not None:
            inner.enter(nested, nesting.inside(plan.isolation))
        if plan.tied:
            process.die_with_parent()
        os.setsid()
        process.close_all_but([0, 1, 2, theirs.fileno()])
        confinement.apply(prepared)
        raise confinement.execute(plan.argv, dict(plan.environment))


def _prepare_inner(plan: Plan, theirs: Channel) -> inner.Inner:
    nested = inner.prepare(("uts",) if plan.isolation.shares_network else ("net", "uts"))
    theirs.send({})
    return nested


def _prepare_tree(preparation: Preparation | None, root: int, theirs: Channel) -> Sequence[str]:
    if preparation is None:
        return []
    wanted, problems = preparation.prepare(root)
    if not wanted:
        return problems
    theirs.send({"wanted": wanted})
    message, _descriptors = theirs.receive()
    return [*problems, *preparation.place(root, message["made"])]


def _place_volumes(plan: Plan, root: int, theirs: Channel) -> None:
    for volume in plan.volumes:
        _message, parts = theirs.receive()
        with paths.opened(paths.open_directory(layout.RUN)) as staging:
            placing.put(root, volume, parts, staging)


@contextlib.contextmanager
def _reported(theirs: Channel) -> Iterator[None]:
    """Send an error to the launcher and end: no child of the launcher ever goes on with the launcher's own code."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - whatever it is, the launcher must hear it
        _report(theirs, error)


def _report(theirs: Channel, error: BaseException) -> NoReturn:
    name = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    text = f"{error.strerror}{name}" if isinstance(error, OSError) and error.strerror else f"{error!r}"
    if isinstance(error, JailError):
        text = str(error)
    with contextlib.suppress(OSError):  # the launcher may be gone
        theirs.send({"error": text})
    os._exit(1)
