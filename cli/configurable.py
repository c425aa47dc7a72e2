"""Which options may be set outside the command line, and from where: each one by name.

A file that was merely found in the working folder may be a stranger's, brought along by a download. It may
say how a result is shown and what a computation may take, never where texts or tokens go, nor what is
examined. What decides a result, names a secret or is written stands on the command line, or in AUDIT.yaml.
"""

from collections.abc import Sequence
from enum import Enum

__all__ = ["Place", "classified", "place_of", "reads_none"]


class Place(Enum):
    """From where an option may be set, besides the command line."""

    ANYWHERE = "anywhere"
    NAMED = "environment, or a file named there"
    NOWHERE = "the command line alone"


# How it is shown, and what the computation may take.
_ANYWHERE = """
    at-once batch-tokens data-parts device dtype examples json max-queries max-tokens memory
    module-parts probe timeout workers
""".split()

# Where texts and tokens go, what is opened, and how it is asked.
_NAMED = """
    adapter answers authority cache candidates chat committed context creator disclosed encoder
    engine frequencies held-out id-column index language license longest model person reference
    released released-column source-column start suspect template text-column token-variable
    tokenizer tokens tsa-roots url wordnet
""".split()

# Secrets and names, outputs, what is said for one run, and everything that decides a result.
_NOWHERE = {
    "secrets, signers and whom to trust": """
        beacon dataset fingerprint fixed head key public promise recipient release roots round sign
        signing source timestamp opened who
    """,
    "what is written": """
        description log name note opposites out plot published report say-marked tag version work
        zip
    """,
    "said for one run": """
        at attempt dry-run example file force from other own record register request retry run runs
        steps training true with-gaps only ran order
    """,
    "decides a result": """
        all alpha alternative blocks bottom budget controls covariate damping effect explore fisher
        ghosts kept-precision labels least-cosine length length-bins method mode modules
        most-occurrences n neighbours orders per-record per-sentence pooled power prefix
        prefix-tokens protect queries query-length query-rank random randomised rank-by sample
        samples sampling score seed self sequences sequential shards share shortest simulate
        statistic strategy sum-precision tier top training-size unit window-tokens
    """,
}

_BY_NAME = {
    **dict.fromkeys(_ANYWHERE, Place.ANYWHERE),
    **dict.fromkeys(_NAMED, Place.NAMED),
    **{name: Place.NOWHERE for names in _NOWHERE.values() for name in names.split()},
}

# The same name with another meaning.
_APART: dict[tuple[str, ...], Place] = {
    ("influence", "plan", "candidates"): Place.NOWHERE,  # a number of sequences
    ("palimpsest", "partition", "longest"): Place.NOWHERE,  # of the k-grams that are looked for
}

# A stranger checks evidence with these: they read no setting, and stumble over none.
_READ_NONE = {
    ("key", "check-draw"),
    ("log", "show"),
    ("log", "verify"),
    ("palimpsest", "inspect"),
    ("palimpsest", "verify"),
    ("report", "verify"),
    ("timestamp", "verify"),
    ("watermark", "check-disclosure"),
}


def classified() -> dict[tuple[str, ...], Place]:
    """The whole table: `(option,)` of every command, `(*command, option)` of one where it means another."""
    return {**{(name,): place for name, place in _BY_NAME.items()}, **_APART}


def place_of(command: Sequence[str], option: str) -> Place:
    """From where an option may be set; what the table does not know, from nowhere.

    Args:
        command: The words of the command.
        option: Long name without dashes.
    """
    if tuple(command) in _READ_NONE:
        return Place.NOWHERE
    return _APART.get((*command, option)) or _BY_NAME.get(option, Place.NOWHERE)


def reads_none(words: Sequence[str]) -> bool:
    """Whether a command line is of a command that reads no settings.

    Args:
        words: The command line, without its first word.
    """
    named = [word for word in words if not word.startswith("-")]
    return tuple(named[:2]) in _READ_NONE
