# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network of jails costs: traffic, wiring a hundred of them at once, and one more among many.

Everything is measured in network namespaces of its own, in one run, beside what it is compared with: bare veth pairs,
and Podman's and LXC's own tools for the same. It measures, it never asserts. Needs root; the host is as it was
afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import growth, host, traffic, wiring
from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError

_SOURCE = Path(__file__).resolve().parent / "traffic.c"
_PARTS = ("traffic", "wiring", "growth")


def main() -> int:
    parser = argparse.ArgumentParser(description="What the network of jails costs, beside bare veth, Podman and LXC.")
    parser.add_argument("--rounds", type=int, default=15, help="of traffic (default %(default)s)")
    parser.add_argument("--jails", type=int, default=100, help="that are wired in one call (default %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="how often they are wired (default %(default)s)")
    parser.add_argument("--others", type=int, nargs="+", default=[1, 50, 200],
                        help="jails beside which one more comes and goes (default %(default)s)")  # fmt: skip
    parser.add_argument("--only", choices=_PARTS, action="append", help="measure this part; may be repeated")
    parser.add_argument("--directory", default="/var/tmp", help="where to work (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there too")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("network namespaces need root")
    if min(options.rounds, options.jails, options.repeat) < 1:
        parser.error("--rounds, --jails and --repeat must be 1 or more")
    output = os.path.abspath(options.json) if options.json else None
    return host.run_apart(options.directory, lambda folder: _measure(folder, options, output))


def _measure(folder: str, options: argparse.Namespace, output: str | None) -> None:
    chosen = options.only or _PARTS
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    _hide_the_hosts(folder)
    found: dict[str, Any] = {"machine": machine}
    if "traffic" in chosen:
        samples = traffic.measure(_compiled(folder), options.rounds)
        print(f"\nTraffic, {options.rounds} rounds; ratios within each round, above 1 is better\n")
        print(traffic.table(samples), flush=True)
        found["traffic"] = samples
    if "wiring" in chosen:
        times, missing = wiring.measure(folder, options.jails, options.repeat)
        print(f"\nThe networks of {options.jails} jails at once, milliseconds for each jail\n")
        print(wiring.table(times))
        for name, reason in missing.items():
            print(f"not measured: {name}: {reason}")
        print(wiring.NOTES, flush=True)
        found["wiring"] = {"milliseconds": times, "missing": missing}
    if "growth" in chosen:
        steps = growth.measure(options.others)
        print("\nOne jail more on a bridge with others, milliseconds\n")
        print(growth.table(steps), flush=True)
        found["growth"] = steps
    if output:
        with open(output, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=2)
            file.write("\n")


def _hide_the_hosts(folder: str) -> None:
    """What other tools look at and write: devices of another network namespace, and their notes of what they made. We
    are in a mount namespace of our own."""
    kept = os.path.join(folder, "run")
    os.mkdir(kept)
    for command in (
        "mount -t sysfs sysfs /sys",
        f"mount --bind {layout.RUN} {kept}",
        "mount -t tmpfs tmpfs /run",
        f"mkdir {layout.RUN} /run/lxc",
        f"mount --bind {kept} {layout.RUN}",
    ):
        subprocess.run(command.split(), check=True)


def _compiled(folder: str) -> str:
    if shutil.which("cc") is None:
        raise JailError("there is no C compiler", advice="Debian's packages are gcc and libc6-dev")
    program = os.path.join(folder, "traffic")
    subprocess.run(["cc", "-O2", "-static", "-o", program, str(_SOURCE)], check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
