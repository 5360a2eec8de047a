import numpy as np
import pytest

from hourglass.inference.person_search import (
    BOX_THRESHOLD,
    MAX_IOU,
    THRESHOLD,
    Look,
    Pose,
    bbox_corners,
    bbox_crop,
    compute_iou,
    compute_likeness,
    estimate_crops,
    estimate_pose,
    find_people,
    is_bbox,
    keypoints_bbox,
    pose_nms,
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
    """A picture's people as the networks see them: the better a crop fits, the surer it is.

    The finder sees a box around each, of its surety, 0.9 unless it is given. Joints outside of a
    crop are seen on its border, and not surely.
    """

    def __init__(self, *persons, boxes=(), sure=()):
        self.persons = persons
        self.boxes = [*(box_around(joints) for joints in persons), *boxes]
        self.sure = [*sure, *[0.9] * (len(self.boxes) - len(sure))]
        self.looks = []

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

    def find(self):
        found = sorted(zip(self.sure, self.boxes, strict=True), key=lambda pair: -pair[0])
        boxes, scores = np.zeros((1, 50, 4)), np.zeros((1, 50))
        for k, (score, box) in enumerate(found):
            boxes[0, k], scores[0, k] = box, score
        return boxes, scores

    def run(self, search):
        """The search's poses."""
        answer = None
        while True:
            try:
                look = search.send(answer)
            except StopIteration as end:
                return end.value
            self.looks.append(look)
            seen = zip(*map(self.see, look.crops), strict=True)
            answer = self.find() if look.is_for_finder else [np.stack(values) for values in seen]

    @property
    def crops(self):
        return [look.crops for look in self.looks]


def box_around(joints):
    low, high = keypoints_bbox(joints)
    return (*low, *(high - low + 1))


def assert_found(pose, person):
    np.testing.assert_allclose(pose.keypoints, person, atol=1e-6)
    assert pose.score >= THRESHOLD


@pytest.mark.parametrize(
    ("size", "person"),
    [
        ((200, 200), person_at(60, 10, 180)),  # as large as the picture
        ((640, 480), person_at(20, 30, 200)),
        ((480, 640), person_at(100, 380, 240)),
        ((4000, 3000), person_at(2900, 700, 300)),
        ((40, 50), person_at(12, 8, 36)),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_person_anywhere_is_found_to_the_pixel(size, person):
    world = World(person)
    (pose,) = world.run(find_people(size))
    assert_found(pose, person)
    first, second, third = world.looks
    assert first == Look([whole_picture_crop(size)], is_for_finder=True)
    assert second == Look([bbox_crop(box_around(person))])
    # The refinement is cut as in training: around the keypoints' bbox, a fixed margin wider.
    assert third == Look([pose.crop])
    x, y, side = pose.crop
    assert side == round(transforms.AROUND_JOINTS * np.ptp(person, axis=0).max())
    middle = keypoints_bbox(person).mean(axis=0)
    np.testing.assert_allclose((x + (side - 1) / 2, y + (side - 1) / 2), middle, atol=0.51)


def test_a_score_is_of_joints_and_box():
    person = person_at(50, 100, 300)
    (pose,) = World(person, sure=[0.5]).run(find_people((640, 480)))
    assert pose.score == pytest.approx(np.sqrt(0.5 * pose.scores.mean()))


def test_all_people_are_found_the_surer_first():
    people = [person_at(50 + 170 * k, 40, 300) for k in range(7)]
    sure = [0.5, 0.9, 0.7, 0.6, 0.8, 0.55, 0.65]
    poses = World(*people, sure=sure).run(find_people((1300, 400)))
    order = np.argsort(sure)[::-1]
    for pose, person in zip(poses, [people[k] for k in order], strict=True):
        assert_found(pose, person)
    assert [pose.score for pose in poses] == sorted((pose.score for pose in poses), reverse=True)


def test_as_many_as_are_asked_for_are_the_surest():
    people = person_at(50, 100, 300), person_at(420, 130, 240)
    (pose,) = World(*people, sure=[0.6, 0.8]).run(find_people((640, 480), 1))
    assert_found(pose, people[1])
    assert len(World(*people).run(find_people((640, 480), 7))) == 2


def test_two_boxes_of_one_person_are_one_pose():
    person = person_at(200, 100, 300)
    x, y, width, height = box_around(person)
    upper = (x, y, width, height / 2)  # too unlike to be the same box
    world = World(person, boxes=[upper])
    (pose,) = world.run(find_people((640, 480)))
    assert_found(pose, person)
    assert [len(crops) for crops in world.crops] == [1, 2, 1], "it is refined once"


def test_boxes_that_overlap_much_are_one_look():
    person = person_at(200, 100, 300)
    x, y, width, height = box_around(person)
    world = World(person, boxes=[(x + 5, y + 9, width, height)], sure=[0.6, 0.7])
    world.run(find_people((640, 480)))
    assert world.crops[1] == [bbox_crop((x + 5, y + 9, width, height))]  # the surer one


def test_unsure_boxes_are_not_looked_at_but_the_surest_is():
    people = person_at(50, 100, 300), person_at(420, 130, 240)
    low = BOX_THRESHOLD - 0.01
    for sure, number in (([0.9, low], 1), ([0.9, BOX_THRESHOLD], 2), ([low, low / 2], 1)):
        world = World(*people, sure=sure)
        world.run(find_people((640, 480)))
        assert [len(crops) for crops in world.crops] == [1, number, number], sure


@pytest.mark.parametrize("box", [(5, 5, 0, 9), (5, 5, 9, -1), (np.nan, 5, 9, 9), (5, 2e6, 9, 9)])
def test_boxes_of_no_size_are_passed_over(box):
    assert World(boxes=[box]).run(find_people((640, 480))) == []


def test_boxes_beyond_the_limit_are_left(monkeypatch):
    monkeypatch.setattr("hourglass.inference.person_search.MAX_LOOKS", 3)
    people = [person_at(50 + 170 * k, 40, 300) for k in range(5)]
    assert len(World(*people).run(find_people((1300, 400)))) == 3


def test_without_a_box_there_is_no_person():
    world = World()
    assert world.run(find_people((640, 480))) == [] and len(world.looks) == 1


def test_a_box_that_shows_nobody_is_a_pose_of_a_low_score():
    (pose,) = World(boxes=[(10, 20, 100, 200)]).run(find_people((640, 480)))
    assert pose.score < THRESHOLD
    assert pose.keypoints.shape == (16, 2) and np.isfinite(pose.keypoints).all()


def test_people_side_by_side_who_overlap_are_both_found():
    people = person_at(200, 100, 300), person_at(260, 105, 300)
    boxes = [bbox_corners(box_around(person)) for person in people]
    assert 0.3 < compute_iou(*boxes) <= MAX_IOU
    poses = World(*people).run(find_people((640, 480)))
    assert sum(pose.score >= THRESHOLD for pose in poses) == 2


def alike(pose, other, scores=0.9):
    return compute_likeness(make_pose(other, np.full(16, 0.8)), make_pose(pose, scores))


def test_likeness_is_one_of_equal_poses_and_falls_with_the_distance():
    person, scores = person_at(100, 100, 200), np.full(16, 0.9)
    shares = [alike(person, np.add(person, (far * 200, 0)), scores) for far in (0, 0.05, 0.1, 0.5)]
    assert shares[0] == 1 and shares[2] == pytest.approx(np.exp(-1))
    assert shares == sorted(shares, reverse=True) and shares[3] < 1e-6


def test_joints_that_are_not_sure_tell_of_no_person():
    person, scores = person_at(100, 100, 200), np.full(16, 0.9)
    scores[:8], other = 0.01, person + 0.0
    other[:8] += 500  # where the surer one is not sure
    assert alike(person, other, scores) == 1
    assert alike(person, other, np.full(16, 0.9)) == 0.5
    assert alike(person, person, np.full(16, 0.01)) == 1


@pytest.mark.parametrize(("num_shared", "number"), [(6, 2), (8, 1)])
def test_two_poses_that_share_a_trunk_are_one_person(num_shared, number):
    surer, other = person_at(100, 100, 200), person_at(400, 490, 200)
    other[4 : 4 + num_shared] = surer[4 : 4 + num_shared]
    poses = [make_pose(other, np.full(16, 0.8)), make_pose(surer, np.full(16, 0.9))]
    assert pose_nms(poses) == poses[::-1][:number]


def test_what_comes_first_of_two_poses_may_be_told():
    poses = [Pose(UNIT * 100 + k, np.ones(16), (0, 0, 100), 0.5 + k / 10) for k in range(3)]
    assert pose_nms(poses) == [poses[2]]
    assert pose_nms(poses, key=lambda pose: pose.score) == [poses[0]]


def test_squares_may_be_looked_at_once_each():
    crops = [(0, 0, 50), (10, 20, 30)]
    search = estimate_crops(crops)
    assert next(search) == Look(crops)
    keypoints, scores = np.stack([UNIT, 2 * UNIT]), np.stack([np.full(16, 0.3), np.full(16, 0.7)])
    with pytest.raises(StopIteration) as end:
        search.send((keypoints, scores))
    assert [pose.crop for pose in end.value.value] == crops
    assert [pose.score for pose in end.value.value] == pytest.approx([0.3, 0.7])
    np.testing.assert_array_equal(end.value.value[1].keypoints, 2 * UNIT)


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
    ((crop,), _) = search.send((keypoints[None], scores[None]))
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
        (((x, y, length),), _) = rounds.send((keypoints[k : k + 1], scores[k : k + 1]))
        assert length == round(side[k])
        middle = np.array([x, y]) + (length - 1) / 2
        np.testing.assert_allclose(middle, center[k], atol=0.51)
