from hourglass.commands import arguments


def test_parse_box_takes_four_numbers():
    assert arguments.parse_box("1, -2.5,3e1,4") == (1, -2.5, 30, 4)


def test_an_option_after_box_is_not_its_value():
    given = ["a.jpg", "--box", "--out", "x", "--box", "-.5,0,1,1", "-1,0,1,1"]
    expected = ["a.jpg", "--box", "--out", "x", "--box=-.5,0,1,1", "-1,0,1,1"]
    assert arguments.join_box(given) == expected
