"""Read a configuration, query the source database, and write the rows once for each split."""

import json
import os
import random
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pymysql

CREDENTIAL = "source-database"
QUERY = "select smiles, value from molecules join activities using (molecule) where assay = %s"


def read_rows(assay: str) -> list[tuple[str, float]]:
    """Return SMILES and activity of an assay's molecules, in a fixed order."""
    url = urlsplit(Path(os.environ["CREDENTIALS_DIRECTORY"], CREDENTIAL).read_text().strip())
    with (
        pymysql.connect(
            host=url.hostname,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.path.strip("/"),
        ) as database,
        database.cursor() as cursor,
    ):
        cursor.execute(f"{QUERY} order by molecule", (assay,))
        return [(smiles, float(value)) for smiles, value in cursor.fetchall()]


def main(inputs: Path, outputs: Path) -> None:
    """Write a file for each split: its number and the seed, then the rows, the same in all."""
    (source,) = inputs.iterdir()
    wanted = json.loads(source.read_text(encoding="utf-8"))
    rows = read_rows(wanted["assay"])
    seen = dict(rows)
    chance = random.Random(wanted["seed"])  # noqa: S311  not for secrets
    lines, active = [], 0
    for smiles, value in seen.items():
        part = "test" if chance.random() < wanted["testShare"] else "train"
        label = int(value >= wanted["threshold"])
        active += label
        lines.append(f"{part}\t{smiles}\t{label}\n")
    print(
        f"{len(rows)} rows read, {len(seen)} rows kept: left out {len(rows) - len(seen)} that "
        f"repeat a molecule; {active} active"
    )
    if not lines:
        sys.exit(f"The database has no molecules of the assay {wanted['assay']!r}.")
    for split in range(1, wanted["splits"] + 1):
        head = f"{split}\t{wanted['splits']}\t{wanted['seed']}\n"
        (outputs / f"split-{split}.tsv").write_text(head + "".join(lines), encoding="utf-8")
    record = {"rows_read": len(rows), "rows_kept": len(seen), "active": active, **wanted}
    (outputs / "records.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
