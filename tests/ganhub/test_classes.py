"""What people may call a class."""

from typing import Any

import numpy as np
import pytest

from ganhub.classes import class_id, is_class_name
from ganhub.errors import UserError

NAMES = ["Bart", "homer", "lisa", "LISA", "7"]


@pytest.mark.parametrize(
    ("label", "found"),
    [("Bart", 0), ("bart", 0), ("HOMER", 1), ("lisa", 2), ("LISA", 3), ("7", 4), ("3", 3), (1, 1), (np.int64(2), 2)],
)
def test_a_class_is_asked_for_by_name_id_or_digits(label: Any, found: int) -> None:
    assert class_id(label, NAMES) == found


@pytest.mark.parametrize("label", ["Lisa", "5", "", "-1", "²", "1" * 5000, 5, -1, 1.0, True, None, ["homer"], {}])
def test_what_is_no_class_or_could_be_two_is_refused_in_a_short_line(label: Any) -> None:
    with pytest.raises(
        UserError, match="a label must be a class, 0 to 4 or Bart, homer, lisa, LISA, 7; got "
    ) as refused:
        class_id(label, NAMES)
    assert len(str(refused.value)) < 150


def test_of_many_classes_the_first_are_named() -> None:
    with pytest.raises(UserError, match="0 to 19 or n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, ...; got 'x'$"):
        class_id("x", [f"n{i}" for i in range(20)])
    with pytest.raises(UserError, match="0 to 9; got 'x'$"):
        class_id("x", [str(i) for i in range(10)])


@pytest.mark.parametrize("name", ["7", "a class", "é", "नी\u200dल", "👩\u200d🔬", "x" * 100])
def test_a_class_may_be_called_in_any_script(name: str) -> None:
    assert is_class_name(name)


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 101, "a\x1b[2J", "a\u202eb", "a\u2028b", "\ud800", 7, None])
def test_a_class_is_not_called_what_steers_a_terminal(name: Any) -> None:
    assert not is_class_name(name)
