"""Accepted Host headers: names that another site could point at this machine are refused."""

import re
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?", re.ASCII)


def host_of(header: str) -> str | None:
    """Return the name or address without its port, lower case; None if it is not a host."""
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    if found[1] is None:
        return found[2].lower()
    try:
        return str(IPv6Address(found[1]))
    except ValueError:
        return None


def is_our_host(header: str, allowed: Collection[str], reached: str | None) -> bool:
    """Return whether the host is `allowed` by name, or is the address of the connection.

    A page of another site can make a browser send that site's name, but not an address that it does
    not own. Any port is accepted: a tunnel has one of its own.
    """
    host = host_of(header)
    if host is None:
        return False
    return host in allowed or (reached is not None and _is_address(host) and host == reached)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
