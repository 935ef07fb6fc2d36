# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of this collection."""

from __future__ import annotations

from . import harmless


class JailError(Exception):
    """Something that the user has to know of, in words to act on.

    Raised where it is understood, caught once for each jail by the runner, which adds the jail's name.

    :param what: what was tried and what came of it, one sentence without a full stop.
    :param option: the module option that it is about.
    :param advice: what to do.
    """

    def __init__(self, what: str, option: str | None = None, advice: str | None = None) -> None:
        self.option = option
        self.advice = advice
        super().__init__(what)

    def __str__(self) -> str:
        text = super().__str__()
        if self.option:
            text = f"{self.option}: {text}"
        return harmless.text(f"{text}; {self.advice}" if self.advice else text)


def sentence(error: Exception) -> str:
    """An error in words for the user: the kernel's own where nobody below knew better ones."""
    if isinstance(error, OSError) and error.strerror:
        return harmless.text(f"{error.strerror} ({error.filename})" if error.filename else error.strerror)
    return harmless.text(str(error))
