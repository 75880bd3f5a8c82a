"""Hosts of a URL as libpq takes them, several included, in the form that SQLAlchemy reads."""

import re
from urllib.parse import quote, unquote

_URL = re.compile(
    r"(?P<head>[\w+]+://(?:[^:/?#@]*(?::[^@/?#]*)?@)?)(?P<hosts>[^/?#@]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?", re.ASCII)
_DEFAULT_PORT = "5432"


def spread_hosts(text: str) -> str:
    """Move several hosts, or a socket's folder, from their usual position into the query.

    `h1:1,h2:2/db` becomes `/db?host=h1,h2&port=1,2`, which libpq reads as well; a single port holds
    for all hosts. Any other URL is returned as it is. Raises `ValueError` for an invalid host.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return text
    parts = [part.partition("=") for part in (match["query"] or "").split("&") if part]
    hosts = [unquote(value) for name, _, value in parts if name == "host"]
    ports = [unquote(value) for name, _, value in parts if name == "port"]
    head = match["head"] + match["hosts"]
    if "," in match["hosts"] or "%" in match["hosts"]:
        named, numbered = _read_hosts(match["hosts"])
        head, hosts = match["head"], hosts or [named]
        ports = ports or ([numbered] if numbered.strip(",") else [])
    elif len(hosts) != 1 or "," not in hosts[0]:
        return text
    n_hosts = hosts[-1].count(",") + 1
    port = ports[-1] if ports else ""
    if port and "," not in port:
        port = ",".join([port] * n_hosts)
    given = [f"{name}={value}" for name, _, value in parts if name not in ("host", "port")]
    query = [f"host={quote(hosts[-1], safe=',/')}", *([f"port={port}"] if port else []), *given]
    return f"{head}{match['path'] or '/'}?{'&'.join(query)}"


def _read_hosts(text: str) -> tuple[str, str]:
    """Return the names and the ports, each joined by commas; ports are empty if no host has one."""
    names, ports = [], []
    for part in text.split(","):
        match = _HOST.fullmatch(part)
        if match is None:
            raise ValueError(part)
        names.append(unquote(match["address"] or match["name"] or ""))
        ports.append(match["port"] or "")
    if any(ports):
        ports = [port or _DEFAULT_PORT for port in ports]
    return ",".join(names), ",".join(ports)
