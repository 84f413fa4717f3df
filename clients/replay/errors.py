"""The replay client's one error type."""


class ReplayError(Exception):
    """The command failed; its message, shown without a traceback, says what is wrong and what to do about it."""
