import asyncio

from email_service.sending_places import SendingPlaces


async def test_places_go_round_in_the_order_of_asking() -> None:
    places, given = SendingPlaces(1), []

    async def take(name: str) -> None:
        assert await places.take()
        given.append(name)

    tasks = [asyncio.create_task(take(name)) for name in ("first", "second", "third")]
    for task in tasks:
        await task
        places.leave()

    assert given == ["first", "second", "third"]


async def test_one_who_waits_no_more_takes_no_place() -> None:
    places = SendingPlaces(1)
    assert await places.take()
    impatient = asyncio.create_task(places.take())
    patient = asyncio.create_task(places.take())
    await asyncio.sleep(0)

    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    places.leave()

    assert await patient


async def test_a_place_given_in_the_moment_of_leaving_goes_on_to_the_next() -> None:
    places = SendingPlaces(1)
    assert await places.take()
    first, second = asyncio.create_task(places.take()), asyncio.create_task(places.take())
    await asyncio.sleep(0)

    places.leave()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert first.cancelled()
    assert await second


async def test_once_closed_nobody_gets_one() -> None:
    places = SendingPlaces(1)
    assert await places.take()
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)

    places.close()
    places.leave()

    assert not await waiting
    assert not await places.take()
