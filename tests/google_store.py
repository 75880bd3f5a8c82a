"""A stand-in for Google Cloud Storage on loopback, and the key of a service account for it.

No package that the tests may install is a server with Google's XML protocol. This one keeps objects
in a dictionary and answers the requests that obstore makes, as Google's documentation describes
them. It refuses a token that the account has not signed. It was never compared with Google itself.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

BUCKET = "studies"
EMAIL = "checkpoints@project.example"
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


class GoogleStore:
    """The objects and the account of a server."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.objects: dict[str, bytes] = {}
        self.generations: dict[str, int] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.endpoint = ""
        self.n_refused = 0

    def is_signed(self, header: str) -> bool:
        """Return whether the account has signed this token."""
        try:
            scheme, token = header.split(" ")
            signed, _, signature = token.rpartition(".")
            content = json.loads(_decode(signed.split(".")[1]))
            self.key.public_key().verify(
                _decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, IndexError, InvalidSignature):
            return False
        return scheme == "Bearer" and content["iss"] == EMAIL and "scope" in content

    def put(self, name: str, content: bytes) -> None:
        self.objects[name] = content
        self.generations[name] = self.generations.get(name, 0) + 1

    @property
    def private_key(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    @property
    def secrets(self) -> list[str]:
        """The lines of the private key, which must not appear anywhere."""
        return self.private_key.splitlines()[1:-1]

    def write_account(self, folder: Path) -> Path:
        """Write the file with the account's key, as Google's console gives it out."""
        path = folder / "account.json"
        account = {
            "type": "service_account",
            "client_email": EMAIL,
            "private_key_id": "1",
            "private_key": self.private_key,
            "gcs_base_url": self.endpoint,
        }
        path.write_text(json.dumps(account))
        path.chmod(0o600)
        return path


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: GoogleStore

    def handle_any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
        asked = {key: values[0] for key, values in parse_qs(parts.query, True).items()}
        if not self.store.is_signed(self.headers.get("Authorization", "")):
            self.store.n_refused += 1
            self._fail(401, "AuthenticationRequired")
        elif bucket != BUCKET:
            self._fail(404, "NoSuchBucket")
        elif not name and self.command == "GET":
            self._list(asked)
        elif "uploads" in asked or "uploadId" in asked:
            self._upload(name, asked, content)
        elif self.command == "PUT":
            wanted = self.headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != self.store.generations.get(name, 0):
                self._fail(412, "PreconditionFailed")
            else:
                self.store.put(name, content)
                self._answer(200, etag=content)
        elif name not in self.store.objects:
            self._fail(404, "NoSuchKey")
        elif self.command == "DELETE":
            del self.store.objects[name], self.store.generations[name]
            self._answer(204)
        else:
            found = self.store.objects[name]
            self._answer(200, found, etag=found)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def _list(self, asked: dict[str, str]) -> None:
        """Two names a page, so that clients have to ask for the next one."""
        names = sorted(name for name in self.store.objects if name.startswith(asked["prefix"]))
        after = [name for name in names if name > asked.get("continuation-token", "")]
        page, more = after[:2], after[2:]
        rows = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.000Z"
            f"</LastModified><ETag>1</ETag><Size>{len(self.store.objects[name])}</Size></Contents>"
            for name in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        self._xml(f"<ListBucketResult>{rows}{token}</ListBucketResult>")

    def _upload(self, name: str, asked: dict[str, str], content: bytes) -> None:
        if "uploads" in asked:
            number = str(len(self.store.uploads))
            self.store.uploads[number] = {}
            self._xml(
                "<InitiateMultipartUploadResult>"
                f"<UploadId>{number}</UploadId></InitiateMultipartUploadResult>"
            )
        elif asked["uploadId"] not in self.store.uploads:
            self._fail(404, "NoSuchUpload")
        elif self.command == "PUT":
            self.store.uploads[asked["uploadId"]][int(asked["partNumber"])] = content
            self._answer(200, etag=content)
        elif self.command == "POST":
            pieces = self.store.uploads.pop(asked["uploadId"])
            self.store.put(name, b"".join(pieces[number] for number in sorted(pieces)))
            self._xml(
                "<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>"
            )
        else:
            del self.store.uploads[asked["uploadId"]]
            self._answer(204)

    def _xml(self, text: str) -> None:
        self._answer(200, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode())

    def _fail(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _answer(self, status: int, content: bytes = b"", etag: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{md5(etag).hexdigest()}"')
        self.send_header("Last-Modified", DATE)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def open_google() -> Iterator[GoogleStore]:
    """The stand-in with one bucket."""
    store = GoogleStore()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Request,), {"store": store}))
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
