"""From a published set of annotated images to the folder that `heatproof adopt` reads: breast ultrasound as an example.

    python annotate_own_patients.py SOURCE OUT

SOURCE has a labels.csv with the columns file, mask, label, split, group and copy_of. A group holds what must stay
together: the images of a patient, or, where nobody says whose an image is, copies and near copies. Left out are copies,
groups of which two images have different labels, and the split `test`, which no step of adoption sees. OUT gets
labels.csv, images/ and masks/.
"""

import csv
import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path

COLUMNS = ("file", "mask", "label", "plane", "split", "group")
SPLITS = ("train", "calibration", "commissioning")


def main(source: Path, out: Path) -> None:
    """Copy what may be used, and say how much that is."""
    with (source / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        labels[row["group"]].add(row["label"])
    kept = [row for row in rows if row["split"] in SPLITS and not row["copy_of"] and len(labels[row["group"]]) == 1]
    for name in filter(None, (row[column] for row in kept for column in ("file", "mask"))):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, out / name)
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    for split in SPLITS:
        of_split = [row for row in kept if row["split"] == split]
        counts = ", ".join(f"{count} {label}" for label, count in sorted(Counter(r["label"] for r in of_split).items()))
        print(f"{split}: {len(of_split)} images of {len({row['group'] for row in of_split})} groups ({counts})")
    print(f"left out: {len(rows) - len(kept)} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
