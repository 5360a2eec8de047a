"""The one exception for what the user can mend, and how a program ends on it."""

import functools
import sys


class UserError(Exception):
    """Bad input. Its text is one line: which file or record, what is wrong, what to do."""


def exit_on_user_error(main):
    """Decorate a program's `main`: a `UserError` becomes one line on stderr and exit code 1."""

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    return wrapped
