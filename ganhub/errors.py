"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Something the caller can mend. The message is one line: what is wrong, where, and what to do about it."""
