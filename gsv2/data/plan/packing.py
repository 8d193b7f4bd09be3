"""Packing of rows of a fixed number of tokens, by best fit (Coffman et al. 1984).

Shapes never change. Longest first, each into the fullest row that still has room for it.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np


def pack_rows(lengths: np.ndarray, row_tokens: int) -> list[list[int]]:
    """Pack sequences into rows.

    Args:
        lengths: [Q] tokens of each sequence, 1..`row_tokens`.
        row_tokens: number of tokens of a row.

    Returns:
        Numbers of the sequences of each row. Equal lengths keep their order.
    """
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}  # room -> rows with just so much left
    rooms: list[int] = []  # keys of open_rows, ascending
    for number in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[number])
        place = bisect_left(rooms, length)
        if place == len(rooms):
            row, room = len(rows), row_tokens
            rows.append([])
        else:
            room = rooms[place]
            row = open_rows[room].pop()
            if not open_rows[room]:
                del open_rows[room], rooms[place]
        rows[row].append(number)
        room -= length
        if room:
            if room not in open_rows:
                open_rows[room] = []
                insort(rooms, room)
            open_rows[room].append(row)
    return rows
