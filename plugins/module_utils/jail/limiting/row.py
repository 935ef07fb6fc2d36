# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit: a row of the table of ``jail_limits``."""

from __future__ import annotations

import errno
import functools
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from ...errors import JailError
from ...kernel.cgroup.group import Group
from .. import store
from ..live import Running
from ..options import Option, as_it_is

ACCEPT = "accept_missing"
"""The option that names those which the host need not be able to give."""


class Target:
    """What is limited.

    :param group: a jail's control group.
    :param read: gives all that is recorded of its limits, as it is to be; called only where that matters.
    """

    def __init__(self, group: Group, read: Callable[[], Mapping[str, Any]]) -> None:
        self.group = group
        self._read = read

    @functools.cached_property
    def recorded(self) -> Mapping[str, Any]:
        """What ``read`` gives."""
        return self._read()


class Limit(NamedTuple):
    """One limit.

    :param get: what holds; ``OSError`` with ``EOPNOTSUPP`` where this host cannot give it.
    :param put: makes a canonical value hold; gives what there is to tell of it besides.
    :param missing: from a group and a canonical value: why this host cannot give it; ``None`` where it can.
    :param untouched: what holds in a new group in which nobody has set anything.
    :param default: what holds where nothing was ever said.
    """

    name: str
    parse: Callable[[Any], Any]
    show: Callable[[Any], Any]
    get: Callable[[Target], Any]
    put: Callable[[Target, Any], Mapping[str, Any] | None]
    missing: Callable[[Group, Any], str | None]
    untouched: Any = None
    default: Any = None
    type: str = "str"
    elements: str | None = None
    suboptions: tuple[Option, ...] = ()

    def option(self) -> Option:
        """As an option of a module."""
        return Option(
            self.name,
            type=self.type,
            elements=self.elements,
            suboptions=self.suboptions,
            default=self.default,
            parse=self.parse,
            show=self.show,
            read=lambda running: read(self, _target(running)),
            write=lambda running, value: write(self, _target(running), value),
        )


def figure(
    name: str,
    parse: Callable[[Any], Any],
    show: Callable[[Any], Any],
    *,
    called: str | None = None,
    untouched: Any = None,
    default: Any = None,
) -> Limit:
    """A limit that is one figure of the group.

    :param called: the figure's name (:mod:`kernel.cgroup.figures`), where it has another than the option.
    """
    own = called or name

    def put(target: Target, value: Any) -> None:
        target.group.set(own, value)

    return Limit(
        name,
        parse,
        show,
        get=lambda target: target.group.get(own),
        put=put,
        missing=lambda group, _value: group.missing(own),
        untouched=untouched,
        default=untouched if default is None else default,
    )


def switch(name: str) -> Limit:
    """A figure that is on or off."""

    def put(target: Target, value: bool) -> None:
        target.group.set(name, int(value))

    row = figure(name, as_it_is, as_it_is, untouched=False)
    return row._replace(type="bool", get=lambda target: bool(target.group.get(name)), put=put)


def read(limit: Limit, target: Target) -> Any:
    """What holds. What the host cannot give is as in a group in which nobody has set anything; or as it is recorded,
    where that is accepted, so that there is nothing to change."""
    try:
        return limit.get(target)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        if limit.name in target.recorded.get(ACCEPT, ()):
            return target.recorded.get(limit.name, limit.default)
        return limit.untouched


def refuse(missing: str | None) -> None:
    """Say that this host cannot give a limit.

    :raises OSError: then, with ``EOPNOTSUPP``.
    """
    if missing is not None:
        raise OSError(errno.EOPNOTSUPP, missing)


def write(limit: Limit, target: Target, value: Any) -> Mapping[str, Any] | None:
    """Make it hold.

    :raises JailError: where the host cannot give it, and that is not accepted, or the kernel refuses it.
    """
    try:
        return limit.put(target, value)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            if value == limit.untouched or limit.name in target.recorded.get(ACCEPT, ()):
                return None
            raise JailError(str(error.strerror), option=limit.name, advice=without(limit)) from error
        if error.errno in (errno.EINVAL, errno.ERANGE, errno.ENODEV, errno.EBUSY, errno.EACCES):
            where = f" ({error.filename})" if error.filename else ""
            raise JailError(f"the kernel refuses it: {error.strerror}{where}", option=limit.name) from error
        raise


def without(limit: Limit) -> str:
    """How to do without a limit that this host cannot give."""
    nothing = limit.show(limit.untouched)
    word = f"{limit.name}: {nothing if not isinstance(nothing, bool) else str(nothing).lower()}"
    return f"or do without: jail_limits with {word}, or with {ACCEPT}: [{limit.name}]"


def _target(running: Running) -> Target:
    return Target(running.group, lambda: store.read(running.name, "limits"))
