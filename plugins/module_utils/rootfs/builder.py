# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a method of building root file systems is to the rest: one function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from .buildlog import BuildLog
from .recipes import Recipe
from .toolbox import Toolbox


class Job(NamedTuple):
    """A program to run in confinement.

    :param command: the program, as seen from inside, and its arguments.
    :param output: the descriptor for its standard output, ``errors`` for its standard error, ``input`` for its
        standard input (``None``: nothing to read).
    :param tools: what it finds at :data:`.toolbox.PLACE` beside the tree.
    :param memory_max: bytes of memory that it may use with all that it starts; ``None``: as any jail.
    """

    command: Sequence[str]
    output: int
    errors: int
    input: int | None = None
    tools: Toolbox | None = None
    memory_max: int | None = None


Confine = Callable[[str, Job], int]
"""``confine(tree, job)`` runs a program on a tree, as its root, confined like a jail; gives its exit status.

The tree is a host directory whose owners on disk are 0..65535. When it returns, none of the programs runs any more;
when we are killed, they are.
"""

Builder = Callable[[Recipe, str, Confine, BuildLog], None]
"""``build(recipe, tree, confine, log)`` fills the empty host directory ``tree``.

No program of the tree runs but by ``confine``. Raises :class:`JailError`, or :class:`OSError` where the host failed.
"""
