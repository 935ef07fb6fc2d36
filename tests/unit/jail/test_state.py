# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which a jail's first process and its ways are written."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import state
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import signals


@pytest.mark.parametrize(
    "value", ["a", "web1", "web1.example.org", "A-1.b-2", "1a", "x" * 63, f"{'x' * 31}.{'y' * 32}"]
)
def test_host_names(value: str) -> None:
    """Labels of letters, digits and hyphens, 64 characters in all."""
    assert state.FACET.parse({"hostname": value}, {}) == {"hostname": value}


@pytest.mark.parametrize(
    "value",
    ["", "-a", "a-", "a.", ".a", "a..b", "a b", "a_b", "a\nb", "a/b", "é", "x" * 64, f"{'x' * 32}.{'y' * 32}", "a\n"],
)
def test_what_is_no_host_name(value: str) -> None:
    """Anything else is refused, by the option's name."""
    with pytest.raises(JailError, match=r"^hostname: .*is not a host name"):
        state.FACET.parse({"hostname": value}, {})


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("SIGTERM", signal.SIGTERM),
        ("term", signal.SIGTERM),
        ("Hup", signal.SIGHUP),
        ("SIGRTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMIN+30", signal.SIGRTMIN + 30),
        ("SIGRTMAX", signal.SIGRTMAX),
    ],
)
def test_signals(value: str, number: int) -> None:
    """Names as signal(7) has them, with or without SIG, real-time ones counted from the first."""
    assert signals.number_of(value) == number
    assert signals.number_of(state.FACET.parse({"stop_signal": value}, {})["stop_signal"]) == number


@pytest.mark.parametrize(
    "value", ["", "SIG", "15", "SIGNOPE", "SIGRTMIN+31", "SIGRTMIN-1", "SIGTERM+1", "SIGRTMIN+", "SIG_IGN", "RTMIN+²"]
)
def test_what_is_no_signal(value: str) -> None:
    """Anything else is refused in the same words."""
    with pytest.raises(JailError, match=r"^stop_signal: .*is not a signal"):
        state.FACET.parse({"stop_signal": value}, {})


@pytest.mark.parametrize("value", [-0.1, 3600.1, float("nan"), float("inf")])
def test_what_is_no_time(value: float) -> None:
    """Seconds from 0 to an hour."""
    with pytest.raises(JailError, match=r"^stop_timeout: "):
        state.FACET.parse({"stop_timeout": value}, {})


def test_an_empty_command_is_none() -> None:
    """It means "run the init"."""
    assert state.FACET.parse({"command": []}, {}) == {"command": None}
    assert state.FACET.parse({"command": ["a", ""]}, {}) == {"command": ["a", ""]}


@pytest.mark.parametrize("given", [{"command": ["a\0"]}, {"init": "init"}, {"init": ""}, {"init": "/a\0"}])
def test_what_cannot_be_run(given: dict[str, object]) -> None:
    """A relative init and NUL characters, which no exec can carry, are refused before anything is tried."""
    with pytest.raises(JailError, match=f"^{next(iter(given))}: "):
        state.FACET.parse(given, {})


def test_what_was_left_out_is_not_there() -> None:
    """An option of which nothing was said is no wish."""
    assert state.FACET.parse({"hostname": None, "command": None, "init": None}, {"init": "/x"}) == {}
