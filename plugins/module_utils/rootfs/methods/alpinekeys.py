# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public keys of Alpine Linux: data, and not ours.

Source: the package ``alpine-keys`` of Alpine Linux, its directory ``/usr/share/apk/keys``, as it is in
``alpine-minirootfs-3.20.3`` for x86_64 and aarch64; the same files are at https://alpinelinux.org/keys/. The project
signs indexes and packages of each architecture with keys of their own and publishes new ones in that package first.

With each key stands the SHA-256 of its DER form (``openssl pkey -pubin -in FILE -outform DER | sha256sum``).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import NamedTuple


class Key(NamedTuple):
    """A public key: base64 of its DER form (SubjectPublicKeyInfo, RFC 5280), and the SHA-256 of that."""

    fingerprint: str
    der: str

    @property
    def pem(self) -> bytes:
        """The key as openssl(1) reads it (RFC 7468)."""
        lines = textwrap.wrap(self.der, 64)
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode("ascii")


_KEYS = {
    "4a6a0840": Key(
        "4e0c26751a474db486b0a8f37e37ff02e12465e8cea8ef08614ac173cb870f28",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1yHJxQgsHQREclQu4OheqxTxd1tHcNnvnQTu/UrTky8wWvgXT+jpvero"
        "eWWnzmsYlDI93eLI2ORakxb3gA2OQ0Ry4ws8vhaxLQGC74uQR5+/yYrLuTKydFzuPaS1dK19qJPXB8GMdmFOijnXX4SAjixuHLe1"
        "WW7kZVtjL7nufvpXkWBGjsfrvskdNA/5MfxAeBbqPgaq0QMEfxMAn6/RL5kNepi/Vr4S39Xvf2DzWkTLEK8pcnjNkt9/aafhWqFV"
        "W7m3HCAII6h/qlQNQKSoGuH34Q8GsFG30izUENV9avY7hSLq7nggsvknlNBZtFUcmGoQrtx3FmyYsIC8/R+BywIDAQAB",
    ),
    "5261cecb": Key(
        "bb1f0937c138e81a838e0958c4c756547dac85794e38bf1a5536a0808dcf95f2",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwlzMkl7b5PBdfMzGdCT0cGloRr5xGgVmsdq5EtJvFkFAiN8Ac9MCFy/v"
        "AFmS8/7ZaGOXoCDWbYVLTLOO2qtXyHRl+7fJVh2N6qrDDFPmdgCi8NaE+3rITWXGrrQ1spJ0B6HIzTDNEjRKnD4xyg4jg01FMcJT"
        "U6E+V2JBY45CKN9dWr1JDM/nei/Pf0byBJlMp/mSSfjodykmz4Oe13xBCa1WTwgFykKYthoLGYrmo+LKIGpMoeEbY1kuUe04UiDe"
        "47l6Oggwnl+8XD1MeRWYsWgj8sF4dTcSfCMavK4zHRFFQbGp/YFJ/Ww6U9lA3Vq0wyEI6MCMQnoSMFwrbgZwwwIDAQAB",
    ),
    "6165ee59": Key(
        "8a70fc55f1a6fb2a392ad5a3e71aff82a637b2b33659c046f6b6a909bb5d1ab7",
        "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAutQkua2CAig4VFSJ7v54ALyu/J1WB3oni7qwCZD3veURw7HxpNAj9hR+"
        "S5N/pNeZgubQvJWyaPuQDm7PTs1+tFGiYNfAsiibX6Rv0wci3M+z2XEVAeR9Vzg6v4qoofDyoTbovn2LztaNEjTkB+oKtlvpNhg1"
        "zhou0jDVYFniEXvzjckxswHVb8cT0OMTKHALyLPrPOJzVtM9C1ew2Nnc3848xLiApMu3NBk0JqfcS3Bo5Y2b1FRVBvdt+2gFoKZi"
        "x1MnZdAEZ8xQzL/a0YS5Hd0wj5+EEKHfOd3A75uPa/WQmA+o0cBFfrzm69QDcSJSwGpzWrD1ScH3AK8nWvojv7e9gukK/9yl1b4f"
        "QQ00vttwJPSgm9EnfPHLAtgXkRloI27H6/PuLoNvSAMQwuCDhQRlyGLPBETKkHeodfLoULjhDi1K2gKJTMhtbnUcAA7nEphkMhPW"
        "kBpgFdrH+5z4Lxy+3ek0cqcI7K68EtrffU8jtUj9LFTUC8dERaIBs7NgQ/LfDbDfGh9g6qVj1hZlk9aaIPTm/xsi8v3u+0qaq7Kz"
        "IBc9s59JOoA8TlpOaYdVgSQhHHLBaahOuAigH+VIisbC9vmqsThF2QdDtQt37keuqoda2E6sL7PUvIyVXDRfwX7uMDjlzTxHTymv"
        "q2CkhtBqojBnThmjJQFgZXocHG8CAwEAAQ==",
    ),
    "58199dcc": Key(
        "635a0325ac8c11ec329698586cd2a8e54c18ba376d5d4bc215a489e1a774fb88",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3v8/ye/V/t5xf4JiXLXahWFRozsnmn3hobON20GdmkrzKzO/eUqPOKTp"
        "g2GtvBhK30fu5oY5uN2ORiv2Y2hteLiZ9HVz3XP8Fm9frha60B7KNu66FO5P2o3i+E+DWTPqqPcCG6t4Znk2BypILcitwiPKTsgb"
        "BQR2qo/cO01eLLdt6oOzAaF94NH0656kvRewdo6HG4urbO46tCAizvCRCA7KGFMyad8WdKkTjxh8YLDLoOCtoZmXmQAiwfRe9pKX"
        "RH/XXGop8SYptLqyVVQ+tegOD9wRs2tOlgcLx4F/uMzHN7uoho6okBPiifRX+Pf38Vx+ozXh056tjmdZkCaVaQIDAQAB",
    ),
    "616ae350": Key(
        "479f16f4170a9ea0c65e1de854860949b1a549cfa1f43552f7a2e821c9e2f409",
        "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAyduVzi1mWm+lYo2Tqt/0XkCIWrDNP1QBMVPrE0/ZlU2bCGSoo2Z9FHQK"
        "z/mTyMRlhNqTfhJ5qU3U9XlyGOPJpiM+b91g26pnpXJ2Q2kOypSgOMOPA4cQ42PkHBEqhuzssfj9t7x47ppS94bboh46xLSDRff/"
        "NAbtwTpvhStV3URYkxFG++cKGGa5MPXBrxIp+iZf9GnuxVdST5PGiVGPODL/b69sPJQNbJHVquqUTOh5Ry8uuD2WZuXfKf7/C0jC"
        "/ie9m2+0CttNu9tMciGMEyKG1/Xhk5iIWO43m4SrrT2WkFlcZ1z2JSf9Pjm4C2+HovYpihwwdM/OdP8XmsnrDzVB4YvQiW+IHBjS"
        "tHVuyiZWc+JsgEPJzisNY0Wyc/kNyNtqVKpX6dRhMLanLmy+f53cCSI05KPQAcGj6tdL+D60uKDkt+FsDa0BTAobZ31OsFVid0vC"
        "XtsbplNhW1IFHwsGXBTVcfXg44RLyL8Lk/2dQxDHNHzAUslJXzPxaHBLmt++2COa2EI1iWlvtznkOk9WP8SOAIj+xdqoiHcC4j72"
        "BOVVgiITIJNHrbppZCq6qPR+fgXmXa+sDcGh30m69Wpbr28kLMSHiENCWTdsFij+NQTd5S47H7XTROHnalYDuF1RpS+DpQidT5tU"
        "imaTJZDr++FjKrnnijbyNF8b98UCAwEAAQ==",
    ),
}

ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "x86_64": ("4a6a0840", "5261cecb", "6165ee59"),
    "aarch64": ("58199dcc", "616ae350"),
}
"""Which of them sign for which architecture, as ``alpine-keys`` has it."""


def of_architecture(arch: str) -> Mapping[str, bytes]:
    """The keys of an architecture (PEM) by their names; none for one that is not known here."""
    chosen = ARCHITECTURES.get(arch, ())
    return {f"alpine-devel@lists.alpinelinux.org-{name}.rsa.pub": _KEYS[name].pem for name in chosen}
