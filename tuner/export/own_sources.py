"""The user's own files that a model needs: compared with the trial's, and copied to the model."""

from collections.abc import Callable
from pathlib import Path

from tuner.export.files import write_whole
from tuner.study.code import Code, changed_files
from tuner.study_file.best import BestConfig


def compare_code(config: BestConfig, code: Code, tell: Callable[[str], None]) -> None:
    """Report the files that differ from those of the trial."""
    stored = config.provenance.get("code")
    own = {name: h for name, h in stored.items() if name != "tuner"} if stored else {}
    changed = changed_files(own, code) if own else ()
    if changed:
        tell(f"other code than the trial's: {', '.join(changed)}")


def copy_sources(source: Path, folder: Path, code: Code) -> tuple[str, ...]:
    """Copy those below the config's own folder; installed modules are not copied."""
    copied = []
    for name in code:
        path = source / name
        if not path.is_file():
            continue
        place = folder / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(place, path.read_bytes(), mode=0o600)
        copied.append(name)
    return tuple(copied)
