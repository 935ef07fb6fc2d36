# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a jail of what :mod:`exporting` wrote, whoever has had it in hands since.

The stream is decompressed and its tree unpacked by programs in confinement. Its manifest is read here, in pieces of
bounded size. The jail appears when the checksum at the end of the stream was right.

Who makes an export says what the jail runs, but not what holds it: limits, network and isolation are taken from the
manifest only when the administrator trusts it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .. import layout
from ..errors import JailError
from ..rootfs import buildlog, notes, space, storage
from ..rootfs.backing.kinds import STORES
from ..rootfs.buildlog import BuildLog
from ..rootfs.exports import confined_tar, exportfile, streams
from ..rootfs.exports.exportfile import Reader
from ..rootfs.exports.streams import Relay
from ..rootfs.layers import Subject
from ..rootfs.storage import Storage
from . import adopt, build, network, size, store, untrusted
from .adopt import Coming
from .build import Program
from .desired import FACETS, Desired

KINDS = tuple(kind for kind, backing in STORES.items() if not backing.needs_template)
"""The kinds of storage that a jail can be imported into; the first is the default."""

_BEGINNING = 8
_TEMPLATE = re.compile(r"[a-z][a-z0-9.+~-]{0,127}")
_RUNS = ("command", "init", "hostname", "stop_signal", "stop_timeout")
"""Of the options of ``jail_state``, those that are about the jail's first process and nothing that holds it."""


class Wish(NamedTuple):
    """How a jail is to be imported.

    :param kind: one of :data:`KINDS`.
    :param checksum: what the file has to have: ``sha256:`` and 64 hexadecimal digits; ``None`` for any.
    :param trusted: whether all of the export's desired state is to hold.
    """

    kind: str
    checksum: str | None
    trusted: bool


class _Stream(NamedTuple):
    """An export that is being read.

    :param stack: of what reads it.
    """

    reader: Reader
    relay: Relay
    decompressor: Program | None
    stack: contextlib.ExitStack

    def finish(self) -> str:
        """The checksum of the file, once all of it has been read and is as it was written. Nothing of what has read it
        is left then: a jail that is there needs no clearing up."""
        self.reader.check()
        if self.decompressor is not None:
            self.decompressor.expect_success("the decompressor")
        checksum = self.relay.finish().sha256
        self.stack.close()
        return f"sha256:{checksum}"


def read(name: str, source: int, wish: Wish) -> list[str]:
    """Make a jail that has no storage yet from a stream. The caller has the jail's lock.

    :param source: a descriptor, read to its end.
    :returns: the options of the export that are not taken, as it is not trusted: ``FACET.OPTION``.
    :raises JailError: when it cannot be. Nothing is left of it then.
    """
    with buildlog.recording(name) as log:
        try:
            with _opened(source, log) as stream:
                left_out = _make(name, stream, wish, log)
        except build.FailedError as error:
            raise log.failure(str(error)) from error
    adopt.settle(name)
    return left_out


@contextlib.contextmanager
def _opened(source: int, log: BuildLog) -> Iterator[_Stream]:
    beginning = streams.read(source, _BEGINNING)
    kind = confined_tar.compression_of(beginning)
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(streams.out_of(source, beginning))
        if kind is None:
            yield _Stream(Reader(relay.end), relay, None, stack)
            return
        plain, end = streams.pipe()
        stack.callback(os.close, plain)
        packed = relay.give_away()
        job = confined_tar.decompress(kind, packed, end, log.descriptor)
        program = stack.enter_context(build.running(None, job, [packed, end]))
        yield _Stream(Reader(plain), relay, program, stack)


def _make(name: str, stream: _Stream, wish: Wish, log: BuildLog) -> list[str]:
    manifest = exportfile.read_manifest(stream.reader)
    said = untrusted.words(manifest.get("desired"))
    taken = said if wish.trusted else _harmless(said)
    template = manifest.get("template")
    if not isinstance(template, str) or not _TEMPLATE.fullmatch(template):
        raise JailError("the export's template is no key of one")
    coming = _beside_the_recorded(name, untrusted.parsed(name, taken), wish.kind)
    with storage.filled(name, wish.kind, template) as stored:
        _limit(stored, coming["rootfs"])
        program = _unpack(stored, stream.reader, log)
        checksum = stream.finish()
        if wish.checksum not in (None, checksum):
            raise JailError(f"the export has the checksum {checksum}, not {wish.checksum}", option="checksum")
        program.expect_success("tar")
        notes.write(stored.folder, notes.IMPORTED, checksum)
        adopt.bring(stored.folder, Coming(coming))
    return _left_out(said, taken)


def _limit(stored: Storage, recorded: Mapping[str, Any]) -> None:
    try:
        size.give(stored, recorded)
    except JailError as error:
        advice = "do not trust the export, whose limits are left out then, or import it where they can hold"
        raise JailError(error.args[0], option=error.option, advice=advice) from error


def _harmless(said: Desired) -> dict[str, dict[str, Any]]:
    """What opens nothing, whatever it is: what the tree was made of, and what the jail runs."""
    limits = [option.name for option in size.OPTIONS]
    rootfs = {option: value for option, value in said.get("rootfs", {}).items() if option not in limits}
    state = {option: value for option, value in said.get("state", {}).items() if option in _RUNS}
    return {facet: values for facet, values in (("rootfs", rootfs), ("state", state)) if values}


def _left_out(said: Desired, taken: Desired) -> list[str]:
    """The options that say something, and are not taken."""
    return [
        f"{facet}.{name}"
        for facet, values in said.items()
        for name, value in values.items()
        if name not in taken.get(facet, {}) and value != _default(facet, name)
    ]


def _default(facet: str, name: str) -> Any:
    option = FACETS[facet].option(name)
    return option.default if option.default is None else option.show(option.default)


def _beside_the_recorded(name: str, coming: Desired, kind: str) -> dict[str, dict[str, Any]]:
    """What is recorded for the jail then: what was said of it on this host holds."""
    found = {facet: {**values, **store.read(name, facet)} for facet, values in coming.items() if facet != "rootfs"}
    clash = network.clash(name, found.get("net", {}))
    if clash is not None:
        raise JailError(clash, advice="change the other jail's interfaces first, or do not trust the export's")
    return {**found, "rootfs": {**coming.get("rootfs", {}), "storage": kind}}


def _unpack(stored: Storage, reader: Reader, log: BuildLog) -> Program:
    """Fill a tree; the program that did, which has ended. All of the stream is read, whether it wants it or not."""
    source, end = streams.pipe()
    job = confined_tar.unpack(source, log.descriptor, log.descriptor)
    room = space.bytes_free(layout.STORAGE)
    with stored.layers() as layers, build.running(Subject(layers, writable=True), job, [source]) as program:
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, end)
            while chunk := reader.read(streams.CHUNK):
                room -= len(chunk)
                if room < 0:
                    raise JailError(f"the export holds more than is free below {layout.STORAGE}")
                with contextlib.suppress(BrokenPipeError):  # it says why by its status
                    streams.write(end, chunk)
        program.wait()
    return program
