# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that may sign for apk, and the check that one of them did, by openssl(1) of the host."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ...errors import JailError
from .. import hosttools
from . import alpinekeys
from .apkfiles import Signature

Keys = Mapping[str, bytes]
"""Public keys (PEM) by the names that signatures name them by."""

_NAME = re.compile(r"[A-Za-z0-9@._+-]+\.pub")
_LIMIT = 1 << 16


def trusted(folder: str | None, arch: str) -> Keys:
    """The keys to trust.

    :param folder: a directory of the host with ``NAME.pub`` files; ``None`` for those of Alpine Linux itself.
    :raises JailError: when there are none.
    """
    if folder is None:
        found: Keys = alpinekeys.of_architecture(arch)
        if not found:
            known = ", ".join(sorted(alpinekeys.ARCHITECTURES))
            raise JailError(f"no key of Alpine for {arch} is known here, only for {known}", "keys", "give keys")
        return found
    try:
        names = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
        found = {name: _read(os.path.join(folder, name)) for name in names}
    except OSError as error:
        raise JailError(f"the keys in {folder} cannot be read: {error.strerror}", "keys") from error
    if not found:
        raise JailError(
            f"there is no file NAME.pub in {folder}", "keys", "put the public keys of the repositories there"
        )
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_LIMIT)


def check(program: str, what: str, signed: bytes, signatures: Sequence[Signature], keys: Keys, work: str) -> None:
    """Check that one of the keys has signed.

    :param program: the path of openssl.
    :param what: begins the message of an error.
    :param work: a directory for files of ours.
    :raises JailError: when none has.
    """
    ours = [signature for signature in signatures if signature.key in keys]
    if not ours:
        by = ", ".join(sorted({signature.key for signature in signatures})) or "nobody"
        advice = "give keys, a directory with the public key of who does sign it, if you trust them"
        raise JailError(f"{what} is signed by {by}, and trusted are {', '.join(sorted(keys))}", "keys", advice)
    said = []
    for signature in ours:
        key, made, content = (os.path.join(work, name) for name in ("key", "signature", "signed"))
        for path, part in ((key, keys[signature.key]), (made, signature.content), (content, signed)):
            with open(path, "wb") as file:
                file.write(part)
        status, text = hosttools.output_of(
            [program, "dgst", f"-{signature.digest}", "-verify", key, "-signature", made, content]
        )
        if status == 0:
            return
        said.append(" ".join(text.split()))
    raise JailError(f"{what} has a signature of {ours[0].key} that does not fit: {'; '.join(said)}", "keys")
