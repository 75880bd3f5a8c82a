"""A study that searches many training options, with a loss and metrics, to the final model."""

import json

STUDY = """\
name: options
objective:
  data: {sklearn: wine}
  model: mlp
  loss: {cross_entropy: {class_weight: balanced}}
  metrics: [balanced_accuracy, auroc]
maximize: val_f1
params: {epochs: 8, patience: 2, width: 16, learning_rate: 0.02}
search_space:
  optimizer: {choice: [sgd, adamw, rmsprop]}
  nesterov: {choice: [true, false], when: {optimizer: sgd}}
  beta1: {float: [0.5, 0.95], when: {optimizer: adamw}}
  schedule: {choice: [constant, plateau, one_cycle]}
  plateau_patience: {int: [0, 2], when: {schedule: plateau}}
  warmup: {float: [0, 2]}
  clip_norm: {choice: [0.0, 1.0]}
  label_smoothing: {float: [0, 0.2]}
  init: {choice: [torch, xavier, orthogonal]}
sampler: random
pruner: none
budget: {trials: 12}
"""
METRICS = ["val_loss", "val_balanced_accuracy", "val_auroc", "val_f1"]


def test_options_are_searched_and_the_best_trial_becomes_a_model(tuner, tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text(STUDY)
    tuner("check", file)
    finished = tuner("run", file, "--workers", 1)
    assert "options: finished, 12 of 12 trials" in finished.out
    trials = tuner.look("trials", "options", "--json").json
    assert {trial["state"] for trial in trials} == {"COMPLETE"}
    assert len({trial["params"]["optimizer"] for trial in trials}) > 1
    # with a patience of 2, some of so many end early, and say so
    early = [trial for trial in trials if "ended" in trial["user_attrs"]]
    assert early
    for trial in early:
        best = trial["user_attrs"]["best_step"]
        assert trial["steps"] == best + 2 < 8
        assert trial["user_attrs"]["ended"] == "no better val_f1 for 2 epochs"
    assert all(set(METRICS) - {"val_f1"} <= set(trial["user_attrs"]) for trial in trials)

    status = tuner.look("status", "options", "--json").json
    assert status["used"]["steps"] == sum(trial["steps"] for trial in trials)
    assert "advice" in status
    shown = tuner.look("show", "options", early[0]["number"]).out
    assert "no better val_f1 for 2 epochs" in shown
    assert "diagnosis" in tuner.look("show", "options", early[0]["number"], "--json").json

    config = tmp_path / "best.yaml"
    tuner("export", "options", "-o", config)
    assert "class_weight: balanced" in config.read_text()
    tuner("train", config, "-o", tmp_path / "final")
    metrics = json.loads((tmp_path / "final" / "metrics.json").read_text())
    best = max(trial["value"] for trial in trials)
    assert set(metrics["validation"]) == set(METRICS)
    assert abs(metrics["validation"]["val_f1"] - best) < 1e-6
    test = {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "log_loss"}
    assert test <= set(metrics["test"])
    assert "balanced_accuracy" in (tmp_path / "final" / "model-card.md").read_text()
