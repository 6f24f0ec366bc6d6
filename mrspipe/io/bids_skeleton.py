"""The files that make a folder a BIDS dataset: description, README, list of participants."""

from collections.abc import Mapping
from pathlib import Path

from mrspipe.core.errors import FileError
from mrspipe.io.tables import MISSING

# The first version of the standard with spectroscopy is 1.10.0.
BIDS_VERSION = "1.10.1"

_README = """# {name}

Single-voxel magnetic resonance spectroscopy in BIDS. The spectra (`sub-*/mrs/*_svs.nii.gz`) and their unsuppressed
water references (`*_mrsref.nii.gz`) were converted from the scanner's files by `mrspipe import`.

Describe here what the study is about, who took part, and how to reach you.
"""


def skeleton(bids_dir: Path) -> Mapping[str, object]:
    """Files of the dataset's root that are not there yet, by name; text, or an object to write as JSON."""
    wanted: dict[str, object] = {
        "dataset_description.json": {
            "Name": bids_dir.resolve().name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
        },
        "README.md": _README.format(name=bids_dir.resolve().name),
        "participants.json": {"participant_id": {"Description": "Label of the participant."}},
    }
    has_readme = any(bids_dir.glob("README*"))
    return {
        name: content
        for name, content in wanted.items()
        if not (bids_dir / name).exists() and not (name == "README.md" and has_readme)
    }


def participants_with(path: Path, subject: str) -> str | None:
    """Text of ``participants.tsv`` with a row for a subject; None when it is there already.

    The text that is there is kept as it is; unknown cells of the new row are ``n/a``.

    Raises
    ------
    FileError
        The table has no column ``participant_id``.
    """
    label = f"sub-{subject}"
    if not path.exists():
        return f"participant_id\n{label}\n"
    text = path.read_text(encoding="utf-8-sig")
    header, *rows = [line.split("\t") for line in text.splitlines() if line.strip()] or [[""]]
    columns = [name.strip() for name in header]
    if "participant_id" not in columns:
        raise FileError("The table has no column participant_id.", where=str(path), cure="Add it.", code="table")
    position = columns.index("participant_id")
    if any(len(row) > position and row[position].strip() == label for row in rows):
        return None
    row = [label if name == "participant_id" else MISSING for name in columns]
    return text.rstrip("\n") + "\n" + "\t".join(row) + "\n"
