"""Laws of the charts: nothing is lost in a bin, and what is drawn adds up."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from posedreamer.report.charts import HEIGHT, WIDTH, histogram, histogram_svg

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("scale", [1.0, 50.0, -3.0])
def test_every_value_is_in_exactly_one_bin(scale):
    series = [list(scale * RNG.random(57)), list(scale * RNG.random(31)), []]
    counts = histogram(series).counts
    assert counts.sum(axis=1).tolist() == [57, 31, 0]


def test_scores_share_the_unit_interval_and_equal_values_have_a_bin():
    assert histogram([[0.4, 0.5]]).edges[[0, -1]].tolist() == [0.0, 1.0]
    assert histogram([[7.0, 7.0]]).counts.sum() == 2
    with pytest.raises(ValueError, match="no values"):
        histogram([[], []])


def test_the_drawing_is_xml_inside_its_frame_with_one_bar_a_filled_bin():
    series = {"kept": list(RNG.random(40)), "rejected": list(RNG.random(20) / 3)}
    svg = ElementTree.fromstring(histogram_svg(series, threshold=0.5))
    bars = svg.findall("rect")
    assert len(bars) == np.count_nonzero(histogram(list(series.values())).counts)
    for bar in bars:
        x, y, width, height = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + width <= WIDTH and y + height <= HEIGHT
    drawn = sum(int(re.match(r"\w+: (\d+)", bar.find("title").text)[1]) for bar in bars)
    assert drawn == 60
    assert len(svg.findall("line[@class='threshold']")) == 1
