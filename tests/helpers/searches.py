"""Searches of one picture, run to their end."""

from hourglass.prediction.looks import Search


def run_search(search, image, find_joints, size):
    """The poses that a search, a generator, finds on a PIL image by views of `size` px."""
    search = Search(search, lambda _: (image, 1))
    while search.squares:
        search.cut_views(size)
        search.take_joints(*find_joints(search.views))
    return search.poses
