"""Parquet files in an object store, read through polars.

Only parquet: polars reads other formats as values, so their bytes could not be kept.
"""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from ..errors import BookplateError, InvalidInput
from ..files import Interrupted
from .sources import brought, refuse_names
from .tables import Columns
from .tables.parquet import described
from .tables.table import check_columns

__all__ = ["RemoteFiles"]

_SCHEMES = ("hf", "s3", "s3a", "gs", "gcs", "az", "azure", "adl", "abfs", "abfss")
_ROW_GROUP = 1_024  # of the copy: small, since rows may hold images
_SECRET_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSW|SAS|CREDENTIAL", re.IGNORECASE)
_PATH, _ROWS = "bookplate: path", "bookplate: rows"  # columns that no dataset has


class RemoteFiles:
    """Parquet files at an address, as a `Source`.

    They are copied to this machine first, streaming, one after the other; a run that was killed goes on
    with the next file. Memory grows with their largest row groups, of which polars fetches several at
    a time. Credentials are those that polars finds in the environment, such as AWS_ACCESS_KEY_ID and
    HF_TOKEN, and appear in no message.

    A version of a file is told by its address and number of rows alone. An empty file is left out.

    Args:
        address: `s3://bucket/folder/file.parquet`, or a pattern like `s3://bucket/folder/**/*.parquet`;
            likewise with `hf://datasets/user/name/`, `gs://` or `az://`. The files' names in the
            release are those below the last folder without a `*`.

    Raises:
        InvalidInput: If nothing can be read there.
    """

    def __init__(self, address: str) -> None:
        _refuse_address(address)
        self._address = address
        self._folder = address[: _folder_end(address)]
        with _readable(address, InvalidInput):
            found = (
                _scan(address, include_file_paths=_PATH)
                .group_by(_PATH)
                .agg(pl.len().alias(_ROWS))
                .collect(engine="streaming")
            )
        self._rows = {_below(self._folder, path): n_rows for path, n_rows in found.rows()}
        if not self._rows:
            raise InvalidInput(f"{address}: the dataset is empty", "give files with rows")
        refuse_names(self._rows, address)

    def check(self, columns: Columns) -> None:
        """See `Source.check`."""
        with _readable(self._address, InvalidInput):
            schema = _scan(self._address).collect_schema()
        check_columns(self._address, columns, schema)

    def identity(self) -> list[list[str | int]]:
        """Address and number of rows of each file."""
        return [[self.origin(name), n_rows] for name, n_rows in sorted(self._rows.items())]

    def files(self, folder: Path) -> dict[str, Path]:
        """See `Source.files`."""
        return brought(folder, self._rows, self._copy)

    def _copy(self, name: str, path: Path) -> None:
        address = self.origin(name)
        with _readable(address, Interrupted):
            rows = pl.scan_parquet(address, glob=False, hive_partitioning=False)
            metadata = described(
                pl.read_parquet_metadata(address), rows.head(_ROW_GROUP).collect(engine="streaming")
            )
            with path.open("wb") as file:
                rows.sink_parquet(
                    file,
                    row_group_size=_ROW_GROUP,
                    maintain_order=True,
                    metadata=metadata,
                    engine="streaming",
                )
        with path.open("rb") as file:
            copied = pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
        if copied != self._rows[name]:
            raise InvalidInput(
                f"{address}: expected {self._rows[name]:,} rows, got {copied:,}",
                "it has changed meanwhile: start afresh",
            )

    def origin(self, name: str) -> str:
        """See `Source.origin`."""
        return self._folder + name


def _refuse_address(address: str) -> None:
    scheme, _, rest = address.partition("://")
    if scheme not in _SCHEMES:
        raise InvalidInput(
            f"{_shown(address)}: cannot read from {scheme}://",
            "give a path, or an address that begins with hf://, s3://, gs:// or az://",
        )
    if "?" in rest or ":" in rest.rpartition("@")[0]:
        raise InvalidInput(
            f"{_shown(address)}: an address must hold no credentials",
            "put them into the environment, as AWS_ACCESS_KEY_ID or HF_TOKEN",
        )
    if not rest.endswith(".parquet"):
        raise InvalidInput(
            f"{address}: from there only parquet can be read",
            "name a file or a pattern, such as s3://bucket/folder/**/*.parquet; download other formats "
            "first",
        )


def _scan(address: str, include_file_paths: str | None = None) -> pl.LazyFrame:
    """All files as one, whatever other columns some of them have."""
    return pl.scan_parquet(
        address,
        hive_partitioning=False,
        include_file_paths=include_file_paths,
        missing_columns="insert",
        extra_columns="ignore",
    )


def _folder_end(address: str) -> int:
    """Where the part of an address ends that names one folder, with its slash."""
    pattern = re.search(r"[*\[]", address)
    return address.rindex("/", 0, pattern.start() if pattern else None) + 1


def _below(folder: str, path: str) -> str:
    """The name of a file below a folder.

    polars may give a file of hf://datasets/user/name@revision/ by the address it is downloaded from:
    https://huggingface.co/datasets/user/name/resolve/revision/.

    Raises:
        InvalidInput: If it does not lie there.
    """
    if path.startswith(folder):
        return path[len(folder) :]
    inner = "/".join(folder.removeprefix("hf://").split("/")[3:])
    _, resolved, tail = unquote(path).partition("/resolve/")
    name = tail.partition("/")[2]
    if not resolved or not name.startswith(inner):
        raise InvalidInput(f"{path}: does not lie in {folder}")
    return name[len(inner) :]


@contextmanager
def _readable(address: str, kind: type[BookplateError]) -> Generator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # No chain: a traceback would show what `_shown` leaves out.
        raise kind(
            f"{address}: cannot be read: {_shown(reason)}",
            "check the address, the network, and the credentials in the environment; then repeat the "
            "same call",
        ) from None


def _shown(text: str) -> str:
    """A text without what may be a credential: parts of an address, or values of the environment."""
    text = re.sub(r"(://)[^/\s]*:[^/\s]*@", r"\1", re.sub(r"\?[^\s\"']*", "", text))
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) > 7:
            text = text.replace(value, f"${name}")
    return text
