"""What is drawn in the terminal, on outputs of every kind."""

import io

import numpy as np
import pytest

from cbackprop.cli.terminal import WIDTH, Terminal, bar, image, line_plot


class Screen(io.TextIOWrapper):
    """A stream that says it is a terminal, and remembers the bytes it got."""

    def __init__(self, encoding, interactive):
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self._interactive = interactive

    def isatty(self):
        return self._interactive

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def dots_of(character):
    """The dots of a Braille character as 4 rows of 2."""
    # The standard numbers them 1 2 3 7 down the left column and 4 5 6 8 down the right one.
    code = ord(character) - 0x2800 if character != " " else 0
    numbers = [(1, 4), (2, 5), (3, 6), (7, 8)]
    return np.array([[code >> (number - 1) & 1 for number in row] for row in numbers])


def dots_in(lines, width):
    return np.block([[dots_of(character) for character in line.ljust(width)] for line in lines])


def test_a_pipe_gets_plain_lines_only():
    stream = Screen("utf-8", interactive=False)
    terminal = Terminal(stream)
    terminal.show_progress("half done")
    terminal.write_heading("title")
    assert stream.text() == "\ntitle\n"


def test_progress_on_a_terminal_is_overwritten_and_taken_away():
    stream = Screen("utf-8", interactive=True)
    terminal = Terminal(stream)
    terminal.show_progress("half done")
    terminal.show_progress("x" * 200)
    terminal.write("result")
    before, half, full, blank, result = stream.text().split("\r")
    assert before == ""
    assert half.rstrip() == "half done"
    assert set(full) == {"x"}
    assert not blank.strip()
    # Nothing of a longer line is left over, and no line is full, which would wrap it.
    assert len(half) == len(full) == len(blank) == WIDTH - 1
    assert result == "result\n"


def test_headings_on_a_terminal_are_bold_unless_colour_is_unwanted(monkeypatch):
    def heading():
        stream = Screen("utf-8", interactive=True)
        Terminal(stream).write_heading("title")
        return stream.text()

    assert heading() == "\n\x1b[1mtitle\x1b[0m\n"
    monkeypatch.setenv("TERM", "dumb")
    assert heading() == "\ntitle\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert heading() == "\ntitle\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_an_output_without_the_characters_gets_ascii_in_the_same_columns(encoding):
    stream = Screen(encoding, interactive=False)
    terminal = Terminal(stream)
    assert not terminal.unicode
    terminal.write("∂C/∂w = 3×")
    assert stream.text() == "dC/dw = 3x\n"


def test_a_name_that_the_encoding_lacks_is_written_all_the_same():
    for encoding in ("ascii", "utf-8"):
        stream = Screen(encoding, interactive=False)
        Terminal(stream).write("グ\udce9.png")  # the second is an undecodable byte of a path
        assert stream.text().endswith("\\udce9.png\n")


def test_a_stream_without_an_encoding_is_taken_for_utf_8():
    stream = io.StringIO()
    Terminal(stream).write("∂")
    assert stream.getvalue() == "∂\n"


def test_bars_are_as_long_as_what_they_show():
    assert bar(1, 10) == "█" * 10
    assert bar(0.25, 10) == "██▌"
    assert bar(0, 10) == ""
    assert bar(0.5, 10, unicode=False) == "#####"


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("n", [1, 2, 15, 1000])
def test_a_plot_has_the_size_asked_for(n, unicode):
    values = np.geomspace(20.0, 0.05, n)
    lines = line_plot(values, width=60, height=7, unicode=unicode)
    assert len(lines) == 7 + 2
    margin = lines[-2].index("└")  # Terminal.write makes ASCII of it
    assert max(map(len, lines)) == margin + 1 + 60
    assert lines[-1].split() == ["1", str(n), "epochs"]


def test_a_plot_falls_from_corner_to_corner_on_a_logarithmic_scale():
    lines = line_plot([100.0, 10.0, 1.0], width=40, height=7)
    assert [lines[i].split()[0] for i in (0, 3, 6)] == ["1e+02", "10", "1"]
    curve = dots_in([line.partition("┤")[2] or line.partition("│")[2] for line in lines[:7]], 40)
    assert curve.shape == (28, 80)
    rows = curve.argmax(axis=0)
    # Equal ratios make a straight line; a row is off by half a dot and the stroke by one more.
    assert np.abs(rows - np.linspace(0, 27, 80)).max() <= 1.5
    assert curve.any(axis=0).all()


def test_a_steep_plot_has_no_gaps():
    values = np.ones(40)
    values[20:] = 1e-3
    lines = line_plot(values, width=20, height=5)
    curve = dots_in([line.partition("┤")[2] or line.partition("│")[2] for line in lines[:5]], 20)
    assert curve.any(axis=0).all()
    assert curve.any(axis=1).all()


def test_a_constant_curve_is_drawn():
    lines = line_plot([0.5, 0.5], width=20, height=5)
    assert any("⠉" in line for line in lines)


def test_a_picture_keeps_what_is_ink_and_where():
    top, right = np.zeros((8, 8)), np.zeros((8, 8))
    top[:2] = 1
    right[:, 6:] = 1
    for pixels, ink in ((top, np.s_[: 2 * 20 // 8]), (right, np.s_[:, 6 * 20 // 8 :])):
        lines = image(pixels)
        assert len(lines) == 5
        assert all(len(line) == 10 for line in lines)
        expected = np.zeros((20, 20), dtype=int)
        expected[ink] = 1
        np.testing.assert_array_equal(dots_in(lines, 10), expected)


def test_a_picture_in_ascii_is_shaded():
    right = np.zeros((8, 8))
    right[:, 6:] = 1
    right[4:] /= 2
    upper, *_, lower = image(right, unicode=False)
    assert (upper[:7].strip(), upper[8:]) == ("", "@@")
    assert (lower[:7].strip(), lower[8:]) == ("", "oo")
