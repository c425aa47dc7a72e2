"""The whole job on text and models that are already here."""
