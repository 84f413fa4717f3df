"""The load tests' one error type."""


class LoadTestError(Exception):
    """The command failed; its message, shown without a traceback, says what is wrong and what to do about it."""
