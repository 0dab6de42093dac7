"""Standard training that takes the time a test wants; the weights do not depend on it.

A step takes OPNORM_TEST_STEP_SECONDS longer. With OPNORM_TEST_HELD, a process's 60th step waits until that file is
there.
"""

import os
import time
from pathlib import Path

from opnorm.objectives.standard import Standard

HELD_STEP = 60


class Slow(Standard):
    """Copied into the test project's library as opnorm.objectives.slow."""

    steps = 0

    def forward(self, model, x, y, generator):
        time.sleep(float(os.environ.get("OPNORM_TEST_STEP_SECONDS", "0")))
        Slow.steps += 1
        while Slow.steps == HELD_STEP and not Path(os.environ.get("OPNORM_TEST_HELD", "/")).exists():
            time.sleep(0.1)
        return super().forward(model, x, y, generator)
