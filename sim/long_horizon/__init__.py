"""Long-horizon memory tasks in generated houses: a recorded past, and questions that need it (FindingDory, 2506.15635).

`scene` says what a house offers, `experience` lets the oracle live in it, `history` keeps that on disk, `story` is what
happened, `templates` are the sixty questions, `tasks` draws instances of them, `check` proves each solvable and unique.
"""
