"""A nightly task for Airflow 3, and a backfill in monthly slices.

tap-jetti and the loader have their own environment, so that their dependencies do not conflict with
those of Airflow: `python -m venv /opt/jetti && /opt/jetti/bin/pip install tap-jetti meltanolabs-target-postgres`.

Airflow Variables: `jetti_api_token`, `warehouse_url` (postgresql://user:password@host/database).
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

ENVIRONMENT = "/opt/jetti/bin"
STATE = "/var/lib/jetti"

SECRETS = {
    "TAP_JETTI_API_TOKEN": "{{ var.value.jetti_api_token }}",
    "TARGET_POSTGRES_SQLALCHEMY_URL": "{{ var.value.warehouse_url }}",
}

# The loader writes a state for all that is committed in the warehouse. The last line is the state of the run.
# After a failed or killed run the next one resumes from that state.
NIGHTLY = f"""
set -euo pipefail
cd {STATE}
touch state.json
if [ -s state.json ]; then state="--state state.json"; else state=""; fi
{ENVIRONMENT}/tap-jetti --config=ENV $state \\
  | {ENVIRONMENT}/target-postgres --config=ENV \\
  | while IFS= read -r line; do printf '%s\\n' "$line" > state.new && mv state.new state.json; done
"""

# A slice has no state. It reads the rows that were last changed between its two dates. Rows that change
# while the slices run are read by the nightly task, so start that one first.
SLICE = f"""
set -euo pipefail
{ENVIRONMENT}/tap-jetti --config=ENV | {ENVIRONMENT}/target-postgres --config=ENV > /dev/null
"""

with DAG(
    dag_id="jetti_nightly",
    description="Load the rows that changed in Jetti since the last run",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,  # two runs would overwrite the state of each other
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
) as nightly:
    BashOperator(task_id="extract", bash_command=NIGHTLY, env=SECRETS, append_env=True)

with DAG(
    dag_id="jetti_backfill",
    description="Load old rows, one month per run: airflow backfill create --dag-id jetti_backfill ...",
    # In Airflow 3 "@monthly" has intervals without length: each slice would be empty.
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=datetime(2019, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Slices can run side by side: the processes of a machine share one rate limit.
    max_active_runs=3,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
) as backfill:
    BashOperator(
        task_id="extract_slice",
        bash_command=SLICE,
        env={
            **SECRETS,
            "TAP_JETTI_START_DATE": "{{ data_interval_start | ts }}",
            "TAP_JETTI_END_DATE": "{{ data_interval_end | ts }}",
            # They are read in full, by id, whatever the dates say: the nightly task reads them.
            "TAP_JETTI_SELECT": '["!purchase_invoices", "!sale_invoices"]',
        },
        append_env=True,
    )
