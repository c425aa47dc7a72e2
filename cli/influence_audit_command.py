"""`bookplate influence audit`: do claimed documents influence a behaviour more than matched controls?"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput, reason_of
from .options import Alpha, AsJson, Report, Seed
from .output import effect_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..provenance.influence.audit import InfluenceAudit
    from ..provenance.influence.records import FinishedRun
    from ..provenance.influence.shares import ClaimedShare
    from ..stats import Finding

__all__ = ["audited_run", "register"]

_NO_SOURCES = (
    "The run was made without --source-column: documents were compared with others of similar length from "
    "any source. Where claimed documents and controls come from different sources, a small p may only say so."
)


def register(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command("audit")(audit)


def audit(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder that 'score --all' made of claimed documents and controls together."
        ),
    ],
    claimed: Annotated[
        Path, typer.Argument(help="The claimed documents' ids, one per line, in a text file.")
    ],
    pooled: Annotated[
        bool,
        typer.Option(
            "--pooled",
            help="One test of all queries together instead of one for each. Choose before you look.",
        ),
    ] = False,
    length_bins: Annotated[
        int, typer.Option(help="Bins of length within which documents are compared.")
    ] = 10,
    randomised: Annotated[
        bool,
        typer.Option(
            "--randomised",
            help="Chance alone decided, before training, which documents are the claimed ones.",
        ),
    ] = False,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
) -> None:
    """Test whether claimed documents influence each query more than controls of equal source and length.

    A small p-value says that they do; it does not say that the model was trained on them, and means
    nothing if the controls are of another kind.
    """
    from .reporting import conclude, refuse_unfit

    refuse_unfit(report, alpha, seed)
    finished, queries, done = audited_run(
        run, claimed, seed=seed, length_bins=length_bins, randomised=randomised
    )
    one = done.pooled if pooled else None
    findings = done.findings if one is None else (one,)
    conclude(
        f"{len(queries)} behaviours of {finished.record['model']['name']}",
        findings,
        report,
        alpha=alpha,
        as_json=as_json,
        labels=[] if len(findings) == 1 else [f"query {query}" for query in queries],
        json_also={
            "share_of_top": [asdict(share) for share in done.top],
            "share_of_positive": [asdict(share) for share in done.positive],
        },
        rows_also=[
            *(("top", _sentence(share)) for share in done.top),
            *(("influence", _sentence(share)) for share in done.positive),
        ],
    )


def audited_run(
    run: Path, claimed: Path, *, seed: int, length_bins: int, randomised: bool
) -> "tuple[FinishedRun, list[str], InfluenceAudit]":
    """Test the claimed documents of a run.

    Args:
        run: Folder that 'score --all' made.
        claimed: File of the claimed documents' ids.
        seed: See `influence_audit`.
        length_bins: Likewise.
        randomised: Likewise.

    Returns:
        The run, its queries, and what came of it.
    """
    import numpy as np

    from ..files import sha256_of_file
    from ..provenance.influence.audit import influence_audit
    from ..provenance.influence.records import read_run
    from ..stats import Input

    listed = _claimed_ids(claimed)
    finished = read_run(run)
    if (finished.table["stratum"] != "all").any():
        raise InvalidInput(
            f"{run}: a filter, or 'next', chose its documents for their likely influence, so claimed ones "
            "and controls were not picked alike",
            "score the claimed documents and their controls with --all",
        )
    names, scores, lengths, sources = _columns(finished)
    known = set(names)
    ids = {name if name in known else name.strip() for name in listed}
    if missing := sorted(ids - known):
        raise InvalidInput(
            f"{claimed}: {len(missing):,} of {len(ids):,} ids were not scored, e.g. {missing[0]!r}",
            "score all claimed documents, or correct the list",
        )
    queries = finished.table["query"].unique(maintain_order=True).to_list()
    done = influence_audit(
        scores,
        np.array([name in ids for name in names]),
        lengths,
        sources,
        seed=seed,
        queries=queries,
        length_bins=length_bins,
        randomised=randomised,
        inputs=(*finished.inputs, Input(name=claimed.name, sha256=sha256_of_file(claimed))),
    )
    if finished.record.get("source_column") is None:
        pooled = None if done.pooled is None else _without_sources(done.pooled)
        done = replace(done, findings=tuple(map(_without_sources, done.findings)), pooled=pooled)
    return finished, queries, done


def _without_sources(finding: "Finding") -> "Finding":
    return finding.about(warnings=(_NO_SOURCES, *finding.warnings))


def _claimed_ids(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # an id may hold other line breaks
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: cannot be read as UTF-8 text: {reason_of(error)}") from error
    found = {line.removesuffix("\r") for line in lines if line.strip()}
    if not found:
        raise InvalidInput(f"{path}: names no document", "write one id per line")
    return found


def _columns(
    run: "FinishedRun",
) -> "tuple[list[str], NDArray[np.float64], NDArray[np.float64], list[str]]":
    """Ids of the documents, their scores for each query, their lengths and where they come from."""
    n_queries = run.table["query"].n_unique()
    n = run.table.height // n_queries
    first = run.table.head(n)
    return (
        first["document"].to_list(),
        run.table["influence"].to_numpy().reshape(n_queries, n),
        first["tokens"].to_numpy().astype(float),
        first["source"].to_list(),
    )


def _sentence(share: "ClaimedShare") -> str:
    return f"{share.query}: {effect_line(share.share)}; {share.base_rate:.4f} expected, {share.n:,} documents"
