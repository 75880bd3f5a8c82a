"""The kinds of commands that talk to the database, behind a PgBouncer that pools transactions."""

from pathlib import Path

from tests.acceptance.command import LIGHT, Tuner, write_light_study
from tests.pooler import needs_pgbouncer, open_owned_database, open_pooler
from tests.postgres import open_system_postgres
from tuner.storage.connections.pooling import TIMEOUTS
from tuner.storage.embedded.home import Home

pytestmark = needs_pgbouncer


def test_commands_work_behind_transaction_pooling(tuner_home: Home, tmp_path: Path) -> None:
    with (
        open_system_postgres() as postgres,
        open_owned_database(postgres, "pooled") as name,
        open_pooler(postgres, "transaction", more="default_pool_size = 2") as pooler,
    ):
        for timeout, value in TIMEOUTS.items():
            postgres.sql(f"alter role owner in database {name} set {timeout} = '{value}'")
        url = pooler.url("owner", name)
        environment = {"TUNER_HOME": str(tuner_home.path), "TUNER_STORAGE": url}
        tuner = Tuner(environment=environment)
        study = write_light_study(tmp_path)
        tuner("run", study, "--workers", 1, **LIGHT)
        assert tuner.look("status", "plain", "--json").json["state"] == "finished"
        tuner.look("extend", "plain", "--trials", "+1")
        assert "a connection pooler, with the role's own time-outs" in tuner.look("doctor").out
        tuner.look("db", "backup", "-o", tmp_path / "backup.zip")
        tuner.close()
