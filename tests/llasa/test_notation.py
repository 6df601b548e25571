"""Numbers, units and times in other notations."""

from __future__ import annotations

import pytest

from xcodec2.llasa.text import normalize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.234,56 m", "one thousand two hundred thirty-four point five six meters"),
        ("€1.234,56", "one thousand two hundred thirty-four euros and fifty-six cents"),
        ("3.500,00 EUR", "three thousand five hundred euros"),
        ("1 234,56", "one thousand two hundred thirty-four point five six"),
        ("1\u202f234,5 m", "one thousand two hundred thirty-four point five meters"),
        ("12.000.678,9", "twelve million six hundred seventy-eight point nine"),
        ("1.200.500 people", "one million two hundred thousand five hundred people"),
        ("1'234.50 francs", "one thousand two hundred thirty-four point five zero francs"),
        ("12,5 kg", "twelve point five kilograms"),
        ("12,5 % of it", "twelve point five percent of it"),
        ("€12,50", "twelve euros and fifty cents"),
        ("1,234.56", "one thousand two hundred thirty-four point five six"),
        ("On pages 12,5 or 7", "On pages twelve, five or seven"),
        ("1,234 kg", "one thousand two hundred thirty-four kilograms"),
        ("In 1,200, 12, and 5", "In one thousand two hundred, twelve, and five"),
        ("5.2 (±0.3) mm", "five point two plus or minus zero point three millimeters"),
        ("12 (± 2)%", "twelve plus or minus two percent"),
        ("5.2 ± 0.3 mm", "five point two plus or minus zero point three millimeters"),
        ("The torque is 10 N·m.", "The torque is ten newton meters."),
        ("1 N⋅m", "one newton meter"),
        ("10 N*m and 10 N-m", "ten newton meters and ten newton meters"),
        ("5 kW·h", "five kilowatt hours"),
        ("50 Ω·m", "fifty ohm meters"),
        ("25 Pa·s", "twenty-five pascal seconds"),
        ("10 kg·m/s", "ten kilogram meters per second"),
        ("9.8 m·s⁻²", "nine point eight meters per second squared"),
        ("9.8 m s⁻²", "nine point eight meters per second squared"),
        ("9.8 m/s²", "nine point eight meters per second squared"),
        ("3 s⁻¹", "three per second"),
        ("10⁻³", "ten to the power of minus three"),
        ("3·4 = 12", "three times four equals twelve"),
        ("0600 hours", "oh six hundred hours"),
        ("At 0605 hours we left.", "At oh six oh five hours we left."),
        ("at 1830 hrs", "at eighteen thirty hours"),
        ("0000 hours", "zero hundred hours"),
        ("0900-1700h", "oh nine hundred to seventeen hundred hours"),
        ("between 0900 and 1700 hours", "between oh nine hundred and seventeen hundred hours"),
        ("He worked 1200 hours.", "He worked one thousand two hundred hours."),
        ("after 9999 hours", "after nine thousand nine hundred ninety-nine hours"),
    ],
)
def test_other_notations_are_read(text, words):
    assert normalize(text) == words


def test_addresses_stay_addresses():
    assert "point" not in normalize("1.234.567")
    assert "million" not in normalize("192.168.100.200")
    assert "billion" not in normalize("192.168.100.200")
