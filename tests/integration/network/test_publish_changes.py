# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports when what is wanted changes from one version of IP to another, and when two runs meet."""

from __future__ import annotations

from ansible_collections.cellblock.jails.plugins.module_utils.net import publish, sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_of
from ansible_collections.cellblock.jails.tests.integration.support.publishing import lead, published, release
from ansible_collections.cellblock.jails.tests.integration.support.wiring import FULL, Jail, converge, run

_OWN = {**FULL, "masquerade": False}
_WEB = {"host_port": "8080", "jail_port": "80"}


def test_the_way_from_one_loopback_closes_without_the_other(jail: Jail) -> None:
    """Where a forward of IPv6 alone is left, 127/8 is not routed any more, and what was is put back."""
    own = converge(jail, _OWN)
    lead(jail, own, _WEB)
    assert localnet_of("br-jails") == ("1", True)
    wanted = lead(jail, own, {**_WEB, "host_address": "::"})
    release(own, web1=publish.reach(wanted, own))
    assert localnet_of("br-jails") == ("0", True)
    lead(jail, own)
    release(own)
    assert localnet_of("br-jails") == ("0", False)


def localnet_of(bridge: str) -> tuple[str | None, bool]:
    """Whether 127/8 is routed by a bridge, and ::1."""
    return (
        sysctl.read(f"net/ipv4/conf/{bridge}/route_localnet"),
        f"local ::1 dev {bridge}" in run("ip -6 route show table local"),
    )


def test_what_another_run_took_away_is_given_again(jail: Jail) -> None:
    """A run that has looked before another one took a port away does not believe that it stands."""
    own = converge(jail, _OWN)
    wanted = lead(jail, own, _WEB)
    with Network() as network, network_of(jail.pid) as namespace:
        assert network.read_published(namespace, jail.name, jail.slot, wanted, own) == wanted
        with Network() as other:
            other.withdraw(jail.name)
        assert published(jail, own, wanted) == []
        network.publish(namespace, jail.name, jail.slot, publish.reach(wanted, own))
    assert published(jail, own, wanted) == wanted
