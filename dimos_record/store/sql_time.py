"""Times in SQL: nanoseconds as integers, and seconds as floats the way dimos stores them."""

from __future__ import annotations


def to_ns(seconds: str) -> str:
    """SQL for a time in nanoseconds, from SQL for one in seconds."""
    return f"CAST(ROUND({seconds} * 1e9) AS INTEGER)"


def to_seconds(ns: str) -> str:
    """SQL for a time in seconds, from SQL for one in nanoseconds.

    It is the float nearest to the true value, as Python's ``ns / 10**9``. A plain division by 1e9
    rounds twice, and is a step of 238 ns off for every fourth time of today.
    """
    return f"({ns} / 1000000000 + ({ns} % 1000000000) / 1e9)"
