"""Text that was probably meant as another value, repeated combinations, and quoted values."""

import pytest

from tuner.errors import StudyFileError, UsageError
from tuner.storage.control.given_params import check_params
from tuner.study_file.identity import compare_specs, render_differences
from tuner.study_file.load import load_study_file

HEAD = "name: s\nobjective: train:f\nminimize: loss\n"


def load(folder, text, *overrides):
    path = folder / "study.yaml"
    path.write_text(HEAD + text)
    return load_study_file(path, overrides)


def warnings(folder, text, *overrides):
    found = load(folder, text, *overrides).warnings
    return [f"{w.line}: {w.path}: {w.message}" for w in found]


def reads(word, meant):
    return f"'{word}' is read as text; write {meant}, or put it in quotes if text is meant"


WORDS = [
    ("yes", "true"),
    ("No", "false"),
    ("ON", "true"),
    ("off", "false"),
    ("y", "true"),
    ("N", "false"),
    ("tRUE", "true"),
    ("fALSE", "false"),
    ("None", "null"),
    ("1_000", "1000"),
    ("-1_0.5e-3", "-10.5e-3"),
]


@pytest.mark.parametrize(("word", "meant"), WORDS)
def test_a_word_for_another_value_is_warned_of_in_params(word, meant, tmp_path):
    text = "search_space: {x: {float: [0, 1]}}\nbudget: {trials: 10}\nparams:\n  flag: "
    assert warnings(tmp_path, f"{text}{word}\n") == [f"7: params.flag: {reads(word, meant)}"]
    assert warnings(tmp_path, f"{text}1\n", f"params.flag={word}") == [
        f"0: params.flag: {reads(word, meant)}"
    ]
    assert warnings(tmp_path, f"{text}1\n", f"params.flag='{word}'") == []
    assert warnings(tmp_path, f'{text}"{word}"\n') == []


@pytest.mark.parametrize("word", ["none", "nothing", "x", "model_1", "_", "1__", "adam", "inf"])
def test_other_text_is_not_warned_of(word, tmp_path):
    text = f"search_space: {{x: {{float: [0, 1]}}}}\nbudget: {{trials: 10}}\nparams: {{a: {word}}}"
    assert warnings(tmp_path, text) == []


def test_words_are_warned_of_in_choices_conditions_and_enqueued_trials(tmp_path):
    text = (
        "search_space:\n"
        "  bias: {choice: [yes, no]}\n"
        "  rate: {float: [0, 1], when: {bias: yes}}\n"
        "  decay: {float: [0, 1], when: {bias: [no]}}\n"
        "enqueue:\n"
        "  - {bias: no, decay: 0.5}\n"
        "budget: {trials: 10}\n"
    )
    assert warnings(tmp_path, text) == [
        f"5: search_space.bias.choice[0]: {reads('yes', 'true')}",
        f"5: search_space.bias.choice[1]: {reads('no', 'false')}",
        f"6: search_space.rate.when.bias: {reads('yes', 'true')}",
        f"7: search_space.decay.when.bias[0]: {reads('no', 'false')}",
        f"9: enqueue[0].bias: {reads('no', 'false')}",
    ]
    assert warnings(tmp_path, text.replace("yes", '"yes"').replace("no", "'no'")) == []
    meant = text.replace("yes", "true").replace("no", "false")
    assert warnings(tmp_path, meant) == []


@pytest.mark.parametrize(
    ("choices", "n"), [("x, y", 0), ("y, n", 2), ("Y", 1), ("n, s, e, w", 0), ("y, no", 2)]
)
def test_single_letters_count_only_among_their_like(choices, n, tmp_path):
    space = f"{{a: {{choice: [{choices}]}}, b: {{float: [0, 1]}}}}"
    text = f"search_space: {space}\nbudget: {{trials: 10}}"
    assert len(warnings(tmp_path, text)) == n


COUNTED = [
    ("{a: {choice: [1, 2, 3]}, b: {choice: [true, false]}}", 6),
    ("{a: {int: [1, 7]}}", 7),
    ("{a: {int: [1, 7], step: 2}}", 4),
    ("{a: {int: [1, 8], log: true}}", 8),
    ("{a: {float: [0, 1], step: 0.25}}", 5),
    ("{a: {float: [0.5, 0.5]}, b: {int: [1, 3]}}", 3),
    ("{a: {choice: [p, q]}, b: {int: [1, 3], when: {a: p}}}", 4),
    (
        "{a: {choice: [p, q]}, b: {choice: [r, t], when: {a: p}}, c: {int: [1, 5], when: {b: r}}}",
        7,
    ),
    ("{a: {int: [1, 20], grid: 3}}", 20),  # the points of a grid say nothing to other samplers
]


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "nsga2"])
@pytest.mark.parametrize(("space", "n"), COUNTED)
def test_more_trials_than_combinations_are_warned_of(space, n, sampler, tmp_path):
    def about_repeats(trials):
        text = f"search_space: {space}\nsampler: {sampler}\nbudget: {{trials: {trials}}}"
        return [w for w in warnings(tmp_path, text) if "distinct" in w]

    assert about_repeats(n) == []
    assert about_repeats(1_000) == [
        f"6: budget.trials: 1,000 trials have only {n} distinct combinations of params: the others "
        "repeat some, with other seeds; lower trials, add values, or try each combination once "
        "with `sampler: grid`"
    ]


@pytest.mark.parametrize(
    "space",
    [
        "{a: {float: [0, 1]}}",
        "{a: {float: [0.1, 1], log: true}, b: {choice: [1]}}",
        "{a: {float: [0, 1], grid: 3}}",
        "{a: {choice: [p, q]}, b: {float: [0, 1], when: {a: p}}}",
    ],
)
def test_a_range_without_steps_never_repeats(space, tmp_path):
    text = f"search_space: {space}\nsampler: random\nbudget: {{trials: 1000}}"
    assert warnings(tmp_path, text) == []


def test_a_grid_that_ends_before_its_budget_is_warned_of(tmp_path):
    text = "search_space: {a: {float: [0, 1], grid: 3}}\nsampler: grid\npruner: none\n"
    assert warnings(tmp_path, f"{text}budget: {{trials: 3}}") == []
    enqueued = f"{text}budget: {{trials: 4}}\nenqueue: [{{a: 0.3}}]"
    assert warnings(tmp_path, enqueued) == []
    assert warnings(tmp_path, f"{text}budget: {{trials: 4}}") == [
        "7: budget.trials: 4 trials are more than the 3 cells of the grid: the study ends when "
        "each was tried; lower trials or add values"
    ]
    assert warnings(tmp_path, f"{text}budget: {{trials: 3}}", "budget.trials=40") == [
        "0: budget.trials: 40 trials are more than the 3 cells of the grid: the study ends when "
        "each was tried; lower trials or add values"
    ]


PAIRS = [("null", '"null"'), ("1", '"1"'), ("true", '"true"'), ("1.5", "'1.5'"), ("~", '"~"')]
TAIL = "\nsearch_space: {x: {float: [0, 1]}}\nbudget: {trials: 10}\n"


@pytest.mark.parametrize(("value", "text"), PAIRS)
def test_differences_tell_a_value_from_its_text(value, text, tmp_path):
    def differences(before, after):
        stored, given = load(tmp_path, before).spec, load(tmp_path, after).spec
        return render_differences(compare_specs(stored, given).identity)

    shown = "null" if value == "~" else value
    quoted = text.replace("'", '"')
    assert differences(f"params: {{a: {value}}}{TAIL}", f"params: {{a: {text}}}{TAIL}") == (
        f"params.a: stored {shown}, given {quoted}"
    )
    space = "search_space: {{c: {{choice: [{}, z]}}}}\nbudget: {{trials: 2}}"
    assert differences(space.format(value), space.format(text)) == (
        f"search_space.c: stored {{choice: [{shown}, z]}}, given {{choice: [{quoted}, z]}}"
    )


@pytest.mark.parametrize(("value", "text"), PAIRS)
def test_faults_tell_a_value_from_its_text(value, text, tmp_path):
    space = (
        "search_space:\n  c: {{choice: [{}, z]}}\n  x: {{float: [0, 1], when: {{c: z}}}}\n"
        "budget: {{trials: 2}}\n"
    )
    shown, quoted = "null" if value == "~" else value, f"'{text[1:-1]}'"
    with pytest.raises(StudyFileError) as refused:
        load(tmp_path, space.format(value) + f"enqueue: [{{c: {text}}}]")
    assert f"{quoted} is not among {shown}, 'z'" in str(refused.value)
    with pytest.raises(StudyFileError) as refused:
        load(tmp_path, space.format(text).replace("when: {c: z}", f"when: {{c: {value}}}"))
    assert f"{shown} is no choice of c ({quoted}, 'z')" in str(refused.value)
    spec = load(tmp_path, space.format(text)).spec
    with pytest.raises(UsageError) as wrong:
        check_params({"c": None}, spec)
    assert f"c: null is not in the choices {quoted}, 'z'" in str(wrong.value)
    assert check_params({"c": text[1:-1]}, spec) == {"c": text[1:-1]}


def test_a_missing_parent_is_not_null(tmp_path):
    text = (
        "search_space:\n  c: {choice: [null, z]}\n  x: {float: [0, 1], when: {c: null}}\n"
        "budget: {trials: 2}\n"
    )
    with pytest.raises(UsageError, match="x applies only where c is null; give c as well"):
        check_params({"x": 0.5}, load(tmp_path, text).spec)
    with pytest.raises(StudyFileError, match="x applies only where c is null; give c as well"):
        load(tmp_path, text + "enqueue: [{x: 0.5}]")
