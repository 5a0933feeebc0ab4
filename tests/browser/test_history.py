"""The last answers: kept by the browser, heard, asked again, compared, cleared; never sent by themselves."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .conftest import EXAMPLES

ROWS = ".sp-history li"
PLAYED = """() => {
  window.played = [];
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () { window.played.push(this.src.slice(0, 5)); return play.call(this); };
}"""


def bring(page: Page, name: str, label: str) -> None:
    page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / f"{name}.flac")
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text(label)
    expect(page.locator(f"{ROWS} bdi").first).to_have_text(label)


def opened(page: Page) -> Page:
    page.wait_for_selector("#sp-task")
    fold = page.locator("details.sp-history")
    if fold.get_attribute("open") is None:
        fold.locator("summary").click()
    return page


def test_the_last_answers_survive_a_reload_and_are_cleared_by_one_click(page: Page) -> None:
    opened(page)
    bring(page, "yes", "yes")
    bring(page, "stop", "stop")
    page.get_by_label("Task", exact=True).select_option("spoken_digits")  # the same recording, another answer
    expect(page.locator(ROWS)).to_have_count(3)
    sent: list[str] = []
    page.on(
        "request", lambda request: sent.append(request.post_data or "") if request.method == "POST" else None
    )
    page.reload()
    opened(page)
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator(f"{ROWS} bdi").nth(1)).to_have_text("stop")
    expect(page.locator("#sp-panel .sp-empty")).to_be_visible()
    page.evaluate(PLAYED)
    page.locator(ROWS).last.get_by_role("button", name="Play").click()
    page.wait_for_function("played.includes('blob:')")  # from this browser, not from the server
    assert not any("stop" in body or "flac" in body for body in sent)
    page.locator(ROWS).last.get_by_role("button", name="Ask about this recording").click()
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text("Spoken digits")
    expect(page.locator(ROWS)).to_have_count(4)
    page.get_by_label("Task", exact=True).select_option("keyword_spotting")
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("yes")
    expect(page.locator(f"{ROWS} bdi").first).to_have_text("yes")
    expect(page.locator(ROWS)).to_have_count(4)  # the same recording and task: the newest stands for both
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator(ROWS)).to_have_count(0)
    page.reload()
    opened(page)
    expect(page.locator(".sp-history [data-part=count]")).to_have_text("none yet")
    expect(page.locator(ROWS)).to_have_count(0)


def test_an_answer_of_before_is_compared_with_the_recording_of_now(page: Page) -> None:
    opened(page)
    bring(page, "yes", "yes")
    bring(page, "stop", "stop")
    page.locator(ROWS).last.get_by_role("button", name="Compare it").click()
    expect(page.locator("#sp-compare-second .sp-time")).to_have_text("1.0 s")
    expect(page.locator("#sp-compare-panel")).to_contain_text("yes")
    expect(page.locator("#sp-compare-panel")).to_contain_text("stop")


def test_the_list_is_bounded_and_can_be_left_off(page: Page) -> None:
    opened(page)
    page.evaluate(
        """async () => {
          const opened = await new Promise((resolve) => {
            const asked = indexedDB.open("speechprompt", 1);
            asked.onsuccess = () => resolve(asked.result);
          });
          const going = opened.transaction("answers", "readwrite"), store = going.objectStore("answers");
          const facts = { title: "T", score: "1 %", fits: "yes", name: "a.wav", type: "audio/wav" };
          for (let i = 0; i < 30; i++) {
            const bytes = new ArrayBuffer(3e6);
            store.put({ id: `old/${i}`, when: i, label: `old ${i}`, bytes, ...facts });
          }
          await new Promise((resolve) => (going.oncomplete = resolve));
          opened.close();
        }"""
    )
    page.reload()
    opened(page)
    expect(page.locator(ROWS)).to_have_count(6)  # 20 MB
    bring(page, "yes", "yes")
    expect(page.locator(ROWS)).to_have_count(7)
    page.reload()
    opened(page)
    expect(page.locator(ROWS)).to_have_count(7)
    page.get_by_label("Keep them").uncheck()
    expect(page.locator(ROWS)).to_have_count(0)
    page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / "stop.flac")
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("stop")
    page.wait_for_timeout(300)
    expect(page.locator(ROWS)).to_have_count(0)
