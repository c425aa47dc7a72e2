"""Docstrings as Markdown: formulas as formulas, and signs of arithmetic left alone."""

import re
import textwrap
from typing import Any

from griffe import Extension, Object

# `.. math::` with its formula on the same line, indented below, or both.
_MATH = re.compile(
    r"^\.\. math::(?P<first>[^\n]*)\n?(?P<rest>(?:[ \t]*\n)*(?:[ \t]+\S[^\n]*\n?)*)", re.MULTILINE
)
# A table with rules of `=`: above and below the heads, and at the end.
_TABLE = re.compile(r"^(=+(?: +=+)+)\n.*\n\1\n(?:.*\n)*?\1$", re.MULTILINE)
_CODE = re.compile(r"(`+[^`]*`+|\$\$.*?\$\$)", re.DOTALL)
_KEPT = re.compile(r"\0(\d+)\0")
_EMPHASIS = re.compile(
    r"(?<![\w*)])\*{1,2}[^\s*][^*\n]*[^\s*]\*{1,2}(?![\w*(])|(?<![\w*)])\*{1,2}\w\*{1,2}"
)


class AsMarkdown(Extension):
    """Rewrites each docstring once, before it is cut into sections."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Formulas between dollar signs; stars and the like that are no Markdown escaped."""
    text = _TABLE.sub(lambda table: f"```text\n{table.group()}\n```", _MATH.sub(_formula, text))
    parts = _CODE.split(text)
    return "".join(part if n % 2 else _plain(part) for n, part in enumerate(parts))


def _formula(match: re.Match[str]) -> str:
    tex = f"{match['first']}\n{textwrap.dedent(match['rest'])}".strip()
    return f"$$\n{tex}\n$$\n\n"


def _plain(text: str) -> str:
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group())
        return f"\0{len(kept) - 1}\0"

    text = _EMPHASIS.sub(keep, text)
    text = text.replace("*", r"\*").replace("<", "&lt;")
    return _KEPT.sub(lambda m: kept[int(m[1])], text)
