"""Bookplate proves where a language model's training data, or a model itself, came from.

`bookplate.watermark` marks a dataset before release and finds the mark again in a model;
`bookplate.provenance.palimpsest` tells whether a model descends from your training run;
`bookplate.provenance.suspect` reaches the model under audit;
`bookplate.stats` turns each answer into a p-value whose validity is stated, and into a report.

Importing this package imports neither torch nor transformers.
"""

__version__ = "0.1.0"
