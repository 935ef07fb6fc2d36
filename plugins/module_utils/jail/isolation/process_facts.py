# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's first process, and all others of it, are in and hold: namespaces, ids, capabilities, descriptors."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Sequence

from ... import layout
from ...kernel import capabilities, idmap, mounts, namespaces, observe
from .. import ids, live
from ..live import Running
from . import children, labels
from .fact import Fact

_SETS = ("effective", "permitted", "inheritable", "ambient")
_ON_ITS_WAY_SECONDS = 0.2
_EMPTY_AT_START = ("inheritable", "ambient")


def own_namespaces(running: Running) -> Iterator[Fact]:
    """Of each kind one that is neither the host's nor another jail's, but for what its options share."""
    kinds = [*namespaces.KINDS, *(["time"] if running.isolation.time_offset else [])]
    others = [other for other in map(live.find, live.names()) if other and other.name != running.name]
    shared = _shared(running)
    for kind in kinds:
        expected = "the host's" if kind in shared else "its own"
        found = _owner(running, kind, others)
        yield Fact(f"namespaces.{kind}", found, expected, found in ("its own", expected))


def _shared(running: Running) -> set[str]:
    """The kinds of which it is in the host's namespace."""
    shares = {"user": running.first_id is None, "net": running.isolation.shares_network}
    return {kind for kind, so in shares.items() if so}


def _owner(running: Running, kind: str, others: Sequence[Running]) -> str:
    number = namespaces.identity(running.pid, kind)
    if namespaces.is_own(running.pid, kind):
        return "the host's"
    for other in others:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if namespaces.identity(other.pid, kind) == number:
                return f"that of {other.name}"
    return "its own"


def id_maps(running: Running) -> Iterator[Fact]:
    """Which ids outside the ids inside are."""
    expected = [[0, 0, idmap.ALL]] if running.first_id is None else [[0, running.first_id, ids.COUNT]]
    for name in ("uid_map", "gid_map"):
        found = idmap.read(running.pid, name)
        yield Fact(f"ids.{name}", found, expected, found == expected)


def capability_sets(running: Running) -> Iterator[Fact]:
    """What the first process can do now. Its bounding set is an option's."""
    settled = capabilities.to_mask(running.isolation.capabilities)
    sets = observe.capability_sets(running.pid)
    for name in _SETS:
        expected = 0 if name in _EMPTY_AT_START else settled
        words = capabilities.to_names(sets[name]), capabilities.to_names(expected)
        yield Fact(f"capabilities.{name}", *words, not sets[name] & ~settled)


def descriptors(running: Running) -> Iterator[Fact]:
    """What the first process holds open that lies on no mount of the jail: its log, and nothing else."""
    own = {mount.number for mount in mounts.mount_table(str(running.pid))}
    outside = []
    for number in sorted(os.listdir(f"/proc/{running.pid}/fd"), key=int):
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            if _leads_out(running, number, own):
                outside.append(f"{number}: {_kind(running, number)}")
    yield Fact("descriptors", outside, [], not outside)


def _leads_out(running: Running, number: str, own: set[str]) -> bool:
    with open(f"/proc/{running.pid}/fdinfo/{number}", encoding="ascii", errors="replace") as file:
        mount = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    status = os.stat(f"/proc/{running.pid}/fd/{number}")
    plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    return plain and mount not in own and not _is_anonymous(running, number) and not _is_log(running, status)


def _is_anonymous(running: Running, number: str) -> bool:
    """Whether it is a file that has no place anywhere: of a memfd, an epoll, ..."""
    target = os.readlink(f"/proc/{running.pid}/fd/{number}")
    return not target.startswith("/") or target.startswith("/memfd:")


def _is_log(running: Running, status: os.stat_result) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(layout.live_console(running.name)), status)
    return False


def _kind(running: Running, number: str) -> str:
    return os.readlink(f"/proc/{running.pid}/fd/{number}")


def namespaces_max(running: Running) -> Iterator[Fact]:
    """How many namespaces may be made below the jail's."""
    if running.first_id is not None:
        yield children.fact(running)


def others(running: Running) -> Iterator[Fact]:
    """The processes of the jail's control group that are held less than was settled. One that is just on its way in
    (:mod:`enter`) is looked at again."""
    loose = _loose(running, running.group.processes())
    if loose:
        time.sleep(_ON_ITS_WAY_SECONDS)
        loose = _loose(running, list(loose))
    yield Fact("processes", sorted(loose.values()), [], not loose)


def _loose(running: Running, pids: Sequence[int]) -> dict[int, str]:
    settled = capabilities.to_mask(running.isolation.capabilities)
    kinds = namespaces.KINDS.keys() - _shared(running)
    found = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            status = observe.status(pid)
            filtered = int(status["Seccomp_filters"]) >= len(running.isolation.programs)
            outside = any(namespaces.is_own(pid, kind) for kind in kinds)
            labelled = not running.isolation.labels or labels.hold(labels.read(pid), running.isolation.labels)
            # What a child's processes are able to do, they are in it (user_namespaces(7)).
            is_childs = running.isolation.may_nest and namespaces.is_below(pid, running.pid)
            able = not is_childs and int(status["CapBnd"], 16) & ~settled
            if outside or not filtered or not labelled or able:
                found[pid] = f"{pid} {status['Name']}"
    return found
