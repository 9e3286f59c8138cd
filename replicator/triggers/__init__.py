"""The entry points of a migration: what lets functions run at either side, switched off and on and put back exactly.

`triggers` does it by what `note` remembers; `model` has the nouns. How a single one is reached is a kind in the
registry.
"""
