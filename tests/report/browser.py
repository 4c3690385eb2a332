"""A headless Chromium that looks at pages: how wide they are, what they ask for, what they log."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=4000",
)  # fmt: skip

LOOK = """
const looks = [...document.querySelectorAll("iframe")].map((frame) => {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter((one) =>
    !one.closest(".scroll, svg") && one.getBoundingClientRect().right > view.innerWidth + 0.5);
  return {
    name: frame.dataset.name, width: view.innerWidth, scroll: root.scrollWidth,
    wide: wide.map((one) => one.tagName + "." + one.className),
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    paper: view.getComputedStyle(page.body).backgroundColor,
    ink: view.getComputedStyle(page.body).color,
    lines: [...page.querySelectorAll(".picture path")].map(
      (one) => view.getComputedStyle(one).stroke),
    asked: view.performance.getEntriesByType("resource").map((entry) => entry.name),
    scripts: page.scripts.length, images: page.images.length,
    text: Math.min(...[...page.querySelectorAll(".picture text")].map(
      (one) => one.getBoundingClientRect().height)),
    sorted: (() => {
      const table = [...page.querySelectorAll("table")].pop();
      if (!table) return null;
      return [...table.tHead.rows[0].cells].map((head, column) => {
        const read = () => [...table.tBodies[0].rows].map((row) => {
          const cell = row.cells[column];
          return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
        });
        head.querySelector("button").click();
        const up = read();
        head.querySelector("button").click();
        return { up, down: read(), state: head.getAttribute("aria-sort") };
      });
    })(),
  };
});
document.body.textContent = "LOOKS" + JSON.stringify(looks) + "SKOOL";
"""


def look(folder: Path, pages: list[Path], widths: tuple[int, ...], dark: bool) -> Any:
    """What Chromium makes of pages at some widths, and what it wrote on its console.

    Args:
        folder: An empty one for Chromium's own files.
        pages: What to look at.
        widths: In CSS pixels.
        dark: Whether the person prefers dark.

    Returns:
        A list of looks, one for every page and width, and the console's lines.
    """
    frames = "".join(
        f'<iframe data-name="{page.stem}" src="{html.escape(page.resolve().as_uri())}" '
        f'style="width:{width}px;height:900px;border:0"></iframe>'
        for page in pages
        for width in widths
    )
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body>{frames}'
        f"<script>addEventListener('load', () => {{ {LOOK} }})</script>"
    )
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom",
         wrapper.resolve().as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search("LOOKS(.*)SKOOL", done.stdout, re.DOTALL)
    assert found, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found[1])), console
