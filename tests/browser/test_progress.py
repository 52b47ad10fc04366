"""What a run waits for before its scripts, in a real browser: packages as they come."""

from pathlib import Path

from playwright.sync_api import expect

from tests.support.browser import Window, command_line, page_of
from tests.support.cli import write
from tests.support.slowindex import half
from tests.support.world import project


def test_packages_are_shown_as_they_come_until_all_are_there(opened: Window, tmp_path: Path) -> None:
    with half(tmp_path / "half") as (index, go):
        files = project("train", packages={"train": f"--index-url http://{index}\nplume\n"})
        running = command_line(tmp_path).start("run", str(write(tmp_path / "iris", files)), "--ui")
        opened.page.goto(page_of(running))
        region = opened.page.locator("#progress")
        expect(region).to_contain_text("downloading 1 package, 0 of 1 ready")
        expect(region).to_contain_text("1 MiB of 3 MiB")
        expect(region.get_by_role("progressbar", name="plume")).to_have_attribute("value", str(1 << 20))
        assert opened.serious() + opened.wide() == []
        go.set()
        expect(region).to_have_count(0)
        expect(opened.page.locator("#node-train .state")).to_contain_text("Done")
        running.interrupt()
        assert running.end().code == 0
