"""A peer of the input pipeline: albumentations on whole pictures, as pose projects in PyTorch do.

It is no dependency of the project: `pip install albumentations opencv-python-headless` beside it.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

try:
    import albumentations
    import cv2
except ImportError:
    albumentations = None

from hourglass.keypoints import MPII
from hourglass.utils import transforms

IS_HERE = albumentations is not None
NAME = f"albumentations {albumentations.__version__}" if IS_HERE else ""
NUM_THREADS = 2  # OpenCV lets go of Python's lock


class Peer:
    """Batches of pictures and heatmaps with the same augmentation, drawn anew at each pass."""

    def __init__(self, sample, params, size):
        self.sample, self.size, self.flip = sample, size, params.augment.flip
        self.sigma = params.sigma
        augment = params.augment
        cv2.setNumThreads(1)
        self.transform = albumentations.Compose(
            [
                albumentations.Affine(
                    scale=(1 - augment.scale, 1 + augment.scale),
                    rotate=(-augment.rotation, augment.rotation),
                    p=1,
                ),
                albumentations.MultiplicativeNoise(
                    (1 - augment.colour, 1 + augment.colour), per_channel=True, p=1
                ),
            ],
            keypoint_params=albumentations.KeypointParams("xy", remove_invisible=False),
        )

    def batches(self, batch_size):
        """Yields (pictures uint8 [N, S, S, 3], heatmaps float32 [N, S / 4, S / 4, 16])."""
        persons = self.sample.persons
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for start in range(0, len(persons) - batch_size + 1, batch_size):
                inputs = list(pool.map(self.make_input, persons[start : start + batch_size]))
                yield tuple(np.stack(arrays) for arrays in zip(*inputs, strict=True))

    def make_input(self, person):
        """One picture, decoded whole, cropped, augmented; its heatmaps."""
        data = np.frombuffer(self.sample.read(person.image), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        center, side = transforms.person_region(person.center, person.scale)
        zoom = self.size / side
        to_view = np.array([[zoom, 0, 0], [0, zoom, 0]])
        to_view[:, 2] = (self.size - 1) / 2 - zoom * center
        crop = cv2.warpAffine(picture, to_view, (self.size, self.size))
        keypoints = transforms.apply_transform(to_view, person.joints)
        result = self.transform(image=crop, keypoints=keypoints)
        picture, keypoints = result["image"], np.asarray(result["keypoints"])
        if self.flip and np.random.random() < 0.5:
            picture, keypoints = picture[:, ::-1], keypoints[list(MPII.flip_order)]
            keypoints[:, 0] = self.size - 1 - keypoints[:, 0]
        return picture, self.encode(keypoints)

    def encode(self, keypoints):
        """Heatmaps of all joints at once."""
        side = self.size // 4
        distance = np.arange(side)[:, None, None] - ((keypoints + 0.5) / 4 - 0.5)
        bell = np.exp(-np.square(distance) / (2 * self.sigma**2)).astype(np.float32)
        bell[np.abs(distance) > 3.5 * self.sigma] = 0
        return bell[None, :, :, 0] * bell[:, None, :, 1]
