"""How the page looks: gradio's theme in our colours, and the style sheet beside this file.

Fonts and scripts come from this server only: the page works without a network.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes

FOLDER = Path(__file__).parent
SHEETS = tuple(
    FOLDER / name
    for name in ("page.css", "classify/try.css", "compare/compare.css", "teach/teach.css", "live/live.css")
)
SCRIPTS = ("server.js", "sound.js", "page.js", "address.js", "classify/timeline.js", "teach/teach.js")

# A unit shows its id where there is room for it: upright when wide, turned when narrow, else not at all.
# Room for the button that stands at the bottom of a phone: gradio's `css` knows no rules of itself in a media query.
# On a phone gradio hides the footer's first link, but not the dot after it.
HEAD_RULES = """
.sp-ribbon i { container-type: inline-size; }
@container (max-width: 9.5px) { .sp-ribbon b { visibility: hidden; } }
@container (min-width: 30px) { .sp-ribbon b { writing-mode: horizontal-tb !important; rotate: none !important; } }
@media (max-width: 760px) { .gradio-container > .main { padding: 14px 14px 84px !important; } }
@media (max-width: 640px) { footer .divider { display: none !important; } }
"""

INK = colors.Color(
    name="ink",
    c50="#fafaf7", c100="#f2f2ee", c200="#e3e3dd", c300="#cfcfc8", c400="#9a9ca3", c500="#6d7079",
    c600="#54575f", c700="#383b42", c800="#24272d", c900="#17191e", c950="#0f1013",
)  # fmt: skip
SIGNAL = colors.Color(
    name="signal",
    c50="#eef1fd", c100="#dbe2fb", c200="#bcc9f8", c300="#a9b9ff", c400="#8ea6ff", c500="#4a68e0",
    c600="#2f4fd0", c700="#2540ad", c800="#1f3489", c900="#1c2d6d", c950="#131d45",
)  # fmt: skip


def theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=SIGNAL,
        secondary_hue=INK,
        neutral_hue=INK,
        radius_size=sizes.radius_lg,
        # gradio serves these itself; its 600 weights lack most letters, so bold is 700 everywhere
        font=[fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[fonts.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="#f2f2ef",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="#2a2d34",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        button_primary_background_fill="*neutral_900",
        button_primary_background_fill_hover="*neutral_700",
        button_primary_background_fill_dark="#f2f2ef",
        button_primary_background_fill_hover_dark="#ffffff",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_primary_border_color="transparent",
        button_primary_border_color_dark="transparent",
    )


ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 33 32'>"
    "<rect x='0' y='11' width='5' height='10' rx='2' fill='#5d48b1'/>"
    "<rect x='7' y='4' width='5' height='24' rx='2' fill='#4a76da'/>"
    "<rect x='14' y='8' width='5' height='16' rx='2' fill='#ed8a22'/>"
    "<rect x='21' y='0' width='5' height='32' rx='2' fill='#59bbfb'/>"
    "<rect x='28' y='10' width='5' height='12' rx='2' fill='#b03a17'/></svg>"
)


def head() -> str:
    """Our scripts, those rules that gradio's `css` would lose, and the icon."""
    scripts = "".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    icon = f'<link rel="icon" type="image/svg+xml" href="data:image/svg+xml,{quote(ICON)}">'
    return f"<style>{HEAD_RULES}</style>{icon}<script>{scripts}</script>"
