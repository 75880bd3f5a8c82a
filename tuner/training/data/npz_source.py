"""`{npz: data.npz}`: arrays `x` and `y` in NumPy's own format."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.training.data.content import Hashes
from tuner.training.data.files import find_files
from tuner.training.data.memory import check_bytes
from tuner.training.data.source import BadData, DataRequest

if TYPE_CHECKING:
    from tuner.training.data.table import Table


class NpzSource:
    def __init__(self, request: DataRequest, hashes: Hashes) -> None:
        """Find the file; raises `BadData`."""
        self._request = request
        self._hashes = hashes
        self._files = find_files(str(request.source["npz"]), request.folder)
        if len(self._files) > 1:
            raise BadData(f"{request.source['npz']} matches {len(self._files)} files; name one")

    def content(self) -> Mapping[str, str]:
        return self._hashes.of(self._files)

    def load(self) -> "Table":
        import numpy as np  # noqa: PLC0415 - not needed if the folder is there

        from tuner.training.data.array_table import table_of_arrays  # noqa: PLC0415 - NumPy

        file = self._files[0]
        try:
            with np.load(file, allow_pickle=False) as archive:
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise BadData(f"{file.name} holds one array; save x and y with np.savez")
                missing = [name for name in ("x", "y") if name not in archive.files]
                if missing:
                    names = ", ".join(archive.files) or "nothing"
                    raise BadData(f"{file.name} has no array {missing[0]!r}; it holds {names}")
                assert archive.zip is not None, "it is open"
                check_bytes(sum(part.file_size for part in archive.zip.infolist()))
                x, y = archive["x"], archive["y"]
        except ValueError as error:
            if "Object arrays" in str(error):
                raise BadData(f"{file.name} holds Python objects; save numbers") from error
            raise BadData(f"{file.name} is no archive of arrays, or damaged") from error
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise BadData(f"{file.name} is no archive of arrays, or damaged") from error
        except AttributeError:
            raise BadData(f"{file.name} holds one array; save x and y with np.savez") from None
        return table_of_arrays(x, y, self._request.task, name=Path(file).name)
