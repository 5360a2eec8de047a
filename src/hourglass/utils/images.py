"""Any picture file to upright RGB pixels, square crops of it, and JPEG bytes. Pillow."""

import io
import math

from PIL import Image

from hourglass.utils import damage, levels
from hourglass.utils.image_headers import (
    BadImageError,
    decode_errors,
    describe_pages,
    find_least_factor,
    open_image,
    read_orientation,
)

OUTSIDE = "the person lies outside the picture: fix center or scale"
# What makes a stored picture upright, by its orientation (EXIF 2.3, tag 0x0112).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Picture:
    """A picture file of any kind Pillow knows; decoded once at each size that is asked for.

    Args:
        data: the file's bytes.

    Attributes:
        notes: what people should know of its pixels; complete when they were decoded.
        whole_share: of the stored rows, the share that is whole; below 1 where the end is missing.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.notes: tuple[str, ...] = ()
        self._header: Image.Image | None = None
        self.whole_share = 1.0
        self._mended, self._is_mended = b"", False
        self._decoded: dict[int, Image.Image] = {}  # by factor

    def read_header(self) -> tuple[tuple[int, int], int]:
        """Width and height, px, as it is shown; and how many pixels of it are decoded, at most.

        Raises:
            BadImageError: not a picture, or too large.
        """
        self._header = image = self._open()
        with decode_errors():
            width, height = image.size if read_orientation(image) < 5 else image.size[::-1]
        return (width, height), width * height // find_least_factor(image) ** 2

    def decode(self, reduction: float = 1.0) -> tuple[Image.Image, int]:
        """The picture's pixels.

        Args:
            reduction: the factor by which the picture will be shrunk. A JPEG is then decoded at
                1/2, 1/4 or 1/8 of its size if that has enough pixels: several times faster.

        Returns:
            image: RGB, upright (EXIF orientation applied), transparency on white, the first frame;
                not to be changed.
            factor: the picture's true pixels to one of `image`: 1, 2, 4 or 8. It is larger than
                asked for if the picture has more than `MAX_PIXELS`.

        Raises:
            BadImageError: not a picture, damaged, or too large.
        """
        with self._open() as image, decode_errors():
            pages, factor = describe_pages(image), _draft(image, reduction)
            if factor not in self._decoded:
                self._decoded[factor] = self._load(image, reduction)
                reduced = (f"decoded at 1/{factor} of its size",) if factor > reduction else ()
                self.notes = (*pages, *reduced, *self._describe_damage())
            return self._decoded[factor], factor

    def forget(self) -> None:
        """Keep neither the file's bytes nor its pixels."""
        self.data = self._mended = b""
        self._decoded = {}

    def _open(self) -> Image.Image:
        header, self._header = self._header, None
        if header:
            return header
        try:
            return open_image(self.data)
        except BadImageError as error:
            return open_image(self._mend(error))

    def _load(self, image: Image.Image, reduction: float) -> Image.Image:
        """The pixels of the opened picture; of a damaged one those that are whole."""
        try:
            return load_upright(image)
        except BadImageError as error:
            data = self._mend(error)
        with open_image(data) as mended:
            _draft(mended, reduction)
            return load_upright(mended)

    def _mend(self, error: BadImageError) -> bytes:
        """The file with another end, for the one that raised an error."""
        if not self._is_mended:
            mended = damage.mend(self.data)
            if mended is None:
                raise error
            (self._mended, self.whole_share), self._is_mended = mended, True
        if self.whole_share < damage.MIN_WHOLE:
            text = f"{error}; {math.floor(100 * self.whole_share)} % of its rows are whole"
            raise BadImageError(f"{text}, fewer than half") from None
        return self._mended

    def _describe_damage(self) -> tuple[str, ...]:
        whole = math.floor(100 * self.whole_share)
        text = f"damaged: its end is missing, {whole} % of its rows are whole"
        return (text,) if self._is_mended else ()


def decode_image(data: bytes, reduction: float = 1.0) -> tuple[Image.Image, int]:
    """The pixels of a file's bytes, and the factor by which they are fewer: `Picture.decode`."""
    return Picture(data).decode(reduction)


def load_upright(image: Image.Image) -> Image.Image:
    """The pixels of an opened picture: RGB, EXIF orientation applied, transparency on white.

    Of more than 8 bits a level it has 8, by the rule of `utils.levels`.

    Raises:
        BadImageError: it is damaged.
    """
    with decode_errors():
        pixels = _load_bytes(image)
        # Only where needed: it copies the pixels.
        turn = _TURNS.get(read_orientation(image))
        return _to_rgb(pixels if turn is None else pixels.transpose(turn))


def _load_bytes(image: Image.Image) -> Image.Image:
    """Load an opened picture, before its file is closed; 8 bits a channel, of any mode."""
    is_inverted = levels.is_white_zero(image)
    levels.correct_planes(image)
    lower = levels.open_lower_bytes(image)
    image.load()
    if levels.is_grey(image):
        return levels.read_grey(image, is_inverted)
    if lower and levels.is_dark(image):
        lower.load()
        return levels.read_colours(image, lower)
    return image


def _draft(image: Image.Image, reduction: float) -> int:
    """Choose the size to decode an opened picture at: the factor."""
    (width, height), least = image.size, find_least_factor(image)
    # A reduced JPEG's last column and row may stand for fewer pixels than the others;
    # turned to the front they would shift the picture.
    is_exact = width % 8 == height % 8 == 0
    if least > 1 or (image.format == "JPEG" and (is_exact or _is_upright(image))):
        reduction = max(reduction, least)
        if reduction >= 2:
            image.draft("RGB", (math.ceil(width / reduction), math.ceil(height / reduction)))
    # `draft` chooses the reduction itself and does not say which.
    return next(k for k in (1, 2, 4, 8) if math.ceil(width / k) == image.size[0])


def is_plain_jpeg(data: bytes) -> bool:
    """Whether a decoder that knows neither EXIF nor colour spaces shows the picture as we do."""
    with Image.open(io.BytesIO(data)) as image:
        return image.format == "JPEG" and image.mode == "RGB" and _is_upright(image)


def _is_upright(image: Image.Image) -> bool:
    return read_orientation(image) == 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        # Converted alone, transparent pixels show whatever colour they hold, often black.
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def cut_crop(
    image: Image.Image,
    factor: int,
    crop: tuple[int, int, int],
    size: int,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Cut a crop out of a picture and resize it; black outside of the picture.

    Args:
        image: RGB, decoded at 1 / `factor` of the picture's size.
        crop: (x, y, side), a square, px of the picture at full size; it may reach outside.
        size: the side of the result, px.
        resample: one of Pillow's filters; all of them smooth when they shrink.

    Raises:
        BadImageError: the crop does not touch the picture.
    """
    x, y, side = crop
    ratio = side / size  # px of the picture to one of the result
    # In px of the result: only those that the picture fills wholly, so that no border is mixed with
    # black.
    left, right = _inside(x, image.width * factor, side, size)
    top, bottom = _inside(y, image.height * factor, side, size)
    if right <= left or bottom <= top:
        raise BadImageError(OUTSIDE)
    # Rounding may carry the bounds a hair outside the picture, which Pillow refuses.
    bounds = (
        max((x + left * ratio) / factor, 0),
        max((y + top * ratio) / factor, 0),
        min((x + right * ratio) / factor, image.width),
        min((y + bottom * ratio) / factor, image.height),
    )
    # `box` takes fractions: the part keeps its exact place, to less than a pixel.
    part = image.resize((right - left, bottom - top), resample, box=bounds)
    canvas = Image.new("RGB", (size, size))
    canvas.paste(part, (left, top))
    return canvas


def _inside(start: int, length: int, side: int, size: int) -> tuple[int, int]:
    """First and last + 1 of the result's pixels that lie wholly in a picture of `length` px."""
    # In whole numbers: a quotient a hair below its true value would lose a column.
    # ceil(-start * size / side) and floor((length - start) * size / side).
    return max(0, -(start * size // side)), min(size, (length - start) * size // side)


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """The image as JPEG bytes; the same image gives the same bytes."""
    with io.BytesIO() as buffer:
        image.save(buffer, format="JPEG", quality=quality)
        return buffer.getvalue()
