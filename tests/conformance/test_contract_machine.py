"""Every store, behind a whole broker, lives as the contract's model says.

A failure prints its steps and a blob: with `@reproduce_failure(...)` on the machine's class in
`tests/support/contract_stores.py` the test goes straight to it. Two runs with one `--hypothesis-seed` draw alike.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.contract_machine import ContractMachine
from tests.support.contract_stores import MemoryMachine, PostgresMachine, SqliteMachine

STEPS = 50

# Seconds that a life may take on a busy machine, times those of a profile: a limit against hanging, not for slowness.
pytestmark = [pytest.mark.usefixtures("unlogged"), pytest.mark.timeout(5 * settings().max_examples)]


def test_the_store_in_memory_keeps_the_contract() -> None:
    live(MemoryMachine, 60)


def test_the_store_in_sqlite_keeps_the_contract() -> None:
    live(SqliteMachine, 30)


def test_the_store_in_postgresql_keeps_the_contract(postgres: str) -> None:
    class Machine(PostgresMachine):
        url = postgres

    live(Machine, 12)


def live(machine: type[ContractMachine], percent: int) -> None:
    """Some lives: a share, in hundredths, of the examples that the profile allows."""
    examples = max(1, settings().max_examples * percent // 100)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
