#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_prune
short_description: Remove templates and downloads that nobody needs
description:
  - Gives back the disk space of templates that no jail came from, of what killed runs have left, and of downloads.
    Nothing of a jail is touched.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
options:
  templates:
    description:
      - Remove each template that no jail came from, and what builds and removals that were killed have left. A jail
        with a storage of its own, such as a full copy, counts too, though it would live without its template (which
        C(jail template rm) removes then).
      - This or O(cache) is needed.
    type: bool
  cache:
    description: Remove what builders keep of their downloads, which makes the next build quicker.
    type: bool
  older_than:
    description: Remove only templates that were built, and downloads that were last used, longer ago than this, such
      as V(12h), V(7d) or V(4w).
    type: str
    default: 0s
  keep_newest:
    description: Keep the newest template of each recipe, so that the next jail of it is made at once.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Remove templates that no jail uses any more, but the newest of each kind
  cellblock.jails.jail_prune:
    templates: true
    keep_newest: true

- name: Remove downloads that nobody has asked for in a month
  cellblock.jails.jail_prune:
    cache: true
    older_than: 30d
"""

RETURN = r"""
removed:
  description: What was removed; in check mode, what would be.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(template), V(leftover) of a killed run, or V(cache).
      type: str
      returned: always
    name:
      description: The template's key, the path of the leftover below C(/var/lib/jails), or the name of the cache.
      type: str
      returned: always
    bytes:
      description: The space on disk that it took.
      type: int
      returned: always
  sample:
    - {kind: template, name: debootstrap-bookworm-0123456789abcdef, bytes: 187269120}
bytes_freed:
  description: All of that together.
  returned: success
  type: int
  sample: 187269120
"""

from ansible_collections.cellblock.jails.plugins.module_utils.module import run_prune


def main() -> None:
    """Run the module."""
    run_prune()


if __name__ == "__main__":
    main()
