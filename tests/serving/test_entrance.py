"""Who is let in before a body is read, what becomes of the others, and of callers who leave."""

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from serving.admission import Overloaded
from serving.entrance import Entrance, EntranceRules, Lane
from serving.limits import BodyLimits, Door
from serving.turns import TurnLimits, Turns

ONE = TurnLimits(1)
DOOR = Door(1_000, json_only=False, larger="")


class Told:
    def __init__(self):
        self.here, self.most, self.reasons, self.left = 0, 0, [], 0

    def under_way(self, change):
        self.here += change
        self.most = max(self.most, self.here)

    def refused(self, reason):
        self.reasons.append(reason)

    def abandoned(self):
        self.left += 1


class Work:
    """The application: reads the body, then works until it is let go."""

    def __init__(self):
        self.go_on, self.began, self.finished = asyncio.Event(), [], []

    async def __call__(self, scope, receive, send):
        body = await Request(scope, receive).body()
        self.began.append(body)
        await self.go_on.wait()
        self.finished.append(body)
        await PlainTextResponse(str(len(body)))(scope, receive, send)


def refuse(error):
    return PlainTextResponse(error.reason, 503, {"Retry-After": str(error.seconds)})


def limited(status, code, detail):
    return PlainTextResponse(f"{code}: {detail}", status)


class House:
    """An entrance with one place, before ``Work``; ``/open`` has no lane, ``/lasting`` one of its own."""

    def __init__(self, seconds=5.0, limits=ONE, most_bytes=10_000):
        self.told, self.work, self.who = Told(), Work(), "a"
        self.turns = Turns(limits)
        lanes = {"/": Lane(self.turns), "/lasting": Lane(Turns(limits), lasting=True)}
        rules = EntranceRules(
            lambda scope: lanes.get(scope["path"]),
            lambda: self.who,
            refuse,
            lambda: self.told,
            seconds,
            most_bytes,
        )
        self.app = Entrance(BodyLimits(self.work, {}, DOOR, limited), rules)

    def post(self, body=b"x", path="/", **headers):
        async def work():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post(path, content=body, headers=headers)

        return asyncio.create_task(work())


class Client:
    """One who sends parts of a body when told, and may leave."""

    def __init__(self, house, path="/", headers=()):
        self._messages, self.answer = asyncio.Queue(), []
        self._scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}
        self._scope |= {"query_string": b"", "raw_path": path.encode()}
        self.task = asyncio.create_task(house.app(self._scope, self._messages.get, self._send))

    async def _send(self, message):
        self.answer.append(message)

    @property
    def status(self):
        return self.answer[0]["status"]

    async def sends(self, body, *, more=False):
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})
        await rest()

    async def leaves(self):
        self._messages.put_nowait({"type": "http.disconnect"})
        await rest()


async def rest():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_there_is_one_at_a_time_and_all_are_answered():
    house = House()
    answers = [house.post(b"x" * size) for size in range(1, 5)]
    await asyncio.sleep(0.01)
    assert (len(house.work.began), house.turns.waiting, house.told.here) == (1, 3, 1)
    house.work.go_on.set()
    assert [(await answer).text for answer in answers] == ["1", "2", "3", "4"]
    assert (house.told.here, house.told.most, house.told.reasons) == (0, 1, [])


async def test_who_finds_no_room_is_refused_before_the_body_is_read():
    house = House(limits=TurnLimits(1, waiting=0))
    first = house.post()
    await rest()
    second = Client(house)
    await second.task  # it has sent nothing
    assert second.status == 503
    assert (b"retry-after", b"1") in second.answer[0]["headers"]
    house.work.go_on.set()
    assert (await first).status_code == 200
    assert house.told.reasons == ["overload"]


async def test_what_does_not_begin_within_its_time_is_dropped_and_never_computed():
    house = House(seconds=0.02)
    first = house.post(b"first")
    await rest()
    late = await house.post(b"late")
    assert (late.status_code, late.text) == (503, "deadline")
    house.work.go_on.set()
    assert (await first).status_code == 200
    assert house.work.began == [b"first"]
    assert house.told.reasons == ["deadline"]


@pytest.mark.parametrize(
    ("prefer", "status"),
    [("wait=0", 503), ("respond-async, wait=0", 503), ("wait=60", 200), ("waiting", 200)],
)
async def test_a_caller_may_say_how_long_they_wait_and_no_longer_than_the_service_does(prefer, status):
    house = House(seconds=0.5)
    house.post()
    await rest()
    second = house.post(Prefer=prefer)
    await asyncio.sleep(0.02)
    house.work.go_on.set()
    assert (await second).status_code == status


async def test_who_would_not_wait_at_all_is_answered_where_nobody_waits():
    house = House()
    house.work.go_on.set()
    assert (await house.post(Prefer="wait=0")).status_code == 200


async def test_who_sends_slowly_holds_no_place():
    house = House()
    slow = Client(house)
    await slow.sends(b"a", more=True)
    assert house.turns.under_way == 0
    house.work.go_on.set()
    assert (await house.post()).status_code == 200
    await slow.sends(b"b")
    await slow.task
    assert slow.status == 200


async def test_bodies_have_so_many_bytes_together_and_one_alone_may_have_more():
    house = House(limits=TurnLimits(5), most_bytes=100)
    first = Client(house)
    await first.sends(b"x" * 90, more=True)
    declared = Client(house, headers=[(b"content-length", b"20")])
    await declared.task
    streamed = Client(house)
    await streamed.sends(b"x" * 5, more=True)
    await streamed.sends(b"x" * 15, more=True)
    await streamed.task
    assert (declared.status, streamed.status) == (503, 503)
    house.work.go_on.set()
    await first.sends(b"")
    await first.task
    assert first.status == 200
    assert (await house.post(b"x" * 200)).status_code == 200


async def test_a_caller_who_leaves_the_queue_is_not_computed_for():
    house = House()
    first = house.post(b"first")
    await rest()
    leaver = Client(house)
    await leaver.sends(b"leaver")
    assert house.turns.waiting == 1
    await leaver.leaves()
    await leaver.task
    assert (leaver.status, house.turns.waiting, house.told.left) == (499, 0, 1)
    house.work.go_on.set()
    assert (await first).status_code == 200
    assert house.work.began == [b"first"]


async def test_what_was_begun_for_a_caller_who_leaves_is_ended_and_gives_its_place_back():
    house = House()
    leaver = Client(house)
    await leaver.sends(b"leaver")
    await asyncio.sleep(0.05)  # it is watched by now
    assert house.work.began == [b"leaver"]
    await leaver.leaves()
    await leaver.task
    assert (leaver.status, house.work.finished, house.told.left, house.turns.under_way) == (499, [], 1, 0)


@pytest.mark.parametrize(("path", "headers"), [("/lasting", []), ("/", [(b"idempotency-key", b"k")])])
async def test_what_lasts_or_may_be_asked_for_again_is_finished_whoever_leaves(path, headers):
    house = House()
    leaver = Client(house, path, headers)
    await leaver.sends(b"leaver")
    await asyncio.sleep(0.05)
    await leaver.leaves()
    house.work.go_on.set()
    await leaver.task
    assert (house.work.finished, house.told.left) == ([b"leaver"], 0)


async def test_a_caller_who_leaves_before_all_was_sent_is_counted_and_not_computed_for():
    house = House()
    leaver = Client(house)
    await leaver.sends(b"a", more=True)
    await leaver.leaves()
    await leaver.task
    assert (leaver.status, house.work.began, house.told.left) == (499, [], 1)


async def test_a_service_that_stops_is_not_taken_for_a_caller_who_left():
    house = House()
    client = Client(house)
    await client.sends(b"x")
    await asyncio.sleep(0.05)
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.task
    assert (house.told.left, house.turns.under_way, client.answer) == (0, 0, [])


async def test_an_error_of_the_application_goes_on_and_gives_the_place_back():
    async def fails(scope, receive, send):
        await Request(scope, receive).body()
        raise ZeroDivisionError

    turns = Turns(TurnLimits(1))
    rules = EntranceRules(lambda _: Lane(turns), lambda: "", refuse, Told, 5, 100)
    transport = httpx.ASGITransport(Entrance(BodyLimits(fails, {}, DOOR, limited), rules))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(ZeroDivisionError):
            await client.post("/", content=b"x")
    assert turns.under_way == 0


async def test_an_application_that_makes_an_answer_of_a_refusal_is_not_heard():
    house = House(limits=TurnLimits(1, waiting=1))

    async def swallows(scope, receive, send):
        try:
            await house.work(scope, receive, send)
        except Overloaded:
            await PlainTextResponse("500 of a framework", 500)(scope, receive, send)

    lane = Lane(house.turns)
    rules = EntranceRules(lambda _: lane, lambda: "a", refuse, lambda: house.told, 5, 100)
    house.app = Entrance(BodyLimits(swallows, {}, DOOR, limited), rules)
    first = house.post(b"1")
    await rest()
    late = Client(house)
    await late.sends(b"2", more=True)
    second = house.post(b"3")  # takes the last place of the queue while the other sends
    await rest()
    await late.sends(b"2")
    await late.task
    assert late.status == 503
    house.work.go_on.set()
    assert [(await answer).status_code for answer in (first, second)] == [200, 200]


async def test_a_tenant_who_floods_does_not_keep_another_from_being_answered():
    house = House(limits=TurnLimits(1, stands_seconds=0.01))
    flood = [house.post(b"flood") for _ in range(50)]
    await asyncio.sleep(0.05)
    house.who = "b"
    other = house.post(b"other")
    await rest()
    house.work.go_on.set()
    assert (await other).status_code == 200
    assert house.work.finished.index(b"other") <= 2
    assert {(await answer).status_code for answer in flood} <= {200, 503}


async def test_a_path_without_a_lane_waits_for_nobody():
    house = House()
    house.post()
    await rest()
    house.work.go_on.set()
    assert (await house.post(path="/open")).status_code == 200
