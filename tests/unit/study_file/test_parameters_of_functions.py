"""Parameters of a function of the user's own: any name, any type."""

import time

import pytest

from tuner.study.trial import ParamValue
from tuner.study_file.params.reading import check_parameters, read_params, read_search_space
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, When
from tuner.study_file.params.trainer_params import KnownParams
from tuner.study_file.text.faults import Faults
from tuner.study_file.text.items import Item
from tuner.study_file.text.yaml_nodes import compose

OF_A_FUNCTION = KnownParams(table={}, takes_others=True)


def item(text: str, path: str) -> Item:
    faults = Faults(text.split("\n"))
    node = compose(text, faults)
    assert node is not None
    return Item(node=node, path=path, faults=faults)


def sentences(of: Item) -> list[str]:
    return [f"{fault.path}: {fault.message}" for fault in of.faults.first()]


def space_of(text: str) -> dict[str, Range]:
    read = item(text, "search_space")
    space = read_search_space(read, OF_A_FUNCTION)
    assert sentences(read) == []
    return space


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("true", True),
        ("null", None),
        ("'1'", "1"),
        ("no", "no"),
        ("-1e300", -1e300),
        ("''", ""),
    ],
)
def test_a_fixed_value_keeps_its_type(written, value):
    params: dict[str, ParamValue] = read_params(
        item(f"anything: {written}", "params"), OF_A_FUNCTION
    )
    assert repr(params) == repr({"anything": value})


def test_choices_keep_their_types_null_included():
    space = space_of("kind: {choice: [null, true, 2, 0.5, text, '3']}")
    assert repr(space["kind"]) == repr(Choice(choices=(None, True, 2, 0.5, "text", "3")))


def test_epochs_may_be_searched_and_names_are_free():
    space = space_of("epochs: {int: [-5, 20]}\nmy_own: {float: [-1e9, 1e9]}")
    assert space == {"epochs": IntRange(low=-5, high=20), "my_own": FloatRange(low=-1e9, high=1e9)}


def test_a_condition_on_a_choice_of_any_type():
    space = space_of("a: {choice: [null, true, 1.5]}\nb: {int: [0, 1], when: {a: [null, 1.5]}}")
    assert repr(space["b"].when) == repr(When(parameter="a", values=(None, 1.5)))


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (
            "2x: {int: [0, 1]}",
            "search_space.2x: a parameter's name is a letter or _, then letters, digits, _ "
            "(64 at most)",
        ),
        (
            "a: {choice: [1, true]}",
            "search_space.a.choice[1]: equals 1 in Optuna's record; remove one or put it in quotes",
        ),
        ("a: {choice: [1, 1]}", "search_space.a.choice[1]: is there twice; remove one"),
        ("a: {choice: [.inf]}", "search_space.a.choice[0]: must be a finite number, not .inf"),
        ("a: {float: [0, .inf]}", "search_space.a.float[1]: must be a finite number, not .inf"),
        (
            "a: {int: [0, 9007199254740993]}",
            "search_space.a.int[1]: must be a whole number from -9007199254740992 to "
            "9007199254740992, not 9007199254740993",
        ),
        (
            "a: {choice: [9007199254740993]}",
            "search_space.a.choice[0]: must be a whole number from -9007199254740992 to "
            "9007199254740992, not 9007199254740993",
        ),
        (
            "a: {choice: [1, 2]}\nb: {int: [0, 1], when: {a: true}}",
            "search_space.b.when.a: true is no choice of a (1, 2)",
        ),
    ],
)
def test_what_cannot_be_recorded_is_refused(written, sentence):
    read = item(written, "search_space")
    read_search_space(read, OF_A_FUNCTION)
    assert sentences(read) == [sentence]


def test_a_parameter_in_both_places_is_refused():
    space = item("momentum: {float: [0, 1]}", "search_space")
    params = item("momentum: 0.5\noptimizer: 3", "params")
    check_parameters(params, space, OF_A_FUNCTION)
    assert sentences(params) == [
        "params.momentum: is in search_space as well; keep it in one of the two"
    ]
    assert sentences(space) == []  # the trainer's rules do not hold for a function


def chain(n: int) -> str:
    lines = [f"p{k}: {{choice: [0, 1], when: {{p{k - 1}: 1}}}}" for k in range(1, n + 1)]
    return "\n".join(["p0: {choice: [0, 1]}", *lines])


def test_conditions_may_hang_on_each_other_up_to_a_limit():
    assert len(space_of(chain(19))) == 20
    read = item(chain(600), "search_space")
    read_search_space(read, OF_A_FUNCTION)
    assert sentences(read)[0] == (
        "search_space.p20.when.p19: conditions on conditions, 20 deep; flatten them"
    )


def test_thousands_of_values_are_read_in_no_time():
    values = ", ".join(map(str, range(4900)))
    begun = time.perf_counter()
    space = space_of(f"a: {{choice: [{values}]}}\nb: {{int: [0, 1], when: {{a: [{values}]}}}}")
    assert time.perf_counter() - begun < 3
    assert space["b"].when is not None
    assert len(space["b"].when.values) == 4900
