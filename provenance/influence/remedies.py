"""Which option makes fit what does not: found by planning again with it changed.

Options that leave the scores as they are come first, those that approximate are tried when they fail.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from .curvature import Precision
from .forecast import Job

__all__ = ["FITTING", "LOADING", "SCORING", "WITH", "Changes", "Remedy", "remedy"]

WITH = " with "  # between options of one remedy

_Fits = Callable[[Job], bool]


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that makes everything fit.

    Attributes:
        option: As on the command line.
        job: What is to be done, with it.
    """

    option: str
    job: Job


# An option's values from mild to strong.
Changes = Callable[[Job], Iterator[Remedy]]


def remedy(job: Job, changes: Sequence[Changes], fits: _Fits) -> Remedy | None:
    """The option that makes a job fit; or several together, if none does alone.

    Of each option the mildest value is taken that is enough.

    Args:
        job: What does not fit.
        changes: Options to be tried, in this order.
        fits: Whether a job does.

    Returns:
        None if all options together do not help.
    """
    together = job
    said: list[str] = []
    for change in changes:
        mildest = _mildest(list(change(job)), fits)
        if mildest is not None:
            return mildest
        further = list(change(together))
        if further:
            together, said = further[-1].job, [*said, further[-1].option]
        if len(said) > 1 and fits(together):
            return Remedy(WITH.join(said), together)
    return None


def _mildest(changes: Sequence[Remedy], fits: _Fits) -> Remedy | None:
    """The first that fits of changes from mild to strong, where each needs less than those before it."""
    if not changes or not fits(changes[-1].job):
        return None
    low, high = 0, len(changes) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(changes[middle].job) else (middle + 1, high)
    return changes[low]


def _smaller_batches(job: Job) -> Iterator[Remedy]:
    longest = max(amount.longest for amount in (job.fitted, job.candidates, job.queries)) - 1
    n = job.cutting.batch_positions
    while n > longest:
        n = max(n // 2, longest)
        yield Remedy(f"--batch-tokens {n}", _cut(job, batch_positions=n))


def _more_parts(job: Job) -> Iterator[Remedy]:
    parts, most = job.cutting.module_parts, len(job.modules())
    while parts < most:
        parts = min(2 * parts, most)
        yield Remedy(f"--module-parts {parts}", _cut(job, module_parts=parts))


def _cut(job: Job, **changes: int) -> Job:
    return replace(job, cutting=replace(job.cutting, **changes))


def _fewer_queries(job: Job) -> Iterator[Remedy]:
    n, mean = job.queries.n, job.queries.tokens / job.queries.n
    while n > 1:
        n //= 2
        queries = replace(job.queries, n=n, tokens=round(n * mean))
        yield Remedy(
            f"{n} {'query' if n == 1 else 'queries'} at once", replace(job, queries=queries)
        )


def _lower_rank(job: Job) -> Iterator[Remedy]:
    for rank in (32, 8):
        if job.query_rank is None or rank < job.query_rank:
            yield Remedy(f"--query-rank {rank}", replace(job, query_rank=rank))


def _more_blocks(job: Job) -> Iterator[Remedy]:
    if job.settings.needs_bases:
        for blocks in (2, 4, 8, 16):
            if blocks > job.settings.blocks:
                settings = replace(job.settings, blocks=blocks)
                yield Remedy(f"--blocks {blocks}", replace(job, settings=settings))


def _half_precision(job: Job) -> Iterator[Remedy]:
    held = job.dtype or next(job.model.parameters()).dtype
    if held.itemsize > 2:
        yield Remedy("--dtype bfloat16", replace(job, dtype=torch.bfloat16))


def _kept_in_half(job: Job) -> Iterator[Remedy]:
    if job.settings.kept_precision is not Precision.BFLOAT16:
        settings = replace(job.settings, kept_precision=Precision.BFLOAT16)
        yield Remedy("--kept-precision bfloat16", replace(job, settings=settings))


LOADING: Sequence[Changes] = (_half_precision,)
FITTING: Sequence[Changes] = (
    _smaller_batches,
    _more_parts,
    _kept_in_half,
    _half_precision,
    _more_blocks,
)
SCORING: Sequence[Changes] = (
    _smaller_batches,
    _fewer_queries,
    _lower_rank,
    _kept_in_half,
    _half_precision,
    _more_blocks,
)
