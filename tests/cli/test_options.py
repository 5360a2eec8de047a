from hourglass.cli import options


def test_parse_box_takes_four_numbers():
    assert options.parse_box("1, -2.5,3e1,4") == (1, -2.5, 30, 4)


def test_an_option_after_box_is_not_its_value():
    given = ["a.jpg", "--box", "--out", "x", "--box", "-.5,0,1,1", "-1,0,1,1"]
    expected = ["a.jpg", "--box", "--out", "x", "--box=-.5,0,1,1", "-1,0,1,1"]
    assert options.join_box(given) == expected
