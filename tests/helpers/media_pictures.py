"""The corpus' pictures: modes, bit depths, orientations, compressions and damaged ends."""

import functools
import struct
import zlib
from collections.abc import Iterator

import av
import numpy as np
from PIL import Image, ImageCms

from helpers.media import Case, draw_original
from helpers.pictures import STORED_AS, file_of, jpeg_of, write_tiff

ORIENTATION = 0x0112  # EXIF's tag
LOSSLESS, LOSSY = 0.01, 3.0  # levels of mean difference
PALETTE = 12.0  # of 256 colours, dithered


def original():
    return Image.fromarray(draw_original())


def with_alpha():
    """The original, whose right half fades into nothing; what is transparent holds black."""
    pixels = draw_original()
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, 88:] = np.linspace(255, 0, 88).astype(np.uint8)
    return Image.fromarray(np.dstack([np.where(alpha[..., None] > 0, pixels, 0), alpha]))


def on_white(image):
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def plain(image):
    """What is shown of an image of any mode: a function, as a `Case` wants it."""
    return lambda: [np.asarray(image.convert("RGB"))]


def bytes_case(name, data, image=None, tolerance=LOSSLESS, **options):
    """A case of a file's bytes; `data` makes them."""
    image = original() if image is None else image
    return Case(name, lambda path: path.write_bytes(data()), plain(image), tolerance, **options)


def saved(name, image, kind, shown=None, tolerance=LOSSLESS, **options):
    """A case of an image as Pillow saves it."""
    make = functools.partial(file_of, image, kind, **options)
    return bytes_case(name, make, image if shown is None else shown, tolerance)


def list_pictures() -> Iterator[Case]:
    """All cases, each with a name of its own."""
    for make in (
        list_orientations, list_jpegs, list_pngs, list_written_pngs, list_tiffs, list_written_tiffs,
        list_others, list_deep, list_ffmpegs, list_profiles, list_damaged,
    ):  # fmt: skip
        yield from make()


def list_orientations():
    kinds = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {},
             "AVIF": {"quality": 95}}  # fmt: skip
    for kind, options in kinds.items():
        for number, store in STORED_AS.items():
            exif = Image.Exif()
            exif[ORIENTATION] = number
            stored = Image.fromarray(np.ascontiguousarray(store(draw_original())))
            yield saved(
                f"turned_{number}.{kind.lower()}", stored, kind, original(), LOSSY,
                exif=exif, **options,
            )  # fmt: skip


def list_jpegs():
    image, grey = original(), original().convert("L")
    forms = {
        "444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2},
        "progressive": {"progressive": True}, "optimized": {"optimize": True},
        "restarts": {"restart_marker_rows": 1}, "rgb": {"keep_rgb": True},
        "restart_blocks": {"restart_marker_blocks": 3}, "comment": {"comment": b"a comment"},
        "dpi": {"dpi": (300, 72)}, "xmp": {"xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"},
    }  # fmt: skip
    for name, options in forms.items():
        yield saved(f"{name}.jpg", image, "JPEG", None, LOSSY, quality=92, **options)
    yield saved("grey.jpg", grey, "JPEG", None, LOSSY, quality=92)
    yield saved("grey_progressive.jpg", grey, "JPEG", None, LOSSY, quality=92, progressive=True)
    yield saved("cmyk.jpg", image.convert("CMYK"), "JPEG", image, LOSSY, quality=95)
    yield saved("two.mpo", image, "MPO", None, LOSSY, quality=95, save_all=True,
                append_images=[grey.convert("RGB")])  # fmt: skip
    data = functools.partial(jpeg_of, draw_original(), 6)
    yield bytes_case("appended.jpg", lambda: data() + b"\xff\xd8trailer" * 99, None, LOSSY)
    odd = image.crop((0, 0, 171, 139))
    yield saved("odd.jpg", odd, "JPEG", None, LOSSY, quality=95)


def list_pngs():
    image, alpha = original(), with_alpha()
    grey, palette = image.convert("L"), image.quantize(250)
    yield saved("rgb.png", image, "PNG")
    yield saved("rgba.png", alpha, "PNG", on_white(alpha), 0.6)
    yield saved("grey.png", grey, "PNG")
    yield saved("grey_alpha.png", alpha.convert("LA"), "PNG",
                on_white(alpha.convert("LA")), 0.6)  # fmt: skip
    yield saved("one_bit.png", image.convert("1"), "PNG")
    yield saved("palette.png", palette, "PNG")
    for bits in (1, 2, 4):
        few = image.quantize(2**bits)
        yield saved(f"palette_{bits}.png", few, "PNG", bits=bits)
    shown = palette.convert("RGBA")
    shown.putalpha(Image.fromarray(np.where(np.asarray(palette) == 7, 0, 255).astype(np.uint8)))
    yield saved("palette_clear.png", palette, "PNG", on_white(shown), transparency=7)
    several = bytes([0, 128] + [255] * 248)
    shown = palette.convert("RGBA")
    shown.putalpha(Image.fromarray(np.frombuffer(several, np.uint8)[np.asarray(palette)]))
    yield saved("palette_alphas.png", palette, "PNG", on_white(shown), 0.6, transparency=several)
    clear = grey.copy()
    clear.paste(255, (0, 0, 40, 40))
    yield saved("grey_clear.png", clear, "PNG", clear, transparency=255)


def write_png(colour, depth, rows, *, passes=(), before=()):
    """A PNG's bytes, of finished rows; `before`: chunks (name, body) before the pixels.

    Args:
        passes: the rows of each of Adam7's passes, in place of `rows`.
    """

    def chunk(name, body):
        checksum = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)

    height, width = draw_original().shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, bool(passes))
    packed = zlib.compress(b"".join(b"\0" + row for part in (passes or [rows]) for row in part))
    chunks = [(b"IHDR", header), *before, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def big_endian(levels):
    """The rows of levels [H, W] or [H, W, C] of 16 bits."""
    return [row.astype(">u2").tobytes() for row in levels]


def adam7(pixels):
    """The rows of the seven passes of an interlaced PNG (PNG specification, 8.2)."""
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    return [[row.tobytes() for row in pixels[y::down, x::right]] for y, x, down, right in starts]


def list_written_pngs():
    pixels, deep = draw_original(), draw_original().astype(np.uint16)
    grey = np.asarray(original().convert("L")).astype(np.uint16)
    rgba = np.asarray(with_alpha()).astype(np.uint16)
    white, rows = on_white(with_alpha()), [row.tobytes() for row in pixels]

    def png(name, *arguments, shown=None, tolerance=1.0, **options):
        write = functools.partial(write_png, *arguments, **options)
        return bytes_case(f"{name}.png", write, shown, tolerance)

    yield png("rgb16", 2, 16, big_endian(deep * 257))
    yield png("rgba16", 6, 16, big_endian(rgba * 257), shown=white)
    grey_image = Image.fromarray(grey.astype(np.uint8))
    yield png("grey16", 0, 16, big_endian(grey * 257), shown=grey_image)
    yield png("grey_alpha16", 4, 16, big_endian(np.dstack([grey, 0 * grey + 255]) * 257),
              shown=grey_image)  # fmt: skip
    for bits in (9, 10, 12, 14):
        scale = (2**bits - 1) / 255
        yield png(f"rgb_{bits}_bits", 2, 16, big_endian(np.rint(deep * scale)), tolerance=20)
        yield png(f"grey_{bits}_bits", 0, 16, big_endian(np.rint(grey * scale)),
                  shown=grey_image, tolerance=20)  # fmt: skip
    yield png("interlaced", 2, 8, (), passes=adam7(pixels))
    yield png("gamma", 2, 8, rows, before=[(b"gAMA", struct.pack(">I", 45455))])
    yield png("srgb", 2, 8, rows, before=[(b"sRGB", b"\0")])
    yield png("significant_bits", 2, 8, rows, before=[(b"sBIT", b"\x05\x06\x05")])
    yield png("text", 2, 8, rows, before=[(b"tEXt", b"Title\0a picture")])
    yield png("physical", 2, 8, rows, before=[(b"pHYs", struct.pack(">IIB", 2000, 1000, 1))])
    for bits in (2, 4):
        few = grey.astype(np.uint8) >> (8 - bits)
        packed = np.unpackbits(few[..., None], axis=-1)[..., -bits:].reshape(len(few), -1)
        shown = Image.fromarray((few * (255 // (2**bits - 1))).astype(np.uint8))
        yield png(f"grey_{bits}", 0, bits, [r.tobytes() for r in np.packbits(packed, axis=1)],
                  shown=shown)  # fmt: skip


def list_tiffs():
    image, grey = original(), original().convert("L")
    for packed in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd", "webp"):
        options = {"compression": packed}
        yield saved(f"{packed}.tif", image, "TIFF", None, LOSSY, **options)
    yield saved("jpeg.tif", image, "TIFF", None, LOSSY, compression="jpeg", quality=92)
    for packed in ("group3", "group4", "tiff_ccitt"):
        yield saved(f"{packed}.tif", image.convert("1"), "TIFF", compression=packed)
    alpha = with_alpha()
    yield saved("alpha.tif", alpha, "TIFF", on_white(alpha), 0.6)
    for mode in ("L", "1", "P", "CMYK", "YCbCr"):
        shown = image.convert(mode) if mode in "L1P" else image
        yield saved(f"{mode}.tif", image.convert(mode), "TIFF", shown, LOSSY)
    yield saved("lab.tif", make_lab(image), "TIFF", None, LOSSY)
    yield saved("big.tif", image, "TIFF", big_tiff=True)
    yield saved("grey_predictor.tif", grey, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield saved("pages.tif", image, "TIFF", save_all=True, append_images=[image.rotate(180)])
    yield saved("strips.tif", image, "TIFF", compression="tiff_lzw", tiffinfo={278: 7})


def make_lab(image):
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    return ImageCms.applyTransform(image, transform)


def list_written_tiffs():
    pixels = draw_original()
    grey = np.asarray(original().convert("L"))
    colour = {262: [2], 277: [3]}

    def tiff(name, *arguments, shown=None, tolerance=1.0, **options):
        write = functools.partial(write_tiff, *arguments, **options)
        return bytes_case(f"{name}.tif", write, shown, tolerance)

    for order, name in (("<", "little"), (">", "big")):
        deep = (pixels.astype(np.uint16) * 257).astype(f"{order}u2")
        yield tiff(f"rgb16_{name}", deep, colour | {258: [16] * 3}, order)
        yield tiff(f"rgb8_{name}", pixels, colour | {258: [8] * 3}, order)
        deep = (grey.astype(np.uint16) * 257).astype(f"{order}u2")
        yield tiff(f"grey16_{name}", deep, {258: [16], 262: [1], 277: [1]}, order,
                   shown=Image.fromarray(grey))  # fmt: skip
        yield tiff(f"white_is_0_{name}", 65_535 - deep, {258: [16], 262: [0], 277: [1]}, order,
                   shown=Image.fromarray(grey))  # fmt: skip
    yield tiff("white_is_0", 255 - grey, {258: [8], 262: [0], 277: [1]},
               shown=Image.fromarray(grey))  # fmt: skip
    planes = [np.ascontiguousarray(pixels[..., k]).tobytes() for k in range(3)]
    yield tiff("planes", pixels, colour | {258: [8] * 3, 284: [2]}, strips=planes)
    deep = pixels.astype("<u2") * 257
    for order, name in (("<", "little"), (">", "big")):
        for white, tolerance in ((65_535, 1), (4095, 20)):
            deep = np.rint(pixels * (white / 255)).astype(f"{order}u2")
            planes = [np.ascontiguousarray(deep[..., k]).tobytes() for k in range(3)]
            yield tiff(f"planes_{white}_{name}", deep, colour | {258: [16] * 3, 284: [2]}, order,
                       strips=planes, tolerance=tolerance)  # fmt: skip
    floats = pixels.astype("<f4") / 255
    yield tiff("float_colour", floats, colour | {258: [32] * 3, 339: [3] * 3})
    halves = grey.astype("<f2") / 255
    yield tiff("half_grey", halves, {258: [16], 262: [1], 277: [1], 339: [3]},
               shown=Image.fromarray(grey))  # fmt: skip
    for number in range(1, 9):  # TIFF's own tag, without EXIF
        stored = np.ascontiguousarray(STORED_AS[number](pixels))
        yield tiff(f"tag_{number}", stored, colour | {258: [8] * 3, 274: [number]})


def list_others():
    image, alpha = original(), with_alpha()
    white, grey = on_white(alpha), original().convert("L")
    for name, options in {
        "lossy": {"quality": 95}, "lossless": {"lossless": True},
        "slow": {"quality": 95, "method": 6},
        "exact": {"lossless": True, "exact": True},
    }.items():  # fmt: skip
        yield saved(f"{name}.webp", image, "WEBP", None, LOSSY, **options)
        yield saved(f"{name}_alpha.webp", alpha, "WEBP", white, LOSSY, **options)
    for form in ("4:2:0", "4:2:2", "4:4:4", "4:0:0"):
        shown = grey if form == "4:0:0" else image
        yield saved(f"{form.replace(':', '')}.avif", image, "AVIF", shown, LOSSY, quality=95,
                    subsampling=form)  # fmt: skip
    yield saved("full.avif", image, "AVIF", None, LOSSY, quality=95, range="full")
    yield saved("limited.avif", image, "AVIF", None, LOSSY, quality=95, range="limited")
    yield saved("alpha.avif", alpha, "AVIF", white, LOSSY, quality=95)
    for kind, ending in (("BMP", "bmp"), ("PCX", "pcx"), ("TGA", "tga"), ("SGI", "sgi"),
                         ("PPM", "ppm"), ("IM", "im"), ("JPEG2000", "jp2"), ("DIB", "dib"),
                         ("QOI", "qoi"), ("DDS", "dds")):  # fmt: skip
        yield saved(f"rgb.{ending}", image, kind)
        if kind != "QOI":
            yield saved(f"grey.{ending}", grey, kind)
    for kind, ending in (("TGA", "tga"), ("SGI", "sgi"), ("JPEG2000", "jp2"), ("QOI", "qoi"),
                         ("DDS", "dds")):  # fmt: skip
        yield saved(f"alpha.{ending}", alpha, kind, white, 0.6)
    yield saved("packed.tga", image, "TGA", compression="tga_rle")
    yield saved("top_down.tga", image, "TGA", orientation=1)
    yield saved("lossy.jp2", image, "JPEG2000", None, LOSSY, irreversible=True,
                quality_mode="dB", quality_layers=[45])  # fmt: skip
    yield saved("stream.j2k", image, "JPEG2000", no_jp2=True)
    yield saved("tiles.jp2", image, "JPEG2000", tile_size=(64, 64))
    for bits, mode in ((1, "1"), (8, "P")):
        yield saved(f"palette_{bits}.bmp", image.convert(mode), "BMP")
        yield saved(f"palette_{bits}.pcx", image.convert(mode), "PCX")
    yield saved("bitmap.xbm", image.convert("1"), "XBM")
    yield saved("bitmap.pbm", image.convert("1"), "PPM")
    yield saved("still.gif", image, "GIF", None, PALETTE)
    yield saved("interlaced.gif", image, "GIF", None, PALETTE, interlace=1)
    yield saved("grey.gif", grey, "GIF")
    yield saved("icon.ico", image.resize((128, 128)), "ICO", sizes=[(128, 128)])
    yield saved("pages.webp", image, "WEBP", save_all=True, append_images=[image.rotate(180)],
                lossless=True)  # fmt: skip


def list_deep():
    """Levels of more than 8 bits, in one channel and in colours, in text and in numbers."""
    pixels, grey = draw_original(), np.asarray(original().convert("L"))
    shown = Image.fromarray(grey)
    deep = Image.fromarray(grey.astype("<u2") * 257)
    for kind, ending in (("PNG", "png"), ("TIFF", "tif"), ("JPEG2000", "jp2"), ("PPM", "pgm")):
        yield saved(f"deep.{ending}", deep, kind, shown, 1.0)
    yield saved("int32.tif", Image.fromarray(grey.astype(np.int32) * 257), "TIFF", shown, 1.0)
    yield saved("float.tif", Image.fromarray(grey.astype(np.float32) / 255), "TIFF", shown, 1.0)
    yield saved("float.pfm", Image.fromarray(grey.astype(np.float32) / 255), "PPM", shown, 1.0)
    size = f"{pixels.shape[1]} {pixels.shape[0]}"
    for white in (255, 1023, 65_535):
        levels = np.rint(pixels.astype(float) * white / 255).astype(">u2" if white > 255 else "u1")
        head = f"P6\n# a comment\n{size}\n{white}\n".encode()
        yield bytes_case(f"white_{white}.ppm", lambda h=head, v=levels: h + v.tobytes(), None, 1.0)
        text = f"P3\n{size}\n{white}\n" + "\n".join(map(str, levels.ravel()))
        yield bytes_case(f"text_{white}.ppm", lambda t=text: t.encode(), None, 1.0)
    bits = "\n".join(map(str, (grey > 127).astype(int).ravel() ^ 1))
    black = Image.fromarray(np.where(grey > 127, 255, 0).astype(np.uint8))
    yield bytes_case("text.pbm", f"P1\n{size}\n{bits}".encode, black)
    head = b"P7\nWIDTH 176\nHEIGHT 144\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n"
    yield bytes_case("rgb.pam", lambda: head + pixels.tobytes())


# FFmpeg's encoders of pictures: (the file, its codec, its form of pixels, levels).
FFMPEG = (
    ("rgb48", "png", "png", "rgb48be", 1), ("rgba64", "png", "png", "rgba64be", 1),
    ("gray16", "png", "png", "gray16be", 1), ("ya16", "png", "png", "ya16be", 1),
    ("rgb24", "tif", "tiff", "rgb24", 1), ("rgb48", "tif", "tiff", "rgb48le", 1),
    ("rgba", "tif", "tiff", "rgba", 1), ("rgba64", "tif", "tiff", "rgba64le", 1),
    ("gray", "tif", "tiff", "gray", 1), ("gray16", "tif", "tiff", "gray16le", 1),
    ("ya8", "tif", "tiff", "ya8", 1), ("yuv420p", "tif", "tiff", "yuv420p", 4),
    ("yuv444p", "tif", "tiff", "yuv444p", 4), ("yuv411p", "tif", "tiff", "yuv411p", 4),
    ("yuvj420p", "jpg", "mjpeg", "yuvj420p", 4), ("yuvj422p", "jpg", "mjpeg", "yuvj422p", 4),
    ("yuvj444p", "jpg", "mjpeg", "yuvj444p", 4), ("ljpeg", "jpg", "ljpeg", "bgr24", 4),
    ("rgb24", "jp2", "jpeg2000", "rgb24", 2), ("rgb48", "jp2", "jpeg2000", "rgb48le", 2),
    ("gray16", "jp2", "jpeg2000", "gray16le", 2),
    ("jpegls", "jls", "jpegls", "rgb24", 2), ("dpx", "dpx", "dpx", "rgb48be", 2),
    ("exr", "exr", "exr", "gbrpf32le", 2), ("rgba", "qoi", "qoi", "rgba", 0.6),
    ("rgb555", "tga", "targa", "rgb555le", 6), ("bgra", "tga", "targa", "bgra", 1),
    ("gray", "tga", "targa", "gray", 1), ("rgb48", "sgi", "sgi", "rgb48be", 2),
    ("rgb24", "pcx", "pcx", "rgb24", 1), ("rgb24", "ras", "sunrast", "rgb24", 1),
    ("rgb48", "ppm", "ppm", "rgb48be", 1), ("gray16", "pgm", "pgm", "gray16be", 1),
    ("rgb565", "bmp", "bmp", "rgb565le", 5), ("rgb555", "bmp", "bmp", "rgb555le", 6),
    ("bgra", "bmp", "bmp", "bgra", 1), ("xwd", "xwd", "xwd", "bgra", 1),
    ("fits", "fits", "fits", "gray", 1), ("hdr", "hdr", "hdr", "gbrpf32le", 3),
    ("ya8", "pam", "pam", "ya8", 1), ("gbrap", "pam", "pam", "rgba", 1),
    ("rgb24", "vbn", "vbn", "rgb24", 1), ("phm", "phm", "phm", "grayf32le", 2),
)  # fmt: skip


def encode(codec, form, pixels):
    """The bytes of a picture by one of FFmpeg's encoders."""
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt, context.time_base = form, 1
    source = "rgba" if pixels.shape[2] == 4 else "rgb24"
    frame = av.VideoFrame.from_ndarray(pixels, format=source).reformat(format=form)
    frame.pts = 0
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(map(bytes, packets))


def list_ffmpegs():
    for name, ending, codec, form, tolerance in FFMPEG:
        pixels = draw_original()
        shown = Image.fromarray(pixels)
        if form.startswith(("gray", "ya")):
            shown = shown.convert("L")
        data = functools.partial(encode, codec, form, pixels)
        yield bytes_case(f"ffmpeg_{name}.{ending}", data, shown, tolerance)


def list_profiles():
    """Colours of a wider or another space than the web's, with their profile."""
    image = original()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind, ending in (("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
        yield saved(f"profile.{ending}", image, kind, None, LOSSY, icc_profile=srgb)
    yield saved("profile_bad.jpg", image, "JPEG", None, LOSSY, icc_profile=b"no profile",
                quality=95)  # fmt: skip


def list_damaged():
    """Files that end too early: by two bytes, and with 70 % and 30 % of them there."""
    image = original()
    forms = {
        "baseline.jpg": ("JPEG", {"quality": 95}),
        "progressive.jpg": ("JPEG", {"quality": 95, "progressive": True}),
        "rgb.png": ("PNG", {}), "lossy.webp": ("WEBP", {"quality": 95}),
        "lossless.webp": ("WEBP", {"lossless": True}), "raw.tif": ("TIFF", {}),
        "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}), "rgb.bmp": ("BMP", {}),
        "still.gif": ("GIF", {}), "rgb.jp2": ("JPEG2000", {}), "rgb.avif": ("AVIF", {}),
        "rgb.tga": ("TGA", {"compression": "tga_rle"}), "rgb.ppm": ("PPM", {}),
        "rgb.sgi": ("SGI", {}), "rgb.qoi": ("QOI", {}), "rgb.pcx": ("PCX", {}),
    }  # fmt: skip
    for name, (kind, options) in forms.items():
        shown, tolerance = (image.quantize(256), PALETTE) if kind == "GIF" else (image, LOSSY)
        for share in ("2_bytes", "30", "70"):

            def cut(kind=kind, options=options, share=share):
                data = file_of(image, kind, **options)
                is_share = share.isdigit()
                return data[: len(data) * (100 - int(share)) // 100] if is_share else data[:-2]

            yield bytes_case(f"without_{share}_{name}", cut, shown, tolerance)
