# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's side of a jail's mounts: detached copies of what it is given, with its ids and attributes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...errors import JailError
from ...kernel import idmap, mounts, paths
from . import sources
from .sources import Place
from .words import BIND, OVERLAY, Volume, attributes
from .words import sources as sources_of


class Given(NamedTuple):
    """One mount, ready to be put in its place.

    :param mounts: descriptors of detached mounts, in the order of :func:`words.sources`.
    :param place: where the first of them lies on the host; ``None`` where there is none.
    """

    volume: Volume
    mounts: Sequence[int]
    place: Place | None


@contextlib.contextmanager
def given(volumes: Sequence[Volume], userns: int | None) -> Iterator[list[Given]]:
    """The mounts for a ``with`` block.

    :param userns: a descriptor of the jail's user namespace, ``None`` for the host's.
    :raises JailError: when a source may not be given or cannot be mapped.
    """
    with contextlib.ExitStack() as stack:
        yield [_given(volume, userns, stack) for volume in volumes]


def check(volumes: Sequence[Volume], hosts_ids: bool) -> None:
    """Refuse what could not be given now to a jail, in the host's user namespace or not.

    :raises JailError: then.
    """
    for volume in volumes:
        for path in sources_of(volume):
            os.close(sources.open_source(volume, path, hosts_ids))


def _given(volume: Volume, userns: int | None, stack: contextlib.ExitStack) -> Given:
    found, place = [], None
    for path in sources_of(volume):
        with paths.opened(sources.open_source(volume, path, userns is None)) as source:
            place = place or sources.place_of(source)
            if path == volume["upper"]:
                _make_layers(source)
            mount = stack.enter_context(paths.opened(mounts.clone(source)))
        is_lower = volume["type"] == OVERLAY and path != volume["upper"]
        _prepare(volume, path, mount, userns, mounts.RDONLY if is_lower else 0)
        found.append(mount)
    return Given(volume, found, place)


def _make_layers(directory: int) -> None:
    for name in ("upper", "work"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=directory)


def _prepare(volume: Volume, path: str, mount: int, userns: int | None, more: int) -> None:
    wanted = attributes(volume) if volume["type"] == BIND else mounts.NODEV | more
    if userns is None or not volume["idmapped"]:
        mounts.set_attributes(mount, wanted)
        return
    try:
        idmap.map_mount(mount, userns, wanted)
    except OSError as error:
        raise JailError(
            f"{path}: {error.strerror}",
            option=sources.OPTION,
            advice="with idmapped=false its files show as nobody's, but for those that belong to the jail's own ids",
        ) from error
