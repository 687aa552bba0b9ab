"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Something the caller can mend. The message is one line: what is wrong, where, and what to do about it."""


def first_line(error: BaseException) -> str:
    """What another library's exception says, cut to the one line that fits into ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
