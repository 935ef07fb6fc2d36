# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a jail, its tree and desired state, as one stream (:mod:`exportfile`).

Everything of the jail's is read and packed by programs in confinement, over a read-only mount of its layers; what
reaches the host is a stream of bytes, which is counted and handed on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ..errors import JailError
from ..kernel import paths
from ..rootfs import buildlog, snapshots, storage
from ..rootfs.builder import Job
from ..rootfs.buildlog import BuildLog
from ..rootfs.exports import confined_tar, exportfile, streams
from ..rootfs.exports.streams import Sum
from ..rootfs.layers import Subject
from ..rootfs.storage import Storage
from . import adopt, build, desired, live
from .build import Program
from .desired import Desired


def export(name: str, label: str | None, compression: str | None, target: int) -> Sum:
    """Write a jail that does not run, or a snapshot of one, to a descriptor. The caller has the jail's lock.

    :param compression: one of :data:`confined_tar.COMPRESSIONS`.
    :returns: size and checksum of what was written.
    :raises JailError: when it cannot be; what was written by then is no export.
    """
    with _source(name, label) as (stored, recorded):
        manifest = {
            "name": name,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "storage": stored.kind,
            "template": stored.template,
            "desired": desired.in_words(recorded),
        }
        with buildlog.recording(name) as log:
            try:
                return _write(stored, manifest, compression, target, log)
            except build.FailedError as error:
                raise log.failure(str(error)) from error


@contextlib.contextmanager
def _source(name: str, label: str | None) -> Iterator[tuple[Storage, Desired]]:
    if label is not None:
        with snapshots.held(name, label) as snapshot:
            yield snapshot.storage, snapshot.note["desired"]
        return
    adopt.settle(name)
    expect_still(name)
    with storage.held(name) as stored:
        yield stored, desired.read(name)


def expect_still(name: str) -> None:
    """Refuse a jail that runs.

    :raises JailError: then.
    """
    if live.find(name) is not None:
        advice = f"stop it first (jail_state name={name} state=stopped), or export a snapshot of it"
        raise JailError("the jail runs, and an export of its files would hold them half changed", advice=advice)


def _write(stored: Storage, manifest: Mapping[str, Any], compression: str | None, target: int, log: BuildLog) -> Sum:
    with streams.into(target) as relay:
        try:
            if compression is None:
                _write_plain(stored, manifest, relay.end, log)
            else:
                with _compressing(compression, relay.end, log) as end:
                    _write_plain(stored, manifest, end, log)
        except (BrokenPipeError, build.FailedError):
            relay.finish()  # when it was the first to fail, it knows why
            raise
        return relay.finish()


@contextlib.contextmanager
def _compressing(kind: str, target: int, log: BuildLog) -> Iterator[int]:
    """A descriptor to write to, for a ``with`` block; ``target`` gets the compressed form."""
    source, end = streams.pipe()
    job = confined_tar.compress(kind, source, target, log.descriptor)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, end)
        with build.running(None, job, [source]) as program:
            try:
                yield end
            except BrokenPipeError:
                program.expect_success(kind)
                raise
            stack.close()
            program.expect_success(kind)


def _write_plain(stored: Storage, manifest: Mapping[str, Any], target: int, log: BuildLog) -> None:
    digest = hashlib.sha256()

    def put(data: bytes) -> None:
        digest.update(data)
        streams.write(target, data)

    excluded = _devices(stored, log)
    put(exportfile.header(manifest))
    source, end = streams.pipe()
    packing = confined_tar.pack(end, log.descriptor, excluded)
    with paths.opened(source), _working_on(stored, packing) as program:
        while chunk := os.read(source, streams.CHUNK):
            put(chunk)
        program.expect_success("tar")
    streams.write(target, exportfile.trailer(digest.hexdigest()))


def _devices(stored: Storage, log: BuildLog) -> list[bytes]:
    """The device nodes of a tree, to be left out."""
    source, end = os.pipe()
    with paths.opened(source), _working_on(stored, confined_tar.list_devices(end, log.descriptor)) as program:
        found = confined_tar.devices(streams.read(source, confined_tar.LIST_MAX))
        program.expect_success("find")
    for name in found:
        log.note(f"I: left out, as no jail can open it: the device node {name!r}")
    return found


@contextlib.contextmanager
def _working_on(stored: Storage, job: Job) -> Iterator[Program]:
    """A program that reads a tree, with its output ours no more."""
    with stored.layers() as layers, build.running(Subject(layers, writable=False), job, [job.output]) as program:
        yield program
