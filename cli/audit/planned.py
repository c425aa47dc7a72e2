"""The tests that an audit file may register, each kind with its own settings.

`description` of a field is what the registration calls it; every one of them stands there, defaults too.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from .fields import Name, PathText, Strict, Text, registered

__all__ = [
    "CompletionTest",
    "InfluenceTest",
    "LeakTest",
    "LexiMarkTest",
    "MembershipTest",
    "OrderSequentialTest",
    "OrderTest",
    "PartitionTest",
    "PlannedKind",
    "ReshuffleTest",
    "WatermarkSequentialTest",
    "WatermarkTest",
]

_Names = tuple[Name, ...]
_MOST = 2**53 - 1


class _Planned(Strict):
    """What tests of all kinds say.

    Attributes:
        suspects: What is tested, by name; or all suspects there are of this sort.
        innocent: The same test where it must find nothing.
        positive: The same test where it should find something.
        smallest_effect: The smallest effect of interest, in words.
        power: Probability of noticing that effect, as known beforehand.
        power_source: How the power was found.
        proposition: What the claimant says; default: see `propositions`.
        counter_proposition: What is put against it, at the same level.
    """

    SUBJECTS: ClassVar[str] = "models"  # the section that suspects are named in
    DIRECTION: ClassVar[str] = "greater"
    USES: ClassVar[Mapping[str, str]] = MappingProxyType({})  # section of the name in a field

    suspects: _Names | Literal["all"] = "all"
    innocent: _Names = ()
    positive: _Names = ()
    smallest_effect: Text = ""
    power: float | None = Field(default=None, ge=0, le=1)
    power_source: Text = ""
    proposition: Text = ""
    counter_proposition: Text = ""

    @property
    def references(self) -> _Names:
        """Models that the suspect is compared with."""
        return getattr(self, "compared_with", ())


class _WithReferences(_Planned):
    compared_with: _Names = Field(default=(), alias="references")


class WatermarkTest(_WithReferences):
    """Every choice of the key is scored: the keyed test."""

    USES: ClassVar[Mapping[str, str]] = MappingProxyType({"dataset": "datasets"})
    kind: Literal["watermark"]
    dataset: Name


class CompletionTest(_Planned):
    """Only the model's answers are looked at."""

    USES: ClassVar[Mapping[str, str]] = MappingProxyType({"dataset": "datasets"})
    kind: Literal["completion"]
    dataset: Name
    samples: int = registered("answers per place", 8, ge=1, le=10_000)


class WatermarkSequentialTest(_WithReferences):
    """Word by word, until the e-value is enough."""

    USES: ClassVar[Mapping[str, str]] = MappingProxyType({"dataset": "datasets"})
    kind: Literal["watermark-sequential"]
    dataset: Name
    budget: int | None = registered("most words or texts scored", None, ge=1, le=_MOST)


class LexiMarkTest(_Planned):
    """Released against held-back texts, as LexiMark published it."""

    USES: ClassVar[Mapping[str, str]] = MappingProxyType({
        "dataset": "datasets",
        "held_out": "texts",
    })
    kind: Literal["leximark"]
    dataset: Name
    held_out: Name = registered("texts held back")


class LeakTest(_Planned):
    """Is another dataset a copy of the release?"""

    SUBJECTS: ClassVar[str] = "texts"
    USES: ClassVar[Mapping[str, str]] = MappingProxyType({"dataset": "datasets"})
    kind: Literal["leak"]
    dataset: Name


class _OrderRead(_WithReferences):
    USES: ClassVar[Mapping[str, str]] = MappingProxyType({"transcript": "transcripts"})
    transcript: Name
    sample: int | None = registered("sequences drawn from the transcript", None, ge=30, le=_MOST)
    sampling: Literal["random", "stratified", "extremes"] = registered(
        "how they are drawn", "extremes"
    )
    prefix_tokens: int = registered("tokens read and not scored", 0, ge=0, le=_MOST)
    window_tokens: int | None = registered("most tokens scored after them", None, ge=1, le=_MOST)


class OrderTest(_OrderRead):
    """Does the likelihood of training sequences follow their order?"""

    kind: Literal["order"]
    statistic: Literal["likelihood", "difference", "residual"] | None = registered(
        "statistic", None
    )
    covariates: tuple[Literal["length", "zlib", "rarity"], ...] | None = registered(
        "covariates", None
    )


class OrderSequentialTest(_OrderRead):
    """The same pair by pair, until the e-value is enough."""

    kind: Literal["order-sequential"]
    budget: int | None = registered("most sequences asked about", None, ge=2, le=_MOST)


class PartitionTest(_Planned):
    """Does a text share more words with late training sequences?"""

    SUBJECTS: ClassVar[str] = "texts"
    USES: ClassVar[Mapping[str, str]] = MappingProxyType({"transcript": "transcripts"})
    kind: Literal["partition"]
    transcript: Name
    tokenizer: PathText | None = registered("tokenizer", None)
    longest: int = registered("longest k-gram", 8, ge=1, le=1_000)
    shortest: int = registered("shortest k-gram", 2, ge=1, le=1_000)
    most_occurrences: int = registered("most occurrences of a k-gram that counts", 1_000, ge=1)
    covariates: tuple[Literal["length", "rarity"], ...] = registered("covariates", ("length",))


class ReshuffleTest(_Planned):
    """Does a text prefer the run in the true order to runs in others?"""

    SUBJECTS: ClassVar[str] = "texts"
    USES: ClassVar[Mapping[str, str]] = MappingProxyType({
        "retraining": "retrainings",
        "controls": "texts",
    })
    kind: Literal["reshuffle"]
    retraining: Name
    controls: Name | None = registered("texts whose likelihood is regressed out", None)


class InfluenceTest(_Planned):
    """Do claimed documents influence a behaviour more than matched controls?"""

    SUBJECTS: ClassVar[str] = "runs"
    kind: Literal["influence"]
    query: Text | None = registered("query; none: all together", None)
    length_bins: int = registered("bins of length", 10, ge=1, le=1_000)
    randomised: bool = registered("chance alone chose the claimed documents", False)


class MembershipTest(_WithReferences):
    """Dataset inference: texts under test against texts held out at random."""

    USES: ClassVar[Mapping[str, str]] = MappingProxyType({
        "texts": "texts",
        "held_out": "texts",
        "prefix": "texts",
        "frequencies": "texts",
    })
    kind: Literal["membership"]
    texts: Name = registered("texts under test")
    held_out: Name = registered("texts held out")
    scores: (
        tuple[
            Literal[
                "loss",
                "perplexity",
                "lower_case_ratio",
                "zlib_ratio",
                "min_k",
                "max_k",
                "min_k_plus_plus",
                "recall",
                "dc_pdd",
                "reference_ratio",
                "neighbourhood",
            ],
            ...,
        ]
        | None
    ) = registered("scores; none: all that can be had", None)
    prefix: Name | None = registered("texts before each, for recall", None)
    frequencies: Name | None = registered("corpus of frequencies, for dc_pdd", None)
    neighbours: int = registered("neighbours of each text", 0, ge=0, le=10_000)
    share: float = registered("K of Min-K% and its kin, as a share", 0.2, gt=0, le=1)


PlannedKind: TypeAlias = Annotated[
    WatermarkTest
    | CompletionTest
    | WatermarkSequentialTest
    | LexiMarkTest
    | LeakTest
    | OrderTest
    | OrderSequentialTest
    | PartitionTest
    | ReshuffleTest
    | InfluenceTest
    | MembershipTest,
    Field(discriminator="kind"),
]
