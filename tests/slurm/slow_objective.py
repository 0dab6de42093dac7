"""Standard training whose steps take as long as OPNORM_TEST_STEP_SECONDS says; the weights do not depend on it."""

import os
import time

from opnorm.objectives.standard import Standard


class Slow(Standard):
    """Copied into the test project's library as opnorm.objectives.slow."""

    def forward(self, model, x, y, generator):
        time.sleep(float(os.environ.get("OPNORM_TEST_STEP_SECONDS", "0")))
        return super().forward(model, x, y, generator)
