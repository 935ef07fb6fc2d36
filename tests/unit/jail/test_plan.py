# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner: what it says is to be done, done to a model, leaves nothing to be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail.options import Option
from ansible_collections.cellblock.jails.plugins.module_utils.jail.plan import (
    CREATE,
    FREEZE,
    LIVE,
    RECORD,
    REMOVE,
    RESTART,
    START,
    STOP,
    STORAGE,
    THAW,
    Action,
    Plan,
    Request,
    Situation,
    plan_options,
    plan_rootfs,
    plan_state,
)


def _never(*_arguments: Any) -> Any:
    raise AssertionError("the planner touches nothing")


OPTIONS = (
    Option("lively", default=0, read=_never, write=_never),
    Option("started_with", default=0, read=_never),
    Option("recorded_only", default=0),
)
_VALUES = st.dictionaries(st.sampled_from([option.name for option in OPTIONS]), st.integers(0, 2))
_STATES = st.sampled_from([None, "started", "frozen", "stopped", "restarted", "absent"])
_EVERY = st.fixed_dictionaries({option.name: st.integers(0, 2) for option in OPTIONS})


class Model:
    """A jail as a planner sees it: what is recorded, whether it runs, and with what."""

    def __init__(
        self, recorded: Mapping[str, int], running: bool, live: Mapping[str, int], frozen: bool = False
    ) -> None:
        self.recorded = dict(recorded)
        self.running = running
        self.frozen = running and frozen
        self.exists = True
        self.live = dict(live)

    def situation(self) -> Situation:
        """What a module reads of it."""
        readable = {option.name for option in OPTIONS if option.read}
        live = {name: value for name, value in self.live.items() if name in readable} if self.running else {}
        return Situation(self.exists, self.running, dict(self.recorded), live, frozen=self.frozen)

    def carry_out(self, actions: list[Action], values: Mapping[str, int]) -> None:
        """What a module does: record first, then the changes in the running jail, then the change of state."""
        hows = [action.how for action in actions if action.option == "state"]
        if REMOVE in hows:
            self.recorded, self.running, self.exists, self.live, self.frozen = {}, False, False, {}, False
            return
        if any(action.how in (LIVE, RECORD) for action in actions):
            self.recorded.update(values)
        for action in actions:
            if action.how == LIVE:
                assert self.running
                self.live[action.option] = action.after
        if START in hows or RESTART in hows:
            defaults = {option.name: option.default for option in OPTIONS}
            self.running, self.live, self.frozen = True, {**defaults, **self.recorded}, False
        if STOP in hows:
            self.running = self.frozen = False
        if FREEZE in hows or THAW in hows:
            assert self.running
            self.frozen = FREEZE in hows


@given(_VALUES, st.booleans(), st.booleans(), _EVERY, _VALUES, _STATES)
def test_after_a_plan_is_carried_out_the_next_is_empty(
    recorded: dict[str, int],
    running: bool,
    frozen: bool,
    live: dict[str, int],
    wanted: dict[str, int],
    state: str | None,
) -> None:
    """Whatever is there and whatever is wanted: one plan leads there, a second finds nothing to do. (But ``restarted``
    is an order: after it all but a restart is done.)"""
    model = Model(recorded, running, live, frozen)
    request = Request("x", wanted, state)
    model.carry_out(plan_state(OPTIONS, request, model.situation()).actions, wanted)
    again = plan_state(OPTIONS, request, model.situation())
    assert [action for action in again.actions if action.how != RESTART] == []
    if state != "restarted":
        assert again.actions == []
    assert model.frozen == (model.running and (state == "frozen" or (frozen and state is None)))


@given(_VALUES, st.booleans(), _EVERY, _VALUES)
def test_what_was_left_out_is_left_as_it_is(
    recorded: dict[str, int], running: bool, live: dict[str, int], wanted: dict[str, int]
) -> None:
    """No action is about an option that the request did not give, and carrying a plan out changes no such value."""
    model = Model(recorded, running, live)
    plan = plan_options(OPTIONS, Request("x", wanted), model.situation())
    assert {action.option for action in plan.actions} <= set(wanted)
    model.carry_out(plan.actions, wanted)
    for option in OPTIONS:
        if option.name not in wanted:
            assert model.recorded.get(option.name) == recorded.get(option.name)
            assert model.live.get(option.name) == live.get(option.name)


@given(_VALUES, _EVERY, _VALUES)
def test_a_restart_is_required_exactly_where_it_helps(
    recorded: dict[str, int], live: dict[str, int], wanted: dict[str, int]
) -> None:
    """An option waits for a restart when the running jail has another value and none can be written; after one, none
    waits."""
    model = Model(recorded, True, live)
    plan = plan_options(OPTIONS, Request("x", wanted), model.situation())
    waits = [name for name in ("started_with",) if name in wanted and live[name] != wanted[name]]
    assert [name for name in plan.restart_required if name != "recorded_only"] == waits
    model.carry_out(plan.actions, wanted)
    restart = plan_state(OPTIONS, Request("x", wanted, "restarted"), model.situation())
    assert restart.restart_required == []
    model.carry_out(restart.actions, wanted)
    assert plan_options(OPTIONS, Request("x", wanted), model.situation()) == Plan([], [])


@given(_VALUES, st.booleans(), _EVERY, _VALUES, _STATES)
def test_every_action_has_a_difference(
    recorded: dict[str, int], running: bool, live: dict[str, int], wanted: dict[str, int], state: str | None
) -> None:
    """Nothing goes from a value to itself, but a restart; live changes are of running jails that stay."""
    plan = plan_state(OPTIONS, Request("x", wanted, state), Model(recorded, running, live).situation())
    for action in plan.actions:
        assert action.before != action.after or action.how == RESTART
        if action.how == LIVE:
            assert running
            assert state not in ("stopped", "restarted", "absent")


@pytest.mark.parametrize(
    ("state", "running", "expected"),
    [
        ("frozen", False, [("stopped", "started", START), ("started", "frozen", FREEZE)]),
        ("frozen", True, [("started", "frozen", FREEZE)]),
        ("started", False, [("stopped", "started", START)]),
        ("started", True, []),
        ("stopped", True, [("started", "stopped", STOP)]),
        ("stopped", False, []),
        ("restarted", True, [("started", "started", RESTART)]),
        ("restarted", False, [("stopped", "started", START)]),
        (None, True, []),
        (None, False, []),
    ],
)
def test_changes_of_state(state: str | None, running: bool, expected: list[tuple[str, str, str]]) -> None:
    """Each state from each side."""
    plan = plan_state(OPTIONS, Request("x", {}, state), Situation(True, running, {}, {}))
    assert [(action.before, action.after, action.how) for action in plan.actions] == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("frozen", []),
        ("started", [("frozen", "started", THAW)]),
        ("stopped", [("frozen", "stopped", STOP)]),
        ("restarted", [("frozen", "started", RESTART)]),
        (None, []),
    ],
)
def test_changes_of_state_of_a_frozen_jail(state: str | None, expected: list[tuple[str, str, str]]) -> None:
    """Likewise from where it is held still."""
    plan = plan_state(OPTIONS, Request("x", {}, state), Situation(True, True, {}, {}, frozen=True))
    assert [(action.before, action.after, action.how) for action in plan.actions] == expected


def test_options_come_before_the_start() -> None:
    """What is started starts with the new values."""
    plan = plan_state(OPTIONS, Request("x", {"started_with": 1}, "started"), Situation(True, False, {}, {}))
    assert [action.option for action in plan.actions] == ["started_with", "state"]


def test_absent_of_what_is_there_and_of_what_is_not() -> None:
    """Removal is one action, once; options given with it mean nothing."""
    gone = Request("x", {"lively": 2}, "absent")
    assert plan_state(OPTIONS, gone, Situation(True, True, {}, {})).actions == [
        Action("state", "present", "absent", REMOVE)
    ]
    assert plan_state(OPTIONS, gone, Situation(False, False, {}, {})).actions == []


@pytest.mark.parametrize("recorded", [0, 3])
def test_a_live_change_that_a_start_has_to_make_possible_waits(recorded: int) -> None:
    """Such a one is recorded once and listed until it holds; another one of the same option is made live."""
    wish = Request("web1", {"lively": 3})
    there = Situation(True, True, {"lively": recorded}, {"lively": 0})
    assert plan_options(OPTIONS, wish, there) == Plan([Action("lively", 0, 3, LIVE)], [])
    expected = [] if recorded else [Action("lively", 0, 3, RECORD)]
    assert plan_options(OPTIONS, wish, there._replace(waiting=["lively"])) == Plan(expected, ["lively"])


_RECIPE = (
    Option("method", fixed=True),
    Option("binaries", fixed=True),
    Option("storage", fixed=True),
    Option("size", read_stored=_never, write_stored=_never),
    Option("refresh", once=True),
)


def test_a_root_file_system_is_made_once() -> None:
    """First it is made with all that was given, then it is there."""
    wish = Request("x", {"method": "skeleton", "binaries": ["a"], "storage": "overlay"})
    plan = plan_rootfs(_RECIPE, wish, Situation(False, False, {}, {}))
    assert {action.how for action in plan.actions} == {CREATE}
    assert plan.actions[0] == Action("state", "absent", "present", CREATE)
    assert plan_rootfs(_RECIPE, wish, Situation(True, False, dict(wish.values), {})) == Plan([], [])


@pytest.mark.parametrize("running", [True, False])
def test_what_holds_on_disk_is_changed_there(running: bool) -> None:
    """Whether the jail runs or not; and what only said how to make it is not compared."""
    wish = Request("x", {"method": "skeleton", "size": 2, "refresh": 1})
    there = Situation(True, running, {"method": "skeleton", "size": 2}, {"size": 1})
    assert plan_rootfs(_RECIPE, wish, there) == Plan([Action("size", 1, 2, STORAGE)], [])
    assert plan_rootfs(_RECIPE, wish, there._replace(live={"size": 2})) == Plan([], [])


@pytest.mark.parametrize("recorded", [{}, {"size": 2}])
def test_what_has_to_wait_for_the_next_start_is_recorded(recorded: dict[str, int]) -> None:
    """Once: as long as it does not hold it is listed, and what is recorded already is no change."""
    wish = Request("web1", {"method": "skeleton", "size": 2})
    there = Situation(True, True, {"method": "skeleton", **recorded}, {"size": 1}, ["size"])
    expected = [] if recorded else [Action("size", 1, 2, RECORD)]
    assert plan_rootfs(_RECIPE, wish, there) == Plan(expected, ["size"])
    held = there._replace(live={"size": 2}, waiting=[], recorded={"method": "skeleton", "size": 2})
    assert plan_rootfs(_RECIPE, wish, held) == Plan([], [])


def test_a_root_file_system_does_not_become_another() -> None:
    """The option that differs is named, with what to do."""
    with pytest.raises(JailError) as caught:
        plan_rootfs(_RECIPE, Request("x", {"method": "skeleton"}), Situation(True, False, {"method": "other"}, {}))
    assert caught.value.option == "method"
    assert "state=absent" in str(caught.value)


@pytest.mark.parametrize("running", [True, False])
def test_a_root_file_system_goes_only_from_a_stopped_jail(running: bool) -> None:
    """It is refused while the jail runs, with the way to stop it; of what is not there nothing is to be done."""
    gone = Request("x", {}, "absent")
    situation = Situation(True, running, {}, {})
    if running:
        with pytest.raises(JailError, match="state=stopped"):
            plan_rootfs(_RECIPE, gone, situation)
    else:
        assert plan_rootfs(_RECIPE, gone, situation).actions == [Action("state", "present", "absent", REMOVE)]
    assert plan_rootfs(_RECIPE, gone, Situation(False, False, {}, {})) == Plan([], [])
