"""The model card: contents, quality, origin and use of the model. Pure text."""

from collections.abc import Mapping
from typing import Any

from tuner.export.card_baselines import render_baselines
from tuner.export.card_use import render_use
from tuner.export.markdown import cell, plain
from tuner.study.trial import Params
from tuner.study_file.best import BestConfig
from tuner.training.final.model import MODEL_FILE, FinalModel
from tuner.training.final.model_card import ModelCard


def render_model_card(config: BestConfig, metrics: Mapping[str, Any], model: FinalModel) -> str:
    """Render the card of a built-in trainer's model; its `predict` example works as pasted."""
    card = model.card
    parts = [
        f"# {config.name}",
        f"A model of `{card.model}` for {card.task.value}, trained by tuner from trial "
        f"{_trial(metrics)} of study `{config.name}`. Data: {plain(metrics['data'])}.",
        "## How good it is",
        f"On the test split, which neither the search nor this training has used "
        f"({metrics['test']['rows']} rows, looked at once):",
        _table({name: v for name, v in metrics["test"].items() if name != "rows"}),
        *_averages(card),
        _delivered(metrics),
        _warning(config, metrics),
        *render_baselines(metrics, config.goal, card.task),
        "`curves.html` shows the training and the test split's "
        + ("confusion matrix." if metrics["confusion"] else "residuals."),
        "## How to use it",
        *render_use(model),
        *_origin(config, metrics),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _trial(metrics: Mapping[str, Any]) -> str:
    """Return the trial's name; "?" for a config that was written by hand."""
    return "?" if metrics["trial"] is None else plain(metrics["trial"])


def render_function_card(config: BestConfig, metrics: Mapping[str, Any]) -> str:
    """Render the card of a user's function or program: only that can read its checkpoint."""
    noun = config.objective.noun
    step, reported = metrics["checkpoint_step"], metrics["checkpoint_report"]
    if step is None:
        use = f"The {noun} saved no checkpoint, so there is no model here."
    elif metrics["checkpoint"] != MODEL_FILE:
        use = (
            f"`{metrics['checkpoint']}/` is the best folder that the {noun} saved, when it had "
            f"reported step {step}."
        )
    else:
        use = (
            f"`{MODEL_FILE}` is the best checkpoint that the {noun} saved, when it had reported "
            f"step {step}. In this folder:\n\n```python\n"
            "import tuner\n\n"
            'state = tuner.load_state(".")\n'
            "print(list(state))\n```"
        )
    parts = [
        f"# {config.name}",
        f"The result of `{plain(config.objective.label)}` with the params of trial "
        f"{_trial(metrics)} of study `{config.name}`.",
        "## How good it is",
        *_test_of(metrics),
        f"Its value: {config.metric} {_number(metrics['value'])}. "
        f"{'Its last report' if reported is None else 'The report of its checkpoint'}:",
        _table(_without_seconds(metrics["last"] if reported is None else reported)),
        _warning(config, metrics),
        "## How to use it",
        use,
        *_origin(config, metrics),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _test_of(metrics: Mapping[str, Any]) -> list[str]:
    if metrics["test_fault"]:
        return [f"{plain(metrics['test_fault'])}."]
    if "test" not in metrics:
        return []
    return ["What its `test` returned for this checkpoint:", _table(metrics["test"])]


def _without_seconds(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "seconds"}


def _averages(card: ModelCard) -> list[str]:
    if len(card.classes) < 2:
        return ["In the target's own unit."]
    return ["Precision, recall, F1 and AUROC are means over the classes (one against the rest)."]


def _delivered(metrics: Mapping[str, Any]) -> str:
    start = "It started from the trial's own weights. " if metrics["from_weights"] else ""
    return start + _weights_of(metrics)


def _weights_of(metrics: Mapping[str, Any]) -> str:
    if metrics["compared"] is None:
        return (
            "It was trained on the training and the validation rows, for the "
            f"{metrics['epochs']} epochs that the search found best, so there is no validation "
            "value to compare with."
        )
    epoch = f"epoch {metrics['epoch']}"
    values = ", ".join(f"{name} {_number(v)}" for name, v in metrics["compared"].items())
    if len(metrics["compared"]) > 1:
        return (
            f"Delivered are the weights of {metrics['delivered']} ({epoch}): the better ones on "
            f"the validation split ({metrics['metric']}: {values})."
        )
    return f"Its weights are those of {epoch}, the best one by {metrics['metric']} ({values})."


def _warning(config: BestConfig, metrics: Mapping[str, Any]) -> str:
    """Warn of selecting the best of noisy values, with the result of a confirmation if any."""
    confirmed = config.provenance.get("confirmed")
    if isinstance(confirmed, Mapping) and confirmed.get("mean") is not None:
        spread = confirmed.get("spread")
        of_seeds = f"{_shown(spread)} from seed to seed (standard deviation)"
        if spread == 0:
            of_seeds = "the same under every seed, so it shows nothing about other trainings"
        return (
            f"Its params were confirmed under {plain(confirmed.get('seeds'))} fresh seeds: "
            f"{config.metric} {_shown(confirmed['mean'])} on average, {of_seeds}; the "
            f"search had reported {_shown(metrics['search_value'])}."
        )
    tried = config.provenance.get("trials")
    n_tried = tried.get("tried") if isinstance(tried, Mapping) else None
    if metrics["search_value"] is None or not n_tried:
        return ""
    return (
        f"The search reported {config.metric} {_shown(metrics['search_value'])} for this trial: "
        f"the best of {plain(n_tried)} tried, so a part of it is luck. Trust "
        + ("the test split." if "test" in metrics else "data that it has not seen.")
    )


def _origin(config: BestConfig, metrics: Mapping[str, Any]) -> list[str]:
    """Render its origin, and the command to train it again."""
    facts = {
        key: value
        for key, value in config.provenance.items()
        if isinstance(value, str | int | float) and key not in ("trial", "study", "value")
    }
    packages = config.provenance.get("packages")
    if isinstance(packages, Mapping):
        facts["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    facts["trained again in"] = f"{metrics['seconds']:.1f} s on {metrics['device']}"
    return [
        "## Where it comes from",
        _table({"seed": config.seed, "epochs": config.n_steps, **facts}),
        "### Params",
        _table(config.params),
        _again(metrics),
    ]


def _again(metrics: Mapping[str, Any]) -> str:
    named = plain(",".join(metrics.get("allow_code", ())))
    code = f" --allow-code {named}" if named else ""
    code += " --allow-command" if metrics.get("allow_command") else ""
    if metrics["from_weights"]:
        return (
            "It started from the trial's own weights, which are next to the file of `tuner export "
            f"--weights`: `tuner train THAT_FILE --from-weights{code}` trains it again."
        )
    rows = "" if metrics["trained_on"] == "train" else f" --on {metrics['trained_on']}"
    return f"`tuner train config.yaml{rows}{code} -o ANOTHER_FOLDER` trains it again."


def _table(values: Mapping[str, Any] | Params) -> str:
    rows = [f"| {cell(name)} | {cell(_number(value))} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    return plain(_number(value))
