"""GPUs of AMD, by the tool `rocm-smi` of ROCm.

Sources: ROCm documentation, "GPU isolation techniques" (ROCR_VISIBLE_DEVICES takes indices and
UUIDs, HIP_VISIBLE_DEVICES counts the rest), and `rocm-smi --help`.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from tuner.agent.gpus.found import FoundGpu, Vendor

COMMAND = ("rocm-smi", "--showuniqueid", "--showproductname", "--showmeminfo", "vram", "--json")
TOOL_SECONDS = 20.0  # a driver that hangs must not stop an agent without GPUs of AMD
_CARD = re.compile(r"card(\d{1,4})", re.ASCII)
_UNIQUE_ID = re.compile(r"0x([0-9a-f]{1,16})", re.IGNORECASE)
_PRODUCT_KEYS = ("card series", "card model", "device name")


def list_amd() -> list[FoundGpu]:
    """Return the GPUs in the order of ROCm's indices; none without the tool, or if it fails."""
    tool = shutil.which(COMMAND[0])
    if tool is None:
        return []
    try:
        done = subprocess.run(
            [tool, *COMMAND[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_rocm_smi(done.stdout)


def parse_rocm_smi(output: str) -> list[FoundGpu]:
    """Parse the tool's JSON, in front of which some versions print warnings."""
    try:
        document = json.loads(output[max(0, output.find("{")) :])
    except ValueError:
        return []
    cards = document.items() if isinstance(document, dict) else ()
    found = [
        _found(int(match[1]), facts)
        for name, facts in cards
        if (match := _CARD.fullmatch(name)) and isinstance(facts, dict)
    ]
    return sorted(found, key=lambda gpu: gpu.index)


def _found(index: int, facts: Mapping[str, Any]) -> FoundGpu:
    known = {str(key).lower(): str(value) for key, value in facts.items()}
    unique = _UNIQUE_ID.fullmatch(known.get("unique id", ""))
    product = next((known[key] for key in _PRODUCT_KEYS if known.get(key)), "")
    memory = known.get("vram total memory (b)", "")
    return FoundGpu(
        name=f"gpu:{index}",
        # As the runtime writes it; GPUs without an id are named by their index.
        uuid=f"GPU-{int(unique[1], 16):016x}" if unique else str(index),
        index=index,
        product=product,
        memory_bytes=int(memory) if memory.isdecimal() else None,
        vendor=Vendor.AMD,
    )
