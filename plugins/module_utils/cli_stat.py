# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``jail stat``: what running jails take, as a live table, as JSON, or as metrics."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import stattable, table
from .errors import JailError

_SECONDS = 2.0
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 3600.0
_ONCE_SECONDS = 1.0
"""Between the two looks of which a table that is printed once has its rates."""
_HOME_AND_CLEAR, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


def add(verbs: Any, name: Callable[[str], str]) -> None:
    """Add the command.

    :param verbs: of argparse, what ``add_subparsers`` gave.
    :param name: the type of a jail's name.
    """
    text = "show what running jails take: CPU, memory, disks, network, processes, pressure"
    parser = verbs.add_parser(
        "stat", help=text, description=f"{text}. On a terminal again and again, until q is typed."
    )
    parser.add_argument("names", nargs="*", type=name, metavar="NAME", help="only these jails, instead of all that run")
    parser.add_argument("--once", action="store_true", help="print the table once, as where there is no terminal")
    parser.add_argument(
        "-i", "--interval", type=_interval, default=None, metavar="SECONDS", help=f"between two looks ({_SECONDS:.0f})"
    )
    parser.add_argument("-s", "--sort", choices=tuple(stattable.ORDERS), default="cpu", help="by what it is sorted")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON with all that is counted")
    forms.add_argument("--openmetrics", action="store_true", help="print OpenMetrics text")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="replace a file by that JSON or text in one step, such as a *.prom of node_exporter's textfile collector",
    )
    parser.set_defaults(run=_stat)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not between {_LEAST_SECONDS} and {_MOST_SECONDS:.0f} seconds")
    return seconds


def _stat(options: argparse.Namespace) -> int:
    from .jail import usage

    names = options.names or None

    def look() -> Mapping[str, Any]:
        return usage.all_of(names)

    if options.json or options.openmetrics:
        _give(_as_json(look()) if options.json else _as_metrics(look()), options.output)
    elif options.output is not None:
        raise JailError("a table is nothing for a file", advice="add --json or --openmetrics")
    elif options.once or not (os.isatty(0) and os.isatty(1)):
        before = stattable.Look(time.monotonic(), look())
        time.sleep(options.interval or _ONCE_SECONDS)
        rows = stattable.rows(before, stattable.Look(time.monotonic(), look()), options.sort)
        sys.stdout.writelines(table.lines(rows))
    else:
        _watch(look, options.interval or _SECONDS, options.sort)
    return 0


def _as_json(jails: Mapping[str, Any]) -> str:
    return json.dumps(jails, indent=2) + "\n"


def _as_metrics(jails: Mapping[str, Any]) -> str:
    from . import openmetrics
    from .jail import metrics

    return openmetrics.text(metrics.families(jails))


def _give(text: str, file: str | None) -> None:
    if file is None:
        sys.stdout.write(text)
        return
    from . import files

    files.write_for_all(file, text.encode())


def _watch(look: Callable[[], Mapping[str, Any]], seconds: float, order: str) -> None:
    """Show the table until q or Ctrl-C is typed; the terminal is as it was then."""
    before = stattable.Look(time.monotonic(), look())
    with _screen(), contextlib.suppress(KeyboardInterrupt):
        wait = min(seconds, _ONCE_SECONDS)
        while not _has_quit(wait):
            now = stattable.Look(time.monotonic(), look())
            _show(list(table.lines(stattable.rows(before, now, order))))
            before, wait = now, seconds


def _show(lines: Sequence[str]) -> None:
    columns, rows = shutil.get_terminal_size()
    shown = [line.rstrip("\n")[:columns] for line in lines[:rows]]
    sys.stdout.write(_HOME_AND_CLEAR + f"{_CLEAR_LINE}\r\n".join(shown) + _CLEAR_LINE + _CLEAR_BELOW)
    sys.stdout.flush()


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """A screen beside the one that there is, without cursor, and keys that come as they are typed."""
    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    sys.stdout.write(_OTHER_SCREEN + _HIDE_CURSOR)
    try:
        yield
    finally:
        sys.stdout.write(_SHOW_CURSOR + _FIRST_SCREEN)
        sys.stdout.flush()
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _has_quit(seconds: float) -> bool:
    """Wait, or until somebody types q or hangs up."""
    deadline = time.monotonic() + seconds
    while select.select([0], [], [], max(0.0, deadline - time.monotonic()))[0]:
        key = os.read(0, 1)
        if key in (b"q", b"Q", b""):
            return True
    return False
