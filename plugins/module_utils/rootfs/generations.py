# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations: the templates that were built of one recipe, one after the other.

The first bears the recipe's key, the later ones the key and a number: ``KEY``, ``KEY.2``, ``KEY.3``. A key ends in 16
hexadecimal digits (:func:`recipes.key`), so the number is never part of it. A name is not given again while a jail's
storage mentions it: that a template is gone does not make another one of it.
"""

from __future__ import annotations

import re

from . import records

_LATER = re.compile(r"(.+-[0-9a-f]{16})\.([1-9][0-9]*)")


def key_of(template: str) -> str:
    """The key of the recipe that a template was built of."""
    return _split(template)[0]


def number(template: str) -> int:
    """Which generation a template is."""
    return _split(template)[1]


def of(key: str, templates: list[str]) -> list[str]:
    """Those of the templates that are generations of a recipe's key, oldest first."""
    return sorted((name for name in templates if key_of(name) == key), key=number)


def following(key: str, templates: list[str]) -> str:
    """The name for the next generation after these."""
    taken = of(key, [*templates, *records.templates()])
    return f"{key}.{number(taken[-1]) + 1}" if taken else key


def _split(template: str) -> tuple[str, int]:
    match = _LATER.fullmatch(template)
    return (match[1], int(match[2])) if match else (template, 1)
