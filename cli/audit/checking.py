"""What only the whole audit file shows: names that lead nowhere, roles, settings that exclude each other."""

import difflib
from collections.abc import Iterator, Sequence

from .lines import Document, Place
from .planned import PlannedKind
from .schema import SECTIONS, Audit

__all__ = ["check", "doubts"]

_MOST_PAIRS = 10_000
_ROLES = {  # which role a thing needs to be named in a list of a test
    "suspects": ("suspect",),
    "references": ("reference", "innocent"),
    "innocent": ("innocent", "reference"),
    "positive": ("positive",),
}


def check(audit: Audit, document: Document) -> None:
    """Refuse what cannot be carried out as it stands.

    Args:
        audit: What the file says.
        document: Where it says it.

    Raises:
        InvalidInput: With the line of the first thing that is wrong.
    """
    _check_names(audit, document)
    _check_things(audit, document)
    for test in audit.tests:
        _check_test(audit, document, test)
    pairs = sum(len(audit.suspects_of(test)) for test in audit.tests.values())
    if pairs > _MOST_PAIRS:
        raise document.error(("tests",), f"{pairs:,} tests, more than the {_MOST_PAIRS:,} allowed")


def doubts(audit: Audit) -> Iterator[str]:
    """What the author of a file should look at again."""
    used: set[str] = set()
    for test in audit.tests.values():
        used.update(audit.suspects_of(test), test.references, test.innocent, test.positive)
        used.update(value for field in test.USES if (value := getattr(test, field)) is not None)
    things = [(s, name, thing) for s in SECTIONS for name, thing in audit.section(s).items()]
    for section, name, _ in things:
        if name not in used:
            yield f"{section}.{name}: no test uses it"
    loose = [
        name
        for _, name, thing in things
        if name in used and not thing.sha256 and not getattr(thing, "is_endpoint", False)
    ]
    if loose:
        yield f"sha256 is not given, so this file does not fix what they hold: {', '.join(loose)}"


def _check_names(audit: Audit, document: Document) -> None:
    """One name, one thing: a report must not call two things alike."""
    places = [(section, name) for section in SECTIONS for name in audit.section(section)]
    seen: dict[str, str] = {}
    for section, name in sorted(places, key=document.line):
        if name in seen:
            raise document.error(
                (section, name), f"{name!r} is defined under {seen[name]}, too", "rename one"
            )
        seen[name] = section


def _check_things(audit: Audit, document: Document) -> None:
    for name, dataset in audit.datasets.items():
        if dataset.recipient is not None and dataset.key is None:
            raise document.error(
                ("datasets", name, "recipient"),
                "recipient needs key, the owner's key that recipients' keys follow from",
            )
    for name, model in audit.models.items():
        if model.is_endpoint and model.sha256:
            raise document.error(
                ("models", name, "sha256"),
                "an endpoint has no digest that could be known beforehand",
                "leave sha256 out",
            )
        if model.is_endpoint and "@" in model.model.partition("//")[2].partition("/")[0]:
            raise document.error(
                ("models", name, "model"),
                "an address with a password in it",
                "name the variable that holds the API token with token_variable",
            )


def _check_test(audit: Audit, document: Document, name: str) -> None:
    test = audit.tests[name]
    place: Place = ("tests", name)
    for field, section in test.USES.items():
        used = getattr(test, field)
        if used is not None:
            _defined(audit, document, (*place, field), section, used)
    for field, thing in (("suspects", test.SUBJECTS), ("references", "models")):
        listed = test.references if field == "references" else audit.suspects_of(test)
        _check_list(audit, document, (*place, field), thing, listed)
    for field in ("innocent", "positive"):
        _check_list(audit, document, (*place, field), test.SUBJECTS, getattr(test, field))
    if not audit.suspects_of(test):
        raise document.error(
            place, f"the test {name!r} has no suspect", f"define one under {test.SUBJECTS}"
        )
    _check_once(audit, document, place)
    given = (bool(test.smallest_effect), test.power is not None, bool(test.power_source))
    if given[1] and not all(given):
        raise document.error(
            (*place, "power"),
            "power goes with smallest_effect, what it is the power for, and power_source, how it is known",
        )
    _check_settings(document, place, test)


def _check_settings(document: Document, place: Place, test: PlannedKind) -> None:
    """Settings that exclude each other, found now and not after hours."""
    if test.kind == "order":
        any_known = bool(test.references or test.covariates)
        fits = {
            None: True,
            "likelihood": not any_known,
            "difference": bool(test.references) and not test.covariates,
            "residual": any_known,
        }
        if not fits[test.statistic]:
            raise document.error(
                (*place, "statistic"),
                f"statistic {test.statistic!r} does not go with these references and covariates",
                "likelihood takes neither; difference takes references alone; residual one of either",
            )
    if test.kind == "partition" and test.shortest > test.longest:
        raise document.error((*place, "shortest"), "shortest is above longest")


def _check_list(
    audit: Audit, document: Document, place: Place, section: str, names: Sequence[str]
) -> None:
    for number, name in enumerate(names):
        here = (*place, number)
        _defined(audit, document, here, section, name)
        role, roles = audit.section(section)[name].role, _ROLES[str(place[-1])]
        if role not in roles:
            raise document.error(
                here,
                f"{name!r} has the role {role!r}, and cannot stand under {place[-1]}",
                f"it takes the role {' or '.join(map(repr, roles))}",
            )


def _defined(audit: Audit, document: Document, place: Place, section: str, name: str) -> None:
    known = audit.section(section)
    if name in known:
        return
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"define it under {section}"
    raise document.error(place, f"{name!r} is not defined under {section}", hint)


def _check_once(audit: Audit, document: Document, place: Place) -> None:
    test = audit.tests[str(place[1])]
    seen: dict[str, str] = {}
    lists = {
        "suspects": audit.suspects_of(test),
        "references": test.references,
        "innocent": test.innocent,
        "positive": test.positive,
    }
    for field, names in lists.items():
        for number, name in enumerate(names):
            if name in seen:
                raise document.error(
                    (*place, field, number), f"{name!r} stands under {seen[name]} already"
                )
            seen[name] = field
