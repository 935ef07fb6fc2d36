# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lead jails from what is there to what is wanted: read, plan, carry out, one jail after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import files
from ..errors import JailError, sentence
from ..kernel.cgroup import freezer
from . import adopt, console, degraded, live, names, store
from . import facet as facets
from .facet import Facet
from .plan import FROZEN, LIVE, REMOVE, RESTART, START, STORAGE, Action, Plan, Request, Situation


class Outcome(NamedTuple):
    """What happened to one jail, or would happen in check mode.

    :param details: what else there is to tell of what was done.
    """

    actions: Sequence[Action]
    restart_required: Sequence[str]
    degraded: Sequence[str]
    error: str | None
    details: Mapping[str, Any] = MappingProxyType({})


def converge(facet: Facet, wishes: Sequence[Mapping[str, Any]], check: bool) -> dict[str, Outcome]:
    """Converge every jail of a list; one jail's failure does not stop its neighbours.

    :param wishes: options as given, each with a ``name``.
    :param check: plan only: nothing on the host is changed.
    :returns: by jail, in the order of the list.
    """
    if check or not facet.one_at_a_time:
        return _converge(facet, wishes, check)
    with files.locked(f"module-{facet.name}"):
        return _converge(facet, wishes, check)


def _converge(facet: Facet, wishes: Sequence[Mapping[str, Any]], check: bool) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    requests: list[Request] = []
    names_given = [str(wish["name"]) for wish in wishes]
    for wish in wishes:
        try:
            requests.append(_request(facet, wish, names_given.count(str(wish["name"]))))
        except JailError as error:
            outcomes[str(wish["name"])] = _failed(error)
    clashes = _clashes(facet, requests)
    carry_out = _plan_only if check else _plan_and_do
    for request in requests:
        try:
            if request.name in clashes:
                raise JailError(clashes[request.name])
            outcomes[request.name] = carry_out(facet, request)
        except (JailError, OSError) as error:
            outcomes[request.name] = _failed(error)
    if not check:
        started = [name for name, outcome in outcomes.items() if _starts(outcome)]
        for name, sentence in facet.settle(started).items():
            outcomes[name] = outcomes[name]._replace(error=sentence)
    return {str(wish["name"]): outcomes[str(wish["name"])] for wish in wishes}


def situation_of(facet: Facet, name: str, options: Sequence[str] | None = None) -> Situation:
    """What is there of a jail; ``options`` limits what is read from the kernel."""
    running = live.find(name)
    exists = facet.exists(name)
    return Situation(
        exists=exists,
        running=running is not None,
        recorded=store.read(name, facet.name),
        live={
            **(facets.read_stored(facet, name, options) if exists else {}),
            **(facets.read_live(facet, running, options) if running else {}),
        },
        frozen=running is not None and FROZEN in facet.states and freezer.is_frozen(running.group),
    )


def _request(facet: Facet, wish: Mapping[str, Any], times: int) -> Request:
    name = names.check(str(wish["name"]))
    if times > 1:
        raise JailError("it is in the list twice", option="name")
    recorded = store.read(name, facet.name) if facet.exists(name) else {}
    return Request(name, facet.parse(wish, recorded), wish.get("state"))


def _clashes(facet: Facet, requests: Sequence[Request]) -> Mapping[str, str]:
    """What these requests would bring jails into conflict with each other and with all that are recorded."""
    desired = {name: store.read(name, facet.name) for name in store.names()}
    for request in requests:
        desired[request.name] = {**desired.get(request.name, {}), **request.values}
    found = facet.conflicts(desired)
    return {request.name: found[request.name] for request in requests if request.name in found}


def _planned(facet: Facet, request: Request) -> Plan:
    situation = situation_of(facet, request.name, list(request.values))
    waiting = facets.waiting(facet, request, situation)
    return facet.plan(facet.options, request, situation._replace(waiting=waiting))


def _plan_only(facet: Facet, request: Request) -> Outcome:
    return _outcome(request, _planned(facet, request))


def _plan_and_do(facet: Facet, request: Request) -> Outcome:
    with contextlib.ExitStack() as stack:
        # In one order everywhere: two calls that need two jails each cannot wait for each other.
        for name in sorted({request.name, *facet.companions(request)}):
            stack.enter_context(store.locked(name))
        adopt.settle(request.name)
        console.keep(request.name)
        plan = _planned(facet, request)
        details = _do(facet, request, plan.actions)
        return _outcome(request, plan)._replace(details=details)


def _do(facet: Facet, request: Request, actions: Sequence[Action]) -> dict[str, Any]:
    """Desired state is written before the kernel is changed, so a run that was killed in between is finished by the
    next one; and forgotten after all else is removed, so that a removal is finished too."""
    details: dict[str, Any] = {}
    hows = list(dict.fromkeys(action.how for action in actions))
    if not hows:
        return details
    if REMOVE not in hows:
        facets.record(facet, request.name, request.values)
    for how in hows:
        chosen = [action for action in actions if action.how == how]
        if how == LIVE:
            details.update(facets.apply_live(facet, live.expect(request.name), chosen))
        elif how == STORAGE:
            facets.apply_stored(facet, request.name, chosen)
        elif how in facet.perform:
            details.update(facet.perform[how](request, chosen) or {})
    if REMOVE in hows:
        store.forget(request.name, facet.name)
    return details


def _outcome(request: Request, plan: Plan) -> Outcome:
    return Outcome(plan.actions, plan.restart_required, degraded.of(request.name, request.values), None)


def _starts(outcome: Outcome) -> bool:
    return any(action.how in (START, RESTART) for action in outcome.actions)


def _failed(error: Exception) -> Outcome:
    return Outcome([], [], [], sentence(error))
