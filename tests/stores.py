"""A server with the protocol of S3 on loopback, and a profile for it."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

BUCKET = "studies"
SECRET = "canary-of-the-store-Tr0ub4dor"
KEY = "AKIDCHECKPOINTS"


@contextmanager
def open_s3() -> Iterator[str]:
    """moto's server with one bucket; yields its endpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    words = ["-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(endpoint, timeout=1).close()
                break
            except (URLError, OSError):
                time.sleep(0.1)
        request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()
        yield endpoint
    finally:
        process.kill()
        process.wait()


def write_profile(folder: Path, endpoint: str) -> dict[str, str]:
    """Write a profile and return the variables that name it, next to some of the user's own."""
    path = folder / "credentials"
    path.write_text(
        f"[ck]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        f"region = eu-central-1\nendpoint_url = {endpoint}\n"
    )
    path.chmod(0o600)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(path),
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SESSION_TOKEN": "of another account",
        "TUNER_STORE_PROFILE": "ck",
    }
