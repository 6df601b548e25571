"""How far a long run is: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from xcodec2.extract.encoding import Outcome

LOG_SECONDS = 60.0


class Progress:
    """Counts rows, hours and errors of this run; rows that an earlier run did stand in the bar from
    the start.
    """

    def __init__(self, rows: int, done: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=rows, initial=done, unit=" rows", disable=None, smoothing=0.05)
        self.rows, self.done, self.before = rows, done, done
        self.seconds, self.errors = 0.0, 0
        self.start = self.told = time.monotonic()

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count what was done; without a terminal, tell of it now and then."""
        self.done += len(outcomes)
        self.errors += sum(outcome.codes is None for outcome in outcomes)
        self.seconds += sum(o.num_samples / o.sample_rate for o in outcomes if o.codes is not None)
        self.bar.set_postfix_str(self.state(), refresh=False)
        self.bar.update(len(outcomes))
        if self.bar.disable and time.monotonic() - self.told > LOG_SECONDS:
            self.told = time.monotonic()
            print(
                f"xcodec2: {self.done} of {self.rows} rows, {self.state()}, {self.left()} left",
                file=sys.stderr,
            )

    def state(self) -> str:
        """Hours of audio, speed and errors so far."""
        return f"{self.seconds / 3600:.2f} h, {self.speed():.0f}x real time, {self.errors} errors"

    def speed(self) -> float:
        """Seconds of audio a second of this run."""
        return self.seconds / max(1e-9, time.monotonic() - self.start)

    def left(self) -> str:
        """The time that the rest will take at the speed so far."""
        share = (self.rows - self.done) / max(1, self.done - self.before)
        minutes = share * (time.monotonic() - self.start) / 60
        return f"{minutes / 60:.1f} h" if minutes > 90 else f"{minutes:.0f} min"
