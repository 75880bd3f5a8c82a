"""Text of a study file: read within limits, decoded, and free of hidden characters."""

import stat
import unicodedata
from pathlib import Path

from tuner.errors import Fault, StudyFileError
from tuner.study_file.text.faults import Faults

MAX_BYTES = 1_000_000
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS = frozenset("\u0085\u2028\u2029\ufeff\ufffe\uffff")


def read_source(path: Path) -> str:
    r"""Return the file's text with `\n` line ends; raises `StudyFileError`."""
    text = _decode(path, _read_bytes(path)).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise _file_error(path, "the file is empty; `name:` and `objective:` are a start")
    faults = Faults(text.split("\n"))
    for number, line in enumerate(text.split("\n"), start=1):
        _check_line(line, number, faults)
    if faults:
        raise StudyFileError(str(path), faults.first(), faults.n_more())
    return text


def _read_bytes(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _file_error(path, "this is a directory; name a study file in it")
        if not stat.S_ISREG(mode):
            raise _file_error(path, "this is not a regular file; name a study file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _file_error(path, "no such file; check the path") from None
    except PermissionError:
        raise _file_error(path, "no right to read this file; check its permissions") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _file_error(path, f"cannot be read ({reason}); check the path") from error
    if len(content) > MAX_BYTES:
        raise _file_error(path, "the file is larger than 1 MB; a study file is a page of text")
    return content


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        byte = content[error.start]
        message = f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        raise _file_error(path, message, line, column) from None


def _check_line(line: str, number: int, faults: Faults) -> None:
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indentation and line.strip() and not line.strip().startswith("#"):
        column = indentation.index("\t") + 1
        faults.add(number, column, "", "a tab in the indentation; YAML allows only spaces there")
    if line.isascii() and line.isprintable():
        return
    for column, character in enumerate(line, start=1):
        if _is_hidden(character):
            code = f"U+{ord(character):04X}"
            faults.add(number, column, "", f"a control character ({code}); remove it")
            return


def _is_hidden(character: str) -> bool:
    is_control = unicodedata.category(character) == "Cc" and character != "\t"
    return is_control or character in _BIDI or character in _BREAKS


def _file_error(path: Path, message: str, line: int = 1, column: int = 1) -> StudyFileError:
    fault = Fault(line=line, column=column, path="", message=message, source="")
    return StudyFileError(str(path), [fault])
