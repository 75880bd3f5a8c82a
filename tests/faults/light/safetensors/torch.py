"""See the package."""

import json
from collections.abc import Mapping


def save(tensors: Mapping[str, object], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file without tensors."""
    assert not tensors
    header = json.dumps({"__metadata__": dict(metadata)}).encode()
    return len(header).to_bytes(8, "little") + header
