# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: from what is wanted and what is there to the actions that lead from one to the other. Pure: it touches
nothing.

Check mode, diff mode, the real run and the tests all take their actions from here, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import JailError
from .options import Option

LIVE = "live"
"""Made in the kernel of the running jail."""
STORAGE = "storage"
"""Made in the jail's storage, whether it runs or not."""
RECORD = "record"
"""Written to the desired state; holds from the next start on."""
CREATE, REMOVE, START, STOP, RESTART = "create", "remove", "start", "stop", "restart"
FROZEN = "frozen"
FREEZE, THAW = "freeze", "thaw"
ROLL_BACK = "rollback"


class Action(NamedTuple):
    """One difference and how it is removed; ``before`` and ``after`` are canonical."""

    option: str
    before: Any
    after: Any
    how: str


class Request(NamedTuple):
    """What a play wants of one jail: canonical values of the options it gave, and a ``state`` if it gave one."""

    name: str
    values: Mapping[str, Any]
    state: str | None = None


class Situation(NamedTuple):
    """What is there of one jail.

    :param exists: whether the thing that this module makes is there.
    :param running: whether the jail runs.
    :param recorded: desired state so far, canonical.
    :param live: canonical values as they hold: from the kernel of the running jail for every option that has a
        ``read``, from its storage for every one that has a ``read_stored``.
    :param waiting: the options whose wanted value it can take only while it does not run, and it runs.
    :param frozen: whether the jail runs and is frozen.
    """

    exists: bool
    running: bool
    recorded: Mapping[str, Any]
    live: Mapping[str, Any]
    waiting: Collection[str] = ()
    frozen: bool = False


class Plan(NamedTuple):
    """The actions, in order, and the options that wait for a restart."""

    actions: list[Action]
    restart_required: list[str]


def plan_options(options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """Compare option by option. What was left out of the request is left as it is."""
    actions, waiting = [], []
    for option in options:
        if option.name not in request.values:
            continue
        wanted = request.values[option.name]
        recorded = situation.recorded.get(option.name, option.default)
        live = situation.live.get(option.name, recorded)
        waits = option.name in situation.waiting
        if live != wanted and option.write_stored is not None and not waits:
            actions.append(Action(option.name, live, wanted, STORAGE))
        elif live != wanted and option.write is not None and not waits:
            actions.append(Action(option.name, live, wanted, LIVE if situation.running else RECORD))
        elif recorded != wanted:
            actions.append(Action(option.name, live if waits else recorded, wanted, RECORD))
        restarts = option.write is None and option.write_stored is None and situation.running
        if live != wanted and (waits or restarts):
            waiting.append(option.name)
    return Plan(actions, waiting)


def plan_rootfs(options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """A root file system is made once, or removed; what it was made of stays, and its other options converge.

    :raises JailError: when it is to be removed under a running jail, or to become another one.
    """
    if request.state == "absent":
        if situation.exists and situation.running:
            raise JailError("the jail runs", advice=f"stop it first: jail_state name={request.name} state=stopped")
        left = situation.exists or situation.recorded
        return Plan([Action("state", "present", "absent", REMOVE)] if left else [], [])
    if not situation.exists:
        made = [
            Action(option.name, None, request.values[option.name], CREATE)
            for option in options
            if request.values.get(option.name) and not option.once
        ]
        return Plan([Action("state", "absent", "present", CREATE), *made], [])
    for option in options:
        if not option.fixed:
            continue
        recorded = situation.recorded.get(option.name)
        wanted = request.values.get(option.name)
        if recorded != wanted:
            raise JailError(
                f"its root file system was made with {recorded!r}, and what was written there since cannot be carried "
                f"over to {wanted!r}",
                option=option.name,
                advice=f"remove it (jail_rootfs name={request.name} state=absent) and make it anew",
            )
    return plan_options([option for option in options if not option.fixed and not option.once], request, situation)


def plan_state(options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """Options first, then the change of state: what is started starts with the new ones."""
    if request.state == "absent":
        return Plan([Action("state", "present", "absent", REMOVE)] if situation.exists else [], [])
    found = plan_options(options, request, situation)
    now = (FROZEN if situation.frozen else "started") if situation.running else "stopped"
    if request.state == "restarted":
        how = RESTART if situation.running else START
        return Plan([*_to_be_recorded(found.actions), Action("state", now, "started", how)], [])
    if request.state in ("started", FROZEN) and not situation.running:
        frozen = [Action("state", "started", FROZEN, FREEZE)] if request.state == FROZEN else []
        return Plan([*found.actions, Action("state", now, "started", START), *frozen], [])
    if request.state in ("started", FROZEN) and request.state != now:
        how = FREEZE if request.state == FROZEN else THAW
        return found._replace(actions=[*found.actions, Action("state", now, request.state, how)])
    if request.state == "stopped" and situation.running:
        return Plan([*_to_be_recorded(found.actions), Action("state", now, "stopped", STOP)], [])
    return found


def _to_be_recorded(actions: Sequence[Action]) -> list[Action]:
    """Before a stop nothing is changed live: the next start does it."""
    return [action._replace(how=RECORD) if action.how == LIVE else action for action in actions]
