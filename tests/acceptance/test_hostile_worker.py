"""User code that writes on the worker's own pipe harms its own trial, and never the agent."""

from pathlib import Path

from tests.acceptance.command import LIGHT, write_study

# Kinds of noise, each in a trial of its own; what is not a message is skipped, what is one counts.
TRAIN = r"""
import fcntl, glob, json, os, random
def is_outgoing_pipe(descriptor):
    try:
        is_written = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        is_pipe = os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:")
        return descriptor > 2 and is_written and is_pipe
    except OSError:
        return False  # the one that listed the folder
def write(content):
    (descriptor,) = filter(is_outgoing_pipe, map(int, os.listdir("/proc/self/fd")))
    os.set_blocking(descriptor, True)
    while content:
        content = content[os.write(descriptor, content):]
def message(**fields):
    write(json.dumps(fields).encode() + b"\n")
def saved(me, name):
    for folder in glob.glob("SPOOL/*"):
        message(type="Saved", **me, step=1, path=folder + name, sha256="x", n_bytes=1)
DEEP = b'{"type":"Left","number":%d,"attempt":1,"how":"complete","value":0,"facts":{"a":%s}}\n'
def noise(rng):
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8000))
def train(trial):
    kind, me = trial.params["kind"], {"number": trial.params["kind"], "attempt": 1}
    rng = random.Random(kind)
    match kind:
        case 0: write(rng.randbytes(200_000) + b"\n")
        case 1: write(b"\n".join(rng.randbytes(rng.randrange(50)) for _ in range(5_000)) + b"\n")
        case 2: write(b"[" * 100_000 + b"\n{}\nnull\n7\n\"x\"\n")
        case 3: message(type="Reported", **me, step="one", values={"val_loss": 1})
        case 4: message(type="Reported", **me, step=10**12, values={"val_loss": 1})
        case 5: message(type="Reported", **me, step=1, values={"val_loss": "x"})
        case 6: message(type="Reported", **me, step=1, values=[1])
        case 7: message(type="Saved", **me, step=1, path="PRECIOUS", sha256="x", n_bytes=1)
        case 8: message(type="Saved", **me, step=1, path=7, sha256=[], n_bytes=-1)
        case 9: message(type="NotSaved", **me, step=1, reason={"a": 1})
        case 10: message(type="Left", **me, how="complete", value="much", message=7)
        case 11: message(type="Left", **me, how="exception", message=[7], traceback={}, facts=[1])
        case 12: message(type="Ready", n_free=-1, n_taken=0)
        case 13: message(type="NotSaved", number=-1, attempt=10**20, step=-5, reason="")
        case 14: saved(me, "/..")
        case 15: saved(me, "/x\0")
        case 16: message(type="Reported", **me, step=1, values={"val_loss": 1, noise(rng): 1})
        case 17: message(type="Left", **me, how="exception", message="", facts={noise(rng): 1})
        case 18: message(type="Ready", n_free=4096, n_taken=2**31 - 1)
        case 20: message(type="Left", **me, how="complete", value=0, facts="text")
        case 21: write(DEEP % (me["number"], b"[" * 300 + b"]" * 300))
        case 19: trial.report(step=1, val_loss=1.0, **{"a\0": 1.0, "a\ud800": 2.0})
    trial.report(step=2, val_loss=float(kind))
    if kind == 1: write(b'{"type":"Left","number":')
"""


def test_noise_on_the_pipe_never_ends_the_agent(tuner, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("not the agent's to remove")
    spool = Path(tuner.environment["TUNER_HOME"]) / "spool"
    text = TRAIN.replace("PRECIOUS", str(precious)).replace("SPOOL", str(spool))
    (tmp_path / "train.py").write_text(text)
    kinds = range(22)
    file = write_study(
        tmp_path,
        objective="train.py:train",
        search_space="{kind: {int: [0, 21]}}",
        params="{epochs: 2}",
        budget="{trials: 22}",
        enqueue="[" + ", ".join(f"{{kind: {kind}}}" for kind in kinds) + "]",
        failures="{retries: 0, lease: 3s}",
    )
    agent = tuner.start("run", file, "--workers", 2, **LIGHT)
    out, err = agent.communicate(timeout=100)
    assert agent.returncode == 0, out + err
    trials = tuner.look("trials", "plain", "--json").json
    states = {trial["params"]["kind"]: trial["state"] for trial in trials}
    assert set(states) == set(kinds)
    assert set(states.values()) <= {"COMPLETE", "FAIL"}, states
    assert precious.exists()
    spoilt = {1}  # a torn last line
    assert {k for k in kinds if states[k] != "COMPLETE"} <= spoilt, (states, err)
    assert tuner.look("best", "plain", "--json").json["params"]["kind"] == 0
