# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signal names as signal(7) writes them, real-time ones included."""

from __future__ import annotations

import signal


def number_of(name: str) -> int:
    """The number of ``SIGTERM``, ``TERM``, ``SIGRTMIN+3`` ...; ``KeyError`` for what is no signal."""
    text = name.upper()
    base, plus, offset = (text if text.startswith("SIG") else f"SIG{text}").partition("+")
    number = signal.Signals[base].value
    if not plus:
        return number
    if base != "SIGRTMIN" or not (offset.isascii() and offset.isdigit()) or number + int(offset) > signal.SIGRTMAX:
        raise KeyError(name)
    return number + int(offset)
