"""What stands in for a backend: no network, no TensorFlow. Searches run to their end."""

import numpy as np

from hourglass.inference.crops import Search
from hourglass.keypoints import MPII


class WholeFinder:
    """A people finder that sees one person, all over every input, as sure as it is told to be.

    `shares` are the boxes (x, y, width, height) that it sees, as shares of the input.
    """

    size, batch_size = 32, 4

    def __init__(self, score=0.9):
        self.score, self.shares = score, [(0, 0, 1, 1)]
        self.batches = []  # how many inputs each call was given

    def __call__(self, inputs):
        self.batches.append(len(inputs))
        boxes, scores = np.zeros((len(inputs), 50, 4), np.float32), np.zeros((len(inputs), 50))
        number = len(self.shares)
        boxes[:, :number], scores[:, :number] = self.size * np.array(self.shares), self.score
        return boxes, scores


class BrightestBackend:
    """Finds all joints where an input is brightest, each a pixel right of the one before."""

    size = 32
    batch_size = 4
    schema = MPII
    trained_on = ("lspet",)

    def __init__(self):
        self.finder = WholeFinder()
        self.batches = []  # how many inputs each call was given

    def __call__(self, inputs):
        self.batches.append(len(inputs))
        grey = inputs.sum(axis=-1).reshape(len(inputs), -1)
        y, x = np.divmod(grey.argmax(axis=1), self.size)
        joints = np.stack([x[:, None] + np.arange(16), np.tile(y[:, None], 16)], axis=-1)
        return joints.astype(np.float32), np.tile(grey.max(axis=1)[:, None] / 765, 16)


class EverywhereBackend:
    """Sees one person in every input, in its middle half, as sure as it is told to be."""

    size = 64
    batch_size = 16
    schema = MPII

    def __init__(self, score):
        self.score, self.finder = score, WholeFinder()

    def __call__(self, inputs):
        row = np.linspace(self.size / 4, 3 * self.size / 4, 16)[:, None]
        return row * np.ones((len(inputs), 1, 2)), np.full((len(inputs), 16), self.score)


class FunctionBackend:
    """A backend of a function of inputs of `size` px."""

    batch_size, schema = 16, MPII

    def __init__(self, find_keypoints, size):
        self.find_keypoints, self.size, self.finder = find_keypoints, size, WholeFinder()

    def __call__(self, inputs):
        return self.find_keypoints(inputs)


def run_search(search, image, find_keypoints, size):
    """The poses that a search, a generator, finds on a PIL image by inputs of `size` px."""
    search = Search(search, image, FunctionBackend(find_keypoints, size))
    while search.look.crops:
        search.take_found(*search.network(search.inputs))
    return search.poses
