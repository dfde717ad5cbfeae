"""Damaged copies of a file: whatever happens to the bytes, a reader reads or refuses and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

from preprocessing.recording import Recording, RecordingError

_PIECES = b'0123456789-:,."{}[]TZeE+\n\r #\x00\xffMx/'


def outcomes(read: Callable[[bytes], Recording], data: bytes, copies: int = 300) -> set[str]:
    """What became of ``copies`` damaged copies: ``read``, ``refused``; any other exception passes through."""
    chance = random.Random(len(data))
    return {_outcome(read, damaged(data, chance)) for _ in range(copies)}


def _outcome(read: Callable[[bytes], Recording], data: bytes) -> str:
    try:
        read(data)
    except RecordingError:
        return "refused"
    return "read"


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A copy with up to four pieces replaced, now and then cut off."""
    copy = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(copy) or 1), chance.randint(0, 6)
        copy[at : at + length] = bytes(
            chance.choices(_PIECES, k=chance.choice([length, chance.randint(0, 6)]))
        )
    if chance.random() < 0.1:
        del copy[chance.randrange(len(copy) or 1) :]
    return bytes(copy)
