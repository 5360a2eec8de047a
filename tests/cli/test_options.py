import pytest

from hourglass.cli import options


def test_parse_box_takes_four_numbers():
    assert options.parse_box("1, -2.5,3e1,4") == (1, -2.5, 30, 4)


def test_an_option_after_box_is_not_its_value():
    given = ["a.jpg", "--box", "--out", "x", "--box", "-.5,0,1,1", "-1,0,1,1"]
    expected = ["a.jpg", "--box", "--out", "x", "--box=-.5,0,1,1", "-1,0,1,1"]
    assert options.join_box(given) == expected


@pytest.mark.parametrize(
    ("box", "number", "texts"),
    [
        (None, 9, []),
        ((0, 0, 50, 90), 1, []),
        ((0, 0, 3, 4), 1, ["--box is 3 x 4 px, too small to show a person; it is measured in px"]),
        ((0, 0, 50, 90), 12, ["--box is used for each of 12 files; --boxes has one for each"]),
    ],
)
def test_a_box_that_may_be_a_mistake_is_warned_of(capsys, box, number, texts):
    options.warn_of_box(box, number)
    assert capsys.readouterr().err == "".join(f"warning: {text}\n" for text in texts)
