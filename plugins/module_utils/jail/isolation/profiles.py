# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp profiles of the host's administrator: files in the OCI format, by path or by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection
from typing import NamedTuple

from ... import layout
from ...errors import JailError
from ...kernel import paths
from ...kernel.seccomp import Filter
from . import oci

DEFAULT = "default"
UNCONFINED = "unconfined"
_OPTION = "seccomp"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SIZE_MAX = 1 << 20


class Profile(NamedTuple):
    """A profile that was read: what it means here, and the digest of what stood in its file."""

    filter: Filter
    digest: str


def parse_name(value: str) -> str:
    """``default``, ``unconfined``, the name of a file in :data:`layout.SECCOMP`, or an absolute path."""
    if value.startswith("/") and "\0" not in value:
        return os.path.normpath(value)
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a profile: write {DEFAULT}, {UNCONFINED}, an absolute path, or the name of a file in "
            f"{layout.SECCOMP} without its .json"
        )
    return value


def load(name: str, capabilities: Collection[str]) -> Profile:
    """Read a profile by name or path, for a jail with these capabilities.

    :raises JailError: when there is none, or it is none.
    """
    path = _path(name)
    text = _read(path)
    try:
        meant = oci.parse(json.loads(text), oci.surroundings(capabilities))
    except ValueError as error:
        raise JailError(f"{path}: {error}", option=_OPTION) from error
    return Profile(meant, hashlib.sha256(text).hexdigest())


def digest(name: str) -> str:
    """The digest of what stands in a profile's file now; empty when it cannot be read."""
    try:
        return hashlib.sha256(_read(_path(name))).hexdigest()
    except JailError:
        return ""


def _path(name: str) -> str:
    return name if name.startswith("/") else os.path.join(layout.SECCOMP, f"{name}.json")


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise JailError(f"{path}: {error.strerror}", option=_OPTION, advice="put the profile there") from error
    with paths.opened(descriptor), os.fdopen(descriptor, "rb", closefd=False) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise JailError(f"{path}: not a regular file", option=_OPTION)
        text = file.read(_SIZE_MAX + 1)
    if len(text) > _SIZE_MAX:
        raise JailError(f"{path}: longer than {_SIZE_MAX} bytes", option=_OPTION)
    return text
