"""Signing a bundle, and packing it into one file."""

import hashlib
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import new_file
from ..custody import SigningKey, sign, statement_over
from ..custody.statements import file_digests
from .layout import SIGNER, STATEMENT, may_be_unsigned
from .predicate import PREDICATE_TYPE, Predicate
from .reading import LARGEST_RATIO, SMALL, open_bundle

__all__ = ["pack", "seal"]

_PACKED_ALREADY = (".parquet", ".pdf", ".zip", ".tsr", ".gz", ".zst", ".png")
_LARGEST_DEFLATED = 256 << 20  # larger files are stored as they are, without being held in memory
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_MODE = (stat.S_IFREG | 0o644) << 16


def seal(folder: Path, predicate: Predicate, key: SigningKey) -> str:
    """Sign a folder as it is: adds `signer.pem` and `statement.dsse.json`.

    Args:
        folder: All files of the bundle; whatever lies there is signed for.
        predicate: What to say of them.
        key: Whose signature it shall be.

    Returns:
        SHA-256 of `statement.dsse.json`: what to stamp, and what a later report names as the one it
        replaces.

    Raises:
        InvalidInput: If the folder is sealed already, or holds what cannot be signed for.
    """
    if (folder / STATEMENT).exists():
        raise InvalidInput(f"{visible(str(folder))}: is sealed already")
    with new_file(folder / SIGNER) as staged:
        staged.write_bytes(key.public.to_pem())
    outside = [name for name in _digests(folder) if may_be_unsigned(name)]
    payload = statement_over(folder, predicate.to_dict(), PREDICATE_TYPE, outside=outside)
    envelope = sign(key, payload).to_bytes()
    with new_file(folder / STATEMENT) as staged:
        staged.write_bytes(envelope)
    return hashlib.sha256(envelope).hexdigest()


def pack(folder: Path, zip_path: Path) -> None:
    """Pack a folder into a .zip: the same bytes for the same files, on one machine.

    Args:
        folder: The bundle.
        zip_path: File to make.

    Raises:
        InvalidInput: If the file exists, or the folder holds what no bundle may hold.
    """
    digests = _digests(folder)
    with new_file(zip_path) as staged:
        with zipfile.ZipFile(staged, "w", allowZip64=False) as archive:
            for name in sorted(digests):
                _add(archive, folder / name, name)
        _check_packed(staged, digests, zip_path)


def _digests(folder: Path) -> dict[str, str]:
    try:
        return file_digests(folder)
    except VerificationError as error:
        raise InvalidInput(f"{visible(str(folder))}: cannot be a bundle: {error}") from None


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = 3, _MODE  # Unix, whatever this is
    info.file_size = path.stat().st_size
    info.compress_type = _method(path, info.file_size)
    try:
        with path.open("rb") as source, archive.open(info, "w") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.LargeZipFile, RuntimeError):
        raise InvalidInput(
            f"{visible(name)}: too large for a .zip", "hand over the folder instead"
        ) from None


def _method(path: Path, size: int) -> int:
    """Deflate where it pays, but never so well that a reader takes the file for a bomb."""
    if path.suffix in _PACKED_ALREADY or not 0 < size <= _LARGEST_DEFLATED:
        return zipfile.ZIP_STORED
    if size > SMALL and size > LARGEST_RATIO // 2 * len(zlib.compress(path.read_bytes(), 6)):
        return zipfile.ZIP_STORED
    return zipfile.ZIP_DEFLATED


def _check_packed(archive: Path, digests: dict[str, str], shown: Path) -> None:
    """What is packed can be read, and is what lay in the folder."""
    try:
        with open_bundle(archive) as bundle:
            if dict(bundle.digests()) != digests:
                raise VerificationError("the files have changed meanwhile")
    except VerificationError as error:
        raise InvalidInput(f"{visible(str(shown))}: cannot be packed: {error}") from None
