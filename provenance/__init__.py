"""Evidence from models: `suspect` reaches them, `palimpsest` tests descent from a training run,
`custody` binds private tables by public hashes.
"""
