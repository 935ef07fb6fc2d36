# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a method of building root file systems is to the rest: one function."""

from __future__ import annotations

from typing import Callable

from .buildlog import BuildLog
from .recipes import Recipe

Confine = Callable[[str, list[str], int], int]
"""``confine(tree, command, output)`` runs a program of a tree confined like a jail; gives its exit status.

The tree is a host directory whose owners on disk are 0..65535; ``command`` is the program as seen from inside and its
arguments; ``output`` is the descriptor for its stdout and stderr. When it returns, none of the programs runs any
more; when we are killed, they are.
"""

Builder = Callable[[Recipe, str, Confine, BuildLog], None]
"""``build(recipe, tree, confine, log)`` fills the empty host directory ``tree``.

No program of the tree runs but by ``confine``. Raises :class:`JailError`, or :class:`OSError` where the host failed.
"""
