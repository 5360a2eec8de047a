import numpy as np
import pytest

from hourglass.inference.person_search import (
    MAX_IOU,
    MAX_SHARED,
    MIN_SIDE,
    PLAN,
    THRESHOLD,
    Pose,
    SearchPlan,
    bbox_crop,
    compute_iou,
    estimate_crops,
    estimate_pose,
    find_people,
    is_bbox,
    keypoints_bbox,
    pose_nms,
    tile_picture,
    whole_picture_crop,
)
from hourglass.models.model_inputs import refined_crops
from hourglass.utils import transforms

# A standing person in a box of 1 x 2, the longer side from 0 to 1.
UNIT = np.array(
    [
        [0.15, 1.00], [0.15, 0.75], [0.17, 0.50], [0.33, 0.50], [0.35, 0.75], [0.35, 1.00],
        [0.25, 0.50], [0.25, 0.20], [0.25, 0.15], [0.25, 0.00],
        [0.00, 0.50], [0.02, 0.35], [0.12, 0.20], [0.38, 0.20], [0.48, 0.35], [0.50, 0.50],
    ]
)  # fmt: skip


def person_at(left, top, height):
    """The joints of a person whose box starts there, px."""
    return np.array([left, top]) + height * UNIT


class World:
    """A picture's people as a network sees them: the better a crop fits, the surer it is.

    Joints outside of a crop are seen on its border, and not surely.
    """

    def __init__(self, *persons):
        self.persons = persons
        self.crops = []  # by round

    def see(self, crop):
        x, y, side = crop
        middle = np.array([x, y]) + (side - 1) / 2
        seen = np.tile(middle, (16, 1)), np.full(16, 0.05)
        for joints in self.persons:
            low, high = keypoints_bbox(joints)
            zoom = np.log(side / (transforms.AROUND_JOINTS * (high - low).max()))
            offset = np.abs((low + high) / 2 - middle).max() / side
            inside = (np.abs(joints - middle) <= side / 2).all(axis=1)
            scores = np.where(inside, np.exp(-0.3 * zoom**2 - offset**2), 0.02)
            if scores.mean() > seen[1].mean():
                seen = np.clip(joints, middle - side / 2, middle + side / 2), scores
        return seen

    def run(self, search):
        """The search's poses."""
        answer = None
        while True:
            try:
                crops = search.send(answer)
            except StopIteration as end:
                return end.value
            self.crops.append(crops)
            answer = [np.stack(values) for values in zip(*map(self.see, crops), strict=True)]

    @property
    def num_inputs(self):
        return sum(map(len, self.crops))


def assert_found(pose, person):
    np.testing.assert_allclose(pose.keypoints, person, atol=1e-6)
    assert pose.score >= THRESHOLD


@pytest.mark.parametrize(
    ("size", "person"),
    [
        ((200, 200), person_at(60, 10, 180)),  # as large as the picture
        ((640, 480), person_at(20, 30, 200)),
        ((640, 480), person_at(500, 200, 250)),
        ((480, 640), person_at(100, 380, 240)),
        ((4000, 3000), person_at(2900, 700, 1000)),
        ((1000, 1000), person_at(640, 610, 250)),  # a quarter of the picture
        ((4000, 500), person_at(3300, 90, 350)),
        ((300, 2600), person_at(60, 1500, 260)),
        ((40, 50), person_at(12, 8, 36)),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_person_anywhere_is_found_to_the_pixel(size, person):
    world = World(person)
    (pose,) = world.run(find_people(size))
    assert_found(pose, person)
    # The refinement is cut as in training: around the keypoints' bbox, a fixed margin wider.
    x, y, side = pose.crop
    assert side == round(transforms.AROUND_JOINTS * np.ptp(person, axis=0).max())
    middle = keypoints_bbox(person).mean(axis=0)
    np.testing.assert_allclose((x + (side - 1) / 2, y + (side - 1) / 2), middle, atol=0.51)


def test_a_person_who_goes_on_below_the_picture_is_found():
    person = person_at(230, 40, 300)  # the picture ends at the shins
    (pose,) = World(person).run(find_people((400, 300)))
    assert_found(pose, person)


def test_two_people_are_found_the_surer_first():
    left, right = person_at(50, 100, 300), person_at(420, 130, 240)
    one, two = World(left, right).run(find_people((640, 480), 2))
    assert one.score >= two.score
    poses = sorted((one, two), key=lambda pose: pose.keypoints[0, 0])
    for pose, person in zip(poses, (left, right), strict=True):
        assert_found(pose, person)


def test_more_people_than_retries_are_all_found():
    people = [person_at(50 + 370 * k, 40, 300) for k in range(PLAN.retries + 1)]
    poses = World(*people).run(find_people((1900, 400), len(people)))
    poses.sort(key=lambda pose: pose.keypoints[0, 0])
    for pose, person in zip(poses, people, strict=True):
        assert_found(pose, person)


def test_of_two_people_one_is_given_where_one_is_asked_for():
    people = person_at(50, 100, 300), person_at(420, 130, 240)
    (pose,) = World(*people).run(find_people((640, 480), 1))
    assert any(np.allclose(pose.keypoints, person) for person in people)


def test_more_than_there_are_finds_no_person_twice():
    people = [person_at(50, 100, 300), person_at(420, 130, 240)]
    poses = World(*people).run(find_people((640, 480), 7))
    found = [pose for pose in poses if pose.score >= THRESHOLD]
    assert len(found) == 2 and len(poses) <= 7
    assert [pose.score for pose in poses] == sorted((pose.score for pose in poses), reverse=True)


def test_of_two_poses_that_overlap_the_surer_one_is_left():
    back, front = person_at(200, 100, 300), person_at(215, 105, 300)
    assert compute_iou(keypoints_bbox(back), keypoints_bbox(front)) > MAX_IOU
    (pose, *others) = World(back, front).run(find_people((640, 480), 3))
    assert pose.score >= THRESHOLD
    assert not any(other.score >= THRESHOLD for other in others)


@pytest.mark.parametrize(("num_shared", "number"), [(MAX_SHARED, 2), (MAX_SHARED + 1, 1)])
def test_two_poses_that_share_a_trunk_are_one_person(num_shared, number):
    surer, other = person_at(100, 100, 200), person_at(400, 490, 200)
    other[6 : 6 + num_shared] = np.add(surer[6 : 6 + num_shared], (0.09 * 200, 0))
    assert compute_iou(keypoints_bbox(surer), keypoints_bbox(other)) <= MAX_IOU
    poses = [make_pose(other, np.full(16, 0.8)), make_pose(surer, np.full(16, 0.9))]
    assert pose_nms(poses) == poses[::-1][:number]


def weigh(pose, keypoints, scores):
    """The score that a search gives `pose`, where its first round has these keypoints."""
    size = (400, 400)
    search = find_people(size)
    number = len(next(search))
    around = search.send((np.stack([keypoints] * number), np.full((number, 16), scores)))
    try:
        search.send([np.stack([values] * len(around)) for values in (pose, np.full(16, 0.9))])
    except StopIteration as end:
        return end.value[0].score


def test_what_comes_first_of_two_poses_may_be_told():
    poses = [Pose(UNIT * 100 + k, np.ones(16), (0, 0, 100), 0.5 + k / 10) for k in range(3)]
    assert pose_nms(poses) == [poses[2]]
    assert pose_nms(poses, key=lambda pose: pose.score) == [poses[0]]


def test_squares_may_be_looked_at_once_each():
    crops = [(0, 0, 50), (10, 20, 30)]
    search = estimate_crops(crops)
    assert next(search) == crops
    keypoints, scores = np.stack([UNIT, 2 * UNIT]), np.stack([np.full(16, 0.3), np.full(16, 0.7)])
    with pytest.raises(StopIteration) as end:
        search.send((keypoints, scores))
    assert [pose.crop for pose in end.value.value] == crops
    assert [pose.score for pose in end.value.value] == pytest.approx([0.3, 0.7])
    np.testing.assert_array_equal(end.value.value[1].keypoints, 2 * UNIT)


def test_looks_that_agree_make_a_pose_surer():
    person = person_at(180, 170, 60)
    assert weigh(person, person, scores=0.9) == pytest.approx(0.9)
    near, far = (np.add(person, (offset, 0)) for offset in (0.1 * 60, 60))
    assert 0.9 > weigh(person, near, scores=0.9) > 0.6
    assert weigh(person, far, scores=0.9) < 0.3
    assert weigh(person, person, scores=0.3) < 0.6


def test_a_pose_beyond_the_picture_is_held_against_the_whole():
    beyond = person_at(350, 300, 200)
    assert weigh(beyond, beyond, scores=0.9) == pytest.approx(0.9)
    assert weigh(beyond, person_at(20, 20, 200), scores=0.9) == pytest.approx(0.45, abs=0.01)


def test_people_side_by_side_do_not_overlap():
    people = person_at(200, 100, 300), person_at(290, 105, 300)  # arms touch
    assert 0 < compute_iou(*map(keypoints_bbox, people)) <= MAX_IOU
    poses = World(*people).run(find_people((640, 480), 2))
    assert sum(pose.score >= THRESHOLD for pose in poses) == 2


def test_no_person_is_a_pose_of_a_low_score():
    (pose,) = World().run(find_people((640, 480)))
    assert pose.score < THRESHOLD
    assert pose.keypoints.shape == (16, 2) and np.isfinite(pose.keypoints).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (15, 23), (1, 3000)])
def test_a_picture_too_small_to_divide_is_looked_at_as_a_whole(size):
    crops = tile_picture(size)
    assert crops[0] == whole_picture_crop(size)
    assert all(side >= MIN_SIDE for *_, side in crops[1:])
    World().run(find_people(size))


SIZES = [(640, 480), (333, 333), (4000, 3000), (12000, 8000), (9000, 700), (64, 4096), (50, 40)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_looks_are_few_on_any_picture(size):
    world = World(person_at(0, 0, 0.9 * size[1]))
    world.run(find_people(size))
    assert world.num_inputs <= 60
    crops = tile_picture(size)
    assert len(crops) <= PLAN.max_crops
    assert len({side for *_, side in crops}) >= 3  # several sizes even so


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_squares_of_each_size_cover_the_picture(size):
    crops = tile_picture(size)
    assert [side for *_, side in crops] == sorted((s[2] for s in crops), reverse=True)
    for side in {crop[2] for crop in crops}:
        places = [(x, y) for x, y, s in crops if s == side]
        for axis, length in enumerate(size):
            starts = sorted({place[axis] for place in places})
            assert starts[0] <= 0 and starts[-1] + side >= length
            assert abs(starts[0] + (starts[-1] + side - length)) <= 1, "as much on either side"
            # Each place is within half a side of another crop's.
            assert max(np.diff(starts), default=0) <= PLAN.step * side + 1
        assert len(places) == np.prod([len({place[axis] for place in places}) for axis in (0, 1)])


def test_a_plan_says_how_many_squares_there_are():
    few, many = (tile_picture((640, 480), SearchPlan(max_crops=n)) for n in (10, 200))
    assert len(few) <= 10 < len(many) <= 200
    assert many[: len(few)] == few
    assert tile_picture((640, 480), SearchPlan(max_crops=len(many))) == many


@pytest.mark.parametrize(
    ("size", "crop"),
    [((100, 100), (0, 0, 100)), ((200, 100), (0, -50, 200)), ((31, 60), (-14, 0, 60))],
)
def test_the_square_of_a_whole_picture(size, crop):
    assert whole_picture_crop(size) == crop


@pytest.mark.parametrize(
    ("numbers", "valid"),
    [
        ((-5, -7, 0.5, 3), True),
        ((1, 2, 0, 3), False),
        ((1, 2, 3, -1), False),
        ((999_999, 2, 3, 4), True),
        ((1, -1_000_000, 3, 4), False),
        ((1, 2, np.inf, 4), False),
        ((np.nan, 2, 3, 4), False),
    ],
)
def test_a_box_is_as_its_rule_says(numbers, valid):
    assert is_bbox(numbers) == valid


def test_the_square_of_a_box_has_the_margin_of_training():
    assert bbox_crop((100, 40, 80, 30)) == (85, 0, 1.25 * 1.1 * 80)
    assert bbox_crop((0, 0, 0.01, 0.01))[2] == 1


def test_a_known_person_is_looked_at_twice():
    person = person_at(120, 60, 200)
    world = World(person)
    (pose,) = world.run(estimate_pose(bbox_crop((90, 70, 170, 190))))  # a rough box
    assert_found(pose, person)
    first, second = world.crops
    assert first == [bbox_crop((90, 70, 170, 190))] and second == [pose.crop]


def test_a_known_person_is_looked_at_once_where_that_is_asked_for():
    world = World(person_at(120, 60, 200))
    (pose,) = world.run(estimate_pose((0, 0, 400), refine=False))
    assert world.crops == [[(0, 0, 400)]] and pose.crop == (0, 0, 400)


def make_pose(keypoints, scores, crop=(0, 0, 100)):
    return Pose(np.asarray(keypoints, float), np.asarray(scores, float), crop, np.mean(scores))


def second_square(keypoints, scores):
    """What a known person in the crop (0, 0, 100) is looked at again in."""
    search = estimate_pose((0, 0, 100))
    next(search)
    (crop,) = search.send((keypoints[None], scores[None]))
    return crop


def test_unsure_joints_do_not_tell_where_a_person_is():
    scores = np.where(np.arange(16) < 6, 0.9, transforms.SURE_SCORE - 0.01)
    keypoints = np.full((16, 2), 99.0)
    keypoints[:6] = person_at(20, 30, 40)[:6]
    low, high = keypoints_bbox(keypoints[:6])
    np.testing.assert_array_equal(make_pose(keypoints, scores).bbox, [low, high])
    x, y, side = second_square(keypoints, scores)
    assert side == max(round(transforms.AROUND_JOINTS * (high - low).max()), 25)
    np.testing.assert_allclose(np.add((x, y), (side - 1) / 2), (low + high) / 2, atol=0.51)


def test_where_no_joint_is_sure_all_of_them_tell():
    keypoints = person_at(20, 30, 40)
    pose = make_pose(keypoints, np.full(16, transforms.SURE_SCORE / 2))
    np.testing.assert_array_equal(pose.bbox, keypoints_bbox(keypoints))


def test_joints_in_one_place_tell_of_no_size():
    x, y, side = second_square(np.full((16, 2), 60.0), np.full(16, 0.5))
    assert side == 25 and x <= 60 <= x + side and y <= 60 <= y + side


def test_the_score_of_a_known_person_is_the_mean_of_its_joints():
    search = estimate_pose((0, 0, 100), refine=False)
    next(search)
    with pytest.raises(StopIteration) as end:
        search.send((UNIT[None], np.arange(16)[None] / 15))
    assert end.value.value[0].score == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ([[0, 0], [10, 10]], 1),
        ([[5, 0], [15, 10]], 1 / 3),
        ([[20, 20], [30, 30]], 0),
        ([[20, 0], [30, 10]], 0),
        ([[2, 2], [7, 7]], 0.25),
        ([[5, 5], [5, 5]], 0),
    ],
)
def test_box_overlap(other, overlap):
    box = np.array([[0, 0], [10, 10]])
    assert compute_iou(box, np.array(other)) == pytest.approx(overlap)
    assert compute_iou(np.array(other), box) == pytest.approx(overlap)


@pytest.mark.parametrize("first", [400, 1000])  # the joints' box is about 100: the least side acts
def test_the_square_of_a_further_look_is_that_of_validation(first):
    # One pose at a time by NumPy here, a batch on the device there: the same crop, but for whole
    # px here; where it is much wider than the first one, less is stored there.
    rng = np.random.default_rng(1)
    keypoints = rng.uniform(100, 200, (8, 16, 2)).astype(np.float32)
    scores = rng.uniform(0, 0.6, (8, 16)).astype(np.float32)
    center, side = map(np.asarray, refined_crops(keypoints, scores, np.float32([first] * 8)))
    for k in range(8):
        rounds = estimate_pose((0, 0, first))
        next(rounds)
        ((x, y, length),) = rounds.send((keypoints[k : k + 1], scores[k : k + 1]))
        assert length == round(side[k])
        middle = np.array([x, y]) + (length - 1) / 2
        np.testing.assert_allclose(middle, center[k], atol=0.51)
