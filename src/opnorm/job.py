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
def running(log: str, *, computes: bool = True) -> Iterator[None]:
    """Send all output of this process to the file `log`; end with status 1 on an error.

    An error that its user can mend appears without a traceback, any other with one; the log ends with it.

    Args:
        log: its path.
        computes: whether results are made by this machine, which the log then names, or by others that it waits for.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("w", encoding="utf-8") as file:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        print(f"{Path(sys.argv[0]).name}: process {os.getpid()}", flush=True)
        if computes:
            print(machine(), flush=True)
        try:
            yield
        except OpnormError as error:
            sys.stdout.flush()
            print(f"\nError: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        except BaseException:
            sys.stdout.flush()
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        print("done", flush=True)


def device(wish: str) -> str:
    """The torch device for `wish`: itself, or for "auto" the GPU where there is one.

    Raises:
        OpnormError: no device is called so, or a GPU was asked for that torch does not see.
    """
    import torch

    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = wish.partition(":")
    if wish != "cpu" and (kind != "cuda" or (colon and not number.isdecimal())):
        raise OpnormError(f"device: {wish!r} is not auto, cpu, cuda or cuda: with a number")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= count:
        seen = {0: "no GPU", 1: "one GPU, cuda:0"}.get(count, f"{count} GPUs, cuda:0 to cuda:{count - 1}")
        raise OpnormError(f"the device {wish} was asked for, but torch sees {seen}; use device auto or cpu")
    return wish
