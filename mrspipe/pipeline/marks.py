"""Fingerprints of what the results of a scan depend on, of its checks, and of what it teaches."""

import os.path
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from mrspipe.config import StudyConfig
from mrspipe.core.errors import FileError
from mrspipe.fit.learning import LearnedMacromolecules, to_json
from mrspipe.io.bids import ScanFiles
from mrspipe.io.digests import fingerprint, hash_file
from mrspipe.io.file_hashes import FileHashes
from mrspipe.io.program import NOT_FOR_SCANS, program_mark


class Marks:
    """Fingerprints under the settings of one run; each file is hashed once.

    The content of files counts, and not their names or dates; of the settings, those of the stages of a scan.

    Parameters
    ----------
    config : StudyConfig
    hashes : FileHashes
    """

    def __init__(self, config: StudyConfig, hashes: FileHashes) -> None:
        self._config = config
        self.hashes = hashes
        self._learned: LearnedMacromolecules | None = None
        self._learned_mark = ""

    def checks(self, scan: ScanFiles) -> str:
        """Fingerprint of what the checks of a scan depend on, apart from the settings."""
        return self._guarded(program_mark(without=NOT_FOR_SCANS), scan)

    def scan(self, scan: ScanFiles, learned: LearnedMacromolecules | None) -> str:
        """Fingerprint of what the results of a scan depend on."""
        return self._guarded(self._settings, scan, self.learned(learned))

    def learned(self, learned: LearnedMacromolecules | None) -> str:
        """Fingerprint of what a study taught; kept, because all scans of a study ask for the same."""
        if learned is None:
            return ""
        if learned is not self._learned:
            self._learned, self._learned_mark = learned, fingerprint(to_json(learned))
        return self._learned_mark

    def refits(self, learned: LearnedMacromolecules | None) -> str:
        """Fingerprint of what other fits of the preprocessed spectra depend on, apart from these."""
        return fingerprint(self.learning_settings, self.learned(learned))

    def learning(self, scan: ScanFiles) -> str:
        """Fingerprint of what a scan teaches: its samples and metadata, not the images of the brain."""
        return self._guarded(scan, images=(scan.metabolites, scan.water))

    @cached_property
    def learning_settings(self) -> str:
        """Fingerprint of how a nuisance model is learned."""
        config = self._config
        stages = [config.preprocess, config.basis, config.fit]
        return fingerprint(program_mark(without=NOT_FOR_SCANS), self._basis, *stages)

    @cached_property
    def _settings(self) -> str:
        config = self._config
        stages = [config.preprocess, config.basis, config.fit, config.quantify, config.qc]
        return fingerprint(program_mark(without=NOT_FOR_SCANS), self._basis, *stages)

    @cached_property
    def _basis(self) -> str:
        return self.hashes.of(Path(self._config.basis.file)) if self._config.basis.file else ""

    def _guarded(self, *parts: object, images: tuple[Path | None, ...] | None = None) -> str:
        """Fingerprint of parts, with the content of the scans among them."""
        try:
            return fingerprint(*(self._content(p, images) if isinstance(p, ScanFiles) else p for p in parts))
        except FileError as error:
            # Reading the scan will say what is wrong with it.
            return str(error)

    def _content(self, scan: ScanFiles, images: tuple[Path | None, ...] | None) -> list[object]:
        notes = [scan.water_note, scan.tissue_note] if images is None else []
        hashed = [self.hashes.of(path) if path else "" for path in (_images(scan) if images is None else images)]
        return [scan.key, hashed, scan.sidecar, scan.water_sidecar, notes]

    def inputs(self, scan: ScanFiles, root: Path) -> dict[str, str]:
        """Hash of each image of a scan by its path below the dataset, or by its name where it lies elsewhere."""
        try:
            return {_below(path, root): self.hashes.of(path) for path in _images(scan) if path}
        except FileError:
            return {}


def _images(scan: ScanFiles) -> list[Path | None]:
    return [scan.metabolites, scan.water, scan.anatomy, *(scan.tissue_maps[name] for name in sorted(scan.tissue_maps))]


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def relative(path: Path, to: Path) -> str:
    """Give a path relative to a folder, so that both can be moved together and no home folder is named."""
    return Path(os.path.relpath(path.resolve(), to.resolve())).as_posix()


def of_measurements(out_dir: Path, config: StudyConfig) -> str:
    """Fingerprint of what a study measured and asks, for what other commands make of its table of measurements."""
    table = out_dir / "group" / "measurements.tsv"
    return fingerprint(hash_file(table), config.design, config.contrast, config.stats)


def without_engine(config: StudyConfig) -> Mapping[str, object]:
    """Give the settings that tables and pages may depend on."""
    return {name: value for name, value in config.model_dump(mode="json").items() if name != "engine"}
