"""The names that labelling tools and datasets give to the keypoints of a body.

Case, spaces, `_`, `-` and the place of the side do not matter: `RShoulder`, `right-shoulder` and
`shoulder_r` are one. `neck` is the upper neck. `head`, `head_top` and `nose` are three keypoints.
"""

import re
from collections.abc import Iterable, Sequence

from hourglass.utils.errors import UserError

_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_MIDDLE = {
    "nose": ("nose",),
    "pelvis": ("pelvis", "midhip", "hipcenter", "centerhip", "root"),
    "thorax": ("thorax", "midshoulder"),
    "upper_neck": ("upperneck", "neck"),
    "head_top": ("headtop", "topofhead", "tophead"),
}
# Words of their own: `rear` is no ear.
_OTHER_WORDS = ("rear", "lear")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")
# By the words of a name in lower case, joined.
_KNOWN = {
    **{
        f"{first}{second}": f"{side}_{part}"
        for part in _SIDED
        for short, side in _SIDES.items()
        for first, second in ((short, part), (part, short))
    },
    **{alias: name for name, aliases in _MIDDLE.items() for alias in aliases},
}
# Human3.6M calls the ankles feet, and the middle of the hips a hip, as Halpe does
# (https://github.com/Fang-Haoshu/Halpe-FullBody). Elsewhere these names are other places.
_IN_LISTS = (
    ({"left_foot", "right_foot", "spine"}, {"left_ankle", "right_ankle"}, "foot", "ankle"),
    ({"hip", "left_hip", "right_hip"}, {"pelvis"}, "hip", "pelvis"),
)


class AmbiguousNames(UserError):
    """Two names of a list are one keypoint."""


def canonical_name(name: str) -> str:
    """The name of a keypoint by which schemas are compared: `right_knee` for `r_knee` or `RKnee`.

    A name that no table has keeps its words: `left_thumb` for `thumb L`.
    """
    joined = "".join(_split_words(name))
    if joined in _KNOWN and name.lower() not in _OTHER_WORDS:
        return _KNOWN[joined]
    return plain_name(name)


def plain_name(name: str) -> str:
    """A name's words in lower case, the side in front: `neck` and `upper_neck` differ."""
    words = _split_words(name)
    for side, rest in ((words[:1], words[1:]), (words[-1:], words[:-1])):
        if rest and side[0] in _SIDES:
            return "_".join([_SIDES[side[0]], *rest])
    return "_".join(words) or name


def _split_words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def canonical_names(names: Iterable[str]) -> list[str]:
    """The canonical names of a whole list, which tells more than each name alone."""
    found = [canonical_name(name) for name in names]
    for needed, absent, alias, meant in _IN_LISTS:
        if needed <= set(found) and not absent & set(found):
            sides = ("", "left_", "right_")
            places = {f"{side}{alias}": f"{side}{meant}" for side in sides}
            # Of the hips only the one without a side changes.
            found = [places[n] if n in needed and places.get(n) in absent else n for n in found]
    return found


def find_places(names: Sequence[str], wanted: Iterable[str]) -> dict[str, int]:
    """{wanted name: its place in a list of names}, of those that the list has.

    A name of the same words goes before an alias: where a list has `upper_neck`, its `neck` is
    another keypoint.

    Raises:
        AmbiguousNames: two names of the list could be a wanted one.
    """
    plain, canonical = [plain_name(name) for name in names], canonical_names(names)
    places = {}
    for name in wanted:
        own, common = plain_name(name), canonical_name(name)
        same = [k for k, other in enumerate(plain) if other == own]
        found = same or [k for k, other in enumerate(canonical) if other == common]
        if len(found) > 1:
            twins = " and ".join(repr(names[k][:80]) for k in found[:2])
            raise AmbiguousNames(f"keypoints {twins} are both {name}; rename one")
        if found:
            places[name] = found[0]
    return places
