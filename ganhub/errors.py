"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Something the caller can mend. The message is one line: what is wrong, where, and what to do about it."""


def first_line(error: BaseException) -> str:
    """What another library's exception says, cut to the one line that fits into ours."""
    return shorten((str(error).strip() or type(error).__name__).splitlines()[0])


def shorten(text: object, most: int = 500) -> str:
    """What a stranger's file says, cut to what fits into a message, without what would steer the terminal."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= most else f"{line[:most]}..."
