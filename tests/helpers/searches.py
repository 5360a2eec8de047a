"""Searches of one picture, run to their end."""

from hourglass.inference.crops import Search


def run_search(search, image, find_joints, size):
    """The poses that a search, a generator, finds on a PIL image by inputs of `size` px."""
    search = Search(search, lambda _: (image, 1))
    while search.crops:
        search.cut_crops(size)
        search.take_keypoints(*find_joints(search.inputs))
    return search.poses
