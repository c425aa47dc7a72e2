"""How curvature is approximated: choices that factors are made with and keep beside them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

import torch

from ....errors import InvalidInput
from ..modules import MLP_MODULES

__all__ = ["FactorSettings", "Fisher", "Precision", "Strategy"]


class Strategy(StrEnum):
    """How the Gauss-Newton matrix of a layer is approximated."""

    IDENTITY = (
        "identity"  # not at all: scores are plain products of gradients, and no change in nats
    )
    DIAGONAL = "diagonal"  # its diagonal
    KFAC = "kfac"  # a Kronecker product (Martens and Grosse 2015, arXiv 1503.05671)
    EKFAC = "ekfac"  # the product's eigenbasis, true second moments in it (George et al., arXiv 1806.03884)


class Fisher(StrEnum):
    """Where the targets of the gradients come from that curvature is made of."""

    SAMPLED = "sampled"  # drawn from the model: the true Fisher, which is the Gauss-Newton matrix
    EMPIRICAL = "empirical"  # the data's own; not the Gauss-Newton matrix (Kunstner et al., arXiv 1905.12558)


class Precision(StrEnum):
    """Floating-point types of torch."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @property
    def torch(self) -> torch.dtype:
        """The type itself."""
        dtype: torch.dtype = getattr(torch, self.value)
        return dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSettings:
    """What factors depend on, beside model and data.

    How the work is cut up (batches, partitions, processes) is no setting: factors do not depend on it, but
    for rounding.

    Attributes:
        strategy: The approximation.
        fisher: Whose targets.
        modules: Patterns of layers' names (`tracked_modules`).
        blocks: Diagonal blocks that covariances, and so eigenbases, are cut into: a layer of width d then
            needs d^2 / blocks numbers for each of its two bases (Grosse et al., appendix A).
        seed: Of the drawn targets.
        product_precision: In which activations and gradients are multiplied.
        sum_precision: In which these products are summed over the data; not bfloat16, whose sums of small
            terms stop growing at 256 times a term.
        kept_precision: In which bases and eigenvalues are kept. Eigendecompositions are always in float64.

    Raises:
        InvalidInput: If a number makes no sense.
    """

    strategy: Strategy = Strategy.EKFAC
    fisher: Fisher = Fisher.SAMPLED
    modules: tuple[str, ...] = MLP_MODULES
    blocks: int = 1
    seed: int = 0
    product_precision: Precision = Precision.FLOAT32
    sum_precision: Precision = Precision.FLOAT32
    kept_precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():  # a plain string would be compared with members in vain
            try:
                object.__setattr__(self, name, kind(getattr(self, name)))
            except ValueError:
                raise InvalidInput(
                    f"{name}: expected {', '.join(kind)}, got {getattr(self, name)!r}"
                ) from None
        if self.sum_precision is Precision.BFLOAT16:
            raise InvalidInput(
                "sum_precision: sums over many examples are lost in bfloat16",
                "use float32; product_precision and kept_precision may be bfloat16",
            )
        if self.blocks < 1:
            raise InvalidInput(f"blocks: expected at least 1, got {self.blocks}")
        if not 0 <= self.seed < 1 << 64:
            raise InvalidInput(f"seed: expected 0 to 2**64 - 1, got {self.seed}")
        if not self.modules:
            raise InvalidInput("modules: expected at least one pattern, got none")

    @property
    def needs_bases(self) -> bool:
        """Whether covariances are decomposed."""
        return self.strategy in {Strategy.KFAC, Strategy.EKFAC}

    @property
    def needs_moments(self) -> bool:
        """Whether second moments of whole gradients are measured, in a pass of their own."""
        return self.strategy in {Strategy.DIAGONAL, Strategy.EKFAC}

    def as_json(self) -> dict[str, Any]:
        """Plain values; `of_json` reads them."""
        return {**asdict(self), "modules": list(self.modules)}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Self:
        """What `as_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: If it is not that.
        """
        return cls(
            strategy=Strategy(data["strategy"]),
            fisher=Fisher(data["fisher"]),
            modules=tuple(str(pattern) for pattern in data["modules"]),
            blocks=int(data["blocks"]),
            seed=int(data["seed"]),
            product_precision=Precision(data["product_precision"]),
            sum_precision=Precision(data["sum_precision"]),
            kept_precision=Precision(data["kept_precision"]),
        )


_KINDS: dict[str, type[StrEnum]] = {
    "strategy": Strategy,
    "fisher": Fisher,
    "product_precision": Precision,
    "sum_precision": Precision,
    "kept_precision": Precision,
}
