"""Which concentrations are computed, and with which constants."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from mrspipe.core.results import Quantity
from mrspipe.physics.relaxation import Tissue
from mrspipe.settings import Settings

Positive = Annotated[float, Field(gt=0)]
Part = Annotated[float, Field(ge=0, le=1)]


class QuantifySettings(Settings):
    """Which concentrations are computed, and with which constants."""

    quantities: tuple[Quantity, ...] = ("ratio_tcr", "molal", "molar")
    """What is reported; see `mrspipe.quantify.factors` for the formulas and units."""
    relaxation: Literal["gannet", "fsl"] = "gannet"
    """Set of water relaxation times at 3 T: that of Gannet, Osprey and spant, or that of FSL-MRS."""
    tissue_fractions: dict[Tissue, Part] | None = None
    """Fractions of GM, WM and CSF, sum 1, for scans without tissue maps; none: such scans give no water-referenced
    values, but ratios and lcmodel."""
    water_t1_s: dict[Tissue, Positive] = Field(default_factory=dict)
    """T1 of water by tissue instead of the set's, in s."""
    water_t2_s: dict[Tissue, Positive] = Field(default_factory=dict)
    """T2 of water by tissue instead of the set's, in s."""
    metabolite_t1_s: Positive | None = None
    """T1 of all metabolites instead of the table's, in s."""
    metabolite_t2_s: Positive | None = None
    """T2 of all metabolites instead of the table's, in s."""
    assume_long_tr: bool = False
    """Take all magnetisation as fully relaxed, whatever the repetition time."""
    water_as_metabolites: bool = False
    """Where the water reference does not state its echo and repetition time, take those of the metabolites."""
    water_concentration_mmol: Positive | None = None
    """Visible water of the voxel in mmol/L instead of that of its tissues; not for molal values."""
    calibration: Positive = 1.0
    """Factor on all water-referenced values, found with a phantom or a spectrum of known concentration."""
    alpha: Positive = 0.5
    """Ratio of the concentration in white matter to that in grey matter, for alpha_molar and alpha_group_molar."""
    alpha_metabolites: tuple[str, ...] = ("GABA", "Glu", "Gln", "Glx")
    """Metabolites that ``alpha`` holds for."""
    alpha_group_fractions: dict[Tissue, Part] | None = None
    """Average fractions of GM, WM and CSF of the study's voxels, sum 1, for alpha_group_molar."""
    lcmodel_wconc_mmol: Positive = 35880.0
    """LCModel's WCONC, the water of the voxel in mmol/L, for lcmodel; its default."""
    lcmodel_atth2o: Positive = 0.7
    """LCModel's ATTH2O, the part of the water signal left at the echo time, for lcmodel; its default."""
    lcmodel_attmet: Positive = 1.0
    """LCModel's ATTMET, the part of the metabolites' signal left at the echo time, for lcmodel; its default."""
    water_fit_s: Positive = 0.05
    """Part of the water FID that its amplitude at time zero is extrapolated from, in s."""
    t1_sd_fraction: Part = 0.05
    """Standard deviation (SD) of the relaxation times T1, relative. Assumed."""
    t2_sd_fraction: Part = 0.10
    """SD of the relaxation times T2, relative. Assumed: about the spread between studies of glutamate at 3 T."""
    water_content_sd_fraction: Part = 0.02
    """SD of the visible water content, relative. Assumed."""
    tissue_fraction_sd: Part = 0.02
    """SD of a tissue fraction, beside that of the maps' own probabilities. Assumed: about what repeated segmentation
    gives."""

    @field_validator("tissue_fractions", "alpha_group_fractions")
    @classmethod
    def _sum_to_one(cls, value: dict[Tissue, float] | None) -> dict[Tissue, float] | None:
        if value is not None and abs(sum(value.values()) - 1) > 1e-6:
            raise ValueError(f"tissue fractions must sum to 1, got {sum(value.values()):g}")
        return value
