# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is recorded of a jail, facet by facet: what a snapshot keeps and an export carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import limits, network, rootfs, state, store
from .facet import Facet

Desired = Mapping[str, Mapping[str, Any]]
"""Values by option, by facet."""

FACETS: Mapping[str, Facet] = {facet.name: facet for facet in (rootfs.FACET, limits.FACET, network.FACET, state.FACET)}
"""What says how a jail was made and how it runs, by name."""


def read(name: str) -> dict[str, dict[str, Any]]:
    """Everything, canonical, without the facets of which nothing is recorded."""
    found = {facet: store.read(name, facet) for facet in store.FACETS}
    return {facet: values for facet, values in found.items() if values}


def in_words(desired: Desired) -> dict[str, dict[str, Any]]:
    """The same, in the user's words."""
    return {name: _in_words(facet, desired[name]) for name, facet in FACETS.items() if name in desired}


def _in_words(facet: Facet, values: Mapping[str, Any]) -> dict[str, Any]:
    found = {option.name: option.show(values[option.name]) for option in facet.options if option.name in values}
    return {name: word for name, word in found.items() if word is not None}
