"""Numbers as the text of a table's cells."""

import pandas as pd


def text(value, form: str = ".2f", before: str = "", after: str = "") -> str:
    """A number as text; nothing where there is none."""
    return "" if pd.isna(value) else f"{before}{value:{form}}{after}"


def interval(low, high, sign: str = "", form: str = ".2f") -> str:
    """[low, high] as text; nothing where there is none."""
    return "" if pd.isna(low) else f" [{low:{sign}{form}}, {high:{sign}{form}}]"


def estimate(row: dict, names: tuple[str, str, str], sign: str = "", form: str = ".2f") -> str:
    """A number with its interval, of three columns of a row: the number, low and high."""
    middle, low, high = (row[name] for name in names)
    return text(middle, f"{sign}{form}") + interval(low, high, sign, form)
