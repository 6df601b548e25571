"""Text in words: a table of what is written and what is read, and all of Unicode."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcodec2.errors import LlasaError
from xcodec2.llasa.text import normalize
from xcodec2.llasa.text.numbers import cardinal, ordinal, roman, to_roman, year

TABLE = {
    "numbers": {
        "I have 3 dogs and 21 cats.": "I have three dogs and twenty-one cats.",
        "0 errors": "zero errors",
        "100 men": "one hundred men",
        "115": "one hundred fifteen",
        "1,234,567 people": (
            "one million two hundred thirty-four thousand five hundred sixty-seven people"
        ),
        "1000000": "one million",
        "2,000,000,000 stars": "two billion stars",
        "3.14": "three point one four",
        "0.5": "zero point five",
        ".5": "point five",
        "1,234.50": "one thousand two hundred thirty-four point five zero",
        "-5 and +3": "minus five and plus three",
        "Agent 007": "Agent zero zero seven",
        "12 dozen": "twelve dozen",
        "5M users": "five million users",
        "10k steps": "ten thousand steps",
        "a run of 10x": "a run of ten times",
        "1\u202f000\u202f000 tokens": "one million tokens",
        "٣ books": "three books",
        "It has 65536 codes.": "It has sixty-five thousand five hundred thirty-six codes.",
        "1,024 files": "one thousand twenty-four files",
        "He ran 26.2 miles.": "He ran twenty-six point two miles.",
    },
    "ordinals": {
        "The 1st, 2nd, 3rd and 21st.": "The first, second, third and twenty-first.",
        "the 12th man": "the twelfth man",
        "the 1,000th visitor": "the one thousandth visitor",
        "the 40th floor": "the fortieth floor",
        "her 100th birthday": "her one hundredth birthday",
        "in the 18th century": "in the eighteenth century",
    },
    "years and decades": {
        "in 1984": "in nineteen eighty-four",
        "since 1905": "since nineteen oh five",
        "by 1900": "by nineteen hundred",
        "in 2000": "in two thousand",
        "in 2007": "in two thousand seven",
        "In 2024, it rained.": "In twenty twenty-four, it rained.",
        "in 1066": "in ten sixty-six",
        "in 1492": "in fourteen ninety-two",
        "the 1980s": "the nineteen eighties",
        "the '90s": "the nineties",
        "the 60s": "the sixties",
        "1914-1918": "nineteen fourteen to nineteen eighteen",
        "1939–45": "nineteen thirty-nine to forty-five",
        "the class of '24": "the class of twenty-four",
        "44 BC": "forty-four BC",
        "AD 79": "AD seventy-nine",
        "1500 people": "one thousand five hundred people",
    },
    "dates": {
        "March 3, 2024": "March third, twenty twenty-four",
        "July 4th": "July fourth",
        "Jan. 5": "January fifth",
        "on 3 March 2024": "on the third of March, twenty twenty-four",
        "The 5th of November.": "The fifth of November.",
        "2024-03-05": "March fifth, twenty twenty-four",
        "12/25/2023": "December twenty-fifth, twenty twenty-three",
        "25/12/2023": "December twenty-fifth, twenty twenty-three",
        "25.12.1999": "December twenty-fifth, nineteen ninety-nine",
        "3/4/24": "March fourth, twenty twenty-four",
        "Sept. 2001": "September two thousand one",
        "May 2005": "May two thousand five",
        "Mon. and Tues.": "Monday and Tuesday.",
        "On Dec. 1st we met.": "On December first we met.",
    },
    "times": {
        "9:30am": "nine thirty AM",
        "7 p.m.": "seven PM.",
        "at 7 p.m. today": "at seven PM today",
        "14:05": "fourteen oh five",
        "at 10:00": "at ten o'clock",
        "10:00 AM": "ten AM",
        "00:00": "midnight",
        "0:15": "zero fifteen",
        "18:00": "eighteen hundred",
        "9-5 pm": "nine to five PM",
        "10:15:30": "ten fifteen and thirty seconds",
        "at 6:01 P.M. The end.": "at six oh one PM. The end.",
    },
    "money": {
        "$5": "five dollars",
        "$1": "one dollar",
        "$12.50": "twelve dollars and fifty cents",
        "$1.01": "one dollar and one cent",
        "$0.99": "ninety-nine cents",
        "$1,000,000": "one million dollars",
        "£3.99": "three pounds and ninety-nine pence",
        "€1,000": "one thousand euros",
        "¥500": "five hundred yen",
        "a $3.2 billion deal": "a three point two billion dollar deal",
        "$5M": "five million dollars",
        "50¢": "fifty cents",
        "20 USD": "twenty US dollars",
        "a $20 bill": "a twenty dollar bill",
        "$5-10": "five to ten dollars",
        "-$5": "minus five dollars",
        "US$7": "seven US dollars",
        "₹200": "two hundred rupees",
        "$100/month": "one hundred dollars per month",
        "It cost 5€.": "It cost five euros.",
    },
    "measures": {
        "5 km": "five kilometers",
        "1 km": "one kilometer",
        "2.5kg": "two point five kilograms",
        "60 mph": "sixty miles per hour",
        "120 km/h": "one hundred twenty kilometers per hour",
        "100°C": "one hundred degrees Celsius",
        "-40 °F": "minus forty degrees Fahrenheit",
        "a 90° turn": "a ninety degree turn",
        "9.8 m/s²": "nine point eight meters per second squared",
        "20 m²": "twenty square meters",
        "3 cm³": "three cubic centimeters",
        "120 sq ft": "one hundred twenty square feet",
        "5'10\"": "five feet ten inches",
        "16 GB of RAM": "sixteen gigabytes of RAM",
        "2.4 GHz": "two point four gigahertz",
        "10-15 km": "ten to fifteen kilometers",
        "5 µg": "five micrograms",
        "230V": "two hundred thirty volts",
        "a 5 kg bag": "a five kilogram bag",
        "3 hrs 20 min": "three hours twenty minutes",
        "50%": "fifty percent",
        "5-10%": "five to ten percent",
        "12 oz.": "twelve ounces.",
        "6 ft. tall": "six feet tall",
    },
    "fractions and arithmetic": {
        "1/2 cup": "one half cup",
        "3/4": "three quarters",
        "2 1/2 cups": "two and a half cups",
        "2½ cups": "two and a half cups",
        "⅔ of it": "two thirds of it",
        "5/16 inch": "five sixteenths inch",
        "2 + 2 = 4": "two plus two equals four",
        "5 - 3 = 2": "five minus three equals two",
        "3 x 4 = 12": "three times four equals twelve",
        "a 4x4 truck": "a four by four truck",
        "1920×1080": "one thousand nine hundred twenty by one thousand eighty",
        "10^6": "ten to the power of six",
        "x² + y²": "x squared plus y squared",
        "6.02×10^23": "six point zero two times ten to the power of twenty-three",
        "1.5e-3": "one point five times ten to the power of minus three",
        "16:9": "sixteen to nine",
        "won 3-2": "won three to two",
        "pp. 10–12": "pages ten to twelve",
        "5 ≤ 6": "five less than or equal to six",
    },
    "abbreviations": {
        "Dr. Smith lives on Main St. in St. Louis.": (
            "Doctor Smith lives on Main Street in Saint Louis."
        ),
        "Mr. and Mrs. Jones": "Mister and Missus Jones",
        "St Paul's": "Saint Paul's",
        "12 Park Ave.": "twelve Park Avenue.",
        "e.g. cats": "for example, cats",
        "cats, i.e., felines": "cats, that is, felines",
        "cats, dogs, etc.": "cats, dogs, et cetera.",
        "Smith vs. Jones": "Smith versus Jones",
        "Acme Inc. makes it.": "Acme Incorporated makes it.",
        "Martin Luther King Jr. spoke.": "Martin Luther King Junior spoke.",
        "No. 5": "Number five",
        "#1": "number one",
        "He said no. She left.": "He said no. She left.",
        "approx. 5": "approximately five",
        "w/o it": "without it",
        "and/or": "and or",
        "he/she": "he slash she",
        "black & white": "black and white",
        "Gen. Lee": "General Lee",
        "Ave Maria": "Ave Maria",
        "24/7": "twenty-four seven",
    },
    "initialisms": {
        "The FBI and NASA": "The FBI and NASA",
        "the U.S.A. and the U.S. Army": "the USA and the US Army",
        "a Ph.D. in B.C.": "a PhD in BC.",
        "J. K. Rowling": "JK Rowling",
        "J.R.R. Tolkien": "JRR Tolkien",
        "AT&T": "A-T and T",
        "R&D": "R and D",
        "CEOs": "CEOs",
        "C++ and C#": "C plus plus and C sharp",
    },
    "codes": {
        "A4 paper": "A-four paper",
        "B2B": "B-two-B",
        "MP3": "MP three",
        "COVID-19": "COVID nineteen",
        "a Boeing 747s": "a Boeing seven hundred forty-sevens",
        "3D": "three-D",
        "H2O": "H-two-O",
        "a B-52": "a B-fifty-two",
        "an A320": "an A-three twenty",
        "v2.0.1": "version two point zero point one",
        "192.168.0.1": "one nine two dot one six eight dot zero dot one",
    },
    "telephone numbers": {
        "555-1234": "five five five, one two three four",
        "(212) 555-0199": "two one two, five five five, zero one nine nine",
        "+1 212 555 0199": "plus one, two one two, five five five, zero one nine nine",
        "1-800-555-0199": "one, eight hundred, five five five, zero one nine nine",
        "1-800-FLOWERS": "one, eight hundred, flowers",
        "+44 20 7946 0958": "plus four four, two zero, seven nine four six, zero nine five eight",
        "call 911": "call nine one one",
        "978-3-16-148410-0": "nine seven eight, three, one six, one four eight four one zero, zero",
    },
    "addresses": {
        "john.doe@example.com": "john dot doe at example dot com",
        "a_b-c@mail.co.uk": "A-underscore B dash C at mail dot co dot UK",
        "www.bbc.co.uk": "WWW dot BBC dot co dot UK",
        "https://example.org/a?b=3": (
            "HTTPS colon slash slash example dot org slash A-question mark B equals three"
        ),
        "Go to example.com.": "Go to example dot com.",
        "@user": "at user",
        "#ClimateAction": "hashtag Climate Action",
        "setup.py": "setup dot PY",
        "/usr/local/bin": "slash usr slash local slash bin",
    },
    "Roman numerals": {
        "Henry VIII": "Henry the eighth",
        "Elizabeth II was queen.": "Elizabeth the second was queen.",
        "Charles I was king.": "Charles the first was king.",
        "World War II": "World War two",
        "Chapter IV": "Chapter four",
        "Act V": "Act five",
        "Malcolm X": "Malcolm X",
        "the XIX century": "the nineteenth century",
        "Super Bowl LVIII": "Super Bowl fifty-eight",
        "Part XII": "Part twelve",
        "Paul and I left.": "Paul and I left.",
    },
    "ranges and compounds": {
        "mid-1980s": "mid-nineteen eighties",
        "pre-1900": "pre-nineteen hundred",
        "a 16th-century house": "a sixteenth-century house",
        "a 5-year-old": "a five-year-old",
        "a 5-km run": "a five kilometer run",
        "from 10am-5pm": "from ten AM to five PM",
        "4:30–5:00": "four thirty to five o'clock",
        "Nov. 5-7": "November fifth to seventh",
        "Mon-Fri": "Monday to Friday",
        "20%-30%": "twenty to thirty percent",
        "1-2-3": "one, two, three",
        "120/80": "one hundred twenty over eighty",
        "1/6400": "one over six thousand four hundred",
        "50/50": "fifty fifty",
        "2024/03/05": "March fifth, twenty twenty-four",
        "No.1": "Number one",
        "the no. of cats": "the number of cats",
        "Mr.Smith": "Mister Smith",
        "W.D.Howells": "WD Howells",
        "the U.K.'s": "the UK's",
        "U.S.-based": "US-based",
        "CA 90210": "CA nine zero two one zero",
        "y != 3": "y is not equal to three",
        "10 p.m. EST": "ten PM EST",
        "Figs. 3 and 4": "Figures three and four",
        "Apt. 4B": "Apartment four-B",
        "100s of men": "hundreds of men",
        "due 5/1": "due May first",
        "6.30pm": "six thirty PM",
        "10-5=5": "ten minus five equals five",
        "8/2=4": "eight divided by two equals four",
        'a 12" pizza': "a twelve inch pizza",
        'He said "I am 5" and left.': "He said I am five and left.",
        "95/100": "ninety-five hundredths",
        "Vol. II": "Volume two",
        "MMXXIV": "twenty twenty-four",
        "(020) 7946 0958": "zero two zero, seven nine four six, zero nine five eight",
    },
    "marks": {
        "“Hello,” she said.": "Hello, she said.",
        "don't": "don't",
        "‘quoted’ words": "quoted words",
        "the dogs' bone": "the dogs' bone",
        "rock 'n' roll": "rock 'n roll",
        "wait...what": "wait… what",
        "yes - no": "yes — no",
        "yes—no": "yes — no",
        "well-known": "well-known",
        "What?! No!!!": "What? No!",
        "a (small) dog": "a, small, dog",
        "**bold** _text_": "bold text",
        "One\n\nTwo": "One. Two",
        "- one\n- two": "one. two",
        "one\ntwo": "one two",
        "naïve café": "naïve café",
        "Ysaÿe 0ÿ": "Ysaye zero-Y",
        "pages 5–": "pages five",
        "He said–": "He said",
        "0—! Well -, no.": "zero! Well — no.",
        "ﬁne ｗｉｄｅ": "fine wide",
        "10 → 20": "ten to twenty",
        "π is 3.14": "pi is three point one four",
        "I ❤ it 😀": "I heavy black heart it grinning face",
        "Nguyễn": "Nguyen",
        "soft\u00adhyphen": "softhyphen",
    },
}
ROWS = [(kind, text, words) for kind, rows in TABLE.items() for text, words in rows.items()]
READ = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ' .,;:!?…—-]+")


def read(text: str) -> tuple[str, str]:
    """The words of a text, or else the message of the error."""
    try:
        return normalize(text), ""
    except LlasaError as problem:
        return "", str(problem)


@pytest.mark.parametrize(("kind", "text", "words"), ROWS)
def test_what_is_written_is_read(kind, text, words):
    assert normalize(text) == words


def test_the_table_is_large():
    assert len(ROWS) > 200


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text):
    words, problem = read(text)
    assert "\n" not in problem
    if not problem:
        assert READ.fullmatch(words), words
        assert normalize(words) == words


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789 .,:-/$€%'\"()#@&xXaAsStTIVkM°²½+=\n", max_size=40))
def test_no_digit_or_sign_is_left_over(text):
    words, problem = read(text)
    assert READ.fullmatch(words) or problem, words


def test_every_character_has_a_reading_or_an_error_that_names_it():
    for start in range(0, 0x110000, 97):
        character = chr(start)
        words, problem = read(f"a {character} b")
        folded = unicodedata.normalize("NFKC", character)
        named = any(f"U+{ord(one):04X}" in problem for one in (character, *folded))
        assert READ.fullmatch(words) or named, (hex(start), words, problem)


@pytest.mark.parametrize("text", ["", "  \n ", "...", "?!", "—", "\u200b", "()"])
def test_nothing_to_read_is_an_error(text):
    with pytest.raises(LlasaError, match="no speakable characters"):
        normalize(text)


@pytest.mark.parametrize("text", ["Жизнь", "日本語", "한국", "مرحبا", "\ud800", "\ue000", "ʃ"])
def test_other_scripts_are_an_error_that_says_what_to_do(text):
    with pytest.raises(LlasaError, match=r"U\+.*write it in Latin letters"):
        normalize(f"hello {text}")


UNITS = ("a", "1", "1.", "a.", "a-", "$1 ", "1/", "a@", "A.", "I ", "((", "'", "1:", "-1,")


@pytest.mark.parametrize("unit", UNITS)
def test_long_text_takes_time_in_proportion(unit):
    def seconds(count):
        text = "x " + unit * count
        started = time.process_time()
        normalize(text)
        return time.process_time() - started

    seconds(10)
    assert seconds(4_000) < 10 * max(seconds(1_000), 0.02)


def test_numbers_agree_with_another_implementation():
    other = pytest.importorskip("hibari.g2p.numbers")

    def words(text):
        return [word for word in re.findall("[a-z]+", text) if word != "and"]

    for number in [*range(1200), 12_345, 100_000, 999_999, 10**6, 10**9 + 1, 10**15 + 7]:
        assert words(cardinal(number)) == words(other.cardinal(number))
        assert words(ordinal(number)) == words(other.ordinal(number))
    for number in range(1100, 2100):
        assert words(year(number)) == words(other.year(number))
    assert all(roman(to_roman(number)) == number for number in range(1, 4000))
    assert [roman(text) for text in ("IIII", "VX", "IC", "", "A", "MMMM")] == [None] * 6
