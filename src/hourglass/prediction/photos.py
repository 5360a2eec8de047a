"""One's own photographs: a picture file in, the keypoints of one person out."""

import numpy as np

from hourglass import geometry
from hourglass.records.images import BadImageError, crop_square, decode_image


def predict_photo(predictor, data, box=None):
    """Find the 16 keypoints of one person on a photograph.

    Args:
        data: the picture file's bytes.
        box: x, y, width, height of the person, px of the upright picture; the network sees the
            square around it, with the margin it was trained with. None: the square around the
            whole picture, letterboxed, never squashed.

    Returns:
        image: the upright RGB picture. keypoints: float32 [16, 2], px of it. scores: [16].

    Raises:
        BadImageError: the picture cannot be decoded, or the box lies outside of it.
    """
    image, _ = decode_image(data)  # in full size: it is drawn on as well
    x, y, width, height = box or (0, 0, *image.size)
    # Around a person there is margin, as in training; around a whole picture there is nothing.
    side = max(width, height) * (geometry.CROP_FACTOR if box else 1)
    size = predictor.size
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    square = (left, top, max(1, round(side)))  # whole px of the picture
    try:
        crop = np.asarray(crop_square(image, 1, square, size))  # (S, S, 3)
    except BadImageError:
        picture = f"a picture of {image.width} x {image.height} px"
        raise BadImageError(
            f"the box {x:g},{y:g},{width:g},{height:g} leaves nothing to see of {picture}; fix "
            "the box"
            if box
            else f"{picture} is too narrow to see anybody; name a --box within it"
        ) from None
    # A batch of one as the input pipeline makes them. The view is the crop itself, pixel for pixel,
    # so it is resampled only once.
    batch = {
        "crops": crop[None],
        "center": np.full((1, 2), (size - 1) / 2, np.float32),
        "side": np.array([size], np.float32),
        "index": np.zeros(1, np.int32),
        "transform": geometry.square_transform(square, size)[None].astype(np.float32),
    }
    result = predictor.predict_on_batch(batch)
    return image, result["keypoints"][0], result["scores"][0]
