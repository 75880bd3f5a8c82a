"""A server with the protocol of S3 on loopback, and a profile for it."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@contextmanager
def open_role_service() -> Iterator[tuple[str, list[str]]]:
    """The service of a cloud machine that gives out keys of its role, and the paths asked for."""
    asked: list[str] = []
    keys = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": KEY,
        "SecretAccessKey": SECRET,
        "Token": "of-the-role",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "Expiration": "2099-01-01T00:00:00Z",
    }

    class Service(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer("a token")

        def do_GET(self) -> None:
            asked.append(self.path)
            self._answer("a-role" if self.path.endswith("/") else json.dumps(keys))

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
