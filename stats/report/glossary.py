"""The words of a report, one plain line each."""

__all__ = ["glossary"]

# (word, what it means, whether only a report with a case uses it)
_WORDS = (
    (
        "Language model",
        "A program that gives, for any text, how expected each next piece of it is.",
        False,
    ),
    (
        "Training, fine-tuning, distillation",
        "How a model is made from texts; made further with a few more; made to imitate another model.",
        True,
    ),
    ("Dataset, record", "A collection of texts; one of its texts.", True),
    (
        "Likelihood, log-probability",
        "How expected a word or text was to the model; nats are its unit.",
        False,
    ),
    (
        "Token",
        "The piece of text that a model reads or writes at a time: a word or part of one.",
        True,
    ),
    ("Mark", "Choices of wording drawn by a secret key.", False),
    (
        "Key",
        "A secret number that decides the choices; without it they look like ordinary wording.",
        False,
    ),
    ("Ghost", "A version of a record that could have been released and was not.", False),
    (
        "Commitment",
        "A sealed envelope: shown now, opened later, and what is in it cannot be exchanged.",
        True,
    ),
    (
        "Digest, hash, SHA-256",
        "The fingerprint of a file: any change to the file changes it.",
        False,
    ),
    (
        "Merkle root",
        "One fingerprint for many records, of which single ones can be shown later.",
        True,
    ),
    ("Timestamp", "A signed statement by somebody else that a file existed at a time.", True),
    (
        "Signature",
        "A mark on a file that only the holder of a key can make; it shows who said it, not that it is true.",
        True,
    ),
    (
        "Beacon",
        "A public random number that nobody could know before its time.",
        True,
    ),
    (
        "Null hypothesis",
        "The explanation put to the test: the model has nothing to do with the secret draw.",
        False,
    ),
    (
        "p-value",
        "How often, at most, the null hypothesis alone would give such a result or one farther out. It is "
        "not the probability that the null hypothesis is true.",
        False,
    ),
    ("Alpha", "The threshold for corrected p-values.", False),
    (
        "Correction (Holm), multiple testing",
        "Makes p-values larger, since more tests give more occasions for luck.",
        False,
    ),
    (
        "e-value",
        "What one unit staked against the null hypothesis at fair odds would have become.",
        False,
    ),
    (
        "Effect, interval",
        "How large the difference is, and the range of sizes that the data leave open. A small effect can be "
        "well established, a large one poorly.",
        False,
    ),
    ("Power", "The chance that a test notices an effect of a stated size.", False),
    ("Control", "A case whose answer is known.", False),
    (
        "Exchangeable units",
        "The things the secret draw treats alike, such as word types or records; n counts them.",
        False,
    ),
    (
        "Exact, Monte Carlo, asymptotic",
        "A p-value counted over all outcomes; estimated from random draws so that it stays valid; or found "
        "by a formula that gets better with more data.",
        True,
    ),
    ("Anytime-valid", "Stays true though the auditor looks repeatedly and stops at will.", True),
    (
        "Pre-registration",
        "Tests, directions and threshold, fixed in a file before any data were read.",
        True,
    ),
    (
        "Influence score",
        "How much an approximation holds a training document responsible for an answer.",
        True,
    ),
    (
        "Seed",
        "The number from which the computer's random draws start, so that they can be repeated.",
        False,
    ),
    (
        "Exhibit, bundle",
        "A file that accompanies the report; all of them with the signature.",
        True,
    ),
    (
        "Chain of custody",
        "The record of who had an item when, and what was done with it.",
        True,
    ),
)


def glossary(*, with_case: bool) -> list[tuple[str, str]]:
    """Words with their meaning, in the order in which a reader meets them."""
    return [(word, said) for word, said, case_only in _WORDS if with_case or not case_only]
