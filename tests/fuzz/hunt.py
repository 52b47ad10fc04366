"""Draw inputs until the time is over, and show each defect once: `python -m tests.fuzz.hunt SECONDS [TARGET...]`.

What it shows goes into the corpus, with what mends it.
"""

import sys
import time
from pathlib import Path
from random import Random

from tests.fuzz import test_fuzz as fuzz
from tests.fuzz.judging import Defect, judged
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target


def hunt(target: Target, seconds: float) -> None:
    """Hunt in one target, and print what was found."""
    draw, seeds, end = Random(), list(target.seeds.values()), time.monotonic() + seconds  # noqa: S311 (no secret)
    mutator = Mutator(draw, target.words, seeds, typed=target.typed)
    found: dict[str, Defect] = {}
    count, began = 0, time.process_time()
    while time.monotonic() < end:
        count += 1
        try:
            judged(target.work, mutator.mutated(draw.choice(seeds)))
        except Defect as defect:
            found.setdefault(defect.place, defect)
    print(f"{target.name}: {count} inputs, {(time.process_time() - began) / count * 1000:.2f} ms each")  # noqa: T201
    for place, one in found.items():
        print(f"  {one.why}\n  {place}\n  {one.value!r:.2000}")  # noqa: T201


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2] / "controller/runtime"))
    for name in sys.argv[2:] or fuzz.TARGETS:
        hunt(fuzz.TARGETS[name], float(sys.argv[1]))
