"""Was this model trained on my dataset? Marked before release, found again afterwards (LexiMark).

`keys` holds the secret that draws every choice; `lexicon` says which words may stand for which;
`selection` finds the words of a text that may change; `embed` marks a dataset and restores it;
`manifest` is the private record of every choice and the public commitment to it; `detect` tests a
model. After arXiv 2506.14474, with a key that makes the test exact.
"""
