"""An objective that was written for Optuna, in a study file that names it."""

from pathlib import Path

from tests.acceptance.command import LIGHT, write_study

OBJECTIVE = """\
import optuna

def objective(trial):
    trial.set_user_attr("sizes", {"hidden": [16, 32]})
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    kind = trial.suggest_categorical("mode.kind", ["plain", "prunes", "unknown"])
    if kind == "unknown":
        trial.suggest_int("depth", 1, 9)
    for step in range(5):
        trial.report(lr / (step + 1), step)
        if trial.should_prune() or (kind == "prunes" and step == 2):
            raise optuna.TrialPruned
    return lr

if __name__ == "__main__":
    import tuner
    print(objective(tuner.Trial(seed=3)))
"""


def test_it_runs_unchanged_or_fails_once_with_the_line_to_write(tuner, tmp_path: Path):
    (tmp_path / "train.py").write_text(OBJECTIVE)
    file = write_study(
        tmp_path,
        objective="train.py:objective",
        minimize="value",
        params="{}",
        search_space="{lr: {float: [1e-5, 1e-1], log: true}, "
        "mode.kind: {choice: [plain, prunes, unknown]}}",
        enqueue="[{lr: 0.01, mode.kind: plain}, {lr: 0.01, mode.kind: prunes}, "
        "{lr: 0.01, mode.kind: unknown}]",
        budget="{trials: 3}",
        pruner="none",
    )
    link = tmp_path / "links" / "study.yaml"  # its code lies beside the file that it leads to
    link.parent.mkdir()
    link.symlink_to(file)
    ended = tuner("run", link, "--workers", 1, **LIGHT)
    found = tuner("trials", "plain", "--where", "mode.kind=prunes", "--csv").out
    assert "params.mode.kind" in found
    assert found.count("\n") == 2
    plain, prunes, unknown = tuner.look("trials", "plain", "--json").json
    assert (plain["state"], plain["value"], plain["steps"]) == ("COMPLETE", 0.01, 5)
    assert plain["user_attrs"]["sizes"] == {"hidden": [16, 32]}
    assert (prunes["state"], prunes["value"], prunes["steps"]) == ("PRUNED", 0.01 / 3, 3)
    assert (unknown["state"], unknown["attempt"]) == ("FAIL", 1)
    sentence = "add the line `depth: {int: [1, 9]}` to its search_space"
    assert sentence in ended.err
