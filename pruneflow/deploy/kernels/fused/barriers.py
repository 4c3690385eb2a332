"""Counters at which the programs of a sample wait for each other: zero, and zero again afterwards.

Launches on one stream follow each other and share theirs. A captured graph may be replayed on any
stream at any time, so that what is captured gets counters that nobody else will ever have.
"""

from __future__ import annotations

import threading

import torch

SLAB = 1 << 14
"""Counters of a device."""

_lock = threading.Lock()
_slabs: dict[torch.device, torch.Tensor] = {}
_used: dict[torch.device, int] = {}
_of_stream: dict[tuple[torch.device, int], torch.Tensor] = {}


def prepare(device: torch.device) -> None:
    """Make a device's counters, before anything is captured."""
    with _lock:
        if device not in _slabs:
            _slabs[device] = torch.zeros(SLAB, dtype=torch.int32, device=device)
            _used[device] = 0
            # other streams will count there; the whole device must not be waited for: another
            # thread may be capturing
            torch.cuda.current_stream(device).synchronize()


def barriers(device: torch.device, count: int) -> torch.Tensor | None:
    """Counters for launches on the current stream; None: there are no more.

    Args:
        device: Prepared before, if the launches are captured.
        count: How many samples there are.
    """
    prepare(device)
    if torch.cuda.is_current_stream_capturing():
        with _lock:
            return _taken(device, count)
    key = (device, torch.cuda.current_stream(device).cuda_stream)
    with _lock:
        found = _of_stream.get(key)
        if found is None or len(found) < count:
            found = _taken(device, count)
            if found is not None:
                _of_stream[key] = found
    return found


def _taken(device: torch.device, count: int) -> torch.Tensor | None:
    first = _used[device]
    if first + count > SLAB:
        return None
    _used[device] = first + count
    return _slabs[device][first : first + count]
