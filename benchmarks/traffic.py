# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic of jails beside that of bare veth pairs: how much, how fast there and back, and what a datagram costs."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.net import addresses
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network

from . import report, spaces

_PORT = 5001
_STREAM_MS, _ECHOES, _DATAGRAMS = 400, 4000, 40000
_WARM_UP = 1
BARE, BRIDGED = "bare veth", "bare veths on a bridge"

MEASURES = {
    "stream": ("MiB/s", _STREAM_MS, 1),
    "echo": ("round trip, us", _ECHOES, -1),
    "datagrams": ("CPU for one, ns", _DATAGRAMS, -1),
}
"""By the program's word: the unit, its argument, and whether more is better."""

Samples = dict[str, dict[str, list[float]]]
"""By path, by measure: one of each round."""


class Path(NamedTuple):
    """From where to where: a namespace (``None``: the host), and an address in the other."""

    name: str
    client: int | None
    server: int | None
    address: str


@contextlib.contextmanager
def paths() -> Iterator[list[Path]]:
    """All of them, for a ``with`` block."""
    with spaces.several(6) as (left, right, west, east, first, second):
        spaces.connect(left, right, ("bare0", "bare1"))
        for name, space, address in (("bare0", left, "10.96.0.1/24"), ("bare1", right, "10.96.0.2/24")):
            spaces.run(f"ip addr add {address} dev {name}", space)
        spaces.run("ip link add br-bare type bridge")
        spaces.run("ip link set br-bare up")
        for number, space in enumerate((west, east), 1):
            spaces.connect(space, None, (f"side{number}", f"port{number}"))
            spaces.run(f"ip link set port{number} master br-bare")
            spaces.run(f"ip addr add 10.97.0.{number}/24 dev side{number}", space)
        _jails(first, second)
        yield [
            Path(BARE, left, right, "10.96.0.2"),
            Path(BRIDGED, west, east, "10.97.0.2"),
            Path("jail to host", first, None, "10.98.0.1"),
            Path("host to jail", None, first, "10.98.0.11"),
            Path("jail to jail", first, second, "10.98.0.12"),
        ]


def _jails(*made: int) -> None:
    """Their network, as every jail has it by default: filtered, counted, with a gateway and IPv6."""
    with Network() as network:
        for slot, space in enumerate(made, 1):
            value = {
                "name": "eth0",
                "bridge": "br-bench",
                "addresses": [f"10.98.0.{10 + slot}/24", f"fd98::{10 + slot}/64"],
                "gateway": "10.98.0.1",
                "gateway6": "fd98::1",
            }
            name = f"bench-{slot}"
            network.converge(space, name, slot, addresses.parse_interfaces(name, [value]))


def measure(program: str, rounds: int) -> Samples:
    """Round robin; each round begins with another path, so that none always follows the same one."""
    with paths() as every, _served(program, every):
        found: Samples = {path.name: {measure: [] for measure in MEASURES} for path in every}
        for number in range(-_WARM_UP, rounds):
            shift = number % len(every)
            for what, path in itertools.product(MEASURES, [*every[shift:], *every[:shift]]):
                words = f"{program} {what} {path.address} {_PORT} {MEASURES[what][1]}"
                sample = float(spaces.run(words, path.client))
                if number >= 0:
                    found[path.name][what].append(sample)
        return found


@contextlib.contextmanager
def _served(program: str, every: Sequence[Path]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for server in {path.server for path in every}:
            with spaces.inside(server):
                running = subprocess.Popen([program, "serve", str(_PORT)], stdout=subprocess.PIPE)
            stack.callback(running.wait)
            stack.callback(running.kill)
            assert running.stdout
            if running.stdout.readline() != b"ready\n":
                raise JailError("nothing listens for the traffic")
        yield


def table(found: Samples) -> str:
    """A line for each path and measure, with the median of the ratios within each round: above 1 is better."""
    rows = [["", "", "median", "p10", "p90", f"/ {BARE}", f"/ {BRIDGED}"]]
    for what, (unit, _argument, sense) in MEASURES.items():
        for name, samples in found.items():
            ratios = [_ratio(samples[what], found[base][what], sense) for base in (BARE, BRIDGED)]
            tenths = _tenths(samples[what])
            figures = [f"{each:.0f}" if each >= 100 else f"{each:.1f}" for each in tenths]
            rows.append([name, unit, *figures, *(f"{ratio:.2f}" for ratio in ratios)])
    return report.columns(rows)


def _ratio(samples: Sequence[float], base: Sequence[float], sense: int) -> float:
    return statistics.median((one / other) ** sense for one, other in zip(samples, base))


def _tenths(samples: Sequence[float]) -> tuple[float, float, float]:
    tenths = statistics.quantiles(samples, n=10, method="inclusive") if len(samples) > 1 else [samples[0]]
    return statistics.median(samples), tenths[0], tenths[-1]
