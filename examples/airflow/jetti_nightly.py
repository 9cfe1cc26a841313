"""A nightly task for Airflow 3.

tap-jetti and the loader have their own environment, so that their dependencies do not conflict with
those of Airflow: `python -m venv /opt/jetti && /opt/jetti/bin/pip install tap-jetti meltanolabs-target-postgres`.

Airflow Variables: `jetti_api_token`, `warehouse_url` (postgresql://user:password@host/database).

The first run reads everything, however long that takes: a task that is stopped or killed goes on where it was.
Do not slice a backfill by dates. Slices share one rate limit and take about five times the requests.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

ENVIRONMENT = "/opt/jetti/bin"
STATE = "/var/lib/jetti/state.json"  # on a file system that all workers share; or redis://, postgresql://, s3://

with DAG(
    dag_id="jetti_nightly",
    description="Load the rows that changed in Jetti since the last run",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
) as nightly:
    BashOperator(
        task_id="sync",
        bash_command=(
            f"exec {ENVIRONMENT}/jetti sync --loader '{ENVIRONMENT}/target-postgres --config=ENV' --state {STATE}"
        ),
        env={
            "TAP_JETTI_API_TOKEN": "{{ var.value.jetti_api_token }}",
            "TARGET_POSTGRES_SQLALCHEMY_URL": "{{ var.value.warehouse_url }}",
        },
        append_env=True,
    )
