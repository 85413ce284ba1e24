"""The scores as a person reads them: a line a task as it ends, and the sum."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence

from benchmarks.evals.playing import Score

HEADING = f"{'task':28}{'holds':7}{'first push':12}{'pushes':>6}{'calls':>7}{'bytes out':>11}{'in':>9}{'time':>9}"


def line(score: Score) -> str:
    """Return a task's line, and what does not hold below it."""
    tally = score.tally
    columns = (
        f"{score.task:28}{'yes' if score.holds else 'NO':7}{'green' if tally.first_push_green else 'red':12}"
        f"{tally.pushes_to_green or 'never':>6}{tally.calls:>7}{tally.bytes_sent:>11,}{tally.bytes_read:>9,}"
        f"{score.took_s:>7.1f} s"
    )
    below = (f"stopped: {score.stopped}", *score.misfits) if score.stopped else score.misfits
    return "\n".join([columns, *(textwrap.indent(each, "    ") for each in below)])


def total(scores: Sequence[Score]) -> str:
    """Return the last line. Tasks that never became green are left out of the mean."""
    tallies = [score.tally for score in scores]
    to_green = [tally.pushes_to_green for tally in tallies if tally.pushes_to_green]
    parts = [
        f"{sum(score.holds for score in scores)} of {len(scores)} hold",
        f"first push green {sum(tally.first_push_green for tally in tallies)}/{len(scores)}",
        f"pushes to green {statistics.mean(to_green):.2f} mean" if to_green else "never green",
        f"{sum(tally.calls for tally in tallies)} calls",
        f"bytes {sum(tally.bytes_sent for tally in tallies):,} out, {sum(tally.bytes_read for tally in tallies):,} in",
    ]
    if tokens := sum(tally.tokens_read + tally.tokens_written for tally in tallies):
        parts.append(f"{tokens:,} tokens, {sum(tally.tokens_written for tally in tallies):,} of them written")
    return "; ".join(parts)
