"""Who gets which devices: by priority, evenly among equals, with as few moves as possible."""

from hypothesis import given
from hypothesis import strategies as st

from tuner.fleet.allocation import NO_UNITS, SLICE_SECONDS, Units, Wish, allocate, share

GPUS = [f"gpu:{index}" for index in range(8)]


def wish(name: str, priority: int = 0, n_trials: int = 100, **more: float) -> Wish:
    return Wish(name=name, priority=priority, n_trials=n_trials, **more)  # type: ignore[arg-type]


def test_equal_studies_share_evenly() -> None:
    assert share(8, [wish("a"), wish("b")]) == {"a": 4, "b": 4}
    assert share(8, [wish("a"), wish("b"), wish("c")]) == {"a": 3, "b": 3, "c": 2}
    rest_to_the_poorest = [wish("a", used_seconds=9.0), wish("b"), wish("c", used_seconds=1.0)]
    assert share(8, rest_to_the_poorest) == {"a": 2, "b": 3, "c": 3}


def test_the_highest_priority_gets_all_that_it_can_use_and_the_next_one_the_rest() -> None:
    wishes = [wish("low"), wish("high", 5), wish("middle", 1, n_trials=2)]
    assert share(8, wishes) == {"low": 0, "high": 8, "middle": 0}
    wishes = [wish("low"), wish("high", 5, n_trials=3), wish("middle", 1, n_trials=2)]
    assert share(8, wishes) == {"low": 3, "high": 3, "middle": 2}


def test_more_studies_than_devices_take_turns() -> None:
    held = {"a": frozenset(["gpu:0"])}
    wishes = [wish("a", used_seconds=SLICE_SECONDS - 1), wish("b")]
    assert allocate(GPUS[:1], wishes, held) == {"a": frozenset(["gpu:0"]), "b": NO_UNITS}
    wishes = [wish("a", used_seconds=SLICE_SECONDS + 1), wish("b")]
    turned = allocate(GPUS[:1], wishes, held)
    assert turned == {"a": NO_UNITS, "b": frozenset(["gpu:0"])}
    assert allocate(GPUS[:1], wishes, turned) == turned, "and b keeps it for a while"


def test_idle_devices_move_before_busy_ones_and_the_rest_stays() -> None:
    held = {"a": frozenset(GPUS[:4])}
    found = allocate(GPUS[:4], [wish("a"), wish("b")], held, busy=frozenset(["gpu:0", "gpu:3"]))
    assert found == {"a": frozenset(["gpu:0", "gpu:3"]), "b": frozenset(["gpu:1", "gpu:2"])}
    assert allocate(GPUS[:4], [wish("a"), wish("b")], found) == found


def test_drained_devices_go_to_studies_for_which_they_are_not_drained() -> None:
    barred = frozenset(["gpu:0", "gpu:1", "gpu:2"])
    found = allocate(GPUS[:4], [wish("a", 5, barred=barred), wish("b")], {})  # type: ignore[arg-type]
    assert found == {"a": frozenset(["gpu:3"]), "b": barred}
    held = {"a": frozenset(GPUS[:2])}
    alone = allocate(GPUS[:2], [wish("a", barred=frozenset(GPUS))], held)  # type: ignore[arg-type]
    assert alone == {"a": NO_UNITS}


def test_trials_over_several_gpus_get_whole_places() -> None:
    wishes = [wish("wide", units_per_trial=2), wish("narrow")]
    found = allocate(GPUS[:6], wishes, {"narrow": frozenset(["gpu:0", "gpu:3", "gpu:5"])})
    assert len(found["wide"]) == 2
    assert sorted(found["wide"]) in [["gpu:0", "gpu:1"], ["gpu:2", "gpu:3"], ["gpu:4", "gpu:5"]]
    assert share(3, [wish("wide", units_per_trial=2)]) == {"wide": 2}


WISHES = st.lists(
    st.builds(
        Wish,
        name=st.sampled_from("abcdef"),
        priority=st.integers(-1, 1),
        n_trials=st.integers(0, 9),
        units_per_trial=st.sampled_from([1, 1, 1, 2, 3]),
        used_seconds=st.floats(0, 1000),
    ),
    unique_by=lambda one: one.name,
    max_size=6,
)


@given(WISHES, st.integers(0, 8), st.randoms())
def test_no_device_is_given_twice_and_none_is_idle_that_could_be_used(
    wishes: list[Wish], n_units: int, random: object
) -> None:
    units = GPUS[:n_units]
    held: dict[str, Units] = {}
    for unit in units:
        held.setdefault(random.choice("abcdef"), frozenset())  # type: ignore[attr-defined]
        name = random.choice(sorted(held))  # type: ignore[attr-defined]
        held[name] = held[name] | {unit}
    found = allocate(units, wishes, held)
    given_out = [unit for mine in found.values() for unit in mine]
    assert len(given_out) == len(set(given_out))
    counts = share(n_units, wishes, held)
    for one in wishes:
        assert len(found[one.name]) <= counts[one.name] <= one.n_trials * one.units_per_trial
        assert len(found[one.name]) % one.units_per_trial == 0
    narrow = [one for one in wishes if one.units_per_trial == 1]
    if len(narrow) == len(wishes):
        assert {name: len(mine) for name, mine in found.items()} == counts
        total = sum(one.n_trials for one in wishes)
        assert len(given_out) == min(n_units, total), "work-conserving"
        for one in wishes:
            for other in wishes:
                if one.priority == other.priority and counts[other.name] < other.n_trials:
                    assert counts[one.name] <= counts[other.name] + 1, "even among equals"
                if one.priority < other.priority and counts[one.name]:
                    assert counts[other.name] == other.n_trials, "the higher one goes first"
