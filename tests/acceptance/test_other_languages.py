"""Workers in Go and Node, made from nothing but the contract: they stream, settle, are refused and go in order."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.other_languages import BUILD_WITHIN, go_worker, node_worker
from tests.support.processes import Program, environment_with
from tests.support.running_broker import running_broker

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(BUILD_WITHIN + 60)]


@pytest.mark.parametrize("build", [go_worker, node_worker])
async def test_a_worker_in_another_language_settles_each_message_and_gives_back_what_it_holds(
    build: Callable[[Path], list[str]], folder: Path
) -> None:
    command = await asyncio.to_thread(build, folder)
    async with running_broker() as broker:
        await broker.create(dead_letter_queue="work-dead")
        await broker.send("easy", "failing", "hopeless", "held", "late")
        worker = Program(*command, broker.address, "work", environment=environment_with({}), folder=folder)
        try:
            await worker.start()
            await worker.output.have("refused 5 QUEUE_NOT_FOUND nowhere")
            for text in ("easy 1", "failing 1", "hopeless 1", "late 1", "failing 2"):
                await worker.output.have(f"settled {text} LEASE_OUTCOME_APPLIED")
            await worker.output.have("holds held")
            await worker.stop()
            await worker.output.have("ended 0")
        finally:
            await worker.clean_up()

        figures = await eventually(broker.stats, lambda figures: figures.released_total == 1)
        [given_back] = await broker.pull()
        [dead] = await broker.pull("work-dead")

    assert "notice" not in str(worker.output)
    assert (figures.acked_total, figures.retried_total, figures.dead_lettered_total) == (3, 1, 1)
    assert (given_back.message.text, given_back.attempt, given_back.delivery_count) == ("held", 1, 2)
    assert (dead.message.text, dead.message.dead_letter.failures[0].code) == ("hopeless", "HOPELESS")
