"""Progress of what is counted in bytes."""

from tqdm import tqdm


def byte_bar(name, total, initial=0):
    """A progress bar of bytes; quiet unless on a terminal."""
    return tqdm(
        desc=name, total=total, initial=initial,
        unit="B", unit_scale=True, unit_divisor=1024, disable=None,
    )  # fmt: skip
