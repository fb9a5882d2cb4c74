"""Lives that once broke the contract."""

from collections.abc import Iterator

import pytest

from tests.support.contract_machine import ContractMachine
from tests.support.contract_model_values import SECOND, Spec
from tests.support.contract_stores import MemoryMachine, SqliteMachine


@pytest.fixture(params=[MemoryMachine, SqliteMachine])
def life(request: pytest.FixtureRequest) -> Iterator[ContractMachine]:
    machine: ContractMachine = request.param()
    machine.make_queues()
    yield machine
    machine.the_broker_is_as_the_contract_has_it()
    machine.teardown()


def test_a_pull_whose_answer_was_lost_gets_its_leases_though_the_queue_was_paused_since(life: ContractMachine) -> None:
    life.take(life.sending("work", [Spec("a"), Spec("b")], ""))
    life.take(life.pulling("work", 1, 0, "r1"))
    life.pause("work", None)

    life.take(life.pulling("work", 1, 0, "r1"), life.pulling("work", 1, 0, "r2"))

    assert len(life.given) == 1


def test_what_a_redrive_brings_into_an_idle_queue_expires_in_time(life: ContractMachine) -> None:
    life.take(life.sending("dead", [Spec("a")], ""))
    life.redrive(queue="dead", destination="loose", codes=frozenset(), pick=None, cap=0)
    life.the_broker_is_as_the_contract_has_it()

    life.broker.pass_by(301 * SECOND)
    life.time_passed()
    life.the_broker_is_as_the_contract_has_it()

    assert life.model.queues["loose"].totals["expired"] == 1
