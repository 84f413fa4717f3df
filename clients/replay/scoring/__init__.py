"""Scores of one answer against its gold answer, and the majority baseline: pure functions, no files, no HTTP.

``metrics`` lists them; ``text``, ``relaxed``, ``lists``, ``binary`` and ``counting`` implement them, and ``reading``
says what makes no difference to a reader.
"""
