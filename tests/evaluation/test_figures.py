import dataclasses

import numpy as np
import pytest
from PIL import Image

from hourglass.data.person import Person
from hourglass.evaluation.figures import choose_persons, rank_persons, render_figures
from hourglass.keypoints import MPII

ALL = np.ones(16, bool)


def labels(*missing):
    keypoints_visible = ALL.copy()
    keypoints_visible[list(missing)] = False
    return keypoints_visible


def errors_with(num_wrong, error=1.0, others=0.1):
    errors = np.full(16, others)
    scored = [k for k in range(16) if k not in (6, 7)]
    errors[scored[:num_wrong]] = error
    return errors


def test_persons_are_ranked_by_their_own_pckh():
    errors = np.stack([errors_with(3), errors_with(0), errors_with(14), errors_with(1)])
    assert rank_persons(errors, np.tile(ALL, (4, 1)), MPII).tolist() == [1, 3, 0, 2]


def test_equal_pckh_is_ranked_by_the_mean_error():
    errors = np.stack([errors_with(1, 0.9), errors_with(1, 0.6), errors_with(1, np.inf)])
    assert rank_persons(errors, np.tile(ALL, (3, 1)), MPII).tolist() == [1, 0, 2]


def test_pelvis_and_thorax_do_not_count():
    errors = np.stack([errors_with(0, others=0.2), errors_with(0, others=0.3)])
    errors[0, [6, 7]] = 9
    assert rank_persons(errors, np.tile(ALL, (2, 1)), MPII).tolist() == [0, 1]


def test_missing_joints_do_not_count():
    errors = np.stack([errors_with(2), errors_with(1)])
    # The first's two faults are unlabelled; the second's share is one of four.
    keypoints_visible = np.stack([labels(0, 1), labels(*range(4, 16))])
    assert rank_persons(errors, keypoints_visible, MPII).tolist() == [0, 1]
    # Half of two is worse than two of fourteen.
    keypoints_visible = np.stack([ALL, labels(*range(2, 16))])
    assert rank_persons(errors, keypoints_visible, MPII).tolist() == [0, 1]


def test_one_labelled_joint_that_is_right_is_better_than_twelve_of_fourteen():
    errors = np.stack([errors_with(2), errors_with(0)])
    assert rank_persons(errors, np.stack([ALL, labels(*range(1, 16))]), MPII).tolist() == [1, 0]


def test_persons_without_a_scored_joint_have_no_rank():
    errors = np.stack([errors_with(0)] * 3)
    only_trunk = np.isin(np.arange(16), (6, 7))
    assert rank_persons(errors, np.stack([~ALL, ALL, only_trunk]), MPII).tolist() == [1]


def test_a_quarter_is_best_a_quarter_worst_the_rest_between():
    chosen = choose_persons(np.arange(100)[::-1], 8)
    assert [name for name, _ in chosen] == ["best"] * 2 + ["middle"] * 4 + ["worst"] * 2
    people = [person for _, person in chosen]
    assert people[:2] == [99, 98] and people[-2:] == [1, 0]
    assert people == sorted(people, reverse=True)
    steps = -np.diff(people[2:6])
    assert steps.min() >= steps.max() - 1  # evenly spread


@pytest.mark.parametrize("num_persons", range(8))
@pytest.mark.parametrize("number", range(10))
def test_no_person_is_chosen_twice_and_none_is_spared(number, num_persons):
    people = [person for _, person in choose_persons(np.arange(num_persons), number)]
    assert people == sorted(set(people))
    assert len(people) == min(number, num_persons)


def test_few_figures_are_named_for_what_they_show():
    assert choose_persons(np.arange(9), 1) == [("middle", 4)]
    assert choose_persons(np.arange(9), 3) == [("best", 0), ("middle", 4), ("worst", 8)]
    assert choose_persons(np.arange(9), 0) == []


def make_person(image, scale=1.0):
    joints = np.stack([np.linspace(20, 180, 16), np.linspace(30, 170, 16)], axis=1)
    return Person(image, joints, ALL.copy(), np.array([100.0, 100.0]), scale, 25 * scale, "scale")


@pytest.fixture
def scene():
    """Three persons, their predictions, and crops of half size cut at (10, 20)."""
    persons = [make_person("a.jpg"), make_person("deep/b.png"), make_person("c d.jpg")]
    keypoints = np.stack([person.joints for person in persons]) + 1
    transform = np.float32([[2, 0, 10.5], [0, 2, 20.5]])
    crops = {k: (np.full((90, 80, 3), 60 * k, np.uint8), transform) for k in range(3)}
    return persons, keypoints, crops


CHOSEN = [("best", 2), ("middle", 0), ("worst", 1)]


def test_each_chosen_person_gets_a_figure_and_all_a_sheet(scene, tmp_path):
    persons, keypoints, crops = scene
    render_figures(tmp_path / "figures", CHOSEN, crops, persons, keypoints, MPII)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "01_best_c d.jpg", "02_middle_a.jpg", "03_worst_b.jpg", "contact_sheet.jpg",
    ]  # fmt: skip
    for path in (tmp_path / "figures").iterdir():
        Image.open(path).verify()


def test_the_folder_is_emptied_first(scene, tmp_path):
    persons, keypoints, crops = scene
    (tmp_path / "old.jpg").write_text("old")
    render_figures(tmp_path, CHOSEN[:1], crops, persons, keypoints, MPII)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01_best_c d.jpg", "contact_sheet.jpg"]


def test_no_figures_leave_a_sheet_that_says_so(scene, tmp_path):
    persons, keypoints, crops = scene
    render_figures(tmp_path, [], crops, persons, keypoints, MPII)
    assert [path.name for path in tmp_path.iterdir()] == ["contact_sheet.jpg"]


@pytest.fixture
def drawn(monkeypatch):
    """What reaches the two drawing functions, in order."""
    calls = []

    def draw_comparison(image, labels, prediction, schema, caption, height):
        assert schema == MPII
        calls.append((image, *labels, prediction, caption))
        return Image.new("RGB", (10, 10), (len(calls), 0, 0))

    def draw_contact_sheet(panels, num_columns, title):
        calls.append(([panel.getpixel((0, 0))[0] for panel in panels], title))
        return Image.new("RGB", (10, 10))

    monkeypatch.setattr("hourglass.evaluation.figures.draw_comparison", draw_comparison)
    monkeypatch.setattr("hourglass.evaluation.figures.draw_contact_sheet", draw_contact_sheet)
    return calls


def test_the_sheet_has_the_panels_in_order(scene, drawn, tmp_path):
    persons, keypoints, crops = scene
    render_figures(tmp_path, CHOSEN, crops, persons, keypoints, MPII)
    assert [np.asarray(call[0])[0, 0, 0] for call in drawn[:3]] == [120, 0, 60]
    assert drawn[3] == ([1, 2, 3], "3 of 3 validation persons, best to worst")


def test_truth_and_prediction_are_moved_into_the_crop(scene, drawn, tmp_path):
    persons, keypoints, crops = scene
    render_figures(tmp_path, CHOSEN[:1], crops, persons, keypoints, MPII)
    _, truth, visible, prediction, _ = drawn[0]
    np.testing.assert_allclose(truth, (persons[2].joints - (10.5, 20.5)) / 2, atol=1e-9)
    np.testing.assert_allclose(prediction - truth, 0.5)
    np.testing.assert_array_equal(visible, ALL)


def test_a_larger_picture_is_cut_to_the_persons_view_square(drawn, tmp_path):
    person = make_person("a.jpg", scale=0.3)
    rows, columns = np.mgrid[:90, :80].astype(np.uint8)
    crops = {0: (np.dstack([columns, rows, rows]), np.float32([[2, 0, 10.5], [0, 2, 20.5]]))}
    render_figures(tmp_path, [("best", 0)], crops, [person], person.joints[None], MPII)
    image, truth, *_ = drawn[0]
    # Its center (100, 104.5) is (44.75, 42) of the crop, and half its side 18.75 px of it.
    assert (image.size, image.getpixel((0, 0))) == ((38, 38), (26, 23, 23))
    moved = truth + np.array([26, 23])
    np.testing.assert_allclose(moved, (person.joints - (10.5, 20.5)) / 2)


def test_the_caption_is_the_persons_own_pckh(scene, drawn, tmp_path):
    persons, keypoints, crops = scene
    keypoints[0, :7] += 100  # 6 of the 14 scored joints; the pelvis is not one of them
    only_trunk = np.isin(np.arange(16), (6, 7))
    persons[1] = dataclasses.replace(persons[1], keypoints_visible=only_trunk)
    render_figures(tmp_path, CHOSEN, crops, persons, keypoints, MPII)
    assert [call[-1] for call in drawn[:3]] == ["best, PCKh 100 %", "middle, PCKh 57 %", "worst"]


def test_a_joint_within_half_a_head_is_right_however_near_the_others_are():
    errors = np.stack([errors_with(1, 0.6, others=0.0), errors_with(14, 0.5)])
    assert rank_persons(errors, np.tile(ALL, (2, 1)), MPII).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("center", "size"),
    [((-900, 100), (1, 80)), ((900, 100), (1, 80)), ((100, -900), (80, 1)), ((100, 900), (80, 1))],
)
def test_a_view_square_beside_the_picture_leaves_its_edge(drawn, tmp_path, center, size):
    person = dataclasses.replace(make_person("a.jpg"), center=np.array(center, float))
    crops = {0: (np.zeros((80, 80, 3), np.uint8), np.eye(2, 3))}
    render_figures(tmp_path, [("best", 0)], crops, [person], person.joints[None], MPII)
    assert drawn[0][0].size == size
