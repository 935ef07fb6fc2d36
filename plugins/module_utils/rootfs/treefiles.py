# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a tree that is not ours to trust, by what is in them: read up to a limit, written only where they differ.

Paths and ``root`` are as in :mod:`.intree`.
"""

from __future__ import annotations

import os
import stat

from ..kernel import paths

_TEXT_LIMIT = 1 << 16
_PRIVATE = 0o700


def put(root: int, path: str, content: bytes, mode: int = 0o644) -> None:
    """Have a file with this content; one that has it is left alone. Its directory is made if that is missing.

    :raises OSError: that names the path; ``ELOOP`` when its directory is a symbolic link.
    """
    try:
        os.close(paths.make_directory(root, os.path.dirname(path)))
        if not _holds(root, path, content):
            paths.write_file(root, path, content, mode)
    except OSError as error:
        raise OSError(error.errno, f"/{path} cannot be written: {error.strerror}") from error


def private_folder(root: int, path: str) -> None:
    """Have a directory that only its owner can enter. The one that it is in is made like it if it is missing.

    :raises OSError: that names the path; also for a symbolic link to one.
    """
    try:
        for each in (os.path.dirname(path), path):
            os.close(paths.make_directory(root, each, _PRIVATE))
        with paths.opened(paths.open_plain(root, path, os.O_RDONLY | os.O_DIRECTORY)) as folder:
            os.fchmod(folder, _PRIVATE)
    except OSError as error:
        raise OSError(error.errno, f"/{path} cannot be a private directory: {error.strerror}") from error


def text_of(root: int, path: str) -> str:
    """What a file holds, up to a limit; nothing when it is missing, or is something else than a file."""
    try:
        return paths.read_file(root, path, _TEXT_LIMIT).decode(errors="replace")
    except OSError:
        return ""


def lines_of(root: int, path: str) -> list[str]:
    """The lines of a file that are neither empty nor a comment, without blanks around them."""
    return significant(text_of(root, path))


def significant(text: str) -> list[str]:
    """The lines of a text, likewise."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def is_file(root: int, path: str) -> bool:
    """Whether there is a regular file, also by links inside the tree."""
    return _kind(root, path) == stat.S_IFREG


def is_directory(root: int, path: str) -> bool:
    """Whether there is a directory, also by links inside the tree."""
    return _kind(root, path) == stat.S_IFDIR


def _kind(root: int, path: str) -> int | None:
    try:
        with paths.opened(paths.open_in(root, path, os.O_PATH)) as found:
            return stat.S_IFMT(os.fstat(found).st_mode)
    except OSError:
        return None


def _holds(root: int, path: str, content: bytes) -> bool:
    try:
        return paths.read_file(root, path, len(content) + 1) == content
    except OSError:
        return False  # missing, or something that a file takes the place of
