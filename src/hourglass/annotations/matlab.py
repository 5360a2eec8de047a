"""MATLAB files, read with care."""

import io
import zlib

from hourglass.errors import UserError, one_line
from hourglass.raw.archives import DOWNLOAD_AGAIN


def load_mat(content, name, variable):
    """One variable of a MATLAB file, structs as objects, one-element arrays as their element.

    Args:
        content: the file's bytes. name: of the file, for what is wrong with it.
    """
    from scipy.io import loadmat  # slow to import, and only these readers need it
    from scipy.io.matlab import MatReadError

    # What scipy raised on files with flipped bytes; NameError is a variable it forgets to set.
    faults = (MatReadError, ValueError, TypeError, LookupError, ArithmeticError, NameError)
    try:
        # LSPET's array keeps its three axes, whatever their lengths.
        squeeze = variable == "RELEASE"
        return loadmat(io.BytesIO(content), struct_as_record=False, squeeze_me=squeeze)[variable]
    except (*faults, zlib.error, NotImplementedError, OSError, MemoryError) as error:
        raise UserError(
            f"{name}: no MATLAB file with the variable {variable} ({one_line(error)});"
            f" {DOWNLOAD_AGAIN}"
        ) from None
