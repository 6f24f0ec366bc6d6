"""A matplotlib figure as SVG that can stand inside an HTML page.

The text stays text (it takes the page's font, can be searched and read aloud), nothing refers to anything outside
the page, and the same figure gives the same bytes.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours that follow the page, light or dark. The paper is not quite white so that white itself stays white.
INK, GREY, LIGHT, PAPER = "#1f2933", "#697586", "#dde2e8", "#fffffe"
# Colours that stay apart for colour-blind readers (Okabe and Ito 2008, "Color universal design").
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
_PAGE_COLOURS = {
    INK: "currentColor",
    GREY: f"var(--figure-grey, {GREY})",
    LIGHT: f"var(--figure-light, {LIGHT})",
    PAPER: f"var(--paper, {PAPER})",
    BLUE: f"var(--figure-blue, {BLUE})",
    VERMILION: f"var(--figure-vermilion, {VERMILION})",
    GREEN: f"var(--figure-green, {GREEN})",
    PURPLE: f"var(--figure-purple, {PURPLE})",
    ORANGE: f"var(--figure-orange, {ORANGE})",
    SKY: f"var(--figure-sky, {SKY})",
}
_PX_PER_PT = 1.4
_DPI = 300
# Of pictures of anatomy, which are noisy: their errors are far below the noise.
_QUALITY = 80
_SUBJECT = "subject "
# XML quotes a text that holds a double quote with single ones.
_SUBJECT_ID = re.compile(rf""" id=(?:"{_SUBJECT}([^"]*)"|'{_SUBJECT}([^']*)')""")

_STYLE: Mapping[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw in the look of the report; whatever the user's own matplotlib settings are, they are not used."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


def inline_svg(figure: "Figure", *, key: str, label: str) -> str:
    """Give the ``<svg>`` element of a figure.

    Parameters
    ----------
    figure : Figure
    key : str
        Name that no other figure on the page has; it keeps the ids of the page apart.
    label : str
        What the figure shows, for readers who do not see it.

    Returns
    -------
    str
        One element that fills the width its container gives, up to its natural size.
    """
    import matplotlib as mpl

    buffer = StringIO()
    with page_style():
        mpl.rcParams["svg.hashsalt"] = key
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    drawing = _following_page(_own_ids(_with_subjects(_only_drawing(buffer.getvalue())), key))
    return _labelled(drawing, label, width_px=round(72 * figure.get_figwidth() * _PX_PER_PT))


def subject_gid(subject: str) -> str:
    """Give the ``gid`` of what belongs to a subject in a figure; on a page it becomes ``data-subject``."""
    return f"{_SUBJECT}{subject}"


def svg_file(figure: "Figure") -> str:
    """Give a figure as the text of an SVG file that stands alone; the same figure gives the same text."""
    import matplotlib as mpl

    buffer = StringIO()
    with page_style():
        mpl.rcParams["svg.hashsalt"] = "mrspipe"
        mpl.rcParams["svg.fonttype"] = "path"
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _SUBJECT_ID.sub("", buffer.getvalue())


def figure_file(figure: "Figure", kind: Literal["pdf", "png"]) -> bytes:
    """Give a figure as the bytes of a PDF, or of a PNG with 300 dots per inch; without a date, so always the same."""
    undated: Mapping[str, Any] = {"pdf": {"CreationDate": None, "Producer": None}, "png": {"Software": None}}
    buffer = BytesIO()
    with page_style():
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=undated[kind])
    return buffer.getvalue()


def _only_drawing(text: str) -> str:
    """Drop the XML head, comments and metadata, the fixed size and the white space that nothing shows."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)", _grey_image, text)
    head, body = text.split(">", 1)
    head = re.sub(r'\s(width|height|version|xmlns(:xlink)?)="[^"]*"', "", head)
    packed = re.sub(r' d="([^"]*)"', _short_path, re.sub(r">[ \n]+<", "><", body).strip())
    return f"{head}>{packed}"


def _grey_image(match: re.Match[str]) -> str:
    """Store a picture without colours as the photograph that it is, in a quarter of the space."""
    from PIL import Image

    picture = Image.open(BytesIO(b64decode(match[1])))
    red, green, blue, opacity = picture.convert("RGBA").split()
    if not red.tobytes() == green.tobytes() == blue.tobytes() or min(opacity.tobytes()) < 255:
        return match[0]
    buffer = BytesIO()
    red.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def _short_path(match: re.Match[str]) -> str:
    """A hundredth of a point is finer than any screen or printer."""
    rounded = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), match[1])
    packed = re.sub(r"\s*([A-Za-z])\s*", r"\1", rounded).strip()
    return f' d="{packed}"'


def _with_subjects(text: str) -> str:
    def named(match: re.Match[str]) -> str:
        return f' data-subject="{(match[1] or match[2]).replace(chr(34), "&quot;")}"'

    return _SUBJECT_ID.sub(named, text)


def _own_ids(text: str, key: str) -> str:
    """Keep only the ids that something refers to, and put the figure's key before them."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    prefix = re.sub(r"[^\w-]", "_", key)

    def renamed(match: re.Match[str]) -> str:
        return f' id="{prefix}-{match[1]}"' if match[1] in used else ""

    text = re.sub(r'\sid="([^"]*)"', renamed, text)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}-", text)


def _following_page(text: str) -> str:
    """Let the page decide the font, the neutral colours, and those that are too dark for a dark page."""
    text = re.sub(r"(font(?:-family)?): (\d+(?:\.\d+)?px )?'DejaVu Sans'[^;\"]*", _font, text)
    for colour, replacement in _PAGE_COLOURS.items():
        text = re.sub(rf"((?:fill|stroke): ){colour}\b", rf"\g<1>{replacement}", text)
    return text


def _font(match: re.Match[str]) -> str:
    return f"font-size: {match[2].strip()}" if match[2] else "font-family: inherit"


def _labelled(text: str, label: str, *, width_px: int) -> str:
    head = f'<svg role="img" aria-label="{escape(label)}" style="max-width: {width_px}px"'
    return text.replace("<svg", head, 1)
