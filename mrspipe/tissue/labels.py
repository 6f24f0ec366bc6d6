"""Label images of FreeSurfer and SynthSeg as tissue maps.

FreeSurfer's own labels leave out the cerebrospinal fluid in the sulci; SynthSeg has it. What has no label is no
tissue, so that a voxel with much of it is refused (`mrspipe.tissue.voxel`), and never counted as what it may not be.
"""

import numpy as np

from mrspipe.core.errors import AnalysisError
from mrspipe.core.volume import Volume
from mrspipe.physics.relaxation import TISSUES, Tissue
from mrspipe.physics.segmentation import tissue_labels


def maps_from_labels(labels: Volume, *, source: str = "") -> dict[Tissue, Volume]:
    """Maps of GM, WM and CSF, each 0 or 1, from a label image.

    Parameters
    ----------
    labels : Volume
        Numbers of FreeSurfer's table.
    source : str, optional
        Where they come from, for messages.

    Returns
    -------
    dict of tissue to Volume

    Raises
    ------
    AnalysisError
        ``tissue-labels``: the values are not whole numbers, or none of them is a tissue.
    """
    numbers = np.rint(labels.data).astype(int)
    if np.any(numbers != labels.data):
        raise AnalysisError(
            "The image holds values that are not whole numbers, so it holds no labels.",
            cure="Was it resampled? Labels keep their values with nearest neighbours only.",
            where=source,
            code="tissue-labels",
        )
    known = tissue_labels()
    maps = {tissue: np.isin(numbers, [number for number, its in known.items() if its == tissue]) for tissue in TISSUES}
    if not any(one.any() for one in maps.values()):
        raise AnalysisError(
            "No label of the image is a tissue.",
            cure="Give the labels of FreeSurfer's aseg or of SynthSeg.",
            where=source,
            code="tissue-labels",
        )
    return {tissue: Volume(one.astype(float), labels.affine) for tissue, one in maps.items()}
