"""Scores of one answer against its gold answer, and of the majority baseline: pure functions, no files, no HTTP.

``metrics`` names them; ``text``, ``relaxed``, ``lists``, ``binary`` and ``counting`` say how each is computed.
"""
