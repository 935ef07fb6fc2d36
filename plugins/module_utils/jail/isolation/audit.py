# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestation for the eye: a line for each fact, green where it holds and red where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import harmless
from .fact import Fact

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


def lines(facts: Sequence[Fact], coloured: bool) -> list[str]:
    """The lines, without their ends."""
    width = max(len(fact.name) for fact in facts)
    return [_line(fact, width, coloured) for fact in facts]


def summary(facts: Sequence[Fact]) -> str:
    """How many hold."""
    drift = sum(not fact.holds for fact in facts)
    return f"{len(facts)} looked at, {drift} not as settled" if drift else f"{len(facts)} looked at, all as settled"


def _line(fact: Fact, width: int, coloured: bool) -> str:
    word = "ok   " if fact.holds else "DRIFT"
    text = _text(fact.live) if fact.holds else f"{_text(fact.live)}  (settled: {_text(fact.expected)})"
    # Names of mounts and processes are the jail's to choose.
    plain = harmless.text(f"{word}  {fact.name.ljust(width)}  {text}").replace("\n", "?").rstrip()
    return f"{_GREEN if fact.holds else _RED}{plain}{_PLAIN}" if coloured else plain


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value) if value else "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
