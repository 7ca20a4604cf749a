"""The page holds every promised part, nothing of it from elsewhere, and nothing of a sample runs as markup."""

import re
from html.parser import HTMLParser

import pytest
from report_runs import ATTEMPTS, CONFIG, write_run

from posedreamer.report.curriculum import curriculum_items, flatten, show
from posedreamer.report.gallery import write_gallery
from posedreamer.storage.index import read_index

VOID = {"meta", "img", "br", "link", "input", "line", "rect"}


class Page(HTMLParser):
    """Collects sources of images, links, ids, text; checks that tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.ids, self.tags, self.text, self.stack = [], [], [], [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.images += [values["src"]] if tag == "img" else []
        self.links += [values["href"]] if "href" in values else []
        self.ids += [values["id"]] if "id" in values else []
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def page(run_dir):
    return Page(write_gallery(run_dir).read_text())


def test_the_page_is_self_contained(page, run_dir):
    assert page.images and all(source.startswith("data:image/webp;base64,") for source in page.images)
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    text = (run_dir / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import", text)


def test_every_kept_sample_and_every_reason_is_shown(page, run_dir):
    rows = read_index(run_dir).to_pylist()
    text = "".join(page.text)
    for row in rows:
        if row["status"] in ("kept", "failed"):
            assert row["key"] in text
        if row["status"] == "rejected":
            assert row["reason"] in text
    assert len([i for i in page.ids if i.startswith("sample-")]) == sum(a[1] != "failed" for a in ATTEMPTS)
    assert "NaN pixels <b>" in text and "a person & a <dog>" in text
    assert "hard, above the floor" in text


def test_counts_of_the_head_are_those_of_the_run(page):
    text = re.sub(r"\s+", " ", "".join(page.text))
    assert "7 images of people with exact 3D labels, kept out of 18 attempts in 2 rounds." in text
    assert CONFIG.hash[:8] in text


def test_the_same_run_gives_the_same_page_and_only_the_size_asked_for(run_dir, tmp_path):
    first = write_gallery(run_dir, tmp_path / "a.html", kept=2, rejected=3, ends=1).read_text()
    assert write_gallery(run_dir, tmp_path / "b.html", kept=2, rejected=3, ends=1).read_text() == first
    shown = [i for i in Page(first).ids if i.startswith("sample-")]
    assert len(shown) == 5


def test_a_run_without_stored_rejects_or_kept_samples_has_a_page(tmp_path):
    bare = write_run(tmp_path / "bare", ATTEMPTS[:6], keep_rejects=False)
    assert "The run did not store them" in write_gallery(bare).read_text()
    empty = write_run(tmp_path / "empty", ATTEMPTS[6:12])
    assert "0 images of people" in write_gallery(empty).read_text()


def test_a_condition_that_shards_do_not_hold_is_drawn_again(tmp_path):
    page = Page(write_gallery(write_run(tmp_path / "depth", ATTEMPTS[:3], kind="depth")).read_text())
    assert "picture, skeleton, mesh, xyz, depth" in "".join(page.text)


def test_the_curriculum_is_shown_whatever_its_fields(run_dir):
    (item,) = curriculum_items(run_dir)
    assert item["round"] == 1
    assert dict(item["facts"]) == {"floor": "0.3", "model: trees": "200"}
    assert [chart["title"] for chart in item["charts"]] == ["chosen oks"]
    assert item["tables"][0]["rows"] == [["yoga", "4"]]
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}
    assert [show(value) for value in (True, None, 0.123456, [1, 2], [], "x")] == [
        "yes", "none", "0.1235", "1, 2", "none", "x",
    ]  # fmt: skip
