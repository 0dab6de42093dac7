"""What every script of the workflow does around its one call: fill the log, and fail in words."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opnorm.errors import OpnormError
from opnorm.provenance import machine


@contextmanager
def running(log: str) -> Iterator[None]:
    """Send all output of this process to the file `log`; end with status 1 on an error.

    An error that its user can mend appears without a traceback, any other with one; the log ends with it.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("w", encoding="utf-8") as file:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        print(f"{Path(sys.argv[0]).name}: process {os.getpid()}\n{machine()}", flush=True)
        try:
            yield
        except OpnormError as error:
            print(f"\nError: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        print("done", flush=True)


def device(wish: str) -> str:
    """The torch device for `wish`: itself, or for "auto" the GPU where there is one.

    Raises:
        OpnormError: a GPU was asked for and there is none.
    """
    import torch

    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wish.startswith("cuda") and not torch.cuda.is_available():
        raise OpnormError(f"the profile asks for device {wish}, but torch sees no GPU; use device auto or cpu")
    return wish
