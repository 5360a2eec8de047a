"""What the frames of a clip lack: packets that cannot be decoded, frames that never came. PyAV."""

import re
from typing import Any

LEAST_GAP = 0.5  # s, at a clip's end, that may be a last frame of unknown length


class Losses:
    """Counts what comes out of a clip, and compares it with what its container promises.

    MP4, MOV, AVI and GIF promise a number of frames, Matroska and WebM a length. Others nothing:
    they may end anywhere.

    Attributes:
        num_damaged: packets that could not be decoded, so far.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self.num_damaged = 0
        self._num_empty = 0
        self._num_frames = 0
        self._end = 0.0

    def add_packet(self, packet: Any) -> None:
        """Count a packet; some are to show nothing."""
        self._num_empty += packet.pts is not None and (packet.is_discard or not packet.size)

    def add_frame(self, end: float) -> None:
        """Count a frame that is shown until `end`, s."""
        self._num_frames, self._end = self._num_frames + 1, end

    def describe(self) -> tuple[str, ...]:
        """What is lacking, for people; call it after the last frame."""
        texts = []
        if self.num_damaged:
            texts.append(f"damaged: {self.num_damaged} packets left out")
        promised, seconds = self._count_promised(), _read_seconds(self._container, self._stream)
        if self._num_frames < promised:
            texts.append(f"its file promises {promised} frames")
        elif seconds - self._end > LEAST_GAP:
            texts.append(f"it ends at {self._end:.1f} of {seconds:.1f} s")
        return tuple(texts)

    def _count_promised(self) -> int:
        """Frames that the container says it has; 0 where it does not."""
        promised, form = self._stream.frames, self._container.format.name
        if form.startswith("mov"):
            # Without those that an edit list cuts off.
            promised = min(promised, len(self._stream.index_entries))
        elif form == "avi":
            promised -= 1  # FFmpeg counts an empty one that comes first
        return max(0, promised - self._num_empty)


def _read_seconds(container: Any, stream: Any) -> float:
    """How long a Matroska file says that its stream is, s; 0 where it does not."""
    if not container.format.name.startswith("matroska"):
        return 0.0
    length = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if length:
        hours, minutes, seconds = map(float, length.groups())
        return 3600 * hours + 60 * minutes + seconds
    # The container's own may be that of its sound.
    return (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
