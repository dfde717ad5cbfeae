"""An answer that is there is not lost because the loop was busy; one that does not come ends the wait."""

import asyncio
import time

import pytest

from serving.patience import patiently


async def test_an_answer_is_returned_and_an_error_raised():
    assert await patiently(asyncio.sleep(0, "there"), 2) == "there"
    with pytest.raises(OSError, match="cut"):
        await patiently(failing(), 2)


async def failing():
    await asyncio.sleep(0)
    raise OSError("cut")


async def test_who_does_not_answer_is_given_up_and_cancelled():
    began = asyncio.Event()
    ended = []

    async def hangs():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await patiently(hangs(), 2)
    assert began.is_set()
    assert ended == [True]


async def test_an_answer_that_came_while_the_loop_was_busy_counts():
    there, back = asyncio.StreamReader(), asyncio.get_running_loop()

    async def asks():
        return await there.readexactly(1)

    def busy():
        time.sleep(0.3)  # longer than all waits together
        back.call_soon(there.feed_data, b"1")

    back.call_later(0.01, busy)
    assert await patiently(asks(), 4) == b"1"
