"""What the contract's machine draws: queues, messages, settlements, calls, spans of time."""

from hypothesis import strategies as st

from queue_service.storage.views import Place
from tests.support.contract_model import Act
from tests.support.contract_model_values import SECOND, Settings, Spec

SETTINGS = {
    "graveyard": Settings(retention=900 * SECOND, max_retries=0),
    "dead": Settings(retention=500 * SECOND, max_retries=1, dead_letters="graveyard"),
    "work": Settings(retention=700 * SECOND, max_backlog=20, dead_letters="dead"),
    "loose": Settings(retention=300 * SECOND, max_retries=0, visibility=15 * SECOND, batch=3),
}
QUEUES = st.sampled_from(["work", "work", "work", "loose", "dead", "graveyard"])
CODES = st.sampled_from(
    [frozenset[str](), frozenset(), frozenset(), frozenset({"Z"}), frozenset({"X", "LEASE_EXPIRED"})]
)
REQUESTS = st.sampled_from(["", "", "", "r1", "r2"])
#: Seconds that a message is held back, till it may be delivered at the earliest.
DELAYS = st.sampled_from([None, None, None, None, None, 0, 5, 40])
ANY_SPECS = st.builds(
    Spec,
    text=st.sampled_from(["a", "b", "some more"]),
    key=st.sampled_from(["", "", "k1", "k2"]),
    deduplication_id=st.sampled_from(["", "", "", "", "d1", "d2"]),
    delay=DELAYS.map(lambda seconds: seconds if seconds is None else seconds * SECOND),
    ttl=st.sampled_from([None, None, None, None, None, 60 * SECOND, 100 * SECOND]),
    deliver_time=st.none(),
    expire_time=st.none(),
    attributes=st.sampled_from([(), (), (("note", "é"),)]),
)
SPECS = ANY_SPECS.map(lambda spec: spec._replace(delay=None) if spec.key else spec)
INSTANTS = st.sampled_from([(-5, None), (0, 90), (20, None), (20, 50), (None, 30), (None, 80), (None, 400)])
BAD_INSTANTS = st.sampled_from([(8 * 24 * 3600, None), (None, 0), (None, -1), (20, 15), (0, 31 * 24 * 3600)])
ACTS = st.sampled_from(
    [
        Act("ack"),
        Act("ack"),
        Act("retry"),
        Act("retry", 0, "X", "why"),
        Act("retry", 3 * SECOND, "Y"),
        Act("release"),
        Act("release", 7 * SECOND),
        Act("reject", None, "Z", "never"),
    ]
)
PICKS = st.integers(0, 39)
SETTLEMENTS = st.lists(st.tuples(PICKS, ACTS), min_size=1, max_size=4)
PULLS = st.tuples(PICKS, st.integers(0, 6), st.sampled_from([0, 0, 5, 45]), REQUESTS)
SENDS = st.tuples(QUEUES, st.lists(SPECS, min_size=1, max_size=4), REQUESTS)
CHANGES = st.sampled_from(
    [
        {"max_retries": 0},
        {"max_retries": 3, "initial_delay": 4 * SECOND},
        {"max_retries": 2, "initial_delay": 10 * SECOND, "multiplier": 3.0, "max_delay": 25 * SECOND},
        {"retention": 70 * SECOND},
        {"retention": 300 * SECOND, "visibility": 12 * SECOND},
        {"delivery_delay": 6 * SECOND},
        {"delivery_delay": 0, "batch": 2},
        {"dead_letters": ""},
        {"dead_letters": "dead"},
    ]
)
#: What changes a queue or looks into it, and what has no business there.
OPERATIONS = st.one_of(
    st.tuples(st.just("pause"), QUEUES, st.sampled_from([None, 15, 40])),
    st.tuples(st.just("resume"), QUEUES),
    st.tuples(st.just("update"), st.sampled_from(["work", "loose"]), CHANGES),
    st.tuples(st.just("make_anew")),
    st.tuples(st.just("peek_in_pages"), QUEUES, st.sampled_from([None, *Place]), st.integers(1, 3)),
    st.tuples(st.just("settle_what_nobody_gave"), PICKS, ACTS),
    st.tuples(st.just("send_at"), QUEUES, ANY_SPECS, INSTANTS | BAD_INSTANTS),
)
FILTERS = st.one_of(
    st.tuples(st.just(frozenset[str]()), st.none() | PICKS, st.none()),
    st.tuples(CODES, st.none() | PICKS, st.sampled_from([None, 0, 20])),
)
SHORT = st.sampled_from([0.000001, 1, 5, 5, 10, 31])
LONG = st.sampled_from([5, 16, 16, 31, 31, 31, 61, 121, 301])
