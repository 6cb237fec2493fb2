"""What is the user's to mend: commands print it as one sentence and exit with code 2."""


class UserError(ValueError):
    """Names the thing that is wrong, its value, and the remedy."""
