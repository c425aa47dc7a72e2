"""What machines and people read about a released dataset: `croissant.json` and a dataset card.

`described` holds what its owner and its files say, `croissant` and `readme` write it down, `writing`
puts all into a folder.
"""

from .croissant import croissant_of
from .described import Described, DescribedFile, file_at
from .readme import readme_of
from .writing import CardFiles, write_card

__all__ = [
    "CardFiles",
    "Described",
    "DescribedFile",
    "croissant_of",
    "file_at",
    "readme_of",
    "write_card",
]
