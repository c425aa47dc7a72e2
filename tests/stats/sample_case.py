"""A made-up case in which every status and three kinds of evidence occur, as an audit would write it."""

import hashlib
from dataclasses import replace
from functools import cache

import numpy as np
from bookplate.stats import (
    Alternative,
    Effect,
    Finding,
    Input,
    Statistic,
    choice_test,
    spearman_test,
)
from bookplate.stats.report import (
    AssumptionCheck,
    AuditReport,
    CaseFile,
    Control,
    CustodyRecord,
    ExaminedItem,
    Exhibit,
    NotRun,
    Party,
    PositiveControl,
    RegisteredTest,
    RepeatStep,
    TimelineEvent,
)

__all__ = ["sample_case", "sample_report", "sha"]

RELEASE, TRANSCRIPT = "Harbour Essays 2026.1", "training transcript of anchor-1b"
NORTH, SOUTH, CHAT = "north-7b", "south-3b", "api.north.example/chat"
KEY = "The key was drawn at random and was unknown to whoever built the suspect."
SHUFFLED = "The training order of anchor-1b was a random shuffle of its sequences."
STRATA = "Within a stratum, claimed documents and controls are exchangeable."
REFERENCES = "The references never saw the release; one that did costs power."
STAMP = "RFC 3161 timestamp by two authorities, exhibit commitments/release.one.tsr"


def sha(name: str) -> str:
    """A digest that stands for a file of this name."""
    return hashlib.sha256(name.encode()).hexdigest()


def marked(shift: float, seed: int, suspect: str) -> Finding:
    """A test of secret wording, with so much preference for what was released."""
    rng = np.random.default_rng(seed)
    values, chosen = rng.normal(size=(240, 3)), rng.integers(0, 3, size=240)
    values[np.arange(240), chosen] += shift
    return choice_test(list(values), chosen, seed=seed, n_resamples=999).about(
        name="keyed watermark",
        question=f"Was {suspect} trained on {RELEASE}?",
        unit="word types",
        assumptions=(KEY, REFERENCES),
        inputs=(Input(name=RELEASE, sha256=sha(RELEASE)), Input(name=suspect, sha256=sha(suspect))),
    )


def ordered(slope: float, seed: int, suspect: str) -> Finding:
    """A test of training order, with so much memory of what came late."""
    rng = np.random.default_rng(seed)
    step = np.arange(200)
    finding = spearman_test(
        step,
        slope * step + rng.normal(size=200),
        alternative=Alternative.GREATER,
        seed=seed,
        n_resamples=999,
    )
    return finding.about(
        figure=replace(
            finding.figure, x_label="training step", y_label="log-likelihood per token (nats)"
        ),
        name="palimpsest query (rank correlation)",
        question=f"Was {suspect} derived from anchor-1b?",
        null="The training order is independent of the suspect's likelihoods.",
        unit="training sequences",
        assumptions=(SHUFFLED,),
        warnings=("12 sequences that occur more than once were left out.",),
        inputs=(
            Input(name=TRANSCRIPT, sha256=sha(TRANSCRIPT)),
            Input(name=suspect, sha256=sha(suspect)),
        ),
    )


def influential() -> Finding:
    """A test of claimed documents against controls."""
    finding = marked(0.32, 6, NORTH)
    return finding.about(
        name="influence audit, 24 prompts",
        question=f"Do the claimed essays influence {NORTH} more than controls of equal source and length?",
        null="Within each stratum, claimed documents and controls are exchangeable in their influence.",
        statistic=Statistic(name="z, standardised difference of mean Savage scores", value=3.412),
        effect=Effect(
            name="difference of mean log rank share, claimed - controls",
            value=0.214,
            low=0.091,
            high=0.337,
            confidence=0.95,
            interval="normal, stratified",
        ),
        e_value=None,
        unit="documents (60 claimed, 180 controls)",
        assumptions=(STRATA,),
        inputs=(Input(name=NORTH, sha256=sha(NORTH)),),
    )


def _registered() -> tuple[RegisteredTest, ...]:
    def test(name: str, kind: str, suspect: str, question: str, **also: object) -> RegisteredTest:
        short = suspect.partition(".")[0] if suspect == CHAT else suspect
        return RegisteredTest(
            test=f"{name}.{short}", kind=kind, suspect=suspect, question=question, **also
        )

    mark = {
        "direction": "greater",
        "settings": "reference: anchor-1b; 99,999 draws; unit: word types",
        "smallest_effect": "one epoch of the release in 10 billion tokens",
        "material": RELEASE,
        "committed_at": "2026-01-12T09:00:00Z",
        "committed_proof": STAMP,
    }
    order = {
        "direction": "greater",
        "settings": "rank correlation; 4,000 sequences; no window",
        "smallest_effect": "1 billion further tokens of training",
        "material": TRANSCRIPT,
        "committed_at": "2025-11-03T08:00:00Z",
    }
    return (
        test(
            "mark",
            "watermark",
            NORTH,
            f"Was {NORTH} trained on {RELEASE}?",
            proposition=f"{NORTH} was built with text that carries the marked wording of {RELEASE}.",
            counter_proposition=f"{NORTH} was built without any text that carries that wording.",
            power=0.92,
            power_source="positive controls of section 6, lower bound",
            **mark,
        ),
        test(
            "mark",
            "watermark",
            SOUTH,
            f"Was {SOUTH} trained on {RELEASE}?",
            proposition=f"{SOUTH} was built with text that carries the marked wording of {RELEASE}.",
            counter_proposition=f"{SOUTH} was built without any text that carries that wording.",
            power=0.92,
            power_source="positive controls of section 6, lower bound",
            **mark,
        ),
        test(
            "completion",
            "completion",
            CHAT,
            f"Was the model behind {CHAT} trained on {RELEASE}?",
            proposition="The model that answered was built with text that carries the marked wording.",
            counter_proposition="The model that answered was built without any such text.",
            **mark,
        ),
        test(
            "order",
            "order",
            NORTH,
            f"Was {NORTH} derived from anchor-1b?",
            proposition=f"{NORTH} was trained onwards from a model of the recorded run.",
            counter_proposition=f"{NORTH} was trained from a start that knew nothing of that order.",
            power=0.42,
            power_source="simulation with the trend of positive control P2",
            **order,
        ),
        test(
            "order",
            "order",
            SOUTH,
            f"Was {SOUTH} derived from anchor-1b?",
            proposition=f"{SOUTH} was trained onwards from a model of the recorded run.",
            counter_proposition=f"{SOUTH} was trained from a start that knew nothing of that order.",
            power=0.42,
            power_source="simulation with the trend of positive control P2",
            **order,
        ),
        test(
            "influence",
            "influence",
            NORTH,
            f"Do the claimed essays influence {NORTH} more than comparable documents?",
            proposition="The claimed essays influence the stated answers more than the controls do.",
            counter_proposition="Claimed essays and controls influence the stated answers alike.",
            direction="greater",
            settings="24 prompts; 60 claimed documents, 180 controls; strata by source and length",
            material=RELEASE,
        ),
        test(
            "inference",
            "membership",
            SOUTH,
            f"Is {RELEASE} among the training data of {SOUTH}?",
            proposition=f"{SOUTH} knows the released essays better than unreleased ones of the same author.",
            counter_proposition=f"{SOUTH} knows both alike.",
            direction="greater",
            material=RELEASE,
        ),
    )


def sample_case(profile: str = "frcp26") -> CaseFile:
    """The case around the findings, for the rules of one court."""
    return CaseFile(
        report_id="BP-2026-0117",
        standing="draft",
        profile=profile,
        parties=(
            Party(role="claimant", name="Harbour Press Ltd", details="14 Quay Street, Bristol"),
            Party(role="respondent", name="North Models Inc.", details="Wilmington, Delaware"),
            Party(
                role="author", name="Dr A. Example", details="computational linguist, for claimant"
            ),
        ),
        instructions="Letter of Messrs Crane & Co. of 2 March 2026: examine whether the three named "
        "models were built with the claimant's essays or from its model anchor-1b.",
        pre_registration=sha("audit.yaml"),
        registered_at="2026-03-09T10:00:00Z",
        registered_proof="RFC 3161 timestamp, exhibit commitments/audit.yaml.one.tsr",
        key_fingerprint=sha("signing key"),
        previous_statement="",
        items=(
            ExaminedItem(
                name=RELEASE,
                kind="dataset",
                role="release",
                sha256=sha(RELEASE),
                acquired_at="2026-01-14T12:00:00Z",
                acquired_by="Harbour Press Ltd",
                acquired_how="the files as published, 18,204 records",
            ),
            ExaminedItem(
                name=TRANSCRIPT, kind="transcript", role="training order", sha256=sha(TRANSCRIPT)
            ),
            ExaminedItem(
                name=NORTH,
                kind="model",
                role="suspect",
                sha256=sha(NORTH),
                acquired_at="2026-03-02T16:20:00Z",
                acquired_by="A. Example",
                acquired_how="downloaded from the publisher's page, revision 8f31c0",
            ),
            ExaminedItem(
                name=SOUTH,
                kind="model",
                role="suspect",
                sha256=sha(SOUTH),
                acquired_at="2026-03-02T17:05:00Z",
                acquired_by="A. Example",
                acquired_how="downloaded from the publisher's page, revision 02aa19",
            ),
            ExaminedItem(name=CHAT, kind="endpoint", role="suspect"),
            ExaminedItem(name="anchor-1b", kind="model", role="reference", sha256=sha("anchor-1b")),
        ),
        events=(
            TimelineEvent(
                at="2025-11-03T08:00:00Z", what="Order of training of anchor-1b recorded"
            ),
            TimelineEvent(
                at="2026-01-12T09:00:00Z", what="Key and release committed to", proof=STAMP
            ),
            TimelineEvent(
                at="2026-01-13T00:00:00Z",
                what="Public beacon drawn, key derived",
                proof="drand round 4,861,204",
            ),
            TimelineEvent(at="2026-01-14T12:00:00Z", what="Release published"),
            TimelineEvent(at="2026-02-26T00:00:00Z", what=f"First appearance of {NORTH}"),
            TimelineEvent(
                at="2026-03-09T10:00:00Z",
                what="Tests, directions and threshold registered",
                proof="RFC 3161 timestamp, exhibit commitments/audit.yaml.one.tsr",
            ),
            TimelineEvent(at="2026-03-10T08:31:00Z", what="First query"),
            TimelineEvent(at="2026-03-12T19:02:00Z", what="Last query"),
        ),
        registered=_registered(),
        checks=(
            AssumptionCheck(
                assumption=KEY,
                check="key derived from a committed secret and a later public beacon",
                result="holds: commitment and beacon verified",
                if_false="every p-value of the tests of wording would mean nothing",
            ),
            AssumptionCheck(
                assumption=SHUFFLED,
                check="runs test on the recorded order; comparison with the seed in the settings",
                result=f"failed for the run that {SOUTH} shares: its order is sorted by length",
                if_false="likelihood could follow the order through length",
            ),
            AssumptionCheck(
                assumption=STRATA, if_false="popular essays would look influential by their fame"
            ),
        ),
        positive_controls=(
            PositiveControl(
                name="P1: anchor-1b trained on the release",
                description="one epoch of the release in 10 billion tokens",
                noticed=40,
                runs=40,
                level=0.00125,
            ),
            PositiveControl(
                name="P2: anchor-1b trained onwards",
                description="1 billion further tokens of training",
                noticed=9,
                runs=20,
                level=0.00125,
            ),
        ),
        opinions=(
            "The respondent's expert may say that the essays are widely quoted, so that the wording "
            f"reached {NORTH} through quotations.",
            f"Against the claim: no trace of the release was found in {SOUTH}, by the same publisher.",
        ),
        conflicts="",
        looks="One look at the data, after the last query; no interim analysis.",
        custody=tuple(
            CustodyRecord(number=i, at=at, actor="A. Example", action=action, what=what)
            for i, (at, action, what) in enumerate([
                ("2026-03-02T16:02:11Z", "identification", f"page of {NORTH}, revision 8f31c0"),
                (
                    "2026-03-02T16:20:40Z",
                    "acquisition",
                    f"files of {NORTH} downloaded and digested",
                ),
                (
                    "2026-03-02T17:05:13Z",
                    "acquisition",
                    f"files of {SOUTH} downloaded and digested",
                ),
                ("2026-03-02T17:30:00Z", "preservation", "both stored read-only, digests compared"),
                ("2026-03-10T08:31:07Z", "analysis", "scores of all registered tests"),
            ])
        ),
        custody_head=sha("custody head"),
        repetition=(
            RepeatStep(
                what="correction, statuses, words and this page",
                command="bookplate report verify BUNDLE",
                needs="the bundle alone",
            ),
            RepeatStep(
                what="every p-value, from its exhibit",
                command="bookplate report verify BUNDLE",
                needs="the bundle alone",
            ),
            RepeatStep(
                what="the scores in the exhibits",
                command="bookplate audit audit.yaml --out again",
                needs="the models, and key or training order",
            ),
        ),
    )


_FAILED = f"{SHUFFLED} The order of the run that {SOUTH} shares is sorted by length."


@cache
def sample_report(profile: str = "frcp26") -> AuditReport:
    """The whole report."""
    inference = ordered(0.003, 11, SOUTH).about(
        name="dataset inference",
        question=f"Is {RELEASE} among the training data of {SOUTH}?",
        null="Texts under test and held-out texts are exchangeable for the model.",
        unit="records",
        assumptions=(),
        warnings=(),
    )
    tests = [
        (f"mark.{NORTH}", NORTH, marked(0.62, 1, NORTH), 0.92),
        (f"mark.{SOUTH}", SOUTH, marked(0.0, 2, SOUTH), 0.92),
        (f"order.{NORTH}", NORTH, ordered(0.0012, 4, NORTH), 0.42),
        (f"order.{SOUTH}", SOUTH, ordered(0.02, 5, SOUTH), 0.42),
        (f"influence.{NORTH}", NORTH, influential(), None),
        (f"inference.{SOUTH}", SOUTH, inference, None),
    ]
    rng = np.random.default_rng(7)
    case = sample_case(profile)
    places = {test.test: place for place, test in enumerate(case.registered, 1)}
    files = [
        *(
            (f"exhibits/T{places[name]:02d}.parquet", f"numbers of test {name}")
            for name, *_ in tests
        ),
        ("commitments/release.json", "commitment to key and release, as published"),
        ("commitments/release.one.tsr", "timestamp over it"),
        ("commitments/audit.yaml.one.tsr", "timestamp over the pre-registration"),
    ]
    return AuditReport.from_findings(
        [(suspect, finding, power) for _, suspect, finding, power in tests],
        title="Examination of three language models for marked essays",
        subject="Whether north-7b, south-3b and a chat service were built with Harbour Essays 2026.1, "
        "or from the claimant's model anchor-1b.",
        alpha=0.01,
        command="bookplate audit audit.yaml --out bundle",
        versions={"bookplate": "0.1.0", "numpy": "2.4.0", "python": "3.11.9"},
        created="2026-03-13T09:15:00Z",
        controls=[
            Control(
                name="other keys, south-3b",
                description="1,000 keys drawn afresh, same model and scores",
                p_values=tuple(np.round(rng.uniform(0.001, 1, 1000), 4).tolist()),
            ),
            Control(
                name="innocent models",
                description="24 public models released before the commitment, ancestors of "
                f"{NORTH} among them",
                p_values=tuple(np.round(rng.uniform(0.01, 1, 24), 4).tolist()),
            ),
        ],
        exhibits=[Exhibit(name=n, sha256=sha(n), description=d) for n, d in files],
        limits=[f"The weights behind {CHAT} were not available; nothing identifies them."],
        not_run=[
            NotRun(
                suspect=CHAT,
                name="completion test",
                question=f"Was the model behind {CHAT} trained on {RELEASE}?",
                reason="From 2026-03-10T08:31:00Z to 2026-03-12T19:02:00Z, 412 of 600 requests to it came "
                "back refused.",
                test="completion.api",
            )
        ],
        failed_assumptions={(SOUTH, tests[3][2].name): _FAILED},
        case=case,
        ids={(suspect, finding.name): name for name, suspect, finding, _ in tests},
    )
