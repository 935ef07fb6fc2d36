# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to this one jail and lies in its tree: options of ``jail_rootfs``, and what a first start fills in.

In a running jail a value is read and written as its root, in its own mount namespace (:func:`enter.call`). At a start
the same functions run in the process that becomes pid 1, on the root that it has just put together. In both cases
whatever the tree holds it holds only against itself.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import files, layout
from ..errors import JailError
from ..rootfs import intree, treefiles
from ..rootfs.settings import host_keys, hosts, machine_id
from ..rootfs.settings.kinds import SETTINGS
from . import enter, store
from .launch import Preparation
from .live import Running
from .options import Option

_FACET = "rootfs"
_HOST_KEYS = "ssh_host_keys"
_MACHINE_ID = "machine_id"
_RENEWAL = "renewal"


def _option(name: str, kind: str) -> Option:
    setting = SETTINGS[name]
    return Option(
        name,
        type=kind,
        elements="str" if kind == "list" else None,
        public=True,
        parse=setting.parse,
        read=lambda running: enter.call(running, setting.read),
        write=lambda running, value: enter.call(running, lambda root: setting.write(root, value)),
    )


def _write_host_keys(running: Running, types: Sequence[str]) -> None:
    wanted = enter.call(running, lambda root: host_keys.keep_only(root, types))
    made = host_keys.generate(wanted, _owner(running.name))
    enter.call(running, lambda root: host_keys.place(root, made))


def _owner(name: str) -> str:
    """What a key's comment says."""
    return f"root@{name}"


OPTIONS = (
    _option("authorized_keys", "list"),
    _option("fstab", "list"),
    _option("hosts", "list"),
    _option("locale", "str"),
    _option(_MACHINE_ID, "str"),
    _option("package_sources", "list"),
    Option(
        _HOST_KEYS,
        type="list",
        elements="str",
        choices=host_keys.TYPES,
        parse=lambda value: sorted(set(value)),
        read=lambda running: enter.call(running, host_keys.present),
        write=_write_host_keys,
    ),
    _option("timezone", "str"),
)


def write_hostname(running: Running, hostname: str) -> None:
    """Write a running jail's name into its files."""
    enter.call(running, lambda root: _write_name(root, hostname))


def renew(name: str) -> None:
    """Have the next start give a jail a machine id and SSH host keys of its own, in the place of those that its tree
    came with; for a stopped jail that was cloned from another."""
    recorded = store.read(name, _FACET)
    if recorded.pop(_MACHINE_ID, None) is not None:
        store.write(name, _FACET, recorded)
    files.write_json(_renewal(name), {_MACHINE_ID: _new_machine_id()})


def renewed(name: str) -> None:
    """A start has done so."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_renewal(name))


def preparation(
    name: str, hostname: str, other_files: Mapping[str, str], other_jails: Sequence[str] | None
) -> Preparation:
    """What a start does in a jail's tree.

    :param other_files: texts to write besides, by absolute path.
    :param other_jails: the lines about them in its ``/etc/hosts``, if it is to have any.
    """
    recorded = store.read(name, _FACET)
    values = {setting: recorded[setting] for setting in SETTINGS if setting in recorded}
    types = recorded.get(_HOST_KEYS)
    renewal = (files.read_json(_renewal(name)) or {}).get(_MACHINE_ID)
    fresh = values.get(_MACHINE_ID) or renewal or _new_machine_id()

    def prepare(root: int) -> tuple[list[str], list[str]]:
        if renewal is not None and machine_id.read(root) != renewal:
            intree.forget_secrets(root)
        _write_name(root, hostname)
        for path, text in other_files.items():
            treefiles.put(root, path.lstrip("/"), text.encode())
        machine_id.fill(root, fresh)
        problems: list[str] = []
        for setting, value in values.items():
            with _noted(setting, problems):
                _converge(setting, root, value)
        with _noted("names", problems):
            hosts.tell(root, other_jails)
        wanted: list[str] = []
        with _noted(_HOST_KEYS, problems):
            wanted = host_keys.missing(root) if types is None else host_keys.keep_only(root, types)
        return wanted, problems

    def place(root: int, keys: Mapping[str, Sequence[str]]) -> list[str]:
        problems: list[str] = []
        with _noted(_HOST_KEYS, problems):
            host_keys.place(root, keys)
        return problems

    return Preparation(prepare, lambda kinds: host_keys.generate(kinds, _owner(name)), place)


@contextlib.contextmanager
def _noted(option: str, problems: list[str]) -> Iterator[None]:
    """Add to the problems why the block could not make an option hold."""
    try:
        yield
    except JailError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{option}: {error.strerror}")


def _converge(name: str, root: int, value: Any) -> None:
    setting = SETTINGS[name]
    if setting.read(root) != value:
        setting.write(root, value)


def _write_name(root: int, hostname: str) -> None:
    treefiles.put(root, "etc/hostname", f"{hostname}\n".encode())
    hosts.name_itself(root, hostname)


def _new_machine_id() -> str:
    """As machine-id(5), "Relation to OSF UUIDs", recommends."""
    return uuid.uuid4().hex


def _renewal(name: str) -> str:
    return os.path.join(layout.desired(name), _RENEWAL)
