"""Drawn people with exact joints, packed and annotated like MPII.

A figure is a skeleton in three dimensions, posed by joint angles within human limits and seen by an
orthographic camera. Its limbs are drawn from the very points that become its labels.

World frame: x to the right, y down, z toward the viewer; the body's own frame is the same for a
figure that faces the viewer, so that its right side is at negative x. Lengths of the body are
fractions of its standing height; angles are degrees.
"""

import colorsys
import io
import multiprocessing
import os
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from hourglass.files import atomic_path, write_json
from hourglass.skeleton import JOINTS

SUPERSAMPLING = 3
JPEG_QUALITY = 92
MIN_SIDE, MAX_SIDE = 240, 480  # px of a picture
MIN_HEIGHT, MAX_HEIGHT = 110, 380  # px of the main figure if it stood upright
MEMBER_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that the archive's bytes are
POOLED_PICTURES = 200  # fewer are drawn before a pool of processes has started

# fmt: off
LENGTHS = {
    "foot": 0.042, "shank": 0.236, "thigh": 0.236, "spine": 0.275, "neck": 0.046, "head": 0.165,
    "upper_arm": 0.165, "forearm": 0.15, "hand": 0.05,
    "shoulder": 0.108, "hip": 0.056,  # half widths
}
# A limb's angles, each drawn between two bounds: swing forward, lift outward, twist inward, and
# bend of the elbow or knee.
ARMS = {
    "hang": ((-15, 25), (8, 25), (-10, 30), (0, 45)),
    "hip": ((-30, -12), (38, 55), (60, 85), (80, 110)),
    "raised": ((-10, 20), (125, 168), (-60, 0), (0, 70)),
    "wave": ((-10, 10), (65, 105), (-110, -70), (40, 115)),
    "side": ((-15, 30), (50, 100), (-60, 20), (0, 45)),
    "front": ((40, 110), (5, 35), (-20, 40), (0, 70)),
    "fore": ((15, 45), (5, 20), (0, 35), (50, 105)),
    "back": ((-55, -25), (6, 20), (-10, 20), (25, 95)),
    "lap": ((15, 40), (5, 20), (0, 30), (20, 60)),
    "reach": ((50, 120), (5, 30), (-20, 20), (0, 30)),
}
LEGS = {
    "straight": ((-8, 12), (1, 13), (-25, 0), (0, 12)),
    "wide": ((-5, 25), (14, 36), (-30, 0), (0, 35)),
    "step": ((18, 42), (0, 7), (-12, 5), (4, 30)),
    "push": ((-28, -8), (0, 7), (-12, 5), (8, 40)),
    "drive": ((45, 85), (0, 10), (-10, 5), (55, 105)),
    "trail": ((-28, 0), (0, 8), (-10, 5), (25, 90)),
    "seat": ((70, 95), (4, 24), (-15, 5), (65, 100)),
    "squat": ((90, 118), (12, 36), (-25, -5), (95, 128)),
    "kneel": ((-5, 20), (2, 12), (-10, 5), (80, 110)),
}
# Weight, bounds of the spine's forward bend, what either arm may do, what the two legs do.
POSES = {
    "stand": (31, (-6, 10), "hang hip raised wave side front", ("straight", "straight")),
    "walk": (15, (-2, 12), "hang fore back", ("step", "push")),
    "run": (12, (5, 25), "fore back", ("drive", "trail")),
    "dance": (16, (-10, 15), "raised wave side hip", ("wide", "wide")),
    "balance": (7, (-5, 15), "raised wave side", ("straight", "drive")),
    "sit": (8, (-5, 15), "lap front raised wave", ("seat", "seat")),
    "crouch": (5, (20, 45), "front lap side", ("squat", "squat")),
    "kneel": (3, (-5, 15), "hang raised front", ("seat", "kneel")),
    "bend": (3, (55, 90), "reach", ("straight", "step")),
}
# Radii along a limb's joints, those of the hand or shoe at its end, and what a Look says it wears:
# cloth, its length, and the end's colour.
LIMBS = {
    "arm": ({"shoulder": 0.036, "elbow": 0.028, "wrist": 0.02},
            {"wrist": 0.017, "palm": 0.024, "hand": 0.014}, ("top", "sleeves", "skin")),
    "leg": ({"hip": 0.056, "knee": 0.038, "ankle": 0.024},
            {"ankle": 0.024, "heel": 0.024, "toe": 0.02}, ("bottom", "trousers", "shoe")),
}
FOLDED_POSES = ("sit", "crouch", "kneel", "bend")  # seldom seen turned in the picture's plane

SKINS = ((255, 224, 196), (241, 194, 150), (224, 172, 118), (198, 134, 84), (141, 85, 48))
HAIRS = ((40, 32, 30), (78, 50, 34), (122, 76, 40), (196, 148, 74), (168, 74, 36), (150, 146, 144))
QUIET = (0.03, 0.24), (0.5, 0.95)  # bounds of a backdrop colour's saturation and value
LEAF = ((0, 0.002), (0.07, 0.022), (0.13, 0.002))  # circles along a leaf: distance, radius
OUTLINE, EYE, LIP = (38, 32, 40), (24, 22, 30), (160, 62, 62)
DIRECTIONS = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 49)[:-1]])
# fmt: on


@dataclass(frozen=True)
class Look:
    """What a figure wears; sleeves and trousers in limb segments, 0 (bare) to 2 (wrist, ankle)."""

    skin: tuple
    hair: tuple
    top: tuple
    trim: tuple  # of the front alone: stripes, or the shirt under an open jacket
    striped: bool
    bottom: tuple
    shoe: tuple
    sleeves: float
    trousers: float
    skirt: bool
    long_hair: bool
    girth: float


@dataclass(frozen=True)
class Figure:
    """A posed person: named points [3] in picture pixels (z toward the viewer), and axes [3, 3]."""

    points: dict
    head_axes: np.ndarray  # columns: the person's left, down, forward
    height: float  # px if it stood upright
    look: Look
    pose: str

    @property
    def keypoints(self):
        """Joints [16, 2] (x, y), 0-based pixels of the picture."""
        return np.array([self.points[name][:2] for name in JOINTS])

    @property
    def faces_viewer(self):
        """Whether the face is on the viewer's side of the head."""
        return self.head_axes[2, 2] >= 0

    @property
    def outline(self):
        """Width of the drawn outline, px."""
        return max(0.8, 0.006 * self.height)

    def depth(self, *names):
        """Mean z of the named points, px: greater is nearer."""
        return np.mean([self.points[name][2] for name in names])

    def shade(self, colour, point):
        """`colour`, darker where `point` is behind the pelvis: so the near limb stands out."""
        behind = (self.points["pelvis"] - point)[2] / self.height
        light = np.clip(1 - 1.6 * behind, 0.68, 1.06)
        return tuple(round(min(255, channel * light)) for channel in colour)

    def move(self, offset):
        """The same figure, shifted by `offset` (x, y) px."""
        shift = np.append(offset, 0.0)
        points = {name: point + shift for name, point in self.points.items()}
        return replace(self, points=points)


class Canvas:
    """A picture drawn at SUPERSAMPLING times its size; coordinates are its own 0-based pixels."""

    def __init__(self, base):
        self.size = base.size
        large = [SUPERSAMPLING * side for side in base.size]
        self._image = base.resize(large, Image.Resampling.NEAREST)
        self._pen = ImageDraw.Draw(self._image)
        self._glaze = ImageDraw.Draw(self._image, "RGBA")

    def fill_polygon(self, points, colour):
        """Fill a polygon [N, 2]; a colour of four values is translucent."""
        # Pixel x is made of columns S x ... S x + S - 1. Pillow drops fractions, hence the rint.
        large = np.rint(SUPERSAMPLING * np.asarray(points) + (SUPERSAMPLING - 1) / 2)
        pen = self._pen if len(colour) == 3 else self._glaze
        pen.polygon(large.ravel().tolist(), fill=colour)

    def fill_hull(self, circles, colour, grow=0.0):
        """Fill the convex hull of circles [N, 3] (x, y, radius), each grown by `grow` px."""
        circles = np.add(circles, (0.0, 0.0, grow))
        reach = circles[:, :2] @ DIRECTIONS.T + circles[:, 2:]  # (N, directions)
        touched = circles[reach.argmax(axis=0)]
        self.fill_polygon(touched[:, :2] + touched[:, 2:] * DIRECTIONS, colour)

    def fill_shapes(self, shapes, outline):
        """Fill shapes, (circles, colour) each, over one common outline `outline` px wide."""
        for circles, _ in shapes:
            self.fill_hull(circles, OUTLINE, outline)
        for circles, colour in shapes:
            self.fill_hull(circles, colour)

    def finish(self):
        """The picture in its own size."""
        return self._image.reduce(SUPERSAMPLING)


def draw_picture(seed, index):
    """Draw one picture of a drawn set.

    Args:
        seed, index: whole numbers >= 0; the same two give the same picture.

    Returns:
        An RGB picture and its persons, the main figure first, in the form of MPII's JSON: `image`,
        `joints` [16][2] (1-based pixels, missing [-1, -1]), `joints_vis` [16], `center` [2]
        (1-based), `scale` (standing height / 200 px). Only joints out of the picture are missing.
    """
    rng = np.random.default_rng((seed, index))
    main, size = _place_main_figure(rng)
    others = _place_other_figures(rng, main)
    canvas = Canvas(_paint_backdrop(rng, size))
    _draw_scenery(canvas, rng, main)
    main_is_nearest = rng.random() < 0.8
    for figure in [*others, main] if main_is_nearest else [main, *others]:
        _draw_figure(canvas, figure)
    if rng.random() < 0.16:
        _draw_occluder(canvas, rng, main)
    persons = [_annotate(figure, size, f"{index:05d}.jpg") for figure in (main, *others)]
    return canvas.finish(), [persons[0], *(p for p in persons[1:] if any(p["joints_vis"]))]


def write_dataset(folder, params):
    """Write `folder`/images.zip, train.json and validation.json, each whole or not at all.

    A record is the main figure of its picture. The bytes depend on `params` alone, not on the
    number of processes; no picture depends on how many there are.

    Args:
        folder: pathlib.Path, made where absent.
        params: hourglass.params.SyntheticParams.
    """
    # Even indexes train, odd ones validate: disjoint whatever the two counts are.
    jobs = [(f"train_{i:05d}.jpg", 2 * i) for i in range(params.num_train)]
    jobs += [(f"validation_{i:05d}.jpg", 2 * i + 1) for i in range(params.num_val)]
    records = []
    with atomic_path(folder / "images.zip") as path, zipfile.ZipFile(path, "w") as archive:
        results = _encode_pictures(params.seed, jobs, _available_cores())
        for jpeg, record in tqdm(results, "draw", total=len(jobs), unit="picture", disable=None):
            archive.writestr(zipfile.ZipInfo(f"images/{record['image']}", MEMBER_DATE), jpeg)
            records.append(record)
    write_json(folder / "train.json", records[: params.num_train])
    write_json(folder / "validation.json", records[params.num_train :])


def _encode_pictures(seed, jobs, num_processes):
    """Yield (JPEG bytes, record) of each job (name, index), in order."""
    encode = partial(_encode_picture, seed)
    if num_processes == 1 or len(jobs) < POOLED_PICTURES:
        yield from map(encode, jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, mp_context=spawn) as pool:
        yield from pool.map(encode, jobs, chunksize=16)


def _encode_picture(seed, job):
    name, index = job
    picture, persons = draw_picture(seed, index)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return jpeg.getvalue(), {**persons[0], "image": name}


def _available_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _annotate(figure, size, name):
    """The figure as one of MPII's JSON records: 1-based pixels, rounded to 1/100."""
    keypoints = figure.keypoints
    visible = ((keypoints >= 0) & (keypoints <= np.array(size) - 1)).all(axis=1)
    return {
        "image": name,
        "joints": [
            [round(x + 1, 2), round(y + 1, 2)] if seen else [-1.0, -1.0]
            for (x, y), seen in zip(keypoints.tolist(), visible, strict=True)
        ],
        "joints_vis": visible.astype(int).tolist(),
        "center": [round(value + 1, 2) for value in _body_center(figure, size).tolist()],
        "scale": round(figure.height / 200, 4),
    }


def _body_center(figure, size):
    """MPII's objpos: in the median 0.03 heights above the middle of the joints' bounding box."""
    inside = np.clip(figure.keypoints, 0, np.array(size) - 1)
    middle = (inside.min(axis=0) + inside.max(axis=0)) / 2
    return np.clip(middle - (0, 0.03 * figure.height), 0, np.array(size) - 1)


# --- the body ---------------------------------------------------------------------------------


def _turn(x=0.0, y=0.0, z=0.0):
    """Rotation [3, 3] about x, then y, then z; +x swings a hanging limb forward (to +z)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(a := np.radians((x, y, z))), np.sin(a)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _sample_figure(rng, height):
    """A figure of `height` px with its pelvis at (0, 0)."""
    weights = np.array([weight for weight, *_ in POSES.values()])
    for _ in range(8):
        pose = str(rng.choice(list(POSES), p=weights / weights.sum()))
        points, head_axes = _pose_body(rng, pose, _sample_lengths(rng))
        camera = _sample_camera(rng, pose)
        points = {name: camera @ point * height for name, point in points.items()}
        if not _hides_an_arm(points, height):
            break
    return Figure(points, camera @ head_axes, height, _sample_look(rng), pose)


def _sample_lengths(rng):
    """Body lengths that vary from person to person; those that stack to the height sum to 1."""
    lengths = {name: length * rng.uniform(0.93, 1.07) for name, length in LENGTHS.items()}
    stacked = ("foot", "shank", "thigh", "spine", "neck", "head")
    height = sum(lengths[name] for name in stacked)
    return {name: length / height for name, length in lengths.items()}


def _sample_camera(rng, pose):
    """World axes [3, 3] of the body: mostly seen from the front or back and upright."""
    yaw = (rng.normal(0, 26), rng.normal(180, 24), rng.uniform(-85, 85))
    yaw = rng.choice(yaw, p=[0.64, 0.2, 0.16])
    if pose in ("bend", "crouch", "kneel"):  # seen from the front they fold into one spot
        yaw = rng.choice([-1, 1]) * rng.uniform(25, 75)
    roll = (rng.normal(0, 9), rng.uniform(-60, 60), rng.uniform(-180, 180))
    roll = roll[0] if pose in FOLDED_POSES else rng.choice(roll, p=[0.9, 0.08, 0.02])
    return _turn(z=roll) @ _turn(x=rng.normal(-5, 5)) @ _turn(y=yaw)


def _pose_body(rng, pose, lengths):
    """Named points [3] of the body in its own frame, pelvis at the origin, and the head's axes."""
    _, bend, arms, legs = POSES[pose]
    points = {"pelvis": np.zeros(3)}
    waist_axes = _turn(x=-rng.uniform(*bend) / 2, y=rng.normal(0, 6), z=rng.normal(0, 5))
    chest_axes = waist_axes @ waist_axes
    points["waist"] = -waist_axes[:, 1] * lengths["spine"] * 0.45
    points["buckle"] = 0.5 * points["waist"] + waist_axes[:, 2] * 0.04
    points["thorax"] = points["waist"] - chest_axes[:, 1] * lengths["spine"] * 0.55
    head_axes = chest_axes @ _turn(x=rng.normal(4, 7), y=rng.normal(0, 16), z=rng.normal(0, 6))
    points["collar"] = points["thorax"] + chest_axes[:, 2] * 0.04
    points["upper_neck"] = points["thorax"] - chest_axes[:, 1] * lengths["neck"]
    points["head_top"] = points["upper_neck"] - head_axes[:, 1] * lengths["head"]
    for side, leg in zip(rng.permutation(["r", "l"]), legs, strict=True):
        _add_leg(points, side, _sample_angles(rng, LEGS[leg]), lengths)
        arm = ARMS[rng.choice(arms.split())]
        _add_arm(points, side, _sample_angles(rng, arm), lengths, chest_axes)
    return points, head_axes


def _sample_angles(rng, bounds):
    return [rng.uniform(low, high) for low, high in bounds]


def _add_arm(points, side, angles, lengths, axes):
    outward = -1 if side == "r" else 1
    shoulder = points["thorax"] + axes[:, 0] * outward * lengths["shoulder"]
    segments = lengths["upper_arm"], lengths["forearm"]
    elbow, wrist, axes = _bend_limb(shoulder, axes, outward, angles, segments)
    points |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}
    points[f"{side}_palm"] = wrist + axes[:, 1] * lengths["hand"] * 0.5
    points[f"{side}_hand"] = wrist + axes[:, 1] * lengths["hand"]


def _add_leg(points, side, angles, lengths):
    outward = -1 if side == "r" else 1
    hip = np.array([outward * lengths["hip"], 0.0, 0.0])
    angles = (*angles[:3], -angles[3])
    segments = lengths["thigh"], lengths["shank"]
    knee, ankle, axes = _bend_limb(hip, np.eye(3), outward, angles, segments)
    points |= {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle}
    points[f"{side}_heel"] = ankle + axes @ (0, 0.6 * lengths["foot"], -0.01)
    points[f"{side}_toe"] = ankle + axes @ (0, 0.7 * lengths["foot"], 0.085)


def _bend_limb(root, axes, outward, angles, segments):
    """Middle joint, end joint and the lower segment's axes; +bend closes forward, as an elbow."""
    swing, lift, twist, bend = angles
    upper = axes @ _turn(x=swing) @ _turn(z=-outward * lift) @ _turn(y=-outward * twist)
    lower = upper @ _turn(x=bend)
    middle = root + upper[:, 1] * segments[0]
    return middle, middle + lower[:, 1] * segments[1], lower


def _hides_an_arm(points, height):
    """Whether an elbow or a wrist is behind the trunk, where nothing tells where it is."""
    pelvis, thorax = points["pelvis"], points["thorax"]
    spine = (thorax - pelvis)[:2]
    for name in ("r_elbow", "l_elbow", "r_wrist", "l_wrist"):
        along = np.clip((points[name] - pelvis)[:2] @ spine / (spine @ spine), 0, 1)
        away = points[name] - (pelvis + along * (thorax - pelvis))
        if away[2] < 0 and np.hypot(*away[:2]) < 0.1 * height:
            return True
    return False


def _sample_look(rng):
    return Look(
        skin=SKINS[rng.integers(len(SKINS))],
        hair=HAIRS[rng.integers(len(HAIRS))],
        top=_sample_colour(rng, (0.45, 0.85), (0.4, 0.85)),
        trim=_sample_colour(rng, (0.0, 0.15), (0.92, 1.0)),
        striped=bool(rng.random() < 0.4),
        bottom=_sample_colour(rng, (0.2, 0.7), (0.25, 0.75)),
        shoe=_sample_colour(rng, (0.0, 0.8), (0.2, 0.95)),
        sleeves=rng.choice([0.0, 0.5, 1.4, 2.0], p=[0.15, 0.4, 0.1, 0.35]),
        trousers=rng.choice([0.55, 1.2, 2.0], p=[0.3, 0.1, 0.6]),
        skirt=bool(rng.random() < 0.18),
        long_hair=bool(rng.random() < 0.4),
        girth=rng.uniform(0.88, 1.2),
    )


def _sample_colour(rng, saturation, value):
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return tuple(round(255 * channel) for channel in rgb)


# --- where figures stand ----------------------------------------------------------------------


def _place_main_figure(rng):
    """The main figure in a picture of its own, and that picture's (width, height)."""
    figure = _sample_figure(rng, rng.uniform(MIN_HEIGHT, MAX_HEIGHT))
    low, high = figure.keypoints.min(axis=0), figure.keypoints.max(axis=0)
    margin = 0.08 * figure.height
    needed = high - low + 2 * margin
    size = np.clip(needed * rng.uniform(1.0, 1.6, 2), MIN_SIDE, MAX_SIDE).astype(int)
    spare = size - needed
    corner = rng.uniform(np.minimum(spare, 0), np.maximum(spare, 0))
    if rng.random() < 0.18:  # a part of the body beyond one edge
        axis = rng.integers(2)
        beyond = margin + rng.uniform(0.05, 0.35) * (high - low)[axis]
        corner[axis] = rng.choice([-beyond, spare[axis] + beyond])
    return figure.move(corner + margin - low), tuple(size.tolist())


def _place_other_figures(rng, main):
    """None, one or two more figures, beside the main one and clearly off its middle."""
    figures = []
    keypoints = main.keypoints
    for side in rng.permutation([-1, 1])[: rng.choice(3, p=[0.67, 0.25, 0.08])]:
        other = _sample_figure(rng, main.height * rng.uniform(0.6, 1.05))
        edge = keypoints[:, 0].min() if side < 0 else keypoints[:, 0].max()
        near = other.keypoints[:, 0].max() if side < 0 else other.keypoints[:, 0].min()
        middle = main.points["pelvis"][0] + side * 0.55 * main.height
        x = side * max(side * (edge - near), side * middle) - side * 0.05 * main.height
        y = main.points["pelvis"][1] + rng.uniform(-0.15, 0.1) * main.height
        figures.append(other.move((x, y)))
    return figures


# --- drawing a figure -------------------------------------------------------------------------


def _draw_figure(canvas, figure):
    """Draw the parts of a body from the farthest to the nearest."""
    unit = figure.height
    if figure.pose == "sit":
        _draw_seat(canvas, figure)
    parts = [
        (figure.depth("thorax", "waist", "pelvis"), _draw_trunk),
        (figure.depth("upper_neck", "head_top") + 0.02 * unit, _draw_head),
    ]
    for side in "rl":
        # Arms beside the trunk are nearer than it, legs below it farther: sleeves and hem show.
        arm = figure.depth(f"{side}_elbow", f"{side}_wrist") + 0.03 * unit
        leg = figure.depth(f"{side}_knee", f"{side}_ankle") - 0.12 * unit
        parts.append((arm, partial(_draw_limb, side=side, kind="arm")))
        parts.append((leg, partial(_draw_limb, side=side, kind="leg")))
    for _, draw in sorted(parts, key=lambda part: part[0]):
        draw(canvas, figure)


def _draw_seat(canvas, figure):
    unit, points = figure.height, figure.points
    x, y = points["pelvis"][0], points["pelvis"][1] + 0.05 * unit
    half = np.array((0.11 * unit, max(0.1 * unit, points["r_heel"][1] - y) / 2))
    canvas.fill_shapes([(_box((x, y + half[1]), half), figure.look.shoe)], figure.outline)


def _circle(point, radius):
    return np.array((point[0], point[1], radius))


def _box(center, half_size):
    """An upright box as a hull: four small circles."""
    corners = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * half_size
    return [_circle(center + corner, 1) for corner in corners]


def _cut_segment(start, end, part):
    """The first `part` of the segment between two circles, as two circles."""
    return [start, start + min(part, 1.0) * (end - start)]


def _draw_limb(canvas, figure, side, kind):
    """Draw a limb's two segments, what they wear, and the hand or shoe, the farther one first."""
    look, unit, (joints, end, wears) = figure.look, figure.height, LIMBS[kind]
    points = [figure.points[f"{side}_{name}"] for name in joints]
    radii = [radius * unit * look.girth for radius in joints.values()]
    circles = [_circle(*pair) for pair in zip(points, radii, strict=True)]
    end = [_circle(figure.points[f"{side}_{name}"], r * unit) for name, r in end.items()]
    cloth, covered, worn = (getattr(look, name) for name in wears)
    skin, cloth, worn = (figure.shade(colour, points[1]) for colour in (look.skin, cloth, worn))
    segments = []
    for i in (0, 1):
        shapes = [(circles[i : i + 2], skin), *[(end, worn)] * i]
        if covered > i:
            shapes.append((_cut_segment(circles[i], circles[i + 1], covered - i), cloth))
        segments.append((points[2 * i][2], i, shapes))
    (_, far, shapes), (_, _, near_shapes) = sorted(segments)
    canvas.fill_shapes(shapes, figure.outline)
    canvas.fill_shapes(near_shapes, figure.outline)
    # The near segment's outline would cut the limb in two: the far one goes on over it.
    patch = _cut_segment(circles[1], circles[2 * far], 0.3)
    canvas.fill_hull(patch, cloth if covered > 1 else skin)


def _draw_trunk(canvas, figure):
    look, points = figure.look, figure.points
    unit = figure.height * look.girth
    hips = [_circle(points[f"{side}_hip"], 0.054 * unit) for side in "rl"]
    across = (points["l_hip"] - points["r_hip"]) * 0.42
    waist = [_circle(points["waist"] + side * across, 0.056 * unit) for side in (-1, 1)]
    shoulders = [_circle(points[f"{side}_shoulder"], 0.038 * unit) for side in "rl"]
    chest = _circle(0.65 * points["thorax"] + 0.35 * points["waist"], 0.072 * unit)
    belt = [_cut_segment(hip, side, 0.4)[1] for hip, side in zip(hips, waist, strict=True)]
    shapes = [([*hips, *belt], look.bottom), ([*waist, *belt], look.top)]
    shapes.append(([*shoulders, chest, *waist], look.top))
    if look.skirt:
        knees = [_circle(points[f"{side}_knee"], 0.07 * unit) for side in "rl"]
        thighs = [_cut_segment(*pair, 0.6)[1] for pair in zip(hips, knees, strict=True)]
        shapes.insert(0, ([*belt, *hips, *thighs], look.bottom))
    canvas.fill_shapes(shapes, figure.outline)
    # The front is told from the back by its trim, and by a lower collar.
    open_width = (points["collar"] - points["thorax"])[2] / 0.04
    if open_width > 0 and look.striped:
        _draw_stripes(canvas, look.trim, shoulders, waist)
    elif open_width > 0:
        front = zip(("collar", "buckle"), (0.028, 0.042), strict=True)
        front = [_circle(points[name], radius * open_width) for name, radius in front]
        canvas.fill_hull(front, look.trim)
    base = points["thorax"] if figure.faces_viewer else points["upper_neck"]
    neck = [_circle(base, 0.03 * unit), _circle(points["upper_neck"], 0.032 * unit)]
    canvas.fill_hull(neck, look.skin)


def _draw_stripes(canvas, colour, shoulders, waist):
    for part in (0.3, 0.6, 0.9):
        a, b = (_cut_segment(a, b, part)[1] for a, b in zip(shoulders, waist, strict=True))
        along = (b - a)[:2] / max(1.0, np.hypot(*(b - a)[:2]))
        ends = (a[:2] - 0.65 * a[2] * along, b[:2] + 0.65 * b[2] * along)
        canvas.fill_hull([_circle(end, 0.25 * a[2]) for end in ends], colour)


def _draw_head(canvas, figure):
    """Skull, hair and face: a head seen from behind shows hair alone."""
    skin, hair_colour = figure.look.skin, figure.look.hair
    top, axes = figure.points["head_top"], figure.head_axes
    radius = 0.37 * np.linalg.norm(top - figure.points["upper_neck"])
    center = top + axes[:, 1] * radius

    def place(x, y, z, size):
        """A circle at a point in head axes, in skull radii from the skull's center."""
        return _circle(center + axes @ (x, y, z) * radius, size * radius)

    hair = [place(0, 0, -0.06, 1.0), place(0, 0.35, -0.3, 0.72)]
    if figure.look.long_hair:
        hair.append(place(0, 1.2, -0.45, 0.62))
    hair = [(hair, hair_colour)]
    face = [([place(x, 0.2, -0.05, 0.2)], skin) for x in (-0.9, 0.9)]
    face.append(([place(0, 0.25, 0.95, 0.15)], skin))
    face.append(([place(0, 0.16, 0.1, 0.86), place(0, 0.8, 0.2, 0.5)], skin))
    if not figure.faces_viewer:
        canvas.fill_shapes(face + hair, figure.outline)
        return
    canvas.fill_shapes(hair, figure.outline)
    canvas.fill_shapes(face, figure.outline)
    fringe = [place(x, -0.42, 0.1, 0.3) for x in (-0.55, 0.55)] + [place(0, -0.62, 0.1, 0.38)]
    canvas.fill_hull(fringe, hair_colour)
    for x in (-0.36, 0.36):
        canvas.fill_hull([place(x, 0.15, 0.85, 0.14)], EYE)
    canvas.fill_hull([place(x, 0.75, 0.7, 0.07) for x in (-0.22, 0.22)], LIP)
    canvas.fill_hull([place(0, 0.38, 0.98, 0.11)], tuple(int(0.85 * c) for c in skin))


# --- what stands around it --------------------------------------------------------------------


def _paint_backdrop(rng, size):
    """A picture of `size` in one pale or dim tint: a gradient, soft clouds or a rough wall."""
    cells, spread = ((1, 16), (3, 9), (40, 4))[rng.integers(3)]
    light = rng.normal(0, spread, (cells + 1, cells + 1, 1))
    grid = _sample_colour(rng, *QUIET) + light + rng.normal(0, spread / 4, light.shape)
    grid = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    return grid.resize(size, Image.Resampling.BICUBIC)


def _draw_scenery(canvas, rng, main):
    """Ground, clutter and lines like limbs, then the main figure's shadow."""
    width, height = canvas.size
    feet = max(main.points["l_heel"][1], main.points["r_heel"][1])
    if rng.random() < 0.6:
        horizon = feet - rng.uniform(0.05, 0.3) * main.height
        floor = [(0, horizon), (width, horizon), (width, height), (0, height)]
        canvas.fill_polygon(floor, _sample_colour(rng, *QUIET))
    for _ in range(rng.integers(0, 9)):
        _draw_clutter(canvas, rng)
    x = (main.points["l_ankle"][0] + main.points["r_ankle"][0]) / 2
    for spread in (0.2, 0.16, 0.12):
        reach = spread * main.height
        canvas.fill_polygon((x, feet) + DIRECTIONS * (reach, 0.2 * reach), (0, 0, 0, 26))


def _draw_clutter(canvas, rng):
    """A disc, a box or a bar in a quiet colour anywhere in the picture."""
    place, span = rng.uniform(0, canvas.size), rng.uniform(0.03, 0.15) * canvas.size[0]
    end = place + rng.uniform(-4, 4, 2) * span
    bar = [_circle(place, 0.15 * span), _circle(end, 0.1 * span)]
    shapes = ([_circle(place, span)], _box(place, rng.uniform(0.4, 2, 2) * span), bar)
    canvas.fill_hull(shapes[rng.integers(3)], _sample_colour(rng, *QUIET))


def _draw_occluder(canvas, rng, main):
    """A pole, a box or leaves over one of the main figure's joints."""
    joint, unit = main.keypoints[rng.integers(len(JOINTS))], main.height
    lean = np.array((rng.uniform(-0.1, 0.1), 1)) * MAX_SIDE
    pole = [_circle(joint - lean, 0.03 * unit), _circle(joint + lean, 0.03 * unit)]
    box = _box(joint, rng.uniform(0.04, 0.1, 2) * unit)
    leaves = [
        [_circle(joint + reach * unit * direction, radius * unit) for reach, radius in LEAF]
        for direction in DIRECTIONS[rng.integers(len(DIRECTIONS), size=6)]
    ]
    hulls = ([pole], [box], leaves)[rng.integers(3)]
    colour = _sample_colour(rng, (0.2, 0.7), (0.3, 0.85))
    canvas.fill_shapes([(hull, colour) for hull in hulls], main.outline)
