"""Curvature of a model's layers, as fitted: its inverse, and how it is kept on disk.

FOLDER/factors.json            settings, digests of the model's weights and of the data, layers, files
FOLDER/layers-00000.safetensors   bases and eigenvalues of some layers
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ....errors import InvalidInput, reason_of
from ....files import canonical_json, hexadecimal, read_json, sha256_of_file
from ..modules import TrackedModule, tracked_modules, weights_digest
from .bases import Basis
from .settings import FactorSettings, Strategy

__all__ = [
    "HEADER",
    "Damping",
    "DataFacts",
    "Factors",
    "LayerFactors",
    "save_header",
]

FORMAT, VERSION = "bookplate influence factors", 1
HEADER = "factors.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damping:
    """What is added to every eigenvalue before it is inverted.

    Attributes:
        factor: Multiple of the layer's mean eigenvalue (0.1 in Grosse et al., section 5).
        absolute: The number itself, for all layers, instead; or None.

    Raises:
        InvalidInput: If it is negative or no number.
    """

    factor: float = 0.1
    absolute: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("factor", self.factor), ("absolute", self.absolute)):
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidInput(f"damping {name}: expected a number of at least 0, got {value}")


@dataclass(frozen=True, slots=True)
class LayerFactors:
    """Curvature of one layer.

    Attributes:
        bases: Eigenvectors of inputs (with the bias's coordinate) and of output gradients; None for identity
            and diagonal.
        eigenvalues: Of the Gauss-Newton matrix of a sum over one example's positions, mean over examples, in
            these bases, shape (n_out, columns); None for identity, whose curvature is 1.
    """

    bases: tuple[Basis, Basis] | None
    eigenvalues: Tensor | None

    def damped(self, damping: Damping, name: str) -> Tensor | None:
        """Eigenvalues with damping, shape (n_out, columns); None for identity.

        Raises:
            InvalidInput: If one is 0, and so has no inverse, or is not finite.
        """
        if self.eigenvalues is None:
            return None
        values = self.eigenvalues
        if values.dtype.itemsize < 4:
            values = values.float()  # in which a little damping is not rounded away
        absolute = damping.absolute
        if absolute is None:
            absolute = damping.factor * float(values.double().mean())
        damped = values + absolute
        if not torch.isfinite(damped).all():
            raise InvalidInput(
                f"{name}: its curvature is not finite (NaN or infinite)", "fit the factors again"
            )
        if not float(damped.min()) > 0:
            raise InvalidInput(
                f"{name}: its curvature has an eigenvalue of 0 and damping adds nothing",
                "use more damping, or leave the layer out of --modules",
            )
        return damped

    def turned_back(self, gradients: Tensor) -> Tensor:
        """Gradients, shape (..., n_out, columns), out of the bases."""
        if self.bases is None:
            return gradients
        for_inputs, for_outputs = self.bases
        return for_outputs.turned_back(for_inputs.turned_back(gradients).mT).mT

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> "LayerFactors":
        """On another device, in another precision."""
        bases = None
        if self.bases is not None:
            bases = self.bases[0].to(device, dtype), self.bases[1].to(device, dtype)
        values = None if self.eigenvalues is None else self.eigenvalues.to(device, dtype)
        return LayerFactors(bases, values)

    def as_tensors(self) -> dict[str, Tensor]:
        """By name, as they are kept."""
        found = {} if self.eigenvalues is None else {"eigenvalues": self.eigenvalues}
        for side, basis in zip(("inputs", "outputs"), self.bases or (), strict=False):
            found[f"{side}.eigenvalues"] = basis.eigenvalues
            found |= {f"{side}.{number}": block for number, block in enumerate(basis.blocks)}
        return found

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "LayerFactors":
        """What `as_tensors` gave.

        Raises:
            KeyError: If something is missing.
        """
        bases = None
        if "inputs.eigenvalues" in tensors:
            bases = _basis(tensors, "inputs"), _basis(tensors, "outputs")
        return cls(bases, tensors.get("eigenvalues"))


def _basis(tensors: Mapping[str, Tensor], side: str) -> Basis:
    n = sum(name.startswith(f"{side}.") for name in tensors) - 1
    blocks = tuple(tensors[f"{side}.{number}"] for number in range(n))
    return Basis(blocks, tensors[f"{side}.eigenvalues"])


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What curvature was fitted on.

    Attributes:
        n_examples: Sequences.
        n_positions: Positions of all of them that were not padding.
        sha256: Digest of the examples.
    """

    n_examples: int
    n_positions: int
    sha256: str


@dataclass(frozen=True)
class Factors:
    """Curvature of the tracked layers of one model.

    Attributes:
        settings: How it was approximated.
        data: What it was fitted on.
        model_sha256: Digest of the layers' names and of all weights of the model.
        layers: By the layer's name.
    """

    settings: FactorSettings
    data: DataFacts
    model_sha256: str
    layers: Mapping[str, LayerFactors]

    def modules_of(self, model: nn.Module) -> tuple[TrackedModule, ...]:
        """The layers of the model that these factors are of.

        Raises:
            InvalidInput: If they are of another model, or of this one with other weights.
        """
        modules = tracked_modules(model, self.settings.modules)
        names = [tracked.name for tracked in modules]
        if names != list(self.layers) or weights_digest(model, modules) != self.model_sha256:
            raise InvalidInput(
                "these factors were fitted on another model, or on other weights of it",
                "fit them on the model that you ask about, with the same --dtype and --adapter",
            )
        return modules

    @classmethod
    def read(cls, folder: Path) -> "Factors":
        """What `fit_factors` wrote; every file is checked against its digest.

        Raises:
            InvalidInput: If something is missing, changed, or of a newer version.
        """
        header = read_json(folder / HEADER, "the header of influence factors")
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise InvalidInput(
                f"{folder / HEADER}: expected '{FORMAT}' version {VERSION}, got "
                f"{header.get('format')!r} version {header.get('version')!r}",
                "use the Bookplate that wrote it, or fit again",
            )
        try:
            settings = FactorSettings.of_json(header["settings"])
            facts = header["data"]
            data = DataFacts(
                int(facts["n_examples"]), int(facts["n_positions"]), str(facts["sha256"])
            )
            model = hexadecimal(64, header["model_sha256"], "SHA-256")
            names = [str(name) for name in header["layers"]]
            files = {str(name): str(digest) for name, digest in header["files"].items()}
            if any(Path(name).name != name for name in files):
                raise InvalidInput(
                    f"{folder / HEADER}: names files outside its folder", "fit again"
                )
            layers = _LayersOnDisk(folder, files, names, settings.strategy)
        except InvalidInput:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"{folder / HEADER}: is damaged ({error})", "fit the factors again"
            ) from error
        return cls(settings, data, model, layers)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of layers as it was when its digest was checked."""

    path: Path
    state: tuple[int, int, int]

    @classmethod
    def checked(cls, path: Path, digest: str) -> "_File":
        """The file, if it has this digest."""
        with _reading(path):
            state = _state_of(path)
            if sha256_of_file(path) != digest or _state_of(path) != state:
                raise _has_changed(path)
        return cls(path, state)

    @contextmanager
    def opened(self) -> Generator[Any]:
        """Its tensors, while they are asked for: what is open lies in memory as far as it was read."""
        with _reading(self.path):
            if _state_of(self.path) != self.state:
                raise _has_changed(self.path)
            with safe_open(self.path, framework="pt") as tensors:
                yield tensors


class _LayersOnDisk(Mapping[str, LayerFactors]):
    """Layers that are read when they are asked for, and each time anew: of a large model they fill a disk."""

    def __init__(
        self, folder: Path, files: Mapping[str, str], names: Sequence[str], strategy: Strategy
    ) -> None:
        self._kept: dict[str, dict[str, _File]] = {name: {} for name in names}
        for file, digest in files.items():
            kept = _File.checked(folder / file, digest)
            with kept.opened() as tensors:
                for key in tensors.keys():
                    name, _, ending = key.rpartition(":")
                    if name in self._kept:
                        self._kept[name][ending] = kept
        for endings in self._kept.values():  # what is missing is missed here
            layer = LayerFactors.of_tensors(dict.fromkeys(endings, torch.empty(0)))
            if (layer.eigenvalues is not None) != (strategy is not Strategy.IDENTITY):
                raise KeyError("eigenvalues")

    def __getitem__(self, name: str) -> LayerFactors:
        kept, found = self._kept[name], {}
        for file in dict.fromkeys(kept.values()):
            with file.opened() as tensors:
                for ending in (ending for ending, lies_in in kept.items() if lies_in is file):
                    found[ending] = tensors.get_tensor(f"{name}:{ending}")
        return LayerFactors.of_tensors(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _has_changed(path: Path) -> InvalidInput:
    return InvalidInput(f"{path}: has changed since it was written", "fit the factors again")


@contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            f"{path}: cannot be read: {reason_of(error)}", "fit the factors again"
        ) from error


def save_layers(path: Path, layers: Mapping[str, LayerFactors], dtype: torch.dtype) -> None:
    """Write layers; the covariances' eigenvalues stay in float64."""
    tensors = {}
    for name, layer in layers.items():
        for key, tensor in layer.as_tensors().items():
            kept = tensor if tensor.dtype == torch.float64 else tensor.to(dtype)
            tensors[f"{name}:{key}"] = kept.cpu().contiguous()
    save_file(tensors, path)


def save_header(
    folder: Path,
    settings: FactorSettings,
    data: DataFacts,
    model_sha256: str,
    layers: Sequence[str],
) -> None:
    """Write the header of a folder whose files of layers are there."""
    files = {path.name: sha256_of_file(path) for path in sorted(folder.glob("*.safetensors"))}
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "settings": settings.as_json(),
        "data": {
            "n_examples": data.n_examples,
            "n_positions": data.n_positions,
            "sha256": data.sha256,
        },
        "model_sha256": model_sha256,
        "layers": list(layers),
        "files": files,
    }
    (folder / HEADER).write_bytes(canonical_json(header) + b"\n")
