"""Where a text is code or markup, marked as such or not. Linear on hostile input.

Possessive quantifiers, and unclosed code that reaches to the end, keep it so.
"""

import bisect
import re
from collections.abc import Iterator

__all__ = ["is_inside", "line_around", "protected_spans"]

_PROTECTED = re.compile(
    r"""
      # fenced code, also in quotes and lists; a line of ticks with words cannot close it (CommonMark)
      ^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*+(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)
      .*?(?:\n[ \t>]*+(?P=fence)[`~]*+[ \t]*+$|\Z)
    | <(?P<tag>(?i:pre|code|script|style))\b.*?(?:</(?P=tag)|\Z)              # code in HTML
    | ^[ \t]*+(?:>>>|\.\.\.[ ]|In[ ]\[)[^\n]*+(?:\n(?![ \t]*+(?:\n|\Z))[^\n]*+)*+  # sessions and output
    | (?<!`)(?P<ticks>`++)(?:(?!\n[ \t]*+\n).){1,1000}?(?P=ticks)              # back-ticked text
    | <[^<>\n]{1,1000}+>                                                      # tags
    | \$[^$\n]{1,200}+\$                                                      # formulas
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_LITERAL_BLOCK = re.compile(r"^([ \t]*+)[^\n]*?::[ \t]*+\n((?:[ \t]*+\n)*+)", re.MULTILINE)
_LINE = re.compile(r"([ \t]*)[^\n]*(?:\n|\Z)")

# Lines that are code, or a row of a table, though nothing marks them so. A longer line is a paragraph.
_LONGEST_CODE_LINE = 200
_CODE_LINE = re.compile(
    r"""
      [ \t]*+(?:
          [A-Za-z_][\w.]*+(?:\[[^\]\n]*+\])?+(?:[ ]*+,[ ]*+[A-Za-z_][\w.]*+)*+[ ]*+
          (?:[-+*/%&|^@:]|//|\*\*|<<|>>)?+=(?!=)                   # x = 1, a, b = f(), x[i] += 1
        | [A-Za-z_][\w.]*+\([^\n]*[),(;{\[][ \t]*+(?:[#][^\n]*+)?\Z   # print(x), a.b(c,
        | (?:async[ ]++)?+def[ ]++\w++\( | class[ ]++\w++[(:]
        | (?:from[ ]++[\w.]++[ ]++)?+import[ ]++[\w.*]++(?:[ ]*+(?:,|as\b)[ ]*+[\w.]++)*+[ \t]*+\Z
        | @[A-Za-z_] | \$[ ]++[a-z] | \+[-=+]{3} | \|               # decorator, shell, tables
        | for[ ]++\w[^\n]*[ ]in[ ][^\n]*:[ \t]*+\Z
        | (?:if|elif|while|with|except|switch)\b[^\n]*[(\[=<>_][^\n]*[:{][ \t]*+\Z
      )
    | [^\n]*?(?:
          [ ](?:[-+*/%&|^]|//|\*\*|<<|>>)=[ ]                     # x += 1
        | [ ](?:==|!=|&&|\|\||=>)[ ]
        | [ ]\|[ ][^\n|]*+\|                                      # a | b | c
        | \)[ ]*+(?:->|[{;][ \t]*+\Z)
        | (?:[ ]{3}|\t)\S[^\n]*?(?:[ ]{3}|\t)[ \t]*+\S            # columns
      )
    """,
    re.VERBOSE,
)


def protected_spans(text: str) -> list[tuple[int, int]]:
    """Merged spans of code and markup, ascending."""
    spans = [match.span() for match in _PROTECTED.finditer(text)]
    if "::" in text:
        spans += _literal_blocks(text)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _literal_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Indented blocks after a line that ends in `::` (reStructuredText)."""
    position = 0
    for opener in _LITERAL_BLOCK.finditer(text):
        if opener.start() < position:
            continue  # within the last block, which then holds its block too
        margin = len(opener.group(1).expandtabs())
        position = opener.end()
        while position < len(text) and (line := _LINE.match(text, position)) is not None:
            if line.group().strip() and len(line.group(1).expandtabs()) <= margin:
                break
            position = line.end()
        yield opener.end(), position


def is_inside(spans: list[tuple[int, int]], position: int) -> bool:
    """Whether one of merged ascending spans holds a position."""
    index = bisect.bisect_right(spans, (position, len(spans) and spans[-1][1] + 1)) - 1
    return index >= 0 and spans[index][0] <= position < spans[index][1]


def line_around(text: str, position: int) -> tuple[int, bool]:
    """The end of the line that holds a position, and whether the line looks like code."""
    begin = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    looked_at = end - begin <= _LONGEST_CODE_LINE
    return end, looked_at and _CODE_LINE.match(text, begin, end) is not None
