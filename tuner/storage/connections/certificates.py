"""The reason why a server's certificate was refused, which libpq does not give."""

import os
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path

_TLS_REQUEST = struct.pack("!II", 8, 80877103)  # of Postgres' protocol; the answer is one byte
_SECONDS = 3.0


def find_reason(keywords: Mapping[str, object]) -> str | None:
    """Return the fault of the certificate in OpenSSL's words ("certificate has expired").

    `keywords` are libpq's. None: it is valid by now, or cannot be checked from here.
    """
    hosts, ports = (
        str(keywords.get(name) or os.environ.get(f"PG{name.upper()}") or default).split(",")
        for name, default in (("host", ""), ("port", "5432"))
    )
    addresses = str(keywords.get("hostaddr") or os.environ.get("PGHOSTADDR") or "").split(",")
    for index, host in enumerate(hosts):
        address = addresses[index] if index < len(addresses) else ""
        port = ports[index] if index < len(ports) else ports[0]
        try:
            _shake_hands(address or host, int(port or 5432), _root_certificates(keywords))
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except (OSError, ValueError, RuntimeError):
            continue  # a service that libpq looks up, a socket, no home: it stays unknown
    return None


def _root_certificates(keywords: Mapping[str, object]) -> str | None:
    named = keywords.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if named == "system":
        return None
    return str(named or Path.home() / ".postgresql" / "root.crt")


def _shake_hands(host: str, port: int, roots: str | None) -> None:
    context = ssl.create_default_context(cafile=roots)
    context.check_hostname = False  # libpq names a wrong host itself
    with socket.create_connection((host, port), _SECONDS) as plain:
        plain.sendall(_TLS_REQUEST)
        if plain.recv(1) == b"S":
            context.wrap_socket(plain).close()
