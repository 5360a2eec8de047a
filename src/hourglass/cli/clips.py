"""What the commands do with clips and cameras, one after the other."""

from hourglass.utils.errors import UserError


def load_clips():
    """The module `clips`, which alone needs PyAV.

    Raises:
        UserError: PyAV is not installed.
    """
    try:
        from hourglass.apps.video import clips
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise UserError(
            "clips and cameras need PyAV: `pip install av`, or name photographs alone"
        ) from None
    return clips


def predict_clips(backend, files, config, is_smooth):
    """Write the drawn clip and the record of each, as `clips.predict_clip` does.

    Args:
        files: pairs (clip, target) of paths, of cameras those of their devices.

    Yields:
        For each in order a `WrittenClip`, or the `UserError` that says why it cannot be used.
    """
    for clip, target in files:
        clips = load_clips()
        try:
            yield clips.predict_clip(backend, clip, target, config, is_smooth)
        except UserError as error:
            yield error


def make_stickers(backend, files, config, styles, start, is_smooth):
    """Write the moving stickers of each, as `moving.make_clip_stickers` does.

    Args:
        files: pairs (clip, target) of paths.

    Yields:
        For each in order `WrittenStickers`, or the `UserError` that says why it cannot be used.
    """
    for clip, target in files:
        load_clips()
        from hourglass.apps.stickers.moving import make_clip_stickers

        try:
            yield make_clip_stickers(backend, clip, target, config, styles, start, is_smooth)
        except UserError as error:
            yield error
