"""What ends a command with one sentence instead of a traceback."""


class UserError(ValueError):
    """The user's to mend: names the thing that is wrong, its value, and the remedy. Exit code 2."""


class RunFailedError(Exception):
    """A run could not do what it was asked for, though nothing was wrong with that. Exit code 1."""
