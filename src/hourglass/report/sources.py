"""What a reader must know of each dataset: its name, what it may be used for, its pictures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One dataset, in words.

    Attributes:
        name: as it is called.
        terms: what it may be used for.
        is_free: whether its pictures may be passed on.
    """

    name: str
    terms: str
    is_free: bool


# Beside `data.datasets.base.DATASETS`, which the first stages depend on: a word changed here makes
# no shard again.
SOURCES = {
    "mpii": Source(
        "MPII Human Pose",
        "Andriluka et al., CVPR 2014: for research, not for commercial use; its images must not be "
        "redistributed",
        is_free=False,
    ),
    "lspet": Source(
        "Leeds Sports Pose Extended",
        "Johnson and Everingham, CVPR 2011: for research, not for commercial use; its photographs "
        "are from Flickr",
        is_free=False,
    ),
    "synthetic": Source(
        "drawn figures", "drawn by this program, under its MIT licence", is_free=True
    ),
    "folder": Source("own pictures", "on the terms of whoever gave them", is_free=True),
}


def name_sources(names):
    """The datasets of a text like "lspet, folder" by their full names; None is not known."""
    known = {key: source.name for key, source in SOURCES.items()}
    return ", ".join(known.get(name, name) for name in (names or "not known").split(", "))
