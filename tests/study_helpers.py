"""Small synthetic studies."""

import json
from pathlib import Path
from typing import Any

from mrspipe.config import bundled, load_config, with_settings
from mrspipe.pipeline.study import StudyRequest
from mrspipe.synth.recipe import load_recipe
from mrspipe.synth.study import write_study

QUICK = {"blocks": 2, "coils": 1}


def make_study(folder: Path, name: str, n: int) -> Path:
    """A bundled recipe with ``n`` participants a group and few, averaged transients."""
    recipe = load_recipe(bundled("synthetic_data", name))
    changes = {
        "groups": tuple(group.model_copy(update={"n": n}) for group in recipe.groups),
        "measurement": recipe.measurement.model_copy(update=QUICK),
        "losses": recipe.losses.model_copy(update={"technical": 0.0, "poor_quality": 0.0}),
        "moment_matched": False,
    }
    write_study(recipe.model_copy(update=changes), folder)
    return folder


def request(bids_dir: Path, out_dir: Path, config: str, n_procs: int = 1) -> StudyRequest:
    # So few participants are no study; the tests only ask whether the numbers arrive.
    settings = with_settings(load_config(config), "stats", min_per_group=2)
    return StudyRequest(bids_dir, out_dir, with_settings(settings, "engine", n_procs=n_procs))


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a sidecar; None removes one."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
