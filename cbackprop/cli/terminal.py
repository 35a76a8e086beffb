"""Drawing in a terminal: text, a progress line, curves, bars and small pictures.

What is drawn comes back as a list of lines; `Terminal` knows what the output can show.
"""

import math
import os
import sys

import numpy as np

WIDTH = 80

# Needed to draw well. An output whose encoding lacks one of them gets ASCII for all.
UNICODE_CHARACTERS = "∂×─│┤└█▌⣿"
# What text is written with; each is replaced by one character, so that columns stay in line.
TO_ASCII = str.maketrans("∂×─│┤└", "dx-||`")


class Terminal:
    """Where a command writes: plain lines on a pipe, bold type and a progress line on a terminal.

    Attributes
    ----------
    unicode : bool
        Whether block and line-drawing characters can be shown.
    interactive : bool
        Whether somebody is watching: the output is a terminal, not a file or a pipe.
    """

    def __init__(self, stream=None):
        self.stream = sys.stdout if stream is None else stream
        self._encoding = self.stream.encoding or "utf-8"
        self.unicode = _can_encode(UNICODE_CHARACTERS, self._encoding)
        self.interactive = self.stream.isatty()
        self._styled = (
            self.interactive and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ
        )
        self._progress_shown = False

    def write(self, text=""):
        """One or more lines."""
        self.clear_progress()
        self.stream.write(self._showable(text) + "\n")
        self.stream.flush()

    def write_heading(self, text):
        """A line in bold type, after an empty one."""
        self.write()
        self.write(f"\x1b[1m{text}\x1b[0m" if self._styled else text)

    def show_progress(self, text):
        """A line that the next one overwrites; nothing on a pipe."""
        if self.interactive:
            # One column less than there are: a full line would wrap, and \r not come back.
            text = text[: WIDTH - 1].ljust(WIDTH - 1)
            self.stream.write("\r" + self._showable(text))
            self.stream.flush()
            self._progress_shown = True

    def clear_progress(self):
        """Take the progress line away."""
        if self._progress_shown:
            self.stream.write("\r" + " " * (WIDTH - 1) + "\r")
            self._progress_shown = False

    def _showable(self, text):
        """The text in what the output's encoding has; a file's name may hold anything."""
        text = text if self.unicode else text.translate(TO_ASCII)
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)


def _can_encode(text, encoding):
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def bar(share, width, *, unicode=True):
    """A horizontal bar that fills this share of the width."""
    halves = round(2 * width * share)
    if unicode:
        return "█" * (halves // 2) + "▌" * (halves % 2)
    return "#" * (halves // 2)


def image(pixels, *, unicode=True):
    """A square picture of brightnesses from 0 (paper) to 1 (ink), 10 characters by 5 lines."""
    n_characters, n_lines = 10, 5
    columns = _interpolate(np.asarray(pixels, dtype=float).T, 4 * n_lines)
    dots = _interpolate(columns.T, 2 * n_characters)
    if unicode:
        return _braille(dots >= 0.5)
    shades = " .:oO@"
    cells = _cells(dots).mean(axis=(2, 3))
    return ["".join(shades[int(c * (len(shades) - 1) + 0.5)] for c in row) for row in cells]


def _interpolate(rows, n):
    """Each row at n places instead of those it has, the outer edges of its pixels kept in place."""
    size = rows.shape[1]
    places = (np.arange(n) + 0.5) * size / n - 0.5
    return np.array([np.interp(places, np.arange(size), row) for row in rows])


def line_plot(values, *, width, height, unicode=True):
    """A curve of positive values over 1 ... n, on a logarithmic scale, with labelled axes."""
    logs = np.log10(np.asarray(values, dtype=float))
    low, high = logs.min(), logs.max()
    n_rows, n_columns = 4 * height, 2 * width
    heights = np.interp(np.linspace(0, len(logs) - 1, n_columns), np.arange(len(logs)), logs)
    rows = np.rint((high - heights) / ((high - low) or 1) * (n_rows - 1)).astype(int)
    dots = np.zeros((n_rows, n_columns), dtype=bool)
    for column, row in enumerate(rows):
        # From beside the point before, so that a steep curve has no gaps.
        before = rows[max(column - 1, 0)]
        first, last = sorted((row, before + np.sign(row - before)))
        dots[first : last + 1, column] = True

    labels = [""] * height
    for i in (0, height // 2, height - 1):
        labels[i] = f"{10 ** (high - (high - low) * i / (height - 1)):.2g}"
    margin = max(map(len, labels))
    curve = _braille(dots) if unicode else _asterisks(dots)
    lines = [
        f"{label:>{margin}} {'┤' if label else '│'}{line}".rstrip()
        for label, line in zip(labels, curve, strict=True)
    ]
    last = f"{len(logs)} epochs"
    lines.append(f"{'':{margin}} └{'─' * width}")
    lines.append(f"{'':{margin}}  1{last:>{width - 1}}")
    return lines


def _cells(dots):
    """(lines, characters, 4, 2): the dots of each character"""
    n_rows, n_columns = dots.shape
    return dots.reshape(n_rows // 4, 4, n_columns // 2, 2).swapaxes(1, 2)


def _braille(dots):
    """Four rows and two columns of dots a character."""
    # Unicode numbers the dots column by column, but the fourth row after the other three.
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    codes = (_cells(dots) * bits).sum(axis=(2, 3))
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes]


def _asterisks(dots):
    """An asterisk where there is any dot."""
    filled_cells = _cells(dots).any(axis=(2, 3))
    return ["".join("*" if filled else " " for filled in row) for row in filled_cells]


def three_digits(value):
    """Or all those before the point; never an exponent."""
    decimals = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{decimals}f}"


def in_microseconds(seconds):
    return three_digits(1e6 * seconds)


def in_milliseconds(seconds):
    return three_digits(1e3 * seconds)


def in_times(ratio):
    """As 0.505×, 1.28×, 12.3× or 240×."""
    return f"{three_digits(ratio)}×"
