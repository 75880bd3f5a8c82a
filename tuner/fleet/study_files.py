"""The study files of a folder, which alone choose the code that runs on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tuner.errors import TunerError, UsageError
from tuner.study_file.load import load_study_file

_PATTERNS = ("*.yaml", "*.yml")
_Version = tuple[int, int]  # time of change and size


@dataclass(kw_only=True)
class StudyFiles:
    """The files of a folder by the name of their study; files that change are read again."""

    folder: Path | None
    notes: list[str] = field(default_factory=list)  # new ones about files that are left out
    _read: dict[Path, tuple[_Version, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is no folder; --studies names the one of study files")

    def look(self) -> Mapping[str, Path]:
        """Return the file of each study; of several with one name the first by name."""
        found: dict[str, Path] = {}
        for path in self._paths():
            name = self._name_of(path)
            if name is not None:
                found.setdefault(name, path)
        return found

    def version(self, path: Path | None) -> _Version | None:
        """Return a state that changes with the file's content; None without a file."""
        if path is None:
            return None
        try:
            stat = path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def _paths(self) -> list[Path]:
        if self.folder is None:
            return []
        return sorted(path for pattern in _PATTERNS for path in self.folder.glob(pattern))

    def _name_of(self, path: Path) -> str | None:
        version = self.version(path)
        if version is None:
            return None
        if path not in self._read or self._read[path][0] != version:
            try:
                name: str | None = load_study_file(path).spec.name
            except TunerError as error:
                name = None
                self.notes.append(f"{path} is left out: {str(error).splitlines()[0]}")
            self._read[path] = (version, name)
        return self._read[path][1]
