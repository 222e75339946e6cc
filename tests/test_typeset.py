"""Marks and signs in every format; tests of tables and differences show the rest."""

import math

import pytest

from nidbench.typeset import Sheet, number, shortened, write

SHEET = Sheet("Two.", ["a|b", "x"], 1, [["m_1", "1.00"], ["m_2", "2.00"]], {0}, [], {(1, 1)}, {(0, 1), (1, 1)})


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        ("md", "| m_1  |     *1.00* |", "| m_2  | **2.00** |"),
        ("latex", r"m\_1 & \textit{1.00} \\", r"m\_2 & \textbf{2.00} \\"),
        ("html", '<td style="text-align: right"><i>1.00</i></td>', '<td style="text-align: right"><b>2.00</b></td>'),
    ],
)
def test_bold_goes_before_italics(form, first, second):
    text = write(SHEET, form)
    squeezed = " ".join(text.split())
    for line in (first, second):
        assert " ".join(line.split()) in squeezed
    assert text.count("1.00") == text.count("2.00") == 1


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("gaussian:0.027450980392156862", "gaussian:0.02745"),
        ("set (danielyan gaussian:0.00784313725490196): 1 of 2", "set (danielyan gaussian:0.007843): 1 of 2"),
        ("gaussian:1.1234567890e-05", "gaussian:1.123e-05"),
        ("gaussian:0.123456", "gaussian:0.123456"),
        ("26.50 of 2026-01-02T03:04:05", "26.50 of 2026-01-02T03:04:05"),
    ],
)
def test_long_numbers_in_names_are_shortened_in_rows_and_notes(text, short):
    assert shortened(text) == short
    sheet = Sheet("One.", ["a", "x"], 1, [[text, "1.00"]], {0}, [text])
    assert write(sheet, "md").count(short) == 2


def test_a_bar_in_a_text_does_not_end_a_cell():
    assert "| a\\|b |" in write(SHEET, "md")


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (math.nan, ".2f", "–"),  # noqa: RUF001
        (-1.5, "+.1f", "−1.5"),  # noqa: RUF001
        (1.5, "+.1f", "+1.5"),
        (-1.5, ".1f", "-1.5"),
        (0.01234, "seconds", "0.0123"),
        (1234.5, "seconds", "1234"),
        (-math.inf, "+.2f", "−inf"),  # noqa: RUF001
    ],
)
def test_number(value, form, text):
    assert number(value, form) == text
