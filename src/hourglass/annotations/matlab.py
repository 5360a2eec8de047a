"""MATLAB files, read with care."""

import io
import zlib
from pathlib import Path

from hourglass.errors import UserError
from hourglass.raw.archives import DOWNLOAD_AGAIN


def load_mat(source, name, variable):
    """One variable of a MATLAB file, structs as objects, one-element arrays as their element."""
    from scipy.io import loadmat  # slow to import, and only these readers need it
    from scipy.io.matlab import MatReadError

    # What scipy raised on files with flipped bytes; NameError is a variable it forgets to set.
    faults = (MatReadError, ValueError, TypeError, LookupError, ArithmeticError, NameError)
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        squeeze = variable == "RELEASE"
        return loadmat(io.BytesIO(content), struct_as_record=False, squeeze_me=squeeze)[variable]
    except FileNotFoundError:
        raise UserError(f"{source}: not found; {DOWNLOAD_AGAIN}") from None
    except (*faults, zlib.error, NotImplementedError, OSError, MemoryError) as error:
        fault = " ".join(str(error).split())
        raise UserError(
            f"{name}: no MATLAB file with the variable {variable} ({fault}); {DOWNLOAD_AGAIN}"
        ) from None
