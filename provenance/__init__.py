"""Evidence from models.

`suspect` reaches a model, `palimpsest` tests its descent from a training run, and `custody` binds
private tables by public hashes.
"""
