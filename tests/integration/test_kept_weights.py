"""`checkpoints.keep_best`: the weights of the best trials, under the fence, and no others."""

import hashlib
import random
import threading
from pathlib import Path

import pytest

from tests.integration.stores import StoredStudy, make_spec
from tuner.errors import RunFailed
from tuner.storage.connections.connection import Database
from tuner.storage.control.commands import Control
from tuner.storage.reading.shipping import read_weights, read_weights_content
from tuner.storage.work.spooled import CHUNK_BYTES
from tuner.study.checkpoint import SavedFile
from tuner.study.lease import ClaimedTrial
from tuner.study.trial import Direction, TrialState
from tuner.study_file.model import Checkpoints

N_BEST = 3


@pytest.fixture(params=list(Direction))
def study(request, database: Database):
    spec = make_spec(trials=40, direction=request.param, checkpoints=Checkpoints(keep_best=N_BEST))
    study = StoredStudy(database, spec)
    yield study
    study.close()


def _file(folder: Path, trial: ClaimedTrial, content: bytes | None = None) -> SavedFile:
    content = f"weights of {trial.key.number}".encode() if content is None else content
    path = folder / f"{trial.key.number}-{trial.key.attempt}-weights.safetensors"
    path.write_bytes(content)
    return SavedFile(
        key=trial.key,
        step=4,
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        n_bytes=len(content),
    )


def _kept(study: StoredStudy) -> list[int]:
    with study.database.reading() as connection:
        return [w.number for w in read_weights(connection, study.study_id, study.spec.direction)]


def test_after_any_order_of_ends_exactly_the_best_are_kept(study, tmp_path):
    rng = random.Random(4)
    agents = [study.agent() for _ in range(3)]
    ended: list[tuple[float, int]] = []
    sign = 1 if study.spec.direction is Direction.MINIMIZE else -1
    for _ in range(25):
        agent = rng.choice(agents)
        trial = agent.claim_one()
        value = rng.choice([0.1, 0.2, 0.3, 0.4, 0.5])  # few values: ties go to the lower number
        agent.finish(trial, value=value, weights=_file(tmp_path, trial))
        ended.append((sign * value, trial.key.number))
        assert _kept(study) == [number for _, number in sorted(ended)[:N_BEST]]
    assert study.query("select count(*) from tuner.weights_chunk") == [(N_BEST,)]


def test_large_ones_come_back_byte_for_byte_and_damaged_ones_do_not(study, tmp_path):
    agent = study.agent()
    trial = agent.claim_one()
    content = random.Random(1).randbytes(2 * CHUNK_BYTES + 17)
    agent.finish(trial, weights=_file(tmp_path, trial, content))
    with study.database.reading() as connection:
        (weights,) = read_weights(connection, study.study_id, study.spec.direction)
        assert read_weights_content(connection, weights) == content
    assert (weights.step, weights.n_bytes) == (4, len(content))
    study.query("update tuner.weights_chunk set content = 'other' where part = 1")
    with study.database.reading() as connection, pytest.raises(RunFailed, match="sha256 differs"):
        read_weights_content(connection, weights)


def test_an_agent_that_lost_the_trial_keeps_nothing(study, tmp_path):
    slow, other = study.agent(), study.agent()
    trial = slow.claim_one()
    (taken,) = other.claim(silent=[other.sees(slow)])
    assert taken.key.number == trial.key.number
    assert slow.finish(trial, value=0.0, weights=_file(tmp_path, trial)) == {trial.key}
    assert _kept(study) == []
    other.finish(taken, value=0.5, weights=_file(tmp_path, taken))
    assert study.query("select number, attempt from tuner.weights") == [(0, 2)]


def test_an_end_whose_answer_was_lost_is_repeated_without_harm(study, tmp_path):
    agent = study.agent()
    trial = agent.claim_one()
    file = _file(tmp_path, trial)
    for _ in range(2):
        assert not agent.finish(trial, weights=file)
    assert _kept(study) == [0]


def test_pruned_failed_and_vanished_files_leave_nothing(study, tmp_path):
    agent = study.agent()
    for state in (TrialState.PRUNED, TrialState.FAIL):
        trial = agent.claim_one()
        agent.finish(trial, state=state, weights=_file(tmp_path, trial))
    trial = agent.claim_one()
    gone = _file(tmp_path, trial)
    Path(gone.path).unlink()
    agent.finish(trial, weights=gone)
    trial = agent.claim_one()
    torn = _file(tmp_path, trial)
    Path(torn.path).write_bytes(b"torn")
    agent.finish(trial, weights=torn)
    assert _kept(study) == []
    assert study.states() == ["PRUNED", "FAIL", "COMPLETE", "COMPLETE"]


def test_ends_at_the_same_time_never_drop_one_of_the_best(study, tmp_path):
    agents = [study.agent() for _ in range(4)]
    claimed = [(agent, agent.claim(5)) for agent in agents]
    values = {n: float(n) for n in range(20)}
    errors: list[BaseException] = []

    def end(agent, trials):
        try:
            for trial in trials:
                value = values[trial.key.number]
                agent.finish(trial, value=value, weights=_file(tmp_path, trial))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=end, args=pair) for pair in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    is_low = study.spec.direction is Direction.MINIMIZE
    best = sorted(values, key=lambda n: values[n] if is_low else -values[n])[:N_BEST]
    kept = _kept(study)
    assert kept[:N_BEST] == best
    assert len(kept) < N_BEST + len(agents), "the next end trims what two saw at once"


def test_with_keep_best_0_nothing_is_kept(database, tmp_path):
    study = StoredStudy(database, make_spec(checkpoints=Checkpoints(keep_best=0)))
    agent = study.agent()
    trial = agent.claim_one()
    agent.finish(trial, weights=_file(tmp_path, trial))
    assert _kept(study) == []
    study.close()


def test_deleting_the_study_deletes_them(study, tmp_path):
    agent = study.agent()
    trial = agent.claim_one()
    agent.finish(trial, weights=_file(tmp_path, trial))
    Control(study.database, study.study_id, study.spec).delete(force=True)
    assert study.query("select count(*) from tuner.weights_chunk") == [(0,)]
